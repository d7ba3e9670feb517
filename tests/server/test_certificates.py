"""Certificates are replaced under running connections; broken files change nothing."""

import datetime as dt
import errno
import os
import shutil
import ssl
import threading
import time
from collections.abc import Callable
from pathlib import Path
from unittest.mock import patch

import pytest
from cryptography.x509.oid import ExtendedKeyUsageOID

from tests.server.bodies import RAY_HEAD
from tests.server.pairs import DAY, PemPair, issue
from tests.server.process import Client, Server, serving, wait_until
from webhook.server import certwatcher
from webhook.server.certwatcher import (
    BadCertificateError,
    CertWatcher,
    Problem,
    load,
    read,
)

GOOD, OTHER = issue(), issue()
HALF = GOOD.key[: len(GOOD.key) // 2]


def _directory_for_a_file(folder: Path) -> None:
    (folder / "tls.crt").unlink()
    (folder / "tls.crt").mkdir()


def _pipe_for_a_file(folder: Path) -> None:
    (folder / "tls.key").unlink()
    os.mkfifo(folder / "tls.key")


def _writes(crt: bytes, key: bytes) -> Callable[[Path], None]:
    return PemPair(crt=crt, key=key).write


def _issues(**how: object) -> Callable[[Path], None]:
    return lambda folder: issue(**how).write(folder)  # type: ignore[arg-type] # a table


BROKEN: dict[str, tuple[Callable[[Path], None], Problem]] = {
    "key-of-another": (_writes(GOOD.crt, OTHER.key), Problem.NOT_A_PAIR),
    "truncated-certificate": (_writes(GOOD.crt[:200], GOOD.key), Problem.NOT_A_PAIR),
    "truncated-key": (_writes(GOOD.crt, HALF), Problem.NOT_A_PAIR),
    "empty-certificate": (_writes(b"", GOOD.key), Problem.NOT_A_PAIR),
    "empty-key": (_writes(GOOD.crt, b""), Problem.NOT_A_PAIR),
    "swapped": (_writes(GOOD.key, GOOD.crt), Problem.NOT_A_PAIR),
    "byte-order-mark": (
        _writes(b"\xef\xbb\xbf" + GOOD.crt, GOOD.key),
        Problem.NOT_A_PAIR,
    ),
    "not-ascii": (_writes("ключ".encode(), GOOD.key), Problem.NOT_A_PAIR),
    "encrypted-key": (_issues(password=b"x"), Problem.ENCRYPTED_KEY),
    "expired": (_issues(begins=-2 * DAY, ends=-DAY), Problem.NOT_VALID_NOW),
    "not-yet-valid": (_issues(begins=DAY, ends=2 * DAY), Problem.NOT_VALID_NOW),
    "for-clients": (
        _issues(usage=ExtendedKeyUsageOID.CLIENT_AUTH),
        Problem.NOT_FOR_SERVERS,
    ),
    "directory": (_directory_for_a_file, Problem.NOT_A_FILE),
    "pipe": (_pipe_for_a_file, Problem.NOT_A_FILE),
    "gone": (lambda folder: (folder / "tls.key").unlink(), Problem.MISSING),
}


@pytest.mark.parametrize("name", BROKEN)
def test_a_broken_pair_leaves_the_last_good_one(folder: Path, name: str) -> None:
    """And is named for what it is, until a good one comes."""
    breaks, problem = BROKEN[name]
    watch = CertWatcher(folder)
    assert watch.check()
    good = watch.current

    breaks(folder)

    assert not watch.check()
    assert (good, problem) == (watch.current, watch.problem)
    shutil.rmtree(folder)
    folder.mkdir()
    OTHER.write(folder)
    assert watch.check()
    assert watch.problem is None


def test_line_ends_of_another_system_are_fine(folder: Path) -> None:
    """CRLF is PEM as well."""
    PemPair(
        crt=GOOD.crt.replace(b"\n", b"\r\n"), key=GOOD.key.replace(b"\n", b"\r\n")
    ).write(folder)

    assert load(read(folder)).not_after > load(read(folder)).not_before


def test_the_same_files_are_proved_once(folder: Path) -> None:
    """A look costs two reads and two digests."""
    watch = CertWatcher(folder)

    assert [True, False, False] == [watch.check() for _ in range(3)]


def _mount(folder: Path, *pairs: PemPair) -> None:
    """As a kubelet mounts a Secret: files are links through `..data`."""
    for number, pair in enumerate(pairs):
        (folder / f"..{number}").mkdir()
        pair.write(folder / f"..{number}")
    for name in ("tls.crt", "tls.key"):
        (folder / name).unlink(missing_ok=True)
        (folder / name).symlink_to(Path("..data") / name)
    _turn(folder, "..0")


def _turn(folder: Path, target: str) -> None:
    """What a kubelet does when the Secret has changed: one step, for both files."""
    link = folder / "..data_tmp"
    link.symlink_to(target)
    link.rename(folder / "..data")


def test_a_link_turned_between_the_two_reads_mixes_no_pair(tmp_path: Path) -> None:
    """A thousand times: both files come from one state of the Secret."""
    _mount(tmp_path, GOOD, OTHER)
    pairs = {(pair.crt, pair.key) for pair in (GOOD, OTHER)}
    read_file = certwatcher._file
    turn = 0

    def turned_after(path: Path) -> bytes:
        nonlocal turn
        found = read_file(path)
        if path.name == "tls.crt":
            turn += 1
            _turn(tmp_path, f"..{turn % 2}")
        return found

    with patch("webhook.server.certwatcher._file", turned_after):
        found = [read(tmp_path) for _ in range(1000)]

    assert pairs == {(pair.certificate, pair.key) for pair in found}
    assert 1000 == turn


def test_a_folder_that_goes_between_the_two_reads_is_read_again(tmp_path: Path) -> None:
    """The kubelet removes what the link has left; the last good pair bridges it."""
    _mount(tmp_path, GOOD, OTHER)
    watch = CertWatcher(tmp_path)
    assert watch.check()
    good, read_file = watch.current, certwatcher._file

    def gone_after(path: Path) -> bytes:
        found = read_file(path)
        if path.name == "tls.crt":
            _turn(tmp_path, "..1")
            shutil.rmtree(path.parent)
        return found

    with patch("webhook.server.certwatcher._file", gone_after):
        assert not watch.check()
    assert (good, Problem.MISSING) == (watch.current, watch.problem)
    assert watch.check()
    assert watch.problem is None


@pytest.mark.parametrize(
    ("call", "number"),
    [("open", errno.EMFILE), ("read", errno.EIO), ("memfd_create", errno.EMFILE)],
)
def test_a_look_that_the_system_refuses_keeps_the_last_good_one(
    folder: Path, call: str, number: int
) -> None:
    """Without a descriptor, or with a mount that fails: the process goes on serving."""
    watch = CertWatcher(folder)
    assert watch.check()
    good = watch.current
    OTHER.write(folder)

    with patch(f"os.{call}", side_effect=OSError(number, "refused")):
        assert not watch.check()

    assert (good, Problem.UNREADABLE) == (watch.current, watch.problem)
    assert watch.check()


@pytest.mark.slow
def test_no_broken_pair_costs_a_handshake(tmp_path: Path, pair: PemPair) -> None:
    """Each breaks a mounted Secret in turn, while clients come without a pause.

    Each is counted by its name. None ends readiness: it would end it for every
    replica at once, and each has a good certificate.
    """
    _mount(tmp_path, pair)
    failed: list[Exception] = []
    done = threading.Event()

    with serving(tmp_path, pair) as server:
        clients = threading.Thread(
            target=_come_and_go, args=(server, done, failed), daemon=True
        )
        clients.start()
        for name, (breaks, problem) in BROKEN.items():
            (tmp_path / f"..{name}").mkdir()
            pair.write(tmp_path / f"..{name}")
            breaks(tmp_path / f"..{name}")
            counter = f'{_ERRORS}{{problem="{problem}"}}'
            before = server.metric(counter)
            _turn(tmp_path, f"..{name}")
            wait_until(lambda c=counter, b=before: server.metric(c) > b)
            ready = server.probe("/readyz")
            assert (200, [f"mounted certificate refused: {problem}"]) == (
                ready.status,
                ready.json()["warnings"],
            )
            _turn(tmp_path, "..0")
            wait_until(lambda: server.probe("/readyz").json()["warnings"] == [])
        done.set()
        clients.join(30)
        handshakes = server.metric(
            'tracking_injector_handshakes_total{result="completed"}'
        )

    assert [] == failed
    assert handshakes > 100


def _come_and_go(
    server: Server, done: threading.Event, failed: list[Exception]
) -> None:
    while not done.is_set():
        try:
            server.client().close()
            time.sleep(0.02)
        except Exception as error:  # noqa: BLE001 - each is a finding
            failed.append(error)


_ERRORS = "tracking_injector_certificate_reload_errors_total"


def test_a_problem_names_no_secret(folder: Path) -> None:
    """Neither its text nor a pair's own shows a key."""
    _writes(GOOD.crt, OTHER.key)(folder)

    with pytest.raises(BadCertificateError) as caught:
        load(read(folder))

    assert "not-a-pair" == str(caught.value)
    assert "Pair(***)" == repr(read(folder))


def test_new_connections_get_the_new_certificate(folder: Path, pair: PemPair) -> None:
    """Connections that live on keep theirs, and keep being answered."""
    with serving(folder, pair) as server, server.client() as before:
        (folder / "tls.crt").write_bytes(OTHER.crt)  # half of a change
        wait_until(
            lambda: server.metric("tracking_injector_certificate_reload_errors_total")
        )
        with server.client() as during:
            assert during.mutate(RAY_HEAD).status == 200

        OTHER.write(folder)
        wait_until(lambda: _accepts(server.port, OTHER))

        assert before.mutate(RAY_HEAD).status == 200
        with pytest.raises(ssl.SSLCertVerificationError):
            server.client()
        assert server.metric("tracking_injector_certificate_info") == 1
        seen = server.events("certificate", at_least=3)
        problems = [one.get("problem") for one in seen]
        assert [None, "not-a-pair", None] == problems


def _accepts(port: int, pair: PemPair) -> bool:
    try:
        Client(port, pair).close()
    except ssl.SSLError:
        return False
    return True


def test_validity_is_judged_by_the_time_that_is_passed(folder: Path) -> None:
    """From its first second to before its last."""
    certificate = load(read(folder))
    second = dt.timedelta(seconds=1)

    assert [False, True, True, False] == [
        certificate.valid_at(moment)
        for moment in (
            certificate.not_before - second,
            certificate.not_before,
            certificate.not_after - second,
            certificate.not_after,
        )
    ]
