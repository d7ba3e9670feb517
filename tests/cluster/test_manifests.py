"""Manifests hold for us what they hold for kubectl, object by object."""

import io
import json
from collections.abc import Callable

import pytest

from tests.lab.control_plane import ControlPlane
from tests.lab.tools import LabError
from webhook.cli.document import BadInputError
from webhook.cli.manifests import objects, read

FIELDS = "{.apiVersion}|{.kind}|{.metadata.namespace}|{.metadata.name}"
FOREIGN = "crd.antrea.io/v1beta1"
CORE = "apiVersion: v1, kind: Secret"
POLICY = "apiVersion: networking.k8s.io/v1, kind: NetworkPolicy"

READ = {
    "one": f"{{{CORE}, metadata: {{name: a, namespace: t}}}}",
    "NetworkPolicyList": (
        f"{{{POLICY}List, items: [{{metadata: {{name: a, namespace: t}}}},"
        " {metadata: {name: b}, spec: {podSelector: {}}}]}"
    ),
    "SecretList": (
        f"{{{CORE}List, items: [{{metadata: {{name: a}}}},"
        f" {{{CORE}, metadata: {{name: b}}}}]}}"
    ),
    "PodList": (
        "{apiVersion: v1, kind: PodList, items: [{metadata: {name: a}, spec:"
        " {containers: [{name: a, image: b}]}}]}"
    ),
    "another kind in a typed list": (
        f"{{{CORE}List, items: [{{apiVersion: v1, kind: ConfigMap,"
        " metadata: {name: a}}]}"
    ),
    "List": (
        f"{{apiVersion: v1, kind: List, items: [{{{CORE}, metadata: {{name: a}}}},"
        f" {{{POLICY}, metadata: {{name: b, namespace: t}}}}]}}"
    ),
    "List without a version": (
        f"{{kind: List, items: [{{{CORE}, metadata: {{name: a}}}}]}}"
    ),
    "items: null": "{apiVersion: v1, kind: List, items: null}",
    "items: null, typed": f"{{{CORE}List, items: null}}",
    "no item": "{apiVersion: v1, kind: List, items: []}",
    "no items": "{apiVersion: v1, kind: List}",
    "no items, typed": f"{{{CORE}List}}",
    "metadata: null": f"{{{CORE}, metadata: null}}",
    "no metadata": f"{{{CORE}}}",
    "generateName": f"{{{CORE}, metadata: {{generateName: a-}}}}",
    "no version": "{kind: Secret, metadata: {name: a}}",
    "documents": (
        "---\napiVersion: v1\nkind: Secret\nmetadata: {name: a}\n---\n---\n# none\n"
        "---\nnull\n--- # next\napiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: b\n"
    ),
    "JSON": '{"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "a"}}',
    "JSON twice": (
        '{"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "a"}}\n'
        '{"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "b"}}'
    ),
    "JSON, then YAML": (
        '{"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "a"}}\n---\n'
        "apiVersion: v1\nkind: Secret\nmetadata: {name: b}\n"
    ),
    "another group": (
        f"{{apiVersion: {FOREIGN}, kind: NetworkPolicy, metadata: {{name: a}}}}"
    ),
    "another group's list": (
        f"{{apiVersion: {FOREIGN}, kind: NetworkPolicyList,"
        " items: [{metadata: {name: a, namespace: t}}]}"
    ),
    "two groups": (
        f"{{apiVersion: v1, kind: List, items: [{{apiVersion: {FOREIGN}, kind:"
        f" NetworkPolicy, metadata: {{name: a}}}}, {{{POLICY}, metadata: {{name: a}}}}"
        "]}"
    ),
    "an alias": (
        f"{{apiVersion: v1, kind: List, items: [&a {{{CORE}, metadata: {{name: a}}}},"
        " *a]}"
    ),
    "not base 60": f"{{{CORE}, metadata: {{name: 12:30}}}}",
    "a key twice": f"{{{CORE}, kind: ConfigMap, metadata: {{name: a}}}}",
    "a byte order mark": f"\ufeff{{{CORE}, metadata: {{name: a}}}}",
}
REFUSED = {
    "nothing": ("", "holds no document"),
    "a comment": ("# none\n", "holds no document"),
    "empty documents": ("---\n---\nnull\n", "holds no document"),
    "no kind": ("{apiVersion: v1, metadata: {name: a}}", "document 1: kind is missing"),
    "no kind, later": (
        f"{{{CORE}, metadata: {{name: a}}}}\n---\n{{apiVersion: v1}}",
        "document 2: kind is missing",
    ),
    "an item without a kind": (
        "{apiVersion: v1, kind: List, items: [{metadata: {name: a}}]}",
        "document 1: items[0].kind is missing",
    ),
    "an item that is null": (
        f"{{apiVersion: v1, kind: List, items: [{{{CORE}}}, null]}}",
        "document 1: items[1] is missing",
    ),
    "an item that is text": (
        "{apiVersion: v1, kind: List, items: [a]}",
        "document 1: items[0] is not a map",
    ),
    "items that are text": (
        "{apiVersion: v1, kind: List, items: a}",
        "document 1: items is not a list",
    ),
    "text": ("a", "document 1: it is not a map"),
    "a bare list": (f"[{{{CORE}}}]", "document 1: it is not a map"),
    "a number for a name": (
        f"{{{CORE}, metadata: {{name: 1e3}}}}",
        "document 1: metadata.name is not a string",
    ),
}
NESTED = {
    f"a {kind}": (
        f"{{apiVersion: v1, kind: List, items: [{{apiVersion: v1, kind: {kind},"
        f" items: [{{{CORE}, metadata: {{name: a}}}}]}}]}}"
    )
    for kind in ("List", "SecretList")
}


def ours(text: str) -> list[str]:
    """What we find, in order."""
    found = []
    for document in read(io.BytesIO(text.encode())):
        for one in objects(document):
            api = f"{one.group}/{one.version}" if one.group else one.version
            meta = one.field.at("metadata").or_empty()
            words = (meta.at(key).text() for key in ("namespace", "name"))
            found.append("|".join((api, one.kind, *words)))
    return found


@pytest.fixture(name="theirs", scope="module")
def _theirs(own_plane: ControlPlane) -> Callable[[str], list[str]]:
    """What kubectl finds, in order, at a server that has the other group, too."""
    own_plane.kubectl("apply", "-f", "-", stdin=json.dumps(foreign_policies()))
    definition = f"crd/networkpolicies.{FOREIGN.partition('/')[0]}"
    wait = ("wait", "--for=condition=Established", "--timeout=60s", definition)
    own_plane.kubectl(*wait)

    def find(text: str) -> list[str]:
        words = ["create", "--dry-run=client", "--validate=false", "-f", "-"]
        output = f"jsonpath={FIELDS}{{'\\n'}}"
        try:
            printed = own_plane.kubectl(*words, "-o", output, stdin=text)
        except LabError as error:
            if "no objects passed" in str(error) and "items" in text:
                return []  # a list of nothing is no fault
            raise
        # The namespace of its context is kubectl's addition.
        return printed.replace("|default|", "||").splitlines()

    return find


def foreign_policies() -> dict[str, object]:
    """Another group's kind of the same name."""
    group, _, version = FOREIGN.partition("/")
    schema = {"type": "object", "x-kubernetes-preserve-unknown-fields": True}
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": f"networkpolicies.{group}"},
        "spec": {
            "group": group,
            "scope": "Namespaced",
            "names": {"kind": "NetworkPolicy", "plural": "networkpolicies"},
            "versions": [
                {
                    "name": version,
                    "served": True,
                    "storage": True,
                    "schema": {"openAPIV3Schema": schema},
                }
            ],
        },
    }


@pytest.mark.parametrize("text", READ.values(), ids=READ)
def test_the_same_objects_are_found(
    theirs: Callable[[str], list[str]], text: str
) -> None:
    """By group, version, kind, namespace and name, in the same order."""
    assert theirs(text) == ours(text)


@pytest.mark.parametrize(("text", "named"), REFUSED.values(), ids=REFUSED)
def test_what_kubectl_refuses_is_named(
    theirs: Callable[[str], list[str]], text: str, named: str
) -> None:
    """By its document and field, which kubectl does not tell."""
    with pytest.raises(LabError):
        theirs(text)
    with pytest.raises(BadInputError) as error:
        ours(text)

    assert named in str(error.value)


@pytest.mark.parametrize("text", NESTED.values(), ids=NESTED)
def test_lists_in_lists_are_read_although_kubectl_refuses_them(
    theirs: Callable[[str], list[str]], text: str
) -> None:
    """The one difference: joined dumps hold such lists, and what they mean is plain."""
    with pytest.raises(LabError, match="is not a list"):
        theirs(text)
    assert ours(text) == ["v1|Secret||a"]
