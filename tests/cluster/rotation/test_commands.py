"""What operators ask about certificates, answered on a real API server."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from tests.cluster.rotation.installation import REPLICAS
from tests.lab.processes import wait_for

if TYPE_CHECKING:
    from tests.cluster.rotation.installation import Installation


def test_show_tells_where_a_rotation_stands(installed: Installation) -> None:
    """Phase, every date, and what each replica serves."""
    code, said = installed.run("certs", "show", "-o", "json")

    shown = json.loads(said)
    assert (code, shown["problems"]) == (0, [])
    assert shown["issuer"] == "companion"
    assert (shown["phase"], shown["daysUntilForcedOutage"]) == ("steady", 89)
    assert [root["of"] for root in shown["bundle"]] == ["current"]
    assert [shown["generation"]] * REPLICAS == [
        replica["serves"] for replica in shown["replicas"]
    ]


def test_show_is_a_table_for_people(installed: Installation) -> None:
    """The same facts."""
    code, said = installed.run("certs", "show")

    assert code == 0
    assert "TRUSTED ROOT" in said
    assert said.count("yes") == REPLICAS


def test_verify_shakes_hands_as_an_api_server_does(installed: Installation) -> None:
    """With every replica, by the Service's name and the stored bundle alone."""
    code, said = installed.run("certs", "verify")

    assert code == 0
    assert said.count("  trusted  ") == REPLICAS


def test_the_companions_own_rights_are_enough_to_look(
    installed: Installation,
) -> None:
    """So that its pod is a place to run both, with a way to every replica."""
    for command in ("show", "verify"):
        code, said = installed.run("certs", command, kubeconfig=installed.account)

        assert code == 0, said


def test_verify_says_who_does_not_answer(installed: Installation) -> None:
    """Nothing listens on the discard port."""
    code, said = installed.run("certs", "verify", "--connect", "127.0.0.1:9")

    assert (code, said) == (1, "127.0.0.1:9  no handshake  \n")


def test_a_missing_right_is_one_sentence(installed: Installation) -> None:
    """It says which."""
    installed.plane.namespace("nobodys")
    nobody = installed.plane.kubeconfig_for("nobodys", "default")

    for words in (("show",), ("verify",), ("rotate", "--now")):
        code, said = installed.run("certs", *words, kubeconfig=nobody)

        assert code == 2
        assert "the right to get configmaps " in said
        assert "Traceback" not in said


def test_an_address_that_is_none_is_refused(installed: Installation) -> None:
    """It names the option."""
    code, said = installed.run("certs", "verify", "--connect", "here")

    assert code == 2
    assert "--connect: it is not HOST:PORT" in said


def test_one_pass_over_what_is_in_order_writes_nothing(
    installed: Installation,
) -> None:
    """As a CronJob runs it, beside a companion that acts: code 0, and no write."""
    wait_for("the mirror", lambda: installed.run_once() == (0, ""))
    before = installed.versions()

    assert installed.run_once() == (0, "")
    assert installed.versions() == before


def test_one_pass_in_a_rotation_says_so(installed: Installation) -> None:
    """Code 1 until it is over, and each pass takes its part: no companion needed."""
    installed.stop_companion()
    before = installed.current()
    installed.request_rotation()

    code, said = installed.run_once()
    assert code == 1
    assert said.endswith("Phase: staged.\n")
    wait_for("the end by passes alone", lambda: installed.run_once()[0] == 0)
    assert installed.current() != before
    assert installed.is_settled()
    installed.start_companion()


def test_a_margin_longer_than_the_life_is_refused_at_start(
    installed: Installation,
) -> None:
    """With both numbers."""
    code, said = installed.run("companion", "--once", MTI_CERTIFICATE_RENEW_DAYS="91")

    assert code == 2
    assert "renew_before (91 days, 0:00:00) must be shorter than life (90 days" in said
