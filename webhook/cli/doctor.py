"""`kubectl tracking doctor`: prove that it works, and name the true cause if not."""

import re
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any, Final

import click

from webhook.cli.doctor_examine import Examiner
from webhook.cli.doctor_view import FORMATS, Examination
from webhook.cli.errors import told
from webhook.cli.kubeconfig import now
from webhook.cli.options import refuse
from webhook.cli.output import emit, whole_console, with_output
from webhook.cli.release import ClusterChoice, with_cluster
from webhook.cluster.config import ClusterConnection
from webhook.cluster.tunnel import Tunnel
from webhook.doctor.check import Diagnosis

_Found = tuple[str, tuple[Diagnosis, ...]]
"""What was looked at, and what came out."""
_Way = Callable[[ClusterChoice, ClusterConnection], _Found]

_EVERY: Final = 3.0
"""Seconds between two examinations of `--wait`."""


class Duration(click.ParamType[float]):
    """Seconds, written as `90`, `90s`, `2m` or `1h`."""

    name = "time"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> float:
        """Read it; a number has been read already."""
        if isinstance(value, (int, float)):
            return float(value)
        match = re.fullmatch(r"(\d+)([smh]?)", value)
        if match is None:
            self.fail(f"{value!r} is no time such as 90s or 2m", param, ctx)
        return int(match[1]) * {"": 1.0, "s": 1.0, "m": 60.0, "h": 3600.0}[match[2]]


@click.command()
@with_cluster
@click.option(
    "-n",
    "--namespace",
    "namespaces",
    multiple=True,
    help="A compute namespace to examine; every labeled one otherwise. May be given "
    "again.",
)
@click.option(
    "-A",
    "--all-contexts",
    is_flag=True,
    help="Every context of the kubeconfig; one that does not answer hides no other.",
)
@click.option(
    "--pre",
    is_flag=True,
    help="Before an install: versions, rights, what the platform does differently. "
    "--release says where it is meant for.",
)
@click.option(
    "--probe",
    "probes",
    is_flag=True,
    help="Go the way to the tracking server from inside: in a task pod, else in a "
    "container beside its own, else in a short Job. It takes the rights to do so.",
)
@click.option(
    "--wait",
    type=Duration(),
    default=0,
    metavar="TIME",
    help="Examine again until nothing fails, for that long, such as 2m.",
)
@click.option("--all", "every", is_flag=True, help="Show the checks in order too.")
@with_output(*FORMATS, show_default=True, help="json and junit have every check.")
def doctor(  # noqa: PLR0913 - one for each option
    *,
    choice: ClusterChoice,
    namespaces: tuple[str, ...],
    all_contexts: bool,
    pre: bool,
    probes: bool,
    wait: float,
    every: bool,
    output: str,
) -> None:
    """Prove that tracking keys reach every task, and name the true cause if not.

    Checks go in the order of causes: what comes first among the failures is what has
    to be mended first. Nothing is changed: pods are created in dry runs only. --probe
    alone adds something where no task pod has Python: an ephemeral container, which a
    pod lists until it ends, or a Job, which is deleted again. With fewer rights it
    examines less, and names the right that is missing. No value is ever printed.

    \b
    Examples:
      kubectl tracking doctor --pre           before an install
      kubectl tracking doctor --wait 2m       right after it
      kubectl tracking doctor -n ray --probe  one namespace, from inside of a pod
      kubectl tracking doctor -o junit        for CI

    \b
    Exit codes:
      0    nothing fails; there may be warnings, and checks that lack a right
      1    something does
      2    no access, no release, or bad arguments
      130  interrupted
    """  # noqa: D301 - \b is the character that click looks for
    if pre:
        refuse("--pre", {"--namespace": namespaces, "--probe": probes})
    choices = choice.each() if all_contexts else [choice]
    way = _preflight if pre else partial(_of_release, namespaces, probes=probes)

    def look() -> list[Examination]:
        with ThreadPoolExecutor(len(choices) or 1) as pool:
            return list(pool.map(partial(_examine, way), choices))

    found = _until(look, wait)
    said = FORMATS[output](found, every=every)
    if output == "table":
        # Colors by the same rules as `status`: click knows nothing of NO_COLOR.
        console = whole_console()
        plain = console.no_color or console.color_system is None
        click.echo(said, color=not plain)
    else:
        emit(said)
    if any(one.error for one in found):
        raise SystemExit(2)
    raise SystemExit(1 if any(one.failed for one in found) else 0)


def _until(
    look: Callable[[], Sequence[Examination]], wait: float
) -> Sequence[Examination]:
    """Look again while something fails, as long as it was asked for."""
    until = time.monotonic() + wait
    while True:
        found = look()
        failed = any(one.failed for one in found)
        if not failed or time.monotonic() + _EVERY > until:
            return found
        time.sleep(_EVERY)


def _examine(way: _Way, choice: ClusterChoice) -> Examination:
    """Examine one cluster; what is in the way is its result."""
    try:
        access = choice.connect()
        with told(access):
            about, found = way(choice, access)
    except click.ClickException as error:
        about, said = "not examined", error.format_message()
        return Examination(context=choice.context or "", about=about, error=said)
    return Examination(context=choice.context or "", about=about, diagnoses=found)


def _of_release(
    namespaces: tuple[str, ...],
    choice: ClusterChoice,
    access: ClusterConnection,
    *,
    probes: bool,
) -> _Found:
    release, tunnel = choice.release(access), Tunnel(access.resources.api)
    examiner = Examiner(client=access.resources, tunnel=tunnel, probes=probes)
    return str(release), examiner.examine(release, namespaces, now())


def _preflight(choice: ClusterChoice, access: ClusterConnection) -> _Found:
    home, _, name = choice.asked.partition("/")
    home, name = home or "ml-tracking", name or "tracking-injector"
    about = f"before an install of {name} in {home}"
    return about, Examiner(client=access.resources).preflight(home, name)
