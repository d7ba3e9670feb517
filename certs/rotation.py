"""Plans the next writes of a rotation, from what was observed and nothing else.

The order that makes it safe at any moment, whoever crashes: API servers trust a
generation for `bundle_dwell` before it is served, and a root is dropped only after
every ready replica showed the newer certificate, `serve_dwell` after the switch.
Each write is planned anew from an observation, so there is nothing to resume, and two
processes can waste a generation but never break the order. When all is in order, `plan`
returns no step.
"""

from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from certs import bundle
from certs.model import Generation, Root
from certs.plan import Cause, KeepState, RotationPlan, Stage, WriteBundle, WritePair
from certs.policy import CertificatePolicy
from certs.state import ObservedState, RotationPhase, SeenAt, State
from certs.validate import CertificateReason, check

MAX_DWELL = timedelta(days=1)
"""After this long by the wall clock a dwell is over even if the process's monotonic
clock stands still: a rotation must not wait for a broken timer until the certificate
expires."""

_UNUSABLE = {CertificateReason.WRONG_NAMES, CertificateReason.EXPIRED}


def plan(
    state: State, observed: ObservedState, policy: CertificatePolicy, now: datetime
) -> RotationPlan:
    """Return the writes that are due.

    Args:
        state: content of the state Secret; empty when it holds nothing usable.
        observed: the cluster, read in the order that `ObservedState` states.
        policy: names and durations.
        now: UTC, read after the observation.

    Returns:
        Steps that leave the cluster valid whichever of them succeed.
    """
    return _Decision(state=state, observed=observed, policy=policy, now=now).plan()


@dataclass(slots=True, kw_only=True)
class _Decision:
    """One run of `plan`: the arguments and what follows from them."""

    state: State
    observed: ObservedState
    policy: CertificatePolicy
    now: datetime
    required: tuple[Root, ...] = ()
    extra: tuple[Root, ...] = ()
    in_every_bundle: bool = False
    attest: bool = False
    again: datetime | None = None

    def plan(self) -> RotationPlan:
        phase = self.state.phase
        adopted = self._adopt()
        self._compare()
        change = self._advance()
        if change is None and adopted:
            change = KeepState(self.state, Cause.RECOVERED)
        wanted = (self._bundle(), self._pair(), change)
        steps = tuple(step for step in wanted if step is not None)
        in_place = self.in_every_bundle and self._switched() and not self.extra
        return RotationPlan(
            phase=phase,
            steps=steps,
            settled=phase is RotationPhase.STEADY and in_place and not steps,
            attest=self.attest and self.observed.served is None,
            again=self.again,
        )

    def _adopt(self) -> bool:
        """Take the serving Secret's generation as current where the state was lost."""
        pair = self.observed.pair
        if self.state.current or not (pair and pair.generation):
            return False
        if check(pair.generation, self.policy, self.now) in _UNUSABLE:
            return False
        following = self.state.next
        if following and following.fingerprint == pair.generation.fingerprint:
            following = None
        self.state = replace(
            self.state, current=pair.generation, next=following, switched=None
        )
        return True

    def _compare(self) -> None:
        """Compare the bundles as read with what the state requires."""
        self.required = self.state.required(self.policy, self.now)
        if self.observed.trust is None:
            return
        bundles = [bundle.parse(pem) for pem in self.observed.trust.bundles]
        found = bundle.live(bundle.union(*bundles), self.now, self.policy.skew)
        self.extra = tuple(root for root in found if root not in self.required)
        self.in_every_bundle = bool(bundles) and all(
            set(self.required) <= set(roots) for roots in bundles
        )

    # --- the state ---

    def _advance(self) -> Stage | KeepState | None:
        if self.state.next is not None:
            return self._promote(self.state.next)
        cause = self._due()
        if cause is not None:
            return self._stage(cause)
        return self._retire()

    def _stage(self, cause: Cause) -> Stage:
        state = replace(
            self.state, next=None, trusted=None, answered=self.observed.request
        )
        return Stage(state, cause)

    def _due(self) -> Cause | None:
        current = self.state.current
        if current is None:
            return Cause.BOOTSTRAP
        reason = check(current, self.policy, self.now)
        if reason in {CertificateReason.EXPIRING, CertificateReason.EXPIRED}:
            return Cause.RENEWAL
        if reason is CertificateReason.WRONG_NAMES:
            return Cause.RENAMED
        if reason is CertificateReason.PREMATURE:
            return Cause.DEFECT
        if self.state.phase is RotationPhase.STEADY and not self.extra:
            # Else a replica has to follow first, and nothing says when it will.
            self._replan_at(current.not_after - self.policy.renew_before)
        # One rotation at a time: a second request waits for the end of the first.
        requested = self.observed.request not in {"", self.state.answered}
        if requested and self.state.phase is RotationPhase.STEADY:
            return Cause.REQUESTED
        return None

    def _promote(self, following: Generation) -> Stage | KeepState | None:
        if check(following, self.policy, self.now) is not CertificateReason.OK:
            return self._stage(Cause.RENEWAL)
        if self.observed.trust is None or not self.in_every_bundle:
            return None
        if self._nothing_to_lose():
            # What served until now stays in the bundle until replicas are asked.
            return self._switch(following, (), Cause.EMERGENCY)
        if not self._known():
            return self._mark_trust()
        last = (self.state.current.root,) if self.state.current else ()
        retired = bundle.union(self.state.retired, last)
        return self._switch(following, retired, Cause.SWITCH)

    def _switch(
        self, following: Generation, retired: tuple[Root, ...], cause: Cause
    ) -> KeepState:
        state = replace(
            self.state,
            current=following,
            next=None,
            retired=bundle.live(retired, self.now, self.policy.skew),
            switched=None,
        )
        return KeepState(state, cause)

    def _mark_trust(self) -> KeepState | None:
        """Begin the dwell of the bundle, unless it has begun."""
        trust = self.observed.trust
        if trust is None or not self.in_every_bundle:
            return None
        if self._valid(self.state.trusted, trust.version):
            return None
        mark = SeenAt(trust.version, self.now)
        return KeepState(replace(self.state, trusted=mark), Cause.TRUST_SEEN)

    def _retire(self) -> KeepState | None:
        """Drop roots that no replica serves any more; the bundle follows."""
        pair = self.observed.pair
        if self._must_wait():
            return self._mark_trust()
        if not (self.state.retired or self.extra) or not self._switched():
            return None
        if pair is not None and not self._valid(self.state.switched, pair.version):
            mark = SeenAt(pair.version, self.now)
            return KeepState(replace(self.state, switched=mark), Cause.SWITCH_SEEN)
        if self.state.retired and self._attested():
            return KeepState(replace(self.state, retired=()), Cause.RETIRED)
        return None

    # --- the bundle and the pair ---

    def _bundle(self) -> WriteBundle | None:
        trust = self.observed.trust
        if trust is None or not trust.bundles or not self.required:
            return None
        kept = () if self.extra and self._attested() else self.extra
        target = bundle.render(bundle.union(self.required, kept))
        if all(pem == target for pem in trust.bundles):
            return None
        cause = Cause.PRUNED if self.in_every_bundle else Cause.UNTRUSTED
        return WriteBundle(target, cause)

    def _pair(self) -> WritePair | None:
        current, pair = self.state.current, self.observed.pair
        if current is None or pair is None or self._switched():
            return None
        if check(current, self.policy, self.now) in _UNUSABLE:
            return None
        if self._must_wait() and not self._known():
            return None
        return WritePair(current, Cause.PAIR_DRIFT)

    def _must_wait(self) -> bool:
        """Return whether a replica could serve what an API server does not trust yet.

        The switch waited for that, but a bundle may have been changed since.
        """
        pair = self.observed.pair
        if pair is None or self.state.current is None or self._switched():
            return False
        served = pair.generation
        return bool(self.state.retired) or not (
            served is None or check(served, self.policy, self.now) in _UNUSABLE
        )

    def _known(self) -> bool:
        """Return whether API servers have had every required root for a whole dwell."""
        trust = self.observed.trust
        if trust is None or not self.in_every_bundle:
            return False
        seen = self._valid(self.state.trusted, trust.version)
        dwell = self.policy.bundle_dwell
        return seen is not None and self._waited(seen, trust.held, dwell)

    # --- what the observation means ---

    def _switched(self) -> bool:
        pair, current = self.observed.pair, self.state.current
        return pair is not None and pair.generation == current

    def _attested(self) -> bool:
        """Return whether every ready replica serves `current`, after the dwell."""
        pair, current, served = (
            self.observed.pair,
            self.state.current,
            self.observed.served,
        )
        if pair is None or current is None or not self._switched():
            return False
        seen = self._valid(self.state.switched, pair.version)
        if seen is None or not self._waited(seen, pair.held, self.policy.serve_dwell):
            return False
        self.attest = True
        return bool(served) and all(
            replica.leaf == current.fingerprint for replica in served or ()
        )

    def _nothing_to_lose(self) -> bool:
        """Return whether no certificate is in service that a dwell could protect."""
        current = self.state.current
        if current is not None:
            past = self.now - self.policy.skew
            if check(current, self.policy, past) not in _UNUSABLE:
                return False
        self.attest = True
        served = self.observed.served
        # A replica we cannot reach may still be reachable from the API server.
        return served is not None and not any(
            replica.trusted or not replica.leaf for replica in served
        )

    # --- time ---

    def _valid(self, mark: SeenAt | None, version: str) -> SeenAt | None:
        """Return the mark, unless it is about another version or from the future.

        A mark from the future was made by a clock that has been set back since.
        """
        if mark is None or mark.version != version:
            return None
        return mark if mark.at <= self.now + 2 * self.policy.skew else None

    def _waited(self, mark: SeenAt, held: timedelta | None, dwell: timedelta) -> bool:
        """Return whether the dwell is over by both clocks, wall and monotonic.

        The mark may be another process's, so its clock and ours may differ by twice
        the skew. The monotonic clock guards against a wall clock that is set forward.
        """
        elapsed = self.now - mark.at
        over = elapsed >= dwell + 2 * self.policy.skew
        if over and (held is None or held >= dwell or elapsed >= MAX_DWELL):
            return True
        rest = dwell - held if over and held is not None else timedelta(0)
        self._replan_at(
            self.now + rest if over else mark.at + dwell + 2 * self.policy.skew
        )
        return False

    def _replan_at(self, at: datetime) -> None:
        self.again = at if self.again is None else min(at, self.again)
