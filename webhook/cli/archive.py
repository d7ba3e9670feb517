"""`report`: what a maintainer needs for a bug report, without a value in it.

Nothing is copied whole: of each object only what is listed here goes in, so that what a
later Kubernetes or somebody's annotation adds stays out.
"""

import io
import json
import re
import tarfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Any, Final

import click
from rich.console import Console

from webhook import __version__
from webhook.cli.errors import told
from webhook.cli.kubeconfig import now
from webhook.cli.output import encoded, rendered, say
from webhook.cli.release import ClusterChoice, with_cluster
from webhook.cli.status_document import status_document
from webhook.cli.status_view import StatusView, screen
from webhook.cluster import metadata
from webhook.cluster.errors import ClusterError
from webhook.cluster.interface import Json, KubeClient, ListOptions, ObjectKey
from webhook.cluster.resources import (
    DEPLOYMENT,
    ENDPOINT_SLICE,
    EVENT,
    POD,
    SERVICE,
    WEBHOOK_CONFIGURATION,
    ResourceType,
)
from webhook.companion.observation.model import Installation
from webhook.companion.observation.observe import observe
from webhook.companion.observation.published import PublishedReport
from webhook.companion.observation.release import NAME_LABEL
from webhook.companion.observation.troubles import troubles
from webhook.injection.names import DOMAIN
from webhook.injection.workload import RAY_LABEL, SPARK_LABEL
from webhook.settings import PREFIX

_FOLDER: Final = "tracking-injector-report"
_LOG_LINES: Final = 2000
_MISSED: Final = 20
"""Pods without keys whose outline goes in."""
_CREDENTIALS: Final = re.compile(r"://[^/@\s\"']+@")
"""Of a URL, in a line of a log; no log of ours has one, a library's may."""
_HIDDEN: Final = "***"
_LEFT_OUT: Final = ("managedFields", "annotations", "ownerReferences")
_ABOUT: Final = """\
Made by `kubectl tracking report` {version} at {at:%Y-%m-%dT%H:%M:%SZ}.

status.json   what `kubectl tracking status -o json` says
status.txt    the same for people
objects/      the release's Deployments, pods, Services and webhook configuration
pods/         outlines of task pods without keys: names of containers and variables
logs/         the last {lines} lines of each replica
unread.txt    what could not be read, and which right is missing

No value of a key is in it: no Secret is read, of pods only the names of variables are
kept, and of ConfigMaps only the companion's own report. Names of namespaces, pods,
hosts and images are in it.
"""


@dataclass(slots=True)
class _Archive:
    """Files by name, and what could not be read."""

    files: dict[str, str] = field(default_factory=dict)
    unread: list[str] = field(default_factory=list)

    def add(self, name: str, read: Callable[[], str]) -> None:
        """Add a file, or say why there is none."""
        try:
            self.files[name] = read()
        except ClusterError as error:
            self.unread.append(f"{name}: {error}")
        except (AttributeError, KeyError, TypeError, ValueError) as error:
            # Of an odd object; its content may be anything.
            self.unread.append(f"{name}: it cannot be read ({type(error).__name__})")

    def write(self, path: Path, at: datetime) -> None:
        """Write all of it as one archive that only its owner may read."""
        packed = io.BytesIO()
        with tarfile.open(fileobj=packed, mode="w:gz") as tar:
            for name, text in sorted(self.files.items()):
                data = text.encode("utf-8", "replace")
                entry = tarfile.TarInfo(f"{_FOLDER}/{name}")
                entry.size, entry.mode, entry.mtime = len(data), 0o600, at.timestamp()
                tar.addfile(entry, io.BytesIO(data))
        path.touch(mode=0o600)
        if path.is_file():  # not /dev/stdout
            path.chmod(0o600)
        path.write_bytes(packed.getvalue())


@click.command()
@with_cluster
@click.option(
    "-o",
    "--output",
    type=click.Path(dir_okay=False, path_type=Path),
    default=Path(f"{_FOLDER}.tar.gz"),
    show_default=True,
    help="The file to write.",
)
def report(*, choice: ClusterChoice, output: Path) -> None:
    """Pack what a maintainer needs for a bug report, without a value in it.

    How the installation is, its objects, its logs, and outlines of task pods without
    keys. No Secret is read. What could not be read is listed in it.

    \b
    Examples:
      kubectl tracking report -o report.tar.gz
      tar -xOzf report.tar.gz tracking-injector-report/status.txt

    \b
    Exit codes:
      0  written, whatever state the installation is in
      2  no access, no release, or the file cannot be written
    """  # noqa: D301 - \b is the character that click looks for
    access = choice.connect()
    with told(access):
        release = choice.release(access)
    seen = observe(access.resources, release, now())
    archive = collect(access.resources, seen)
    try:
        archive.write(output, seen.at)
    except OSError as error:
        message = f"{output} cannot be written: {error.strerror}."
        raise click.ClickException(message) from error
    size = output.stat().st_size
    click.echo(f"{output}: {len(archive.files)} files, {size} bytes.")
    for line in archive.unread:
        say(f"Not in it: {line}", err=True)


def collect(client: KubeClient, seen: Installation) -> _Archive:
    """Return the files of the archive."""
    archive, home = _Archive(), seen.release.namespace
    found = troubles(seen, client=__version__)
    document = status_document(seen, found, __version__)
    archive.add("status.json", partial(encoded, document))
    console = Console(width=10_000, color_system=None)
    shown = screen(seen, found, StatusView(wide=True))
    archive.add("status.txt", partial(rendered, console, shown))
    for kind in (DEPLOYMENT, POD, SERVICE, ENDPOINT_SLICE):
        options = ListOptions(kind, namespace=home, labels=NAME_LABEL)
        read = partial(_list, client, options, partial(kept, kind))
        archive.add(f"objects/{kind.plural}.json", read)
    archive.add("objects/webhook.json", partial(_configuration, client, seen))
    events = ListOptions(EVENT, namespace=home)
    archive.add("objects/events.json", partial(_list, client, events, _event))
    for pod in _replicas(seen):
        archive.add(f"logs/{pod}.log", partial(_log, client, home, pod))
    for key in _missed(seen):
        name = f"pods/{key.namespace}/{key.name}.json"
        archive.add(name, partial(_outline_of, client, key))
    archive.files["unread.txt"] = "".join(f"{line}\n" for line in archive.unread)
    about = _ABOUT.format(version=__version__, at=seen.at, lines=_LOG_LINES)
    archive.files["README.txt"] = about
    return archive


def _replicas(seen: Installation) -> Iterator[str]:
    for replicas in (seen.webhook_replicas, seen.companion_replicas):
        if isinstance(replicas, tuple):
            yield from (one.name for one in replicas)


def _missed(seen: Installation) -> list[ObjectKey]:
    report = seen.report
    if not isinstance(report, PublishedReport):
        return []
    return [
        ObjectKey(namespace, pod)
        for namespace, one in report.namespaces.items()
        for pod in (*(p.subject for p in one.missed_pods), *one.waiting_pods)
    ][:_MISSED]


def _list(
    client: KubeClient, options: ListOptions, project: Callable[[Json], Json]
) -> str:
    items = client.list(options, project).items
    return _text([one for _, (_, one) in sorted(items.items(), key=lambda i: i[0])])


def _configuration(client: KubeClient, seen: Installation) -> str:
    body = client.get(WEBHOOK_CONFIGURATION, seen.release.name)
    return _text(_meta(body) | {"webhooks": body.get("webhooks")})


def _event(body: Json) -> Json:
    """Keep of an Event what `kubectl get events` shows."""
    names = ("type", "reason", "count", "lastTimestamp", "eventTime")
    about = body.get("involvedObject") or {}
    return {name: body.get(name) for name in names} | {
        "about": f"{about.get('kind')}/{about.get('name')}",
        "message": _plain(str(body.get("message") or "")),
    }


def _log(client: KubeClient, home: str, pod: str) -> str:
    return _plain(client.logs(home, pod, lines=_LOG_LINES))


def _plain(text: str) -> str:
    return _CREDENTIALS.sub(f"://{_HIDDEN}@", text)


def kept(kind: ResourceType, body: Json) -> Json:
    """Return what the archive keeps of an object of the release."""
    spec = body.get("spec") or {}
    if kind == DEPLOYMENT:
        pod = ((spec.get("template") or {}).get("spec")) or {}
        some = {name: spec.get(name) for name in ("replicas", "strategy")}
        return _meta(body) | {
            "spec": some | {"pod": _pod_spec(pod)},
            "status": body.get("status"),
        }
    if kind == POD:
        return _meta(body) | {"spec": _pod_spec(spec), "status": body.get("status")}
    content = {k: v for k, v in body.items() if k in ("spec", "endpoints", "ports")}
    return _meta(body) | content


def _meta(body: Json) -> Json:
    meta = {k: v for k, v in metadata.of(body).items() if k not in _LEFT_OUT}
    return {"metadata": meta}


def _pod_spec(spec: Json) -> Json:
    """Keep of a pod of ours its settings; values of other variables are hidden."""
    names = ("nodeName", "nodeSelector", "tolerations", "serviceAccountName")
    containers = [
        {k: v for k, v in one.items() if k not in ("env", "command")}
        | {"env": [_variable(entry) for entry in one.get("env") or ()]}
        for one in spec.get("containers") or ()
    ]
    some = {name: spec[name] for name in names if name in spec}
    return some | {"containers": containers}


def _variable(entry: Json) -> Json:
    name = str(entry.get("name"))
    if name.startswith(PREFIX):
        return {"name": name, "value": _plain(str(entry.get("value") or ""))}
    return {"name": name, "value": _HIDDEN}


def _outline_of(client: KubeClient, key: ObjectKey) -> str:
    return _text(outline(client.get(POD, key.name, key.namespace)))


def outline(body: Json) -> Json:
    """Return the outline of a task pod: what the decision about it reads, no value."""
    ours = (DOMAIN, RAY_LABEL, SPARK_LABEL)
    labels = metadata.labels(body).items()
    annotations = metadata.annotations(body).items()
    spec, status = body.get("spec") or {}, body.get("status") or {}
    return {
        "name": metadata.key(body).name,
        "created": metadata.of(body).get("creationTimestamp"),
        "labels": {k: v for k, v in labels if k.startswith(ours)},
        "annotations": {k: v for k, v in annotations if k.startswith(DOMAIN)},
        "phase": status.get("phase"),
        "containers": [
            {
                "name": one.get("name"),
                "env": [entry.get("name") for entry in one.get("env") or ()],
                "envFrom": one.get("envFrom"),
            }
            for one in spec.get("containers") or ()
        ],
    }


def _text(value: Any) -> str:
    return json.dumps(value, indent=2) + "\n"
