"""What API servers of each release take of odd objects stops no companion.

The same objects as in `tests.scale`; what a server refuses is no concern of ours, and
how many it takes is asserted, so that this does not come to test nothing.
"""

from collections.abc import Callable, Iterator, Sequence
from typing import Any, Final
from urllib.parse import quote

import pytest

from tests.cluster.companion.state import rotate
from tests.cluster.release import (
    LABEL,
    MIRROR,
    NAME,
    Release,
    Running,
    companion,
    eventually,
)
from tests.lab.api import ApiError
from tests.lab.build import Toolbox
from tests.lab.control_plane import ControlPlane, Options
from tests.lab.tools import NEWEST, OLDEST, kubernetes
from tests.scale import odd
from tests.scale.odd import ODD, Json, Path, odd_objects

OTHERS: Final = ("other-0", "other-1")
PROFILES: Final = (
    '{"default": [{"configMap": "uri"}, {"secret": "keys"}],'
    ' "odd": [{"secret": "odd"}, {"configMap": "odd"}]}'
)


def _service(number: int) -> Json:
    """Without addresses, which the API server gives."""
    body = odd.service(number)
    del body["spec"]["clusterIP"], body["spec"]["clusterIPs"]
    return body


CONFIGURATIONS: Final = (
    "/apis/admissionregistration.k8s.io/v1/mutatingwebhookconfigurations"
)
ENTRIES: Final = [
    {
        "name": f"{number}.example.org",
        "admissionReviewVersions": ["v1"],
        "sideEffects": "None",
        "failurePolicy": "Ignore",
        "clientConfig": {"service": {"namespace": "release", "name": NAME}},
        "objectSelector": {"matchLabels": {"nobody": "has-it"}},
    }
    for number in range(2)
]
"""Of the webhook's configuration; API servers call nobody by them."""
NAMED: Final = (("metadata", "name"), ("metadata", "namespace"))
CERTIFICATES: Final = {
    "configuration": f"{CONFIGURATIONS}/{NAME}",
    "serving Secret": f"/api/v1/namespaces/release/secrets/{NAME}-tls",
    "state Secret": f"/api/v1/namespaces/release/secrets/{NAME}-tls-state",
}
KEPT: Final = (
    *NAMED,
    ("kind",),
    ("apiVersion",),
    ("metadata", "resourceVersion"),
    ("metadata", "uid"),
    ("metadata", "labels", "tracking.michelangelo-ai.org/content"),
)
"""Of the certificates' objects: else they are others', or no server takes them."""
Kind = tuple[str, str, Callable[[int], Json], Sequence[Path]]
KINDS: Final[dict[str, Kind]] = {
    "Namespace": (
        "/api/v1",
        "namespaces",
        odd.namespace,
        (("metadata", "labels", LABEL),),
    ),
    "mirror": ("/api/v1", "secrets", odd.mirror, NAMED),
    "source Secret": ("/api/v1", "secrets", odd.source_secret, NAMED),
    "source ConfigMap": ("/api/v1", "configmaps", odd.source_config_map, NAMED),
    "shadowing ConfigMap": ("/api/v1", "configmaps", odd.shadowing, NAMED),
    "Pod": ("/api/v1", "pods", odd.pod, ()),
    "Service": ("/api/v1", "services", _service, ()),
    "Node": ("/api/v1", "nodes", odd.node, ()),
    "NetworkPolicy": ("/apis/networking.k8s.io/v1", "networkpolicies", odd.policy, ()),
    "EndpointSlice": (
        "/apis/discovery.k8s.io/v1",
        "endpointslices",
        odd.endpoint_slice,
        (),
    ),
}


@pytest.fixture(
    name="release",
    scope="module",
    params=[NEWEST, OLDEST],
    ids=kubernetes,
)
def _release(
    request: pytest.FixtureRequest,
    toolbox: Toolbox,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Release]:
    folder = tmp_path_factory.mktemp("odd")
    plane = ControlPlane.start(toolbox, folder, Options(release=request.param))
    try:
        release = Release(plane, "release")
        default = {"existingConfigMap": "uri", "existingSecret": "keys"}
        sources = [{"secret": ODD}, {"configMap": ODD}]
        release.install({"tracking": default | {"profiles": {ODD: sources}}})
        for name in OTHERS:
            release.compute(name)
        for name in (ODD, *(f"{ODD}-{number}" for number in range(50))):
            release.plane.namespace(name)
        release.label(ODD)
        yield release
    finally:
        plane.stop()


@pytest.fixture(name="running", scope="module")
def _running(release: Release) -> Iterator[Running]:
    admin = release.admin
    admin.create(CONFIGURATIONS, {"metadata": {"name": NAME}, "webhooks": ENTRIES})
    with companion(
        release, profiles=PROFILES, watch_seconds="10", certificates="companion"
    ) as running:
        eventually("all hold", lambda: all(map(release.holds, OTHERS)), seconds=60)
        eventually("a certificate is issued", lambda: is_issued(release), seconds=60)
        yield running


def path_of(root: str, plural: str, body: Json) -> str:
    """Where such an object is created."""
    meta = body.get("metadata")
    home = meta.get("namespace") if isinstance(meta, dict) else None
    if plural in ("namespaces", "nodes"):
        return f"{root}/{plural}"
    home = home if isinstance(home, str) and home else ODD
    return f"{root}/namespaces/{quote(home, safe='')}/{plural}"


def offer(release: Release, kind: Kind) -> Iterator[str]:
    """Create each; what was taken is told by its path and goes at once or later."""
    root, plural, good, kept = kind
    for body in odd_objects(good, kept):
        # In a profile's place there is only one object at a time.
        path = path_of(root, plural, body)
        try:
            made = release.admin.create(path, body)
        except (ApiError, ValueError, RecursionError):
            continue  # refused, or more than JSON's own writer bears
        yield f"{path}/{made['metadata']['name']}"


@pytest.mark.parametrize("name", KINDS)
def test_no_object_that_is_taken_stops_the_companion(
    release: Release, running: Running, name: str
) -> None:
    """It stays alive, every watch goes on, and other namespaces get a changed key."""
    taken = 0
    for path in offer(release, KINDS[name]):
        taken += 1
        if name.startswith(("source", "mirror", "shadowing")) or taken % 10:
            remove(release, path)
        if taken % 50 == 1:
            check(release, running)
    check(release, running)
    assert taken >= 20


def remove(release: Release, path: str) -> None:
    """Delete it, as far as it may be."""
    try:
        release.admin.delete(path)
    except ApiError as error:
        if error.code not in (404, 409):
            raise


def check(release: Release, running: Running) -> None:
    """The companion is alive, and others converge."""
    key = rotate(release)
    seconds = eventually(
        "others hold the changed key",
        lambda: all(release.holds(name, key) for name in OTHERS),
        seconds=10,
    )
    assert seconds < 10
    assert running.ask("/healthz")[0] == 200
    events = {line["event"] for line in running.lines()}
    assert not events & {"thread-died", "watch-failed"}


@pytest.mark.parametrize("what", CERTIFICATES)
def test_no_odd_certificate_object_is_an_error_of_our_own(
    release: Release, running: Running, what: str
) -> None:
    """Others converge meanwhile; with good ones back, nothing is in the way."""
    good = {path: release.admin.get(path) for path in CERTIFICATES.values()}
    path, taken = CERTIFICATES[what], 0
    for body in odd_objects(lambda _: good[path], KEPT):
        if not put(release, path, body):
            continue
        taken += 1
        if taken % 50 == 1:
            check(release, running)
    for path, body in good.items():
        assert put(release, path, body)
    eventually("nothing is in the way", lambda: is_issued(release), seconds=30)
    check(release, running)
    ours = [line for line in running.lines() if "at" in line]
    assert ours == []
    assert taken >= 20


def put(release: Release, path: str, body: Json) -> bool:
    """Put it in the place of what is there; return whether it was taken."""
    now = release.admin.get(path)["metadata"]["resourceVersion"]
    meta = body["metadata"] | {"resourceVersion": now}
    try:
        release.admin.replace(path, body | {"metadata": meta})
    except ApiError as error:
        return error.code == 409 and put(release, path, body)
    except (ValueError, RecursionError):
        return False  # more than JSON's own writer bears
    return True


def is_issued(release: Release) -> bool:
    """Whether there is a certificate, and nothing in its way."""
    told = release.status().get("certificates", {})
    return "notAfter" in told and "problems" not in told


def test_a_year_that_python_cannot_hold(release: Release, running: Running) -> None:
    """A tenant writes managed fields of a Secret of the mirror's name.

    Of the two years that Kubernetes can hold besides, JSON can only bring the first.
    """
    year = odd.YEARS[0]
    path = f"/api/v1/namespaces/{ODD}-0/secrets"
    body = {"metadata": {"name": MIRROR}, "data": {"A": "YQ=="}}
    release.admin.create(path, body)
    found: dict[str, Any] = release.admin.get(f"{path}/{MIRROR}")
    found["metadata"]["managedFields"].append(odd.managed(year))
    release.admin.replace(f"{path}/{MIRROR}", found)
    stored = release.admin.get(f"{path}/{MIRROR}")["metadata"]["managedFields"]
    assert year in {one["time"] for one in stored}
    check(release, running)
    remove(release, f"{path}/{MIRROR}")
