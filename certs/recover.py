"""Plans the writes that are safe while the clocks disagree: only ever additions.

A clock that is wrong by a year would find every certificate expired, drop its root and
switch to one that starts next year. So where the clocks contradict each other, nothing
is issued, switched, retired or dropped; but a bundle or a pair that somebody emptied is
made whole again, for that takes no clock.
"""

from certs import bundle
from certs.plan import Cause, RotationPlan, RotationStep, WriteBundle, WritePair
from certs.state import ObservedState, State


def recover(state: State, observed: ObservedState) -> RotationPlan:
    """Return the writes that are right at any time.

    Args:
        state: content of the state Secret.
        observed: the cluster, as for `rotation.plan`.

    Returns:
        At most a bundle that holds everything it held, and the pair where there was
        none. Never settled: a clock has to be repaired first.
    """
    steps: list[RotationStep] = []
    pair, trust = observed.pair, observed.trust
    generations = (state.current, state.next, pair.generation if pair else None)
    own = bundle.union((one.root for one in generations if one), state.retired)
    if trust is not None and trust.bundles:
        found = [bundle.parse(pem) for pem in trust.bundles]
        if not all(set(own) <= set(roots) for roots in found):
            pem = bundle.render(bundle.union(own, *found))
            steps.append(WriteBundle(pem, Cause.UNTRUSTED))
    lost = pair is not None and pair.generation is None
    # With a retired root, whether the pair may change is a question of time.
    if state.current is not None and lost and not state.retired:
        steps.append(WritePair(state.current, Cause.PAIR_DRIFT))
    return RotationPlan(phase=state.phase, steps=tuple(steps))
