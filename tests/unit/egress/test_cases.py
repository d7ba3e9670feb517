"""What egress has to get right, case by case, and which test shows it.

A case without a test, or a test that was renamed, fails here.
"""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
POLICY = "tests/unit/egress/test_policy.py"
MEMORY = "tests/unit/egress/test_memory.py"
REACH = "tests/unit/egress/test_reach.py"
KEYS = "tests/unit/egress/test_destination.py"
COMPANION = "tests/unit/companion/egress/test_egress.py"
TELLING = "tests/unit/companion/egress/test_telling.py"
RESOLVER = "tests/dns/test_resolver.py"
ADDITIONS = (
    "tests/oracle/test_additions.py"
    "::test_nothing_is_lost_and_only_what_was_declared_is_gained"
)

CASES = {
    "an open namespace: no policy, NotIsolated": (
        f"{COMPANION}::test_an_open_namespace_gets_no_policy",
        ADDITIONS,
    ),
    "a default deny: one shadow, additions for injected pods only": (
        f"{COMPANION}::test_a_default_deny_gets_a_shadow_that_goes_with_it",
        ADDITIONS,
    ),
    "workers denied, head open: the head keeps all": (
        f"{POLICY}::test_a_shadow_selects_only_what_is_isolated",
    ),
    "KubeRay's policies: a shadow each, gone with the cluster": (
        "tests/cluster/test_egress.py"
        "::test_kuberays_policies_are_shadowed_and_go_with_their_cluster",
        "tests/cluster/test_egress_churn.py"
        "::test_shadows_follow_policies_that_come_and_go",
    ),
    "two policies with one selector: the shadow goes with the last": (
        f"{COMPANION}::test_a_shadow_of_two_policies_goes_with_the_last",
    ),
    "a narrowed selector: moved in the same step, no orphan": (
        f"{COMPANION}::test_a_narrowed_selector_moves_the_shadow_in_the_same_step",
    ),
    "no policyTypes but egress rules: isolates; ours says Egress": (
        f"{POLICY}::test_a_policy_without_types_but_with_egress_rules_isolates",
    ),
    "permitted already: no shadow": (
        f"{POLICY}::test_what_is_permitted_already_is_not_permitted_again",
    ),
    "a pod that was not injected gains nothing": (
        f"{POLICY}::test_a_pod_that_was_not_injected_gains_nothing",
        ADDITIONS,
    ),
    "a first lookup that fails: no rule; the next one brings it": (
        f"{COMPANION}::test_a_first_lookup_that_fails_has_no_rule_and_the_next_one_has",
    ),
    "a day of every failure: unchanged, ResolutionStale": (
        f"{COMPANION}::test_failed_lookups_take_nothing_away",
        f"{MEMORY}::test_a_day_of_failures_changes_nothing",
        f"{RESOLVER}::test_each_failure_has_its_name_and_shrinks_nothing",
    ),
    "a rotating pool of 12 at two replicas: whole, and reported": (
        f"{RESOLVER}::test_a_pool_that_rotates_is_remembered_whole",
        f"{MEMORY}::test_an_address_goes_only_after_its_grace",
        f"{MEMORY}::test_a_growing_pool_is_reported_until_it_rests",
    ),
    "a restart within the grace: the same policy, no write": (
        f"{COMPANION}::test_a_restart_writes_nothing",
    ),
    "one DNS replica down: the others count, and it is counted": (
        f"{RESOLVER}::test_one_dead_replica_does_not_hide_the_others",
        f"{TELLING}::test_a_dead_replica_is_counted_and_the_policy_is_written",
    ),
    "a chain of 300, 60 and 20 s: 20 s; loops and long chains fail": (
        f"{RESOLVER}::test_the_least_ttl_of_a_chain_counts",
        f"{MEMORY}::test_the_next_lookup_follows_the_ttl_within_bounds",
        f"{RESOLVER}::test_a_loop_or_a_long_chain_is_a_failure",
    ),
    "unsafe addresses: left out and reported; all unsafe: no rule": (
        f"{MEMORY}::test_an_address_that_no_server_has_is_left_out",
        f"{MEMORY}::test_an_answer_of_unsafe_addresses_is_no_answer",
    ),
    "A and AAAA; an answer of the other family": (
        f"{REACH}::test_both_families_get_single_addresses",
        f"{REACH}::test_an_answer_of_the_other_family_is_written_and_reported",
    ),
    "400 addresses at a cap of 256: the newest, byte for byte": (
        f"{MEMORY}::test_the_newest_addresses_stay_when_there_are_too_many",
        f"{POLICY}::test_output_is_the_same_byte_for_byte",
    ),
    "a Service with a named target that differs by pod": (
        f"{REACH}::test_a_service_is_reached_by_its_pods_and_by_its_own_address",
        f"{REACH}::test_changed_endpoints_change_the_ports",
    ),
    "a short name in two namespaces": (
        f"{REACH}::test_a_short_name_is_the_compute_namespaces",
    ),
    "no selector, ExternalName, headless, load balancer": (
        f"{REACH}::test_a_service_without_selector_is_reached_by_its_endpoints",
        f"{REACH}::test_an_external_name_is_followed",
        f"{REACH}::test_a_headless_service_with_the_wrong_port_is_reported",
        f"{REACH}::test_a_load_balancer_of_this_cluster_is_reached_behind_too",
    ),
    "DNS as each platform has it": (
        f"{REACH}::test_dns_is_permitted_as_the_platform_has_it",
    ),
    "every form of URI, and no credential anywhere": (
        f"{KEYS}::test_a_tracking_uri_names_a_host_and_a_port",
        f"{KEYS}::test_databricks_is_found_through_its_host",
        f"{KEYS}::test_a_local_tracking_uri_needs_no_network",
        f"{KEYS}::test_a_malformed_uri_is_reported_without_repeating_it",
        f"{COMPANION}::test_no_value_of_a_key_is_told",
    ),
    "proxies and who is exempt": (
        f"{KEYS}::test_the_proxy_is_permitted_instead_of_what_it_fetches",
        f"{KEYS}::test_an_exempt_server_is_permitted_itself",
    ),
    "packets on a node; a closed door is not DNS": (
        "tests/e2e/test_packets.py",
        "tests/e2e/test_closed_door.py::test_a_closed_door_is_told_by_name",
    ),
}


def test_there_are_twenty_five() -> None:
    """As many as the design has."""
    assert len(CASES) == 25


@pytest.mark.parametrize("case", CASES)
def test_a_case_has_tests_that_exist(case: str) -> None:
    """By file and name."""
    for address in CASES[case]:
        path, _, name = address.partition("::")
        tree = ast.parse((ROOT / path).read_text("utf-8"))
        names = {n.name for n in ast.walk(tree) if isinstance(n, ast.FunctionDef)}

        assert not name or name in names
