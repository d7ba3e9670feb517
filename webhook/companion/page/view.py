"""An observation as one page of HTML that needs nothing else. Pure.

Everything of the cluster is escaped where it is put in; no value of a key is in an
observation. Trouble comes first, then the parts, the certificates, the namespaces.
"""

import base64
import hashlib
from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, datetime
from html import escape
from importlib.resources import files
from typing import Any, Final

from webhook import __version__
from webhook.companion.audit import AuditReason
from webhook.companion.observation.model import Installation, WorkloadState
from webhook.companion.observation.published import PublishedNamespace, PublishedReport
from webhook.companion.observation.trouble import Severity, Trouble
from webhook.companion.observation.unknown import Unknown

_STYLE: Final = files(__package__).joinpath("page.css").read_text("utf-8")
_SCRIPT: Final = files(__package__).joinpath("page.js").read_text("utf-8")
_MOST: Final = 200
"""Rows of a table: a phone shows no more, and what is troubled comes first."""
_SHOWN_DAYS: Final = 120
"""The end of the certificates' timeline; none lives longer by default."""


def _digest(text: str) -> str:
    return base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()


_POLICY: Final = (
    f"default-src 'none'; connect-src 'self'; style-src 'sha256-{_digest(_STYLE)}'; "
    f"script-src 'sha256-{_digest(_SCRIPT)}'; img-src data:; base-uri 'none'; "
    "form-action 'none'"
)
"""What a browser may do with it: nothing but ask for it again."""


def page(seen: Installation, troubles: Sequence[Trouble]) -> str:
    """Return the whole page."""
    wrong = [one for one in troubles if one.severity is Severity.ERROR]
    mark = f"({len(wrong)}) " if wrong else ""
    return _document(
        f"{mark}Tracking injector, {seen.release}", "".join(_parts(seen, troubles))
    )


def waiting_page(sentence: str) -> str:
    """Return the page before anything was seen."""
    return _document("Tracking injector", f"<h1>Tracking injector</h1>{_p(sentence)}")


def _document(title: str, main: str) -> str:
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        '<meta name="color-scheme" content="light dark">'
        f'<meta http-equiv="Content-Security-Policy" content="{escape(_POLICY)}">'
        f'<link rel="icon" href="data:,"><title>{escape(title)}</title>'
        f"<style>{_STYLE}</style></head><body>"
        f'<p id="lost" role="alert" hidden></p><main>{main}</main>'
        f"<script>{_SCRIPT}</script></body></html>"
    )


def _parts(seen: Installation, troubles: Sequence[Trouble]) -> Iterator[str]:
    yield "<header><h1>Tracking injector</h1>"
    at = f"{seen.at.astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC"
    yield _p(f"Release {seen.release}, version {__version__}, as of {at}.")
    yield "</header>"
    yield from _troubles(troubles)
    yield from _installation(seen)
    yield from _timeline(seen)
    yield from _namespaces(seen, troubles)


def _troubles(troubles: Sequence[Trouble]) -> Iterator[str]:
    wrong = [one for one in troubles if one.severity is Severity.ERROR]
    said = f"{len(wrong)} not in order" if wrong else "Everything is in order"
    kind = "bad" if wrong else "good"
    yield f'<section aria-labelledby="troubles"><h2 id="troubles" class="{kind}">'
    yield f"{said}</h2>"
    if troubles:
        yield "<ul>"
        for one in troubles[:_MOST]:
            bad = one.severity is Severity.ERROR
            yield f'<li class="{"bad" if bad else "odd"}">'
            yield f"<strong>{'Error' if bad else 'Note'}: {escape(one.about)}</strong> "
            yield f"<code>{escape(one.reason)}</code> {escape(one.sentence)}"
            yield f" <span>{escape(one.detail)}</span>" if one.detail else ""
            yield "</li>"
        yield "</ul>"
    yield "</section>"


def _installation(seen: Installation) -> Iterator[str]:
    rows = []
    for part, workload in (("Webhook", seen.webhook), ("Companion", seen.companion)):
        if isinstance(workload, WorkloadState):
            count = f"{workload.ready} of {workload.desired} ready"
            rows.append((part, count, workload.version))
        else:
            rows.append((part, workload.sentence, ""))
    if isinstance(seen.lease, Unknown):
        rows.append(("Leader", seen.lease.sentence, ""))
    else:
        age = seen.lease.age(seen.at)
        renewed = "never renewed" if age is None else f"renewed {age:.0f} s ago"
        rows.append(("Leader", seen.lease.holder or "nobody", renewed))
    if not isinstance(seen.kubernetes, Unknown):
        rows.append(("Kubernetes", seen.kubernetes, ""))
    yield '<section aria-labelledby="parts"><h2 id="parts">Installation</h2>'
    yield from _table("Installation", ("Part", "State", "Detail"), rows)
    yield "</section>"


def _timeline(seen: Installation) -> Iterator[str]:
    """Yield until when API servers trust the webhook, and what it serves, as bars."""
    bars = []
    if not isinstance(seen.configuration, Unknown):
        roots = {
            root.fingerprint: root
            for entry in seen.configuration.entries
            for root in entry.roots
        }
        bars = [(f"Trusted root {n}", one.not_after) for n, one in _numbered(roots)]
    if isinstance(seen.report, PublishedReport) and seen.report.certificates.not_after:
        bars.append(("Certificate", seen.report.certificates.not_after))
    if not bars:
        return
    yield '<section aria-labelledby="certificates">'
    yield '<h2 id="certificates">Certificates</h2>'
    if isinstance(seen.report, PublishedReport) and seen.report.certificates.line:
        yield _p(seen.report.certificates.line)
    yield '<dl class="timeline">'
    for name, end in bars:
        yield from _bar(name, end, seen.at)
    yield "</dl></section>"


def _numbered(roots: dict[str, Any]) -> Iterable[tuple[int, Any]]:
    return enumerate(sorted(roots.values(), key=lambda one: one.not_after), start=1)


def _bar(name: str, end: datetime, at: datetime) -> Iterator[str]:
    days = (end - at).total_seconds() / 86400
    kind = "bad" if days < 7 else "odd" if days < 21 else "good"
    said = f"until {end.astimezone(UTC):%Y-%m-%d}, {days:.0f} days"
    yield f"<dt>{escape(name)}</dt><dd>{said} "
    # An attribute of the element, since a style would need a looser policy.
    yield f'<meter class="{kind}" aria-label="{escape(name)}: days left" min="0" '
    yield f'max="{_SHOWN_DAYS}" value="{max(0.0, min(days, _SHOWN_DAYS)):.0f}">'
    yield f"{days:.0f} days</meter></dd>"


def _namespaces(seen: Installation, troubles: Sequence[Trouble]) -> Iterator[str]:
    yield '<section aria-labelledby="namespaces"><h2 id="namespaces">Namespaces</h2>'
    report = seen.report
    if isinstance(report, Unknown):
        yield _p(report.sentence)
    else:
        wrong = {one.namespace for one in troubles if one.severity is Severity.ERROR}
        ordered = sorted(report.namespaces, key=lambda name: (name not in wrong, name))
        rows = [_row(name, report.namespaces[name]) for name in ordered[:_MOST]]
        heads = (
            "Namespace",
            "Mirror",
            "Keys",
            "Egress",
            "Injected",
            "Missed",
            "Waiting",
            "Outdated",
        )
        if rows:
            yield from _table("Namespaces", heads, rows, troubled=wrong)
        else:
            yield _p("No namespace is labeled.")
        if (left := report.total - len(rows)) > 0:
            yield _p(f"And {left} more; kubectl tracking status --all lists them.")
    yield "</section>"


def _row(name: str, one: PublishedNamespace) -> tuple[str, ...]:
    pods = one.pods or {}
    counted = one.pods is not None
    return (
        name,
        one.reason,
        str(one.keys),
        one.egress.reason if one.egress else "-",
        str(pods.get(AuditReason.INJECTED, 0)) if counted else "-",
        str(one.missed) if counted else "-",
        str(one.waiting) if counted else "-",
        str(one.outdated.pods if one.outdated else 0) if counted else "-",
    )


def _table(
    caption: str,
    heads: Sequence[str],
    rows: Iterable[Sequence[str]],
    troubled: Iterable[str] = (),
) -> Iterator[str]:
    bad = set(troubled)
    yield f"<table><caption>{caption}</caption><thead><tr>"
    yield "".join(f'<th scope="col">{escape(head)}</th>' for head in heads)
    yield "</tr></thead><tbody>"
    for name, *cells in rows:
        yield '<tr class="bad">' if name in bad else "<tr>"
        yield f'<th scope="row">{escape(name)}</th>'
        for head, cell in zip(heads[1:], cells, strict=True):
            yield f'<td data-head="{escape(head)}">{escape(cell)}</td>'
        yield "</tr>"
    yield "</tbody></table>"


def _p(text: str) -> str:
    return f"<p>{escape(text)}</p>"
