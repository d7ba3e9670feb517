"""A tenant with `edit`, and a thief of the companion's token, on a real API server.

The companion runs as a process of its own, under the chart's rights and policies. The
tenant's namespace is not labeled; all attacks stay in place while it goes on.
"""

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any, Final

import pytest

from tests.cluster.chart.test_policies import TO_DNS, network_policy, secret
from tests.cluster.release import (
    CANARY,
    COMPANION,
    MIRROR,
    NAME,
    Release,
    Running,
    companion,
    eventually,
    tell,
)
from tests.lab.api import Api, ApiError, Identity, Object
from tests.lab.control_plane import ControlPlane
from tests.lab.listing import versions
from tests.redteam.attacks import ATTACKS, TENANT
from webhook.cluster.metadata import key

VICTIM: Final = "victim"
PLAIN: Final = "plain"
HOME: Final = "ml-tracking"
FLOOD: Final = 400
MEMORY_MIB: Final = 256
"""Half of what the chart allows the companion."""
PLURALS: Final = {
    "Secret": "api/v1/{}/secrets",
    "ConfigMap": "api/v1/{}/configmaps",
    "Pod": "api/v1/{}/pods",
    "Service": "api/v1/{}/services",
    "EndpointSlice": "apis/discovery.k8s.io/v1/{}/endpointslices",
    "NetworkPolicy": "apis/networking.k8s.io/v1/{}/networkpolicies",
    "Event": "api/v1/{}/events",
}


@pytest.fixture(name="release", scope="module")
def _release(own_plane: ControlPlane) -> Release:
    release = Release(own_plane, HOME)
    release.compute(VICTIM)
    own_plane.namespace(PLAIN)
    own_plane.namespace(TENANT)
    rbac = "/apis/rbac.authorization.k8s.io/v1/namespaces/{}/rolebindings"
    subject = {"kind": "ServiceAccount", "name": "default", "namespace": TENANT}
    release.admin.create(
        rbac.format(TENANT),
        {
            "metadata": {"name": "edit"},
            "roleRef": {
                "apiGroup": "rbac.authorization.k8s.io",
                "kind": "ClusterRole",
                "name": "edit",
            },
            "subjects": [subject],
        },
    )
    deny = {"podSelector": {}, "policyTypes": ["Egress"]}
    release.admin.create(
        path("NetworkPolicy", VICTIM), {"metadata": {"name": "deny"}, "spec": deny}
    )
    # Once, so that afterwards nothing of the victim's is still to come.
    with companion(release, egress_mode="additive"):
        eventually("the victim's mirror", lambda: release.holds(VICTIM))
        eventually("the victim's shadow", lambda: shadows(release, VICTIM))
    return release


@pytest.fixture(name="others_stay", autouse=True)
def _others_stay(release: Release) -> Iterator[None]:
    """After each case, everything is there unchanged but in the attacker's namespace.

    What a test itself adds are namespaces of its own, and what is in them.
    """
    before = others(release)
    yield
    after = others(release)
    assert {one: after.get(one) for one in before} == before
    new = after.keys() - before.keys()
    own = {one.partition(" /")[2] for one in new if one.startswith(_NAMESPACES)}
    assert {one for one in new if place(one) not in own} == {
        f"{_NAMESPACES}{name}" for name in own
    }


_NAMESPACES: Final = "/api/v1/namespaces /"


def others(release: Release) -> dict[str, str]:
    """Version of every object outside of the attacker's namespace.

    Left out is what the companion at work reports, and the API server's own list of
    the addresses that Services have.
    """
    reports = {f"{HOME}/{NAME}-{name}" for name in ("status", "addresses")}
    return {
        one: version
        for one, version in versions(release.admin).items()
        if place(one) != TENANT
        and one.partition(" ")[2] not in reports
        and "/ipaddresses " not in one
    }


def place(listed: str) -> str:
    """The namespace of an object in a listing; empty without one."""
    return listed.partition(" ")[2].partition("/")[0]


@pytest.fixture(name="running")
def _running(release: Release) -> Iterator[Running]:
    with companion(release, egress_mode="additive") as running:
        eventually("the victim's mirror", lambda: release.holds(VICTIM))
        yield running


def path(kind: str, namespace: str) -> str:
    """Where objects of a kind are created."""
    return "/" + PLURALS[kind].format(f"namespaces/{namespace}")


def attempt(api: Api, body: Object, namespace: str = "") -> int:
    """The status of trying to create an object: 201 when it was made."""
    where = namespace or body["metadata"]["namespace"]
    try:
        api.create(path(body["kind"], where), body)
    except ApiError as error:
        return error.code
    return 201


def test_a_tenant_changes_nothing_of_anybody_elses(
    release: Release, running: Running
) -> None:
    """All attacks at once: it serves everybody else, as does one that starts then."""
    tenant = release.plane.service_account(TENANT, "default")
    before = release.admin.get(path("Secret", VICTIM))["items"]
    pid = running.process.pid

    answers = [attempt(tenant, b) for make in ATTACKS.values() for b in make()]

    assert answers.count(201) > 200
    assert set(answers) <= {201, 400, 403, 409, 422}
    fresh = release.compute("fresh")
    took = eventually("a new mirror", lambda: release.holds(fresh), seconds=10)
    eventually("all is seen", lambda: running.ask("/readyz")[0] == 200)
    assert took < 10  # seconds; the machines are shared
    assert release.admin.get(path("Secret", VICTIM))["items"] == before
    assert running.process.poll() is None
    assert running.process.pid == pid
    assert running.ask("/healthz")[0] == 200
    assert running.memory("VmHWM") < MEMORY_MIB
    assert release.leaks() == []

    running.stop()
    with companion(release, "two", egress_mode="additive") as second:
        fresh = release.compute("fresher")
        eventually("a new mirror", lambda: release.holds(fresh), seconds=30)
        assert second.ask("/healthz")[0] == 200
        assert second.memory("VmHWM") < MEMORY_MIB
        told = second.ask("/metrics")[1]
    assert f'target_namespace="{TENANT}"' not in told  # it is not labeled
    assert release.admin.get(path("Secret", VICTIM))["items"] == before


def test_policies_in_one_namespace_delay_no_others(
    release: Release, running: Running
) -> None:
    """Hundreds wait for their shadows while another namespace's first one gets its."""
    flooded = release.compute("flooded")
    deny = {"podSelector": {}, "policyTypes": ["Egress"]}
    for number in range(FLOOD):
        body = {"metadata": {"name": f"deny-{number}"}, "spec": deny}
        body["spec"] = deny | {"podSelector": {"matchLabels": {"n": str(number)}}}
        release.admin.create(path("NetworkPolicy", flooded), body)

    calm = release.compute("calm")
    release.admin.create(
        path("NetworkPolicy", calm), {"metadata": {"name": "deny"}, "spec": deny}
    )
    took = eventually("a shadow", lambda: shadows(release, calm) == 1, seconds=30)
    behind = FLOOD - shadows(release, flooded)
    tell(f"a shadow after {took:.2f} s, {behind} of {FLOOD} others still to come")

    assert took < 3
    # Nothing is still to be written when another case looks at who changed what.
    eventually("all", lambda: shadows(release, flooded) == FLOOD, seconds=60)


def shadows(release: Release, namespace: str) -> int:
    """How many policies of ours are there."""
    found = release.admin.get(path("NetworkPolicy", namespace))["items"]
    return sum(one["metadata"]["name"].startswith("mti-egress-") for one in found)


def test_the_policies_believe_a_label_as_soon_as_the_companion(
    release: Release, running: Running
) -> None:
    """Otherwise each new namespace would begin with a refusal and an Event."""
    names = [release.plane.namespace(f"late-{number}") for number in range(40)]
    for name in names:
        release.label(name)
        eventually(f"the mirror of {name}", partial(release.holds, name), seconds=10)
    failed = [one for one in running.lines() if one["event"] == "reconcile-failed"]

    assert {one["key"]: one["problem"] for one in failed if "late-" in one["key"]} == {}


@pytest.fixture(name="thief", scope="module")
def _thief(release: Release) -> Api:
    """Whoever has the companion's token, once the policies are in force."""
    thief = release.plane.service_account(HOME, COMPANION)
    for body in (secret("x"), network_policy(name="x")):
        where = path(body["kind"], VICTIM)
        inner = body | {"metadata": body["metadata"] | {"namespace": VICTIM}}
        eventually("a policy", partial(is_forbidden, thief, where, inner), every=0.2)
    return thief


def is_forbidden(api: Api, where: str, body: Object) -> bool:
    """Whether an object may not even be created in a dry run."""
    try:
        api.create(where, body, dryRun="All")
    except ApiError as error:
        return error.code in {403, 422}
    return False


Theft = Callable[[Api], object]


def creates(body: Object, namespace: str) -> Theft:
    """Create an object somewhere."""
    moved = body | {"metadata": body["metadata"] | {"namespace": namespace}}
    return lambda api: api.create(path(body["kind"], namespace), moved)


def reads(where: str) -> Theft:
    """Read an object or a list."""
    return lambda api: api.get(where)


def changes(where: str, body: Object) -> Theft:
    """Patch an object."""
    return lambda api: api.patch(where, body)


def deletes(where: str) -> Theft:
    """Delete an object."""
    return lambda api: api.delete(where)


def asks_for_a_token(namespace: str, account: str) -> Theft:
    """A token of another account."""
    where = f"/api/v1/namespaces/{namespace}/serviceaccounts/{account}/token"
    return lambda api: api.create(where, {"spec": {}})


POD: Final[dict[str, Any]] = {
    "apiVersion": "v1",
    "kind": "Pod",
    "metadata": {"name": "p"},
    "spec": {"containers": [{"name": "a", "image": "a"}]},
}
HOOKS: Final = "/apis/admissionregistration.k8s.io/v1"
RBAC: Final = "/apis/rbac.authorization.k8s.io/v1"
TOKEN: Final = secret(
    type="kubernetes.io/service-account-token",
    annotations={"kubernetes.io/service-account.name": "default"},
)
THEFTS: Final[dict[str, Theft]] = {
    **{
        f"a mirror in {where}": creates(secret(), where)
        for where in (PLAIN, "kube-public", "kube-system", "default", HOME, TENANT)
    },
    "a Secret of another name": creates(secret("other"), VICTIM),
    "an account's token by a Secret": creates(TOKEN, PLAIN),
    "a token at a labeled namespace": creates(TOKEN, VICTIM),
    **{
        f"a policy in {where}": creates(network_policy(), where)
        for where in (PLAIN, "kube-system", "default", HOME)
    },
    "a policy of another name": creates(network_policy(name="x"), VICTIM),
    "a policy for every pod": creates(network_policy(selector={}), VICTIM),
    "a policy for ingress": creates(network_policy(types=["Ingress"]), VICTIM),
    "a policy without our label": creates(network_policy(labels={}), VICTIM),
    "a rule for everywhere": creates(network_policy(egress=[{}]), VICTIM),
    "a rule for everywhere beside": creates(
        network_policy(egress=[TO_DNS, {"ports": [{"port": 443}]}]), VICTIM
    ),
    "the victim's policy": changes(
        f"{path('NetworkPolicy', VICTIM)}/deny", {"spec": {"egress": [{}]}}
    ),
    "the end of the victim's policy": deletes(f"{path('NetworkPolicy', VICTIM)}/deny"),
    "a pod": creates(POD, VICTIM),
    "the mirror by itself": reads(f"{path('Secret', VICTIM)}/another"),
    "all Secrets": reads("/api/v1/secrets"),
    "all Secrets at home": reads(path("Secret", HOME)),
    "all Secrets of a namespace": reads(path("Secret", VICTIM)),
    "all ConfigMaps": reads("/api/v1/configmaps"),
    "all Events": reads("/api/v1/events"),
    "the sources, to change": changes(f"{path('Secret', HOME)}/keys", {"data": {}}),
    "the sources, to delete": deletes(f"{path('Secret', HOME)}/keys"),
    "a namespace's label": changes(
        f"/api/v1/namespaces/{PLAIN}",
        {"metadata": {"labels": {"tracking.michelangelo-ai.org/inject": "enabled"}}},
    ),
    "a namespace's label by its status": changes(
        f"/api/v1/namespaces/{PLAIN}/status",
        {"metadata": {"labels": {"tracking.michelangelo-ai.org/inject": "enabled"}}},
    ),
    "a webhook": lambda api: api.create(
        f"{HOOKS}/mutatingwebhookconfigurations", {"metadata": {"name": "evil"}}
    ),
    "our webhook's end": deletes(f"{HOOKS}/mutatingwebhookconfigurations/{NAME}"),
    "our policies' end": deletes(f"{HOOKS}/validatingadmissionpolicies/{NAME}-mirror"),
    "our bindings' end": deletes(
        f"{HOOKS}/validatingadmissionpolicybindings/{NAME}-egress"
    ),
    "a right": lambda api: api.create(
        f"{RBAC}/clusterrolebindings",
        {
            "metadata": {"name": "evil"},
            "roleRef": {
                "apiGroup": "rbac.authorization.k8s.io",
                "kind": "ClusterRole",
                "name": "cluster-admin",
            },
        },
    ),
    "more in our role": changes(f"{RBAC}/clusterroles/{COMPANION}", {"rules": []}),
    "the default account": asks_for_a_token(VICTIM, "default"),
    "its own account": asks_for_a_token(HOME, COMPANION),
    "a controller's account": asks_for_a_token("kube-system", "default"),
    "our Deployment": reads(f"/apis/apps/v1/namespaces/{HOME}/deployments"),
    "our Lease's end": deletes(
        f"/apis/coordination.k8s.io/v1/namespaces/{HOME}/leases/{COMPANION}"
    ),
    "another Lease": changes(
        f"/apis/coordination.k8s.io/v1/namespaces/kube-system/leases/{COMPANION}",
        {"spec": {"holderIdentity": "evil"}},
    ),
}


@pytest.mark.parametrize("name", THEFTS)
def test_a_stolen_token_is_worth_little(thief: Api, name: str) -> None:
    """Each is forbidden by a right that is missing or by a policy."""
    with pytest.raises(ApiError) as caught:
        THEFTS[name](thief)

    assert caught.value.code in {403, 422}, caught.value


def test_what_a_stolen_token_can_do(release: Release, thief: Api) -> None:
    """So that this page does not say less than is so: a mirror in a labeled one."""
    fresh = release.compute("stolen")
    made = thief.create(path("Secret", fresh), secret(namespace=fresh))

    assert key(made).name == MIRROR
    assert CANARY not in str(made)
    # Else a companion of another case would put it right there, as it should.
    where = f"/api/v1/namespaces/{fresh}"
    release.admin.delete(where)
    eventually("its end", lambda: not release.admin.exists(where), seconds=60)


POD_OF_THE_WEBHOOK: Final[dict[str, Theft]] = {
    "all Secrets": reads("/api/v1/secrets"),
    "the sources": reads(f"{path('Secret', HOME)}/keys"),
    "its own key pair by name": reads(f"{path('Secret', HOME)}/{NAME}-tls"),
    "a mirror": reads(f"{path('Secret', VICTIM)}/{MIRROR}"),
    "all pods": reads("/api/v1/pods"),
    "all namespaces": reads("/api/v1/namespaces"),
    "the report": reads(f"{path('ConfigMap', HOME)}/{NAME}-status"),
    "its own configuration": reads(f"{HOOKS}/mutatingwebhookconfigurations/{NAME}"),
    "a pod": creates(POD, VICTIM),
    "a Secret": creates(secret("other"), VICTIM),
    "a policy": creates(network_policy(), VICTIM),
    "another address for itself": changes(
        f"/apis/discovery.k8s.io/v1/namespaces/{HOME}/endpointslices/{NAME}", {}
    ),
    "a namespace's label": changes(f"/api/v1/namespaces/{PLAIN}", {}),
    "the companion's account": asks_for_a_token(HOME, COMPANION),
    "the companion's Lease": changes(
        f"/apis/coordination.k8s.io/v1/namespaces/{HOME}/leases/{COMPANION}", {}
    ),
}


@pytest.mark.parametrize("name", POD_OF_THE_WEBHOOK)
@pytest.mark.parametrize("identity", ["nobody", "its account"])
def test_a_stolen_webhook_pod_can_ask_for_nothing(
    release: Release, name: str, identity: str
) -> None:
    """It has no token; were one made for its account, that one has no right."""
    plane = release.plane
    thief = (
        plane.service_account(HOME, NAME)
        if identity == "its account"
        else Api(
            plane.server, authority=plane.authority.certificate, identity=Identity()
        )
    )
    with pytest.raises(ApiError) as caught:
        POD_OF_THE_WEBHOOK[name](thief)

    assert caught.value.code in {401, 403}, caught.value
