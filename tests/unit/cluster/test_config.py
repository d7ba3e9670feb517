"""Connecting by kubeconfig: which context, and a sentence when there is none."""

from pathlib import Path
from typing import Any

import pytest
import yaml

from webhook.cluster.config import ClusterConnection, NoAccessError, load_kubeconfig


def kubeconfig(folder: Path, **more: Any) -> Path:
    """Write a kubeconfig with two contexts and without a current one."""
    contexts = [
        {"name": name, "context": {"cluster": name, "user": "me"} | context}
        for name, context in {"a": {"namespace": "team-a"}, "b": {}}.items()
    ]
    clusters = [
        {"name": name, "cluster": {"server": f"http://127.0.0.1:{port}"}}
        for name, port in {"a": 1, "b": 2}.items()
    ]
    config = {
        "apiVersion": "v1",
        "kind": "Config",
        "contexts": contexts,
        "clusters": clusters,
        "users": [{"name": "me", "user": {"token": "canary"}}],
    }
    path = folder / "config"
    path.write_text(yaml.safe_dump(config | more))
    return path


def load(path: Path, context: str | None = None) -> ClusterConnection:
    """Connect as the command line does."""
    return load_kubeconfig(manager="test", path=path, context=context)


def server_of(connection: ClusterConnection) -> str:
    """Where the connection leads."""
    host: str = connection.resources._client.configuration.host
    return host


@pytest.mark.parametrize("current", [{}, {"current-context": "gone"}])
def test_a_named_context_needs_no_current_one(
    tmp_path: Path, current: dict[str, str]
) -> None:
    """As with kubectl: `--context` says which."""
    path = kubeconfig(tmp_path, **current)
    for context, namespace, port in (("a", "team-a", 1), ("b", "default", 2)):
        connection = load(path, context)
        assert connection.namespace == namespace
        assert server_of(connection) == f"http://127.0.0.1:{port}"


def test_the_current_context_is_the_default(tmp_path: Path) -> None:
    """And a named one goes before it."""
    path = kubeconfig(tmp_path, **{"current-context": "a"})

    assert load(path).namespace == "team-a"
    assert load(path, "b").namespace == "default"
    assert server_of(load(path, "b")) == "http://127.0.0.1:2"


@pytest.mark.parametrize(
    ("more", "context", "said"),
    [
        ({}, None, "current-context"),
        ({"current-context": "gone"}, None, "gone"),
        ({"current-context": "a"}, "gone", "gone"),
        ({"contexts": []}, "a", "a"),
        ({"clusters": []}, "a", "a"),
        ({"contexts": [{"name": "a", "token": "canary"}]}, "a", "context"),
        ({"users": [{"name": "me", "token": "canary"}]}, "a", "user"),
    ],
)
def test_what_is_missing_is_a_sentence(
    tmp_path: Path, more: dict[str, Any], context: str | None, said: str
) -> None:
    """Which names it, and no credential."""
    with pytest.raises(NoAccessError, match=said) as caught:
        load(kubeconfig(tmp_path, **more), context)

    assert "canary" not in str(caught.value)


@pytest.mark.parametrize(
    "text", [None, "", "{}", "[]", "x", "a: !canary 1", "contexts: 7"]
)
def test_a_file_that_is_no_kubeconfig_is_a_sentence(
    tmp_path: Path, text: str | None
) -> None:
    """Missing, empty, or something else."""
    path = tmp_path / "config"
    if text is not None:
        path.write_text(text)
    with pytest.raises(NoAccessError, match="kubeconfig") as caught:
        load(path)
    assert "canary" not in str(caught.value)
