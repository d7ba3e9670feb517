"""Every finding of the red team keeps its tests: one that vanishes is missed here."""

import ast
from pathlib import Path
from typing import Final

import pytest

TESTS: Final = Path(__file__).parents[1]

ROWS: Final[dict[str, tuple[str, ...]]] = {
    "1 an odd object stops the companion": (
        "redteam/test_tenant.py::test_nobody_else_notices",
        "redteam/test_on_a_cluster.py::test_a_tenant_changes_nothing_of_anybody_elses",
        "cluster/companion/test_odd_objects.py::test_a_year_that_python_cannot_hold",
        "scale/test_odd_objects.py::test_no_object_stops_the_companion",
    ),
    "2 one body takes the webhook's memory": (
        "redteam/test_anybody.py::test_no_body_delays_a_review",
        "redteam/test_memory.py::test_the_webhook_stays_small",
    ),
    "3 a Service opens others' egress": (
        "oracle/test_tenants.py::test_a_tenants_objects_change_nothing_of_others",
        "oracle/test_tenants.py"
        "::test_each_judge_sees_a_service_that_owns_what_it_claims",
        "redteam/test_tenant.py::test_nobody_else_notices",
    ),
    "4 large pods take the companion's memory": (
        "redteam/test_memory.py::test_the_companion_stays_small",
        "redteam/test_on_a_cluster.py::test_a_tenant_changes_nothing_of_anybody_elses",
    ),
    "5 large bodies in a row delay reviews": (
        "redteam/test_anybody.py::test_no_body_delays_a_review",
        "server/test_abuse.py::test_many_large_bodies_delay_no_small_review",
    ),
    "6 invented namespaces fill the metrics": (
        "unit/test_server_metrics.py::test_nothing_that_is_sent_becomes_a_series",
        "server/test_abuse.py::test_invented_namespaces_leave_metrics_small_and_quick",
    ),
    "7 the companion's listener is used up": (
        "redteam/test_anybody.py::test_no_peer_keeps_a_probe_from_the_companion",
    ),
    "8 a lost profile takes mirrors away": (
        "unit/companion/test_mirror_controller.py"
        "::test_a_profile_that_the_release_lost_takes_no_mirror_away",
    ),
    "9 two releases fight": (
        "cluster/chart/test_policies.py::test_a_second_release_is_refused",
        "cluster/chart/test_policies.py"
        "::test_the_companion_may_not_touch_another_releases_mirror",
        "unit/companion/test_cleanup.py::test_another_releases_mirrors_stay",
        "unit/companion/egress/test_applier.py::test_another_releases_policies_stay",
    ),
    "10 nobody is told of a bad mirror": (
        "chart/test_alerts.py::test_alerts_fire_when_they_should_and_only_then",
        "unit/companion/test_audit.py"
        "::test_a_pod_that_reads_a_squatters_secret_is_missed",
    ),
    "11 an immutable mirror is never repaired": (
        "unit/companion/test_mirror_controller.py"
        "::test_an_immutable_mirror_is_made_again",
    ),
    "12 sub-resources go around the label policy": (
        "cluster/chart/test_policies.py"
        "::test_no_subresource_goes_around_the_label_policy",
    ),
    "13 a stolen token is worth much": (
        "redteam/test_on_a_cluster.py::test_a_stolen_token_is_worth_little",
        "cluster/test_companion_rights.py::test_it_may_not",
        "cluster/test_rights_used.py::test_every_right_is_used",
    ),
    "14 a restored etcd is not believed": (
        "unit/cluster/test_informer.py::test_a_restored_etcd_is_believed",
    ),
    "15 a label without a reference counts": (
        "unit/companion/test_audit.py::test_the_webhooks_label_alone_is_not_believed",
    ),
    "15 thousands of policies delay others": (
        "redteam/test_on_a_cluster.py::test_policies_in_one_namespace_delay_no_others",
    ),
    "15 a value is in an error": (
        "unit/cli/test_canary.py::test_no_piece_of_a_value_is_said",
    ),
    "15 an alias bomb": ("unit/cli/test_objects.py::test_aliases_are_bounded",),
    "15 open metrics ports": (
        "chart/test_rights.py::test_metrics_are_closed_unless_somebody_is_named",
    ),
}
"""By its number in the table, what it was, and the tests that would see it again."""


@pytest.mark.parametrize("row", ROWS)
def test_a_finding_keeps_its_tests(row: str) -> None:
    """Each is there, by its file and its name."""
    for test in ROWS[row]:
        file, _, name = test.partition("::")
        tree = ast.parse((TESTS / file).read_text("utf-8"))
        found = {n.name for n in ast.walk(tree) if isinstance(n, ast.FunctionDef)}
        assert name in found, test
