"""Reads the Secrets and ConfigMaps that a person gives to `explain`.

Their values stay inside `Sources`, whose repr hides them; an error names a key at
most.
"""

import base64
import binascii
from collections.abc import Iterator, Mapping
from typing import IO

from webhook.cli.fields import Node
from webhook.cli.manifests import read
from webhook.injection.environment import Sources
from webhook.injection.names import MIRROR_SECRET

_Files = tuple[IO[bytes], ...]


def given_sources(secrets: _Files, config_maps: _Files, tracking: _Files) -> Sources:
    """Read what is known of the objects that a pod refers to.

    Args:
        secrets: Manifests of Secrets of the pod's namespace.
        config_maps: Manifests of its ConfigMaps.
        tracking: Manifests of the central Secrets and ConfigMaps; merged in their
            order, as the mirror would be.

    Returns:
        The content by name. The mirror is known if a central source was given, or a
        Secret of the mirror's own name.

    Raises:
        BadInputError: A file holds something else.
    """
    known = dict(_objects(secrets, "Secret"))
    mirror: dict[str, str] = {}
    for _, data in _objects(tracking, "Secret", "ConfigMap"):
        mirror |= data
    if tracking:
        known[MIRROR_SECRET] = mirror
    return Sources(secrets=known, config_maps=dict(_objects(config_maps, "ConfigMap")))


def _objects(files: _Files, *kinds: str) -> Iterator[tuple[str, Mapping[str, str]]]:
    for file in files:
        for document in read(file):
            root = document.root
            listed = root.at("kind").text() == "List"
            for node in root.at("items").items() if listed else [root]:
                kind = node.at("kind")
                if kind.text() not in kinds:
                    raise kind.error(f"is not {' or '.join(kinds)}")
                name = node.at("metadata").at("name")
                if not name.text():
                    raise name.error("is missing")
                yield name.text(), _content(node)


def _content(node: Node) -> Mapping[str, str]:
    data = node.at("data")
    if node.at("kind").text() == "ConfigMap":
        return data.texts()
    decoded = {key: _decoded(data.at(key)) for key in data.texts()}
    # The API server lets stringData win over data of the same key.
    return decoded | node.at("stringData").texts()


def _decoded(value: Node) -> str:
    try:
        plain = base64.b64decode("".join(value.text().split()), validate=True)
    except binascii.Error:
        raise value.error("is not base64") from None
    return plain.decode("utf-8", "backslashreplace")
