"""The API server's HTTP interface: JSON in, JSON out, nothing dropped on the way.

The tests compare objects byte for byte, so no typed client stands between.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlencode

import urllib3
import yaml
from prometheus_client.parser import text_string_to_metric_families

from tests.lab.credentials import Pair

Object = dict[str, Any]
"""A Kubernetes object as JSON has it."""

_MERGE_PATCH: Final = "application/merge-patch+json"
_KEPT: Final = 256
"""Connections that are kept: one more is closed after its request, and the handshake of
the next costs both sides more than most requests do."""


class ApiError(Exception):
    """The API server refused.

    Attributes:
        code: HTTP status.
        reason: The Status object's reason, such as `NotFound`.
        message: Its message.
    """

    def __init__(self, code: int, reason: str, message: str) -> None:
        """Say what the server said."""
        super().__init__(f"{code} {reason}: {message}")
        self.code = code
        self.reason = reason
        self.message = message


@dataclass(frozen=True, slots=True, kw_only=True)
class Identity:
    """How a client proves who it is: by certificate, or else by token."""

    pair: Pair | None = None
    token: str | None = None


class Api:
    """One user's view of one API server."""

    def __init__(self, server: str, *, authority: Path, identity: Identity) -> None:
        """Connect on first use.

        Args:
            server: Base URL.
            authority: PEM file of the CA to trust.
            identity: Who asks.
        """
        self.server = server
        self.authority = authority
        self.identity = identity
        pair = identity.pair
        self._pool = urllib3.PoolManager(
            ca_certs=str(authority),
            cert_file=str(pair.certificate) if pair else None,
            key_file=str(pair.key) if pair else None,
            headers=(
                {"Authorization": f"Bearer {identity.token}"} if identity.token else {}
            ),
            timeout=urllib3.Timeout(30),
            retries=False,
            maxsize=_KEPT,
        )

    def get(self, path: str, **query: str) -> Object:
        """Read an object, or a list with `labelSelector=…` and the like."""
        return self._json("GET", path, query=query)

    def text(self, path: str, **query: str) -> str:
        """Read what is no object: a container's log."""
        return self._text("GET", f"{path}?{urlencode(query)}")

    def exists(self, path: str) -> bool:
        """Whether there is such an object."""
        try:
            self.get(path)
        except ApiError as error:
            if error.code == 404:
                return False
            raise
        return True

    def create(self, path: str, body: Object, **query: str) -> Object:
        """POST an object to a collection; `dryRun="All"` only tries."""
        return self._json("POST", path, body=body, query=query)

    def create_all(self, manifests: str, namespace: str) -> list[Object]:
        """POST every document of a YAML text into a namespace, whichever it names."""
        documents = [one for one in yaml.safe_load_all(manifests) if one]
        for document in documents:
            document["metadata"]["namespace"] = namespace
        return [self.create(collection(one, namespace), one) for one in documents]

    def replace(self, path: str, body: Object) -> Object:
        """PUT an object."""
        return self._json("PUT", path, body=body)

    def patch(self, path: str, body: Object, *, kind: str = _MERGE_PATCH) -> Object:
        """PATCH an object; JSON merge patch unless `kind` names another type."""
        return self._json("PATCH", path, body=body, kind=kind)

    def delete(self, path: str, **query: str) -> None:
        """DELETE an object or a collection; one that is not there is fine."""
        try:
            self._json("DELETE", path, query=query)
        except ApiError as error:
            if error.code != 404:
                raise

    def answers(self, path: str) -> bool:
        """Whether the server answers 200 there: `/readyz` and its kin."""
        try:
            return self._pool.request("GET", self.server + path).status == 200
        except urllib3.exceptions.HTTPError:
            return False

    def metric(self, sample: str, /, **labels: str) -> float:
        """The sum of a metric's samples that carry all of `labels`; 0 without any.

        Args:
            sample: Its name, `_total` and all.
            **labels: Label values to require.
        """
        text = self._text("GET", "/metrics")
        return sum(
            found.value
            for family in text_string_to_metric_families(text)
            for found in family.samples
            if found.name == sample and labels.items() <= found.labels.items()
        )

    def _json(
        self,
        method: str,
        path: str,
        *,
        body: Object | None = None,
        query: Mapping[str, str] | None = None,
        kind: str = "application/json",
    ) -> Object:
        if query:
            path += f"?{urlencode(query)}"
        payload = None if body is None else json.dumps(body).encode()
        answer: Object = json.loads(self._text(method, path, body=payload, kind=kind))
        return answer

    def _text(
        self, method: str, path: str, *, body: bytes | None = None, kind: str = ""
    ) -> str:
        headers = {**self._pool.headers, **({"Content-Type": kind} if body else {})}
        answer = self._pool.request(
            method, self.server + path, body=body, headers=headers
        )
        if answer.status >= 400:
            raise _refusal(answer.status, answer.data)
        return answer.data.decode()


def collection(manifest: Object, namespace: str) -> str:
    """The path of the collection that a namespaced object of a regular kind is in."""
    version, plural = manifest["apiVersion"], manifest["kind"].lower() + "s"
    root = "/apis" if "/" in version else "/api"
    return f"{root}/{version}/namespaces/{namespace}/{plural}"


def write_kubeconfig(path: Path, api: Api) -> Path:
    """Write a kubeconfig that reaches the same server as the same user."""
    pair, token = api.identity.pair, api.identity.token
    user = (
        {"client-certificate": str(pair.certificate), "client-key": str(pair.key)}
        if pair
        else {"token": token}
    )
    cluster = {"server": api.server, "certificate-authority": str(api.authority)}
    config = {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": "lab",
        "clusters": [{"name": "lab", "cluster": cluster}],
        "users": [{"name": "lab", "user": user}],
        "contexts": [{"name": "lab", "context": {"cluster": "lab", "user": "lab"}}],
    }
    path.touch(mode=0o600)
    path.write_text(yaml.safe_dump(config), "utf-8")
    return path


def _refusal(code: int, body: bytes) -> ApiError:
    try:
        status = json.loads(body)
        return ApiError(code, status.get("reason", ""), status.get("message", ""))
    except (ValueError, AttributeError):
        return ApiError(code, "", body[:200].decode("utf-8", "replace"))
