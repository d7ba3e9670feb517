"""Replicas, what they tell, and the two commands that end by themselves."""

import json

from tests.cluster.release import (
    CANARY,
    COMPANION,
    MIRROR,
    Release,
    Running,
    companion,
    eventually,
)


def test_two_replicas_have_one_leader_and_hand_over(
    release: Release, name: str
) -> None:
    """Both are ready; one stops within seconds and the other goes on at once."""
    with companion(release, "one") as one:
        eventually("one leads", lambda: release.leader() == "one", seconds=20)
        with companion(release, "two") as two:
            for running in (one, two):
                eventually("ready", lambda r=running: r.ask("/readyz")[0] == 200)  # type: ignore[misc] # the loop's own
                assert running.ask("/healthz")[0] == 200
            code, seconds = one.stop()
            assert code == 0
            assert seconds < 5
            # Its Lease is free again: nobody waits until it runs out.
            assert release.leader() != "one"
            eventually("two leads", lambda: release.leader() == "two", seconds=12)
            release.compute(name)
            eventually("the mirror", lambda: release.holds(name))


def test_metrics_and_status_tell_the_same(
    release: Release, running: Running, name: str
) -> None:
    """In numbers and in the report, without a value in either."""
    release.compute(name)
    eventually("the report", lambda: release.reason(name) == "Mirrored")
    _, metrics = running.ask("/metrics")

    assert "tracking_injector_companion_leader 1.0" in metrics
    assert 'tracking_injector_companion_namespaces{reason="Mirrored"}' in metrics
    assert CANARY not in metrics + json.dumps(release.status())


def test_once_brings_everything_in_order_and_says_so(
    release: Release, name: str
) -> None:
    """Exit code 0; and 1, with a sentence, where something is not."""
    release.compute(name)
    code, said = run(release, "--once")
    assert (code, "not" in said) == (0, False), said
    assert release.holds(name)

    foreign = {"metadata": {"name": MIRROR}, "data": {"THEIRS": "eA=="}}
    release.compute(f"{name}-f")
    release.admin.create(f"/api/v1/namespaces/{name}-f/secrets", foreign)
    code, said = run(release, "--once")
    release.label(f"{name}-f", None)
    assert code == 1
    assert f"{name}-f: A Secret of the mirror's name exists" in said


def run(release: Release, *arguments: str) -> tuple[int, str]:
    """Runs the command to its end under the companion's account."""
    running = Running(release, "hand", release.kubeconfig(), arguments=arguments)
    return running.process.wait(60), running.log.read_text("utf-8")


def test_remove_all_takes_every_mirror_although_a_companion_runs(
    release: Release, running: Running, name: str
) -> None:
    """And none comes back behind its back; nothing foreign goes."""
    release.compute(name)
    eventually("the mirror", lambda: release.holds(name))
    release.begin_uninstall()
    code, said = run(release, "--remove-all")
    assert (code, CANARY in said) == (0, False)

    secrets = release.admin.get(
        "/api/v1/secrets", fieldSelector=f"metadata.name={MIRROR}"
    )
    assert [s for s in secrets["items"] if s["type"] != "Opaque"] == []
    release.admin.patch(
        f"/apis/coordination.k8s.io/v1/namespaces/{release.namespace}/leases/{COMPANION}",
        {"spec": {"holderIdentity": "", "leaseDurationSeconds": 1}},
    )


def test_a_missing_right_is_a_sentence(release: Release) -> None:
    """Somebody without any right is told which one is missing."""
    release.plane.admin.create(
        f"/api/v1/namespaces/{release.namespace}/serviceaccounts",
        {"metadata": {"name": "nobody"}},
    )
    path = release.plane.kubeconfig_for(release.namespace, "nobody")
    running = Running(release, "nobody", path, arguments=("--remove-all",))

    assert running.process.wait(60) == 1
    assert "cannot delete resource" in running.log.read_text("utf-8")
