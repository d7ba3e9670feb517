"""`status --all-contexts`: one line for each cluster, and where they differ.

Every cluster is asked at the same time by a thread of its own; one that does not answer
is told as such, and none waits for it.
"""

import hashlib
import time
from collections import Counter
from collections.abc import Callable, Mapping
from threading import Thread
from typing import Final

import click
import msgspec
from rich.console import Console
from rich.table import Table
from rich.text import Text

from webhook import __version__
from webhook.cli.egress_input import mirrored_keys
from webhook.cli.errors import told
from webhook.cli.kubeconfig import now
from webhook.cli.output import emit, encoded, rendered
from webhook.cli.release import ClusterChoice
from webhook.cluster.errors import ClusterError
from webhook.cluster.interface import KubeClient
from webhook.companion.observation.model import Installation, WorkloadState
from webhook.companion.observation.observe import observe
from webhook.companion.observation.published import PublishedReport
from webhook.companion.observation.trouble import Severity, Trouble
from webhook.companion.observation.troubles import accepting, troubles
from webhook.egress.destinations import derive
from webhook.mirror.reasons import MirrorReason

FLEET_SCHEMA: Final = 1
"""Of the document; grows when a field changes its meaning or goes."""
_PATIENCE: Final = 3.0
"""Seconds after which the clusters that answered are told."""
_SALT: Final = b"tracking-injector fleet"


class Member(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """One cluster of the fleet; what is not known is empty or null.

    Attributes:
        context: of the kubeconfig.
        problem: why nothing is known of it; empty where it answered.
        errors: how many things are not in order.
        version: of the product.
        hosts: the tracking servers that the keys name.
        keys: a short hash of names and values: equal keys have equal ones.
        namespaces: how many are labeled.
        missed: pods that run without keys.
        certificates: until when API servers trust the webhook.
        troubles: what is wrong there.
    """

    context: str
    problem: str = ""
    errors: int | None = None
    version: str = ""
    hosts: str = ""
    keys: str = ""
    namespaces: int | None = None
    missed: int | None = None
    certificates: str = ""
    troubles: tuple[Trouble, ...] = ()

    @property
    def in_order(self) -> bool:
        """Return whether it answered, and nothing is wrong."""
        return self.errors == 0


class FleetDocument(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """What `status --all-contexts -o json` prints.

    Attributes:
        schema: of this document.
        client: this command's version.
        in_order: whether the command exits with 0.
        clusters: one for each context.
        differing: the fields in which clusters differ.
    """

    schema: int
    client: str
    in_order: bool
    clusters: list[Member]
    differing: list[str]


_COMPARED: Final = ("version", "hosts", "keys")
"""What should be the same in every cluster."""
_COLUMNS: Final = (
    *("CONTEXT", "STATUS", "VERSION", "TRACKER", "KEYS"),
    *("NAMESPACES", "MISSED", "CERTIFICATES"),
)


def fleet(
    choice: ClusterChoice, output: str, console: Console, accepted: tuple[str, ...]
) -> int:
    """Print every cluster of the kubeconfig; return the exit code."""
    choices = {one.context or "": one for one in choice.each()}
    members = gather(
        tuple(choices), lambda name: look(choices[name], accepted), _PATIENCE
    )
    if output in ("json", "yaml"):
        emit(encoded(_document(members), output))
    else:
        notes = [note for one in members for note in _notes(one, wide=output == "wide")]
        click.echo(rendered(console, table(members), *notes), nl=False)
    if all(one.problem for one in members):
        return 2
    return 0 if all(one.in_order for one in members) else 1


def gather(
    contexts: tuple[str, ...], read: Callable[[str], Member], patience: float
) -> list[Member]:
    """Read all at the same time; return those that answered, and say who did not."""
    why = f"no answer within {patience:.0f} s"
    known = {name: Member(context=name, problem=why) for name in contexts}

    def ask(name: str) -> None:
        known[name] = read(name)

    # Nobody waits for a thread that hangs: the process ends without it.
    asking = [Thread(target=ask, args=(name,), daemon=True) for name in contexts]
    for one in asking:
        one.start()
    until = time.monotonic() + patience
    for one in asking:
        one.join(max(0, until - time.monotonic()))
    return [known[name] for name in contexts]


def look(choice: ClusterChoice, accepted: tuple[str, ...]) -> Member:
    """Return what one cluster is like; never raise."""
    context = choice.context or ""
    try:
        access = choice.connect()
        with told(access):
            seen = observe(access.resources, choice.release(access), now())
            found = accepting(troubles(seen, client=__version__), accepted)
            keys = _mirrored_keys(access.resources, seen)
    except click.ClickException as error:
        return Member(context=context, problem=error.format_message())
    except Exception as error:  # noqa: BLE001 - one cluster must not hide the others
        return Member(context=context, problem=f"unexpected: {type(error).__name__}")
    return member(context, seen, found, keys)


def member(
    context: str,
    seen: Installation,
    found: tuple[Trouble, ...],
    keys: Mapping[str, str] | None,
) -> Member:
    """Return a cluster's line."""
    report = seen.report if isinstance(seen.report, PublishedReport) else None
    webhook = seen.webhook if isinstance(seen.webhook, WorkloadState) else None
    return Member(
        context=context,
        errors=sum(one.severity is Severity.ERROR for one in found),
        version=webhook.version if webhook else "",
        hosts=", ".join(_hosts(keys)) if keys else "",
        keys=fingerprint(keys) if keys else "",
        namespaces=report.total if report else None,
        missed=_missed(report) if report else None,
        certificates=report.certificates.line if report else "",
        troubles=found,
    )


def _missed(report: PublishedReport) -> int:
    return sum(one.missed for one in report.namespaces.values())


def _hosts(keys: Mapping[str, str]) -> list[str]:
    return sorted({place.host for place in derive(keys, ()).destinations if place.host})


def fingerprint(keys: Mapping[str, str]) -> str:
    """Return eight characters that are equal where all names and values are.

    Slow to compute and short, so that nobody can guess a value by it.
    """
    text = repr(sorted(keys.items())).encode("utf-8", "surrogatepass")
    return hashlib.scrypt(text, salt=_SALT, n=1 << 14, r=8, p=1, dklen=4).hex()


def _mirrored_keys(client: KubeClient, seen: Installation) -> Mapping[str, str] | None:
    """Return the keys of the first namespace that has them; None where unreadable."""
    if not isinstance(seen.report, PublishedReport):
        return None
    for name, one in sorted(seen.report.namespaces.items()):
        if one.reason == MirrorReason.MIRRORED and one.profile == "default":
            try:
                return mirrored_keys(client, name)
            except ClusterError:
                return None
    return None


def odd_ones(members: list[Member], name: str) -> frozenset[str]:
    """Return the contexts whose field is another than most others'."""
    said = {one.context: getattr(one, name) for one in members if not one.problem}
    known = {context: value for context, value in said.items() if value}
    if len(set(known.values())) < 2:
        return frozenset()
    most = Counter(known.values()).most_common()
    if most[0][1] == most[1][1]:
        # Nobody can say which of two is right.
        return frozenset(known)
    return frozenset(c for c, value in known.items() if value != most[0][0])


def table(members: list[Member]) -> Table:
    """Return one line for each cluster."""
    odd = {name: odd_ones(members, name) for name in _COMPARED}
    shown = Table(box=None, header_style="bold", pad_edge=False)
    for column in _COLUMNS:
        shown.add_column(column, overflow="fold")
    for one in members:
        cells = [_marked(getattr(one, n), odd=one.context in odd[n]) for n in _COMPARED]
        counts = (_count(one.namespaces), _count(one.missed))
        certificates = one.certificates or "-"
        shown.add_row(one.context, _status(one), *cells, *counts, certificates)
    return shown


def _marked(text: str, *, odd: bool) -> Text:
    return Text(f"{text} ≠", style="bold yellow") if odd else Text(text or "-")


def _count(number: int | None) -> str:
    return "-" if number is None else str(number)


def _status(one: Member) -> Text:
    if one.problem:
        return Text("no access", style="bold red")
    if one.in_order:
        return Text("in order", style="green")
    return Text(f"{one.errors} not in order", style="bold red")


def _notes(one: Member, *, wide: bool) -> list[Text]:
    if one.problem:
        return [Text(f"{one.context}: {one.problem}", style="red")]
    told = one.troubles if wide else ()
    reasons = [f"{t.reason}, {t.about}: {t.detail}".rstrip(": ") for t in told]
    if not wide and not one.in_order:
        errors = [t.reason for t in one.troubles if t.severity is Severity.ERROR]
        reasons = [", ".join(dict.fromkeys(errors))]
    return [Text(f"{one.context}: {reason}") for reason in reasons]


def _document(members: list[Member]) -> FleetDocument:
    return FleetDocument(
        schema=FLEET_SCHEMA,
        client=__version__,
        in_order=all(one.in_order for one in members),
        clusters=members,
        differing=[name for name in _COMPARED if odd_ones(members, name)],
    )
