"""The `KubeClient` protocol over the official client's low-level `ApiClient`.

Bodies stay JSON: typed models would cost more than the whole companion. Nothing here
retries; who calls knows better what a failure means.
"""

import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any, Final, TypeVar

import orjson
import urllib3
from kubernetes.client import ApiClient
from kubernetes.config import ConfigException

from webhook.cluster import json_bytes, metadata
from webhook.cluster.errors import Unavailable, from_status
from webhook.cluster.interface import (
    ANYTHING,
    Json,
    ListOptions,
    ObjectKey,
    ObjectList,
    Preconditions,
    WatchEvent,
    WatchEventType,
)
from webhook.cluster.resources import NAMESPACE, POD, SECRET, ResourceType

T = TypeVar("T")

_TIMEOUT: Final = (5.0, 10.0)
"""Seconds to connect and between bytes. The API server's own limit for a write is 34 s,
but whoever waits that long blocks others: better to look again."""
_SILENCE: Final = 5.0
"""Seconds that a watch may be silent after the end it asked for."""
_PAGE: Final = 500
"""Objects per page at most, as kubectl asks for: 500 pods are about 5 MB."""
_PAGE_BYTES: Final = 8 << 20
"""Bytes per page at most: objects may have 1.5 MB, and parsed they take ten times that.
A larger page is given up and asked for in smaller ones."""
_LARGE: Final = 1 << 16
"""Bytes of an object above which one is parsed at a time, whichever list it is in: six
lists begin at once, and each could be of the largest."""
_ONE_LARGE: Final = threading.Lock()
_APPLY: Final = "application/apply-patch+yaml"
_MERGE: Final = "application/merge-patch+json"
_STRATEGIC: Final = "application/strategic-merge-patch+json"
_JSON: Final = "application/json"
_EVENT_TYPES: Final = {
    "ADDED": WatchEventType.UPSERT,
    "MODIFIED": WatchEventType.UPSERT,
    "DELETED": WatchEventType.DELETED,
    "BOOKMARK": WatchEventType.BOOKMARK,
}


def _take(
    data: bytearray,
    what: str,
    project: Callable[[Json], T],
    items: dict[ObjectKey, tuple[int, T]],
) -> json_bytes.ListMeta:
    """Add the projections of a page's objects, and return what leads to the next."""
    page = json_bytes.parse_page(data, what)
    for raw in page.items or ():
        with _by_itself(memoryview(raw).nbytes):
            body = json_bytes.parse(raw, what)
            items[metadata.key(body)] = metadata.revision(body), project(body)
            del body
    return page.metadata


@contextmanager
def _by_itself(size: int) -> Iterator[None]:
    with _ONE_LARGE if size > _LARGE else nullcontext():
        yield


@dataclass(frozen=True, slots=True, kw_only=True)
class _Request:
    """One request; `what` names it in errors."""

    verb: str
    path: str
    what: str = ""
    query: Mapping[str, str] = field(default_factory=dict)
    body: Json | None = None
    content: str = _JSON
    timeout: tuple[float, float] = _TIMEOUT
    secret: bool = False


class RestClient:
    """Implements `webhook.cluster.interface.KubeClient` on a real API server."""

    def __init__(self, client: ApiClient, *, manager: str) -> None:
        """Take a connected client; writes are made in the name of `manager`."""
        self.api = self._client = client
        """The client itself, for `webhook.cluster.tunnel`."""
        self._manager = manager
        self._date = ""

    def groups(self) -> dict[str, tuple[str, ...]]:
        """Return the API groups that are served, each with its versions."""
        body = self._call(NAMESPACE, verb="GET", path="/apis")
        return {
            group["name"]: tuple(one["version"] for one in group["versions"])
            for group in body.get("groups") or ()
        }

    def version(self) -> str:
        """Return the API server's version."""
        body = self._call(NAMESPACE, verb="GET", path="/version")
        return str(body.get("gitVersion") or "")

    def samples(self, metric: str) -> tuple[str, ...]:
        """Return the API server's own samples of one metric, as lines of text."""
        request = _Request(verb="GET", path="/metrics", what="GET /metrics")
        start = metric.encode()
        response = self._open(request)
        try:
            # A large cluster tells some ten megabytes.
            found = [
                line.decode("utf-8", "replace")
                for line in _lines(response, request.what)
                if line.startswith((start + b"{", start + b" "))
            ]
        finally:
            response.close()
        return tuple(found)

    def logs(self, namespace: str, pod: str, *, lines: int) -> str:
        """Return the last lines that a pod's first container has written."""
        path = f"{POD.path(namespace, pod)}/log"
        request = _Request(
            verb="GET", path=path, what=f"GET {path}", query={"tailLines": str(lines)}
        )
        return _read(self._open(request), request.what).decode("utf-8", "replace")

    def add_container(self, namespace: str, pod: str, container: Json) -> None:
        """Add an ephemeral container to a pod; it stays there for good."""
        self._call(
            POD,
            verb="PATCH",
            path=f"{POD.path(namespace, pod)}/ephemeralcontainers",
            query={"fieldManager": self._manager},
            body={"spec": {"ephemeralContainers": [container]}},
            content=_STRATEGIC,
            secret=True,  # it may have a variable's value
        )

    def get(self, kind: ResourceType, name: str, namespace: str = "") -> Json:
        """Return one object by name."""
        return self._call(kind, verb="GET", path=kind.path(namespace, name))

    def list(
        self, selection: ListOptions, project: Callable[[Json], T]
    ) -> ObjectList[T]:
        """Return everything selected, projected object by object."""
        query, limit = _query(selection), _PAGE
        items: dict[ObjectKey, tuple[int, T]] = {}
        while True:
            data = self._page(selection, query | {"limit": str(limit)}, limit)
            if data is None:
                limit //= 4
                continue
            size = len(data)
            after = _take(data, f"list {selection}", project, items)
            del data  # before the next one comes
            query["continue"] = after.continue_
            if not query["continue"]:
                return ObjectList(items, after.version)
            if size < _PAGE_BYTES // 16:
                limit = min(_PAGE, limit * 4)

    def watch(
        self, selection: ListOptions, version: str, *, seconds: float
    ) -> Iterator[WatchEvent]:
        """Return what happens after `version`; raise when it is silent too long."""
        request = _Request(
            verb="GET",
            path=selection.kind.path(selection.namespace),
            what=f"watch {selection}",
            query=_query(selection)
            | {
                "watch": "true",
                "allowWatchBookmarks": "true",
                "resourceVersion": version,
                "timeoutSeconds": str(max(1, round(seconds))),
            },
            timeout=(_TIMEOUT[0], seconds + _SILENCE),
            secret=selection.kind == SECRET,
        )
        return _changes(self._open(request), request)

    def apply(self, kind: ResourceType, body: Json, *, force: bool = True) -> Json:
        """Apply server-side under our field manager: create or change."""
        address = metadata.key(body)
        return self._call(
            kind,
            verb="PATCH",
            path=kind.path(address.namespace, address.name),
            query={"fieldManager": self._manager, "force": str(force).lower()},
            body={"apiVersion": kind.api_version, "kind": kind.name} | body,
            content=_APPLY,
        )

    def server_time(self) -> datetime | None:
        """Return what the latest answer's `Date` says."""
        try:
            return parsedate_to_datetime(self._date).astimezone(UTC)
        except ValueError:
            return None

    def patch(self, kind: ResourceType, body: Json) -> Json:
        """Merge a JSON patch into what is there: null takes a field away."""
        address = metadata.key(body)
        return self._call(
            kind,
            verb="PATCH",
            path=kind.path(address.namespace, address.name),
            query={"fieldManager": self._manager},
            body=body,
            content=_MERGE,
        )

    def create(self, kind: ResourceType, body: Json, *, dry_run: bool = False) -> Json:
        """Create; `AlreadyExists` where the name is taken."""
        tried = {"dryRun": "All"} if dry_run else {}
        return self._call(
            kind,
            verb="POST",
            path=kind.path(metadata.key(body).namespace),
            query={"fieldManager": self._manager} | tried,
            body={"apiVersion": kind.api_version, "kind": kind.name} | body,
        )

    def delete(
        self,
        kind: ResourceType,
        name: str,
        namespace: str = "",
        *,
        only: Preconditions = ANYTHING,
    ) -> None:
        """Delete if `only` still holds."""
        conditions = {"uid": only.uid, "resourceVersion": only.version}
        self._call(
            kind,
            verb="DELETE",
            path=kind.path(namespace, name),
            body={
                "apiVersion": "v1",
                "kind": "DeleteOptions",
                "propagationPolicy": "Background",
                "preconditions": {k: v for k, v in conditions.items() if v},
            },
        )

    def close(self) -> None:
        """Close the idle connections."""
        self._client.rest_client.pool_manager.clear()

    def _page(
        self, selection: ListOptions, query: Mapping[str, str], limit: int
    ) -> bytearray | None:
        """Return one page, or None when it is too large and could be smaller."""
        kind, what = selection.kind, f"list {selection}"
        path = kind.path(selection.namespace)
        response = self._open(
            _Request(
                verb="GET", path=path, what=what, query=query, secret=kind == SECRET
            )
        )
        data = bytearray()  # chunks that are joined would be there twice
        try:
            for chunk in response.stream(1 << 16):
                data += chunk
                if len(data) > _PAGE_BYTES and limit > 1:
                    response.close()
                    return None
        except (urllib3.exceptions.HTTPError, OSError) as error:
            raise Unavailable(f"{what}: {_named(error)} in the answer") from error
        return data

    def _call(self, kind: ResourceType, **parts: Any) -> Json:
        what = f"{parts['verb']} {parts['path']}"
        request = _Request(**({"secret": kind == SECRET} | parts), what=what)
        return json_bytes.parse(_read(self._open(request), what), what)

    def _open(self, request: _Request) -> urllib3.BaseHTTPResponse:
        """Return the answer with its body unread; raise for every status but 2xx."""
        try:
            method, url, headers, _, _ = self._client.param_serialize(
                request.verb,
                request.path,
                query_params=dict(request.query),
                header_params={"Accept": _JSON, "Content-Type": request.content},
                auth_settings=["BearerToken"],
            )
            connect, read = request.timeout
            # The client's own way there encodes bodies slowly and looks at each four
            # times; connections, trust and credentials are the client's all the same.
            response: urllib3.BaseHTTPResponse = (
                self._client.rest_client.pool_manager.request(
                    method,
                    url,
                    body=None if request.body is None else orjson.dumps(request.body),
                    headers=headers,
                    timeout=urllib3.Timeout(connect=connect, read=read),
                    preload_content=False,
                )
            )
        except (urllib3.exceptions.HTTPError, OSError) as error:
            raise Unavailable(f"{request.what}: {_named(error)}") from error
        except ConfigException as error:
            # The token file is being replaced, or is gone with the pod's mount.
            raise Unavailable(f"the service account's token: {error}") from error
        self._date = response.headers.get("Date", "")
        _raise_for(response, request)
        return response


def _query(selection: ListOptions) -> dict[str, str]:
    query = {
        "labelSelector": selection.labels,
        "fieldSelector": selection.field_selector(),
    }
    return {name: value for name, value in query.items() if value}


_FAILURES: Final = {
    "ConnectionRefusedError": "the connection was refused",
    "NameResolutionError": "the host's name is not known",
    "gaierror": "the host's name is not known",
    "ConnectTimeoutError": f"no connection within {_TIMEOUT[0]:.0f} s",
    "ReadTimeoutError": "no answer in time",
    "TimeoutError": "no answer in time",
    "SSLCertVerificationError": "its certificate is not trusted",
    "SSLError": "TLS could not be agreed on",
}
"""Failures of a connection by the name of their error, for people."""


def _named(error: Exception) -> str:
    """Return the kind of failure; urllib3's texts repeat the whole URL."""
    cause: BaseException = error
    while cause.__cause__ is not None and type(cause).__name__ not in _FAILURES:
        cause = cause.__cause__
    name = type(cause).__name__
    return _FAILURES.get(name, name)


def _read(response: urllib3.BaseHTTPResponse, what: str) -> bytes:
    try:
        return response.data
    except (urllib3.exceptions.HTTPError, OSError) as error:
        raise Unavailable(f"{what}: {_named(error)} in the answer") from error


def _raise_for(response: urllib3.BaseHTTPResponse, request: _Request) -> None:
    if 200 <= response.status < 300:
        return
    after = response.headers.get("Retry-After", "")
    raise from_status(
        response.status,
        json_bytes.parse_status(_read(response, request.what)),
        what=request.what,
        secret=request.secret,
        retry_after=float(after) if after.isdecimal() else 1.0,
    )


def _lines(response: urllib3.BaseHTTPResponse, what: str) -> Iterator[bytes]:
    rest = b""
    try:
        for chunk in response.stream(amt=None):
            *whole, rest = (rest + chunk).split(b"\n")
            yield from filter(None, whole)
    except urllib3.exceptions.ReadTimeoutError as error:
        raise Unavailable(f"{what}: silent for too long") from error
    except (urllib3.exceptions.HTTPError, OSError) as error:
        raise Unavailable(f"{what}: {_named(error)}") from error


def _changes(
    response: urllib3.BaseHTTPResponse, request: _Request
) -> Iterator[WatchEvent]:
    try:
        for line in _lines(response, request.what):
            yield _change(line, request)
    finally:
        # Half-read: the connection is of no use to anybody else.
        response.close()


def _change(line: bytes, request: _Request) -> WatchEvent:
    event = json_bytes.parse(line, request.what)
    body = event.get("object")
    body = body if isinstance(body, dict) else {}
    type_ = _EVENT_TYPES.get(str(event.get("type")))
    if type_ is not None:
        return WatchEvent(type_, body)
    code = body.get("code")
    raise from_status(
        code if isinstance(code, int) else 500,
        body,
        what=request.what,
        secret=request.secret,
    )
