"""The policy that closes a namespace on purpose."""

from tests.unit.egress.sketch import INJECTED, rule
from webhook.egress.normalize import normalize
from webhook.egress.own_policy import ISOLATING_NAME, isolate

RULES = (
    rule("{to: [{ipBlock: {cidr: 203.0.113.7/32}}], ports: [{port: 443}]}"),
    rule("{to: [{ipBlock: {cidr: 10.0.0.10/32}}], ports: [{port: 53}]}"),
)


def test_it_closes_injected_pods_to_everything_else() -> None:
    """One policy, whatever else is there; it leans on nothing."""
    own = isolate("team-a", RULES)

    assert (own.namespace, own.name, own.owners) == ("team-a", ISOLATING_NAME, ())
    assert own.selector.render() == {"matchLabels": INJECTED}
    assert own.rules == normalize(RULES)
