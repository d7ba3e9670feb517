"""What the documentation tells people to type who have the product, and tasks."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.documentation import INSTALLED, Walk
from tests.e2e.pages import KEY, bring_images, follow, install, remove
from tests.lab.node import Node
from tests.lab.operators import KubeRay


@dataclass(frozen=True, slots=True)
class Reader:
    """Somebody who has followed the installation.

    Attributes:
        cluster: Where.
        placeholders: What stands for the placeholders of pages.
    """

    cluster: Node
    placeholders: dict[str, str]


@pytest.fixture(scope="module")
def reader(node: Node, kuberay: KubeRay) -> Iterator[Reader]:
    """One for all pages: none of them may hinder another, in whatever order."""
    bring_images(node)
    yield Reader(node, install(node))
    remove(node)


@pytest.mark.parametrize("walk", INSTALLED, ids=str)
def test_a_page_about_an_installation(
    reader: Reader, walk: Walk, tmp_path: Path
) -> None:
    """With a task in a labeled namespace; no key is ever printed."""
    printed = follow(walk, reader.cluster, tmp_path, reader.placeholders)

    assert KEY not in printed
