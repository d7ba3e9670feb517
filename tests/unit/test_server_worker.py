"""The worker stands on gunicorn's public parts."""

import ast
from pathlib import Path

from gunicorn.workers.base import Worker

from webhook import server
from webhook.server.worker import AdmissionWorker

MODULES = sorted(Path(server.__path__[0]).glob("*.py"))


def test_nothing_private_of_gunicorn_is_overridden() -> None:
    """A name that begins with an underscore may change with any release."""
    ours = [name for name in vars(AdmissionWorker) if not name.startswith("__")]

    private = [name for name in ours if name.startswith("_")]
    assert private
    assert [] == [name for name in private if hasattr(Worker, name)]


def test_nothing_private_of_gunicorn_is_imported() -> None:
    """Neither a module nor a name."""
    found = [
        (module.name, name)
        for module in MODULES
        for node in ast.walk(ast.parse(module.read_text(encoding="utf-8")))
        if isinstance(node, ast.ImportFrom)
        and (node.module or "").startswith("gunicorn")
        for name in [*(node.module or "").split("."), *(one.name for one in node.names)]
    ]

    assert found
    assert [] == [one for one in found if one[1].startswith("_")]


def test_every_attribute_that_is_used_of_gunicorns_worker_is_public() -> None:
    """Its settings, log, sockets and pipe, its heartbeat and its parent's id."""
    tree = ast.parse((MODULES[0].parent / "worker.py").read_text(encoding="utf-8"))
    used = {
        node.attr
        for node in ast.walk(tree)
        if isinstance(node, ast.Attribute)
        and isinstance(node.value, ast.Name)
        and node.value.id == "self"
    }
    inherited = used - set(vars(AdmissionWorker))

    public = {"alive", "app", "cfg", "log", "notify", "PIPE", "ppid", "sockets", "wsgi"}
    ours = {"handler", "_crowd", "_listeners", "_loop", "_next_tick", "_renderer"}
    assert inherited == public | ours
