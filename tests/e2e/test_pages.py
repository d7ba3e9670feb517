"""What the documentation tells people to type before and after they have the product.

Each page is followed in its order, on a cluster without the product.
"""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.documentation import FROM_NOTHING, INSTALL, TUTORIAL, UNINSTALLED, Walk
from tests.e2e.pages import bring_images, follow, install, remove
from tests.lab.node import Node
from tests.lab.operators import KubeRay
from webhook.injection.names import INJECT_ENABLED, INJECT_LABEL


@pytest.fixture
def cluster(node: Node) -> Iterator[Node]:
    """A cluster without the product, before and after."""
    bring_images(node)
    yield node
    remove(node)


def test_the_tutorial(cluster: Node, kuberay: KubeRay, tmp_path: Path) -> None:
    """From nothing to a run that MLflow has recorded, and back to nothing."""
    printed = follow(Walk(page=TUTORIAL), cluster, tmp_path, {})

    assert "http://mlflow.mlflow.svc.cluster.local:5000\n" in printed
    assert '"name": "first-run"' in printed
    assert "loss 0.5" in printed


@pytest.mark.parametrize("walk", FROM_NOTHING, ids=str)
def test_a_page_for_who_has_nothing_yet(
    cluster: Node, walk: Walk, tmp_path: Path
) -> None:
    """But the namespaces that it takes for granted; the product's own test passes."""
    for name in walk.namespaces:
        labels = {INJECT_LABEL: INJECT_ENABLED} if walk.page == INSTALL else {}
        cluster.plane.namespace(name, labels)

    printed = follow(walk, cluster, tmp_path, {})

    assert ("Phase:          Succeeded" in printed) == (walk.page == INSTALL)


@pytest.mark.parametrize("walk", UNINSTALLED, ids=str)
def test_a_way_to_be_rid_of_it(
    cluster: Node, kuberay: KubeRay, walk: Walk, tmp_path: Path
) -> None:
    """From an installation whose tasks run."""
    follow(walk, cluster, tmp_path, install(cluster))
