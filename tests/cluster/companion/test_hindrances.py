"""Whatever is in the way, afterwards all mirrors equal their sources.

The fixture `names` says what must hold after each: every labeled namespace is compared,
a foreign Secret is compared to the byte, and the canary is looked for everywhere.
"""

import time
import uuid

from tests.cluster.companion.state import all_hold, now_key, rotate
from tests.cluster.release import (
    COMPANION,
    MIRROR,
    Release,
    companion,
    eventually,
    tell,
)
from tests.cluster.shed import front
from tests.cluster.stall import proxy
from tests.lab.api import Api


def test_a_watch_is_cut_silently(release: Release, names: list[str]) -> None:
    """Connections that only look alive are given up at the deadline."""
    with proxy(release.plane.server) as cut:
        kubeconfig = release.kubeconfig(cut.server)
        with companion(release, kubeconfig=kubeconfig, watch_seconds="2") as running:
            eventually("it leads", lambda: release.leader() == "one", seconds=20)
            eventually("all hold", lambda: all_hold(release, names, now_key(release)))
            before = cut.accepted
            cut.stall()
            key = rotate(release)
            # The watch was to end after 2 s, and 5 s later it counts as dead.
            noticed = eventually(
                "new connections", lambda: cut.accepted > before + 4, seconds=8
            )
            # The Lease's own connection hangs for 10 s before it is given up.
            waited = eventually(
                "all hold", lambda: all_hold(release, names, key), seconds=20
            )
            assert running.process.poll() is None
    tell(f"a silent cut was noticed in {noticed:.1f} s, all hold {waited:.1f} s later")


def test_a_storm_of_429(release: Release, names: list[str]) -> None:
    """Every request is shed for a while: nothing is lost, and nothing hammers."""
    admin = release.admin
    with front(admin.server, admin.authority) as one:
        kubeconfig = release.kubeconfig(f"http://127.0.0.1:{one.server_port}")
        with companion(release, kubeconfig=kubeconfig, watch_seconds="2") as running:
            eventually("it leads", lambda: release.leader() == "one", seconds=20)
            eventually("all hold", lambda: all_hold(release, names, now_key(release)))
            one.storm.set()
            time.sleep(3)  # the watches end and are shed as well
            key = rotate(release)
            time.sleep(10)
            assert not all_hold(release, names, key)
            one.storm.clear()
            waited = eventually(
                "all hold", lambda: all_hold(release, names, key), seconds=30
            )
            assert running.process.poll() is None
            assert one.shed < 13 * 10
    tell(f"{one.shed} requests were shed in 13 s; then all hold in {waited:.1f} s")


def test_rights_are_taken_and_given_back(release: Release, names: list[str]) -> None:
    """Without them nothing is lost; with them it goes on by itself."""
    path = "/apis/rbac.authorization.k8s.io/v1/clusterrolebindings"
    bindings = [
        release.admin.get(f"{path}/{n}") for n in (COMPANION, f"{COMPANION}-write")
    ]
    with companion(release, watch_seconds="2") as running:
        eventually("all hold", lambda: all_hold(release, names, now_key(release)))
        before = now_key(release)
        for body in bindings:
            release.admin.delete(f"{path}/{body['metadata']['name']}")
        account = release.plane.service_account(release.namespace, COMPANION)
        eventually("the API server refuses", lambda: not may_write(account, names[0]))
        key = rotate(release)
        eventually("it is told", lambda: release.reason(names[0]) == "Forbidden")
        assert all_hold(release, names, before)
        for body in bindings:
            body["metadata"] = {"name": body["metadata"]["name"]}
            release.admin.create(path, body)
        waited = eventually(
            "all hold", lambda: all_hold(release, names, key), seconds=30
        )
        assert running.process.poll() is None
    tell(f"rights given back: all mirrors hold within {waited:.1f} s")


def may_write(account: Api, namespace: str) -> bool:
    """Whether the API server lets an account write a mirror; it follows bindings late.

    Any account may ask that of its own rights.
    """
    reviews = "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews"
    mirror = {"resource": "secrets", "namespace": namespace, "name": MIRROR}
    spec = {"resourceAttributes": {"verb": "patch", **mirror}}
    review = account.create(reviews, {"spec": spec})
    return bool(review["status"]["allowed"])


def test_the_quota_for_secrets_is_used_up(release: Release, names: list[str]) -> None:
    """It is reported, and made up for once there is room."""
    full = release.plane.namespace(f"full-{uuid.uuid4().hex[:6]}")
    quotas = f"/api/v1/namespaces/{full}/resourcequotas"
    quota = {"metadata": {"name": "none"}, "spec": {"hard": {"count/secrets": "0"}}}
    release.admin.create(quotas, quota)
    eventually(
        "the quota is counted",
        lambda: release.admin.get(f"{quotas}/none").get("status", {}).get("used"),
    )
    with companion(release):
        release.label(full)
        eventually(
            "it is told", lambda: release.reason(full) == "QuotaExceeded", seconds=20
        )
        eventually("others hold", lambda: all_hold(release, names, now_key(release)))
        release.admin.delete(f"{quotas}/none")
        eventually(
            "it holds too",
            lambda: release.holds(full, now_key(release)),
            seconds=30,
        )
    release.label(full, None)


def test_a_label_flaps_a_hundred_times(release: Release, names: list[str]) -> None:
    """The mirror is there at the end as it was at the start."""
    with companion(release):
        eventually("all hold", lambda: all_hold(release, names, now_key(release)))
        path = f"/api/v1/namespaces/{names[0]}/secrets/{MIRROR}"
        before = release.admin.get(path)
        for _ in range(100):
            release.label(names[0], None)
            release.label(names[0])
        time.sleep(12)

        assert release.admin.get(path) == before


def test_namespaces_are_deleted_mid_write(release: Release, names: list[str]) -> None:
    """Made, labeled and deleted while their mirrors are under way."""
    with companion(release) as running:
        eventually("it leads", lambda: release.leader() == "one", seconds=20)
        gone = [release.compute(f"gone-{uuid.uuid4().hex[:8]}") for _ in range(20)]
        for name in gone:
            release.admin.delete(f"/api/v1/namespaces/{name}")
        key = rotate(release)
        eventually("others hold", lambda: all_hold(release, names, key))
        eventually(
            "they are gone",
            lambda: (
                not any(
                    release.admin.exists(f"/api/v1/namespaces/{name}") for name in gone
                )
            ),
            seconds=60,
            every=0.5,
        )
        # An error of the API server has a sentence; one of our own has its places.
        assert [one for one in running.lines() if "at" in one] == []
        assert running.process.poll() is None
