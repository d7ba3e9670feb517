"""Malformed input with a canary in it, for every kind of thing that a command reads.

The canary stands where values stand: of keys, variables, credentials and URIs.
"""

import base64
import random
from collections.abc import Iterator
from typing import Final

CANARY: Final = "QZJ7XVK9WPFB4HYG"
PIECE: Final = 4
"""Characters: what is found of it by chance is shorter."""
_ENCODED: Final = base64.b64encode(CANARY.encode()).decode()
_AS_YAML: Final = (
    "{c}", "!{c}", "!!{c}", "!<{c}>", "!x!{c}", "*{c}", "&{c} &b x", "[{c}", "{{{c}: ",
    "'{c}", '"{c}', "@{c}", "`{c}", "%{c}", "? {c}", "{{[{c}]: x}}", "!!int {c}",
    "!!binary {c}=!", "!!timestamp {c}", "!!float {c}", "!!bool {c}", "!!set {c}",
    "!!python/name:{c}", "x: {c}", "|{c}", ">{c}", "- {c}", "{c}: {c}: {c}", "\t{c}",
    "{c}\0", "[[{c}], {{a: {c}}}]", "{{a: {c}}}", "#{c}", "{c} #{c}", "'{c}''", "~{c}",
    "<<: {c}", "*{c} {c}", '"\\x{c}"', '"\\u{c}"', "---{c}", "...{c}",
)  # fmt: skip
"""What a value may look like to a reader of YAML."""
_URIS: Final = (
    "https://u:{c}@t.example", "https://{c}@t.example", "https://u:{c}#@t.example",
    "https://u:{c}?@t.example", "https://u:a/{c}@t.example", "https://t.example/{c}",
    "https://t.example?{c}", "https://t.example#{c}", "https://t.example:{c}",
    "https://u:{c}@[::1", "https://u:{c}@t.example:99999", "https:/u:{c}@t.example",
    "u:{c}@t.example", "//u:{c}@t.example", "postgresql://u:{c}@a,b:5/x",
    "postgresql://u:{c}@/x?host=/tmp", "mysql+pymysql://u:{c}@h:x/y", "{c}://t.example",
    "databricks://{c}@x:y", "sqlite:///{c}", "file://{c}", "'https://u:{c}@t.example'",
    "\ufeffhttps://u:{c}@t.example", "https://u:{c}@t..example", "https://u:{c}@-.x",
    "https://u:{c}@t.example\\n", "http://user:{c}@xn--a.b:1", "azureml://{c}.x/{c}",
    "https://u%3A{c}%40t.example", "https://u:{c}@1.2.3.4.5", "ftp://u:{c}@t.example",
)  # fmt: skip
_SOURCES: Final = (
    "kind: Secret\nmetadata: {{name: a}}\nstringData:\n  TRACKING_URI: {v}\n",
    "kind: Secret\nmetadata: {{name: a}}\ndata:\n  TRACKING_URI: {v}\n",
    "kind: ConfigMap\nmetadata: {{name: a}}\ndata:\n  MLFLOW_TRACKING_URI: {v}\n",
    "kind: ConfigMap\nmetadata: {{name: a}}\nbinaryData:\n  K: {v}\n",
    "kind: Secret\nmetadata: {{name: a}}\nstringData: {v}\n",
    "kind: Secret\nmetadata: {v}\nstringData: {{A: {c}}}\n",
    "kind: SecretList\nitems: [{{metadata: {{name: a}}, stringData: {{A: {v}}}}}]\n",
    "kind: Secret\nmetadata: {{name: a}}\nstringData: {{HTTPS_PROXY: {v}}}\n",
)
_PODS: Final = (
    "kind: Pod\nmetadata: {{name: p, labels: {{ray.io/node-type: head}}}}\n"
    "spec:\n  containers:\n  - name: ray-head\n    env:\n    - name: A\n"
    "      value: {v}\n",
    "kind: Pod\nmetadata: {{name: p, labels: {{spark-role: driver}}}}\n"
    "spec: {{containers: [{{name: a, env: [{{name: A, value: {v}}}]}}]}}\n",
    "kind: Pod\nmetadata: {{name: p}}\n"
    "spec: {{containers: [{{name: a, env: {v}, envFrom: {v}}}]}}\n",
    "apiVersion: ray.io/v1\nkind: RayCluster\nmetadata: {{name: r}}\nspec: "
    "{{headGroupSpec: {{template: {{spec: {{containers: [{{name: h, env: "
    "[{{name: A, value: {v}}}]}}]}}}}}}}}\n",
    "apiVersion: sparkoperator.k8s.io/v1beta2\nkind: SparkApplication\nmetadata: "
    "{{name: s}}\nspec: {{driver: {{env: [{{name: A, value: {v}}}]}}}}\n",
    'apiVersion: v1\nkind: Pod\nmetadata: {{name: p, annotations: {{a: "{c}"}}}}\n'
    "spec: {v}\n",
)
_CONFIGS: Final = (
    "users: [{{name: lab, user: {{token: {v}}}}}]",
    "users: [{{name: lab, user: {{client-key-data: {v}}}}}]",
    "users: [{{name: lab, user: {{client-certificate-data: {e}, "
    "client-key-data: {e}}}}}]",
    "users: [{{name: lab, user: {{username: a, password: {v}}}}}]",
    "users: [{{name: other, user: {{token: {v}}}}}]",
    "users: {{name: lab, user: {{token: {v}}}}}",
    "users: [{{name: lab, user: [{v}]}}]",
    "users: [{{name: lab, user: {{auth-provider: {{name: oidc, "
    "config: {{id-token: {v}}}}}}}}}]",
    "users: [{{name: lab, user: {{exec: {{command: /nonexistent, apiVersion: "
    "client.authentication.k8s.io/v1, env: [{{name: T, value: {v}}}]}}}}}}]",
    "users: [{{name: lab, user: {{tokenFile: /nonexistent, token: {v}}}}}]",
)


_LEAKED: Final = (
    (_CONFIGS, 0, '"{c}\\n"'),
    (_CONFIGS, 9, '"https://u:{c}@t.example\\n"'),
    (_SOURCES, 0, "!!bool {c}"),
    (_SOURCES, 4, "!!bool {c}"),
    (_SOURCES, 6, "!{c}"),
    (_PODS, 2, "!!bool {c}"),
)
"""What was once repeated in an error: the shapes, which of them, and the value."""


def _values() -> Iterator[str]:
    for shape in _AS_YAML:
        yield shape.format(c=CANARY)
    for uri in _URIS:
        yield '"' + uri.format(c=CANARY) + '"'
    yield _ENCODED
    yield _ENCODED[:-1] + "*"


def _of(shapes: tuple[str, ...]) -> Iterator[bytes]:
    """Every value in some shape, and each shape broken at places of chance."""
    for those, index, value in _LEAKED:
        if those[index] in shapes:
            given = value.format(c=CANARY)
            yield those[index].format(v=given, c=CANARY, e=_ENCODED).encode()
    chance = random.Random(13)  # noqa: S311 - the same ones each time
    for number, value in enumerate(_values()):
        shape = shapes[number % len(shapes)]
        yield shape.format(v=value, c=CANARY, e=_ENCODED).encode()
    for number in range(60):
        text = shapes[number % len(shapes)].format(v=CANARY, c=CANARY, e=_ENCODED)
        data = bytearray(text.encode())
        place = chance.randrange(len(data))
        match chance.randrange(4):
            case 0:
                del data[place:]
            case 1:
                data[place : place + 1] = chance.choice(
                    [b"\xff", b"\0", b"\t", b":", b"'", b'"', b"{", b"]", b"\n", b"&"]
                )
            case 2:
                data = data.replace(b": ", b":", 1 + place % 5)
            case _:
                data = bytearray(data.decode().encode("utf-16"))
        yield bytes(data)


def sources() -> list[bytes]:
    """Secrets and ConfigMaps."""
    return list(_of(_SOURCES))


def manifests() -> list[bytes]:
    """Pods, what makes pods, and sources among manifests."""
    return list(_of((*_PODS, *_SOURCES[:3])))


def uris() -> list[str]:
    """Values of an option that names servers."""
    shapes = [uri.format(c=CANARY) for uri in _URIS]
    return (
        [*shapes, *(f"mlflow.example.org={uri}" for uri in shapes)]
        + [f"{{{uri}" for uri in shapes]
        + [f'{{"storage": ["{uri}"]}}' for uri in shapes]
    )


def kubeconfig(server: str, users: bytes = b"users: [{name: lab}]") -> bytes:
    """Access to a server."""
    head = (
        "apiVersion: v1\nkind: Config\ncurrent-context: lab\n"
        "contexts: [{name: lab, context: {cluster: lab, user: lab}}]\n"
        f"clusters: [{{name: lab, cluster: {{server: {server}}}}}]\n"
    )
    return head.encode() + users


def kubeconfigs(server: str) -> list[bytes]:
    """The same, with what is wrong about the credential."""
    return [kubeconfig(server, users) for users in _of(_CONFIGS)]


def answers() -> list[bytes]:
    """What a server says that is no list of objects, or one of odd objects."""
    secret = f'{{"metadata": {{"name": "a"}}, "data": {{"A": "{CANARY}"}}}}'
    shapes = [
        CANARY,
        f'"{CANARY}"',
        f'{{"items": ["{CANARY}"]}}',
        f'{{"items": [{secret}]}}',
        f'{{"items": [{secret}',
        f'{{"items": {secret}}}',
        f'{{"metadata": "{CANARY}"}}',
        f'{{"metadata": {{"resourceVersion": "1"}}, "items": [{secret}, {secret}]}}',
        f'{{"kind": "Status", "details": {{"a": "{CANARY}"}}, "code": 500}}',
        f'{{"data": {{"status.json": "{CANARY}"}}, "metadata": {{"name": "x"}}}}',
        f'{{"data": {{"status.json": "{{\\"namespaces\\": \\"{CANARY}\\"}}"}}}}',
        f'{{"data": {{"tls.crt": "{CANARY}", "tls.key": "{CANARY}"}}}}',
        f'[{{"a": "{CANARY}"}}]',
        f"<html>{CANARY}</html>",
        f'{{"{CANARY}": 1}}',
        f'{{"webhooks": [{{"name": 1, "clientConfig": "{CANARY}"}}]}}',
        f'{{"groups": [{{"name": ["{CANARY}"]}}]}}',
    ]
    return [one.encode() for one in shapes]


def pieces(text: str) -> list[str]:
    """Pieces of the canary, or of its base64, that are in a text, in any case."""
    low = text.lower()
    found = []
    for whole in (CANARY, _ENCODED.rstrip("=")):
        for start in range(len(whole) - PIECE + 1):
            piece = whole[start : start + PIECE].lower()
            if piece in low:
                found.append(piece)
    return found
