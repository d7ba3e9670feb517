"""What is wrong with an installation, the worst first: one judgment for all readers.

Pure. `status` exits 0 only where no trouble is an error.
"""

from collections.abc import Iterable

import msgspec

from webhook.companion.observation import installation_troubles, report_troubles
from webhook.companion.observation.model import Installation
from webhook.companion.observation.trouble import Severity, Trouble


def troubles(
    seen: Installation, *, client: str = "", asked: Iterable[str] = ()
) -> tuple[Trouble, ...]:
    """Return everything that is wrong, the worst first.

    Args:
        seen: the observation.
        client: this command's own version; empty where there is no command.
        asked: the compute namespaces to look at; none means all.
    """
    only = frozenset(asked)
    found = [
        *installation_troubles.of_parts(seen),
        *report_troubles.of_report(seen.report, only),
        *installation_troubles.of_labels(seen.namespaces, only),
        *installation_troubles.notices(seen, client),
    ]
    return worst_first(found)


def worst_first(found: Iterable[Trouble]) -> tuple[Trouble, ...]:
    """Return troubles with errors in front, otherwise in their order."""
    return tuple(sorted(found, key=lambda one: one.severity is Severity.WARNING))


def accepting(found: Iterable[Trouble], reasons: Iterable[str]) -> tuple[Trouble, ...]:
    """Return troubles in which those of some reasons are warnings: they are wanted."""
    wanted = frozenset(reasons)
    return worst_first(
        msgspec.structs.replace(one, severity=Severity.WARNING)
        if one.reason in wanted
        else one
        for one in found
    )


def in_order(found: Iterable[Trouble]) -> bool:
    """Return whether nobody has to look into anything."""
    return all(one.severity is not Severity.ERROR for one in found)
