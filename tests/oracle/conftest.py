"""The oracles, started once."""

import os
from collections.abc import Iterator

import pytest

from tests.lab.build import Toolbox
from tests.oracle import judges, programs
from tests.oracle.judges import Judge


@pytest.fixture(scope="session")
def toolbox() -> Toolbox:
    """Where built programs are kept."""
    return Toolbox.from_environment(os.environ)  # noqa: TID251 - the tests' own


@pytest.fixture(scope="session")
def engine(toolbox: Toolbox) -> Iterator[Judge]:
    """kube-network-policies."""
    with judges.engine(programs.engine(toolbox), toolbox.environ) as judge:
        yield judge


@pytest.fixture(scope="session")
def analyzer(toolbox: Toolbox) -> Iterator[Judge]:
    """network-config-analyzer."""
    with judges.analyzer(programs.analyzer(toolbox), toolbox.environ) as judge:
        yield judge
