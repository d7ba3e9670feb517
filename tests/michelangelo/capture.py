"""Prints what Michelangelo's own client would create for each flow, as JSON.

Runs in the client's environment, not in the project's. The client transpiles a flow to
Starlark; its files are evaluated here by a Starlark engine, with plugins that record
the object that would be created, and end the run there.
"""

import importlib.abc
import importlib.machinery
import json
import os
import re
import sys
import types
from typing import Any

import starlark

_ABSENT = frozenset({"ray", "pyspark", "pandas", "pyarrow", "numpy"})
"""What the client imports and does not need to build a flow."""

_ATTRIBUTE = re.compile(r"^\s*\w+\.\w+ = .*$", re.MULTILINE)
"""Assigns an attribute, which Michelangelo's own engine allows; flows here use none."""

_BUILTINS = """
def callable_object(function):
    return function
"""
"""What Michelangelo's engine has beside the language."""

_PLUGIN = """
def ignore(*args, **kwargs):
    return None

def constant(*args, **kwargs):
    return "constant"

atexit = struct(register = ignore, unregister = ignore)
cachedoutput = struct(get = ignore, put = ignore, query = ignore)
hashlib = struct(blake2b_hex = constant, sha256_hex = constant)
json = struct(dumps = dumps, loads = loads)
os = struct(environ = dict(ENVIRON))
progress = struct(
    report = ignore,
    task_state_failed = "failed",
    task_state_killed = "killed",
    task_state_pending = "pending",
    task_state_running = "running",
    task_state_skipped = "skipped",
    task_state_succeeded = "succeeded",
)
ray = struct(create_cluster = create_cluster, create_job = create_job)
spark = struct(
    create_job = create_job,
    sensor_job = ignore,
    killed_condition_type = "killed",
    running_condition_type = "running",
    succeeded_condition_type = "succeeded",
)
storage = struct(read = ignore)
time = struct(time = lambda: 0, utc_format_seconds = constant, sleep = ignore)
uuid = struct(uuid4 = lambda: struct(hex = "0" * 32))
workflow = struct(execution_id = "execution", run_id = "run", execution_run_id = "run")
"""


class _Absent(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    """Finds an empty module for each that is absent, whose attributes are classes."""

    def find_spec(self, name: str, path: Any, target: Any = None) -> Any:
        if name.partition(".")[0] in _ABSENT:
            return importlib.machinery.ModuleSpec(name, self, is_package=True)
        return None

    def create_module(self, spec: Any) -> types.ModuleType:
        module = types.ModuleType(spec.name)

        def attribute(name: str) -> type:
            if name.startswith("__"):
                raise AttributeError(name)
            return type(name, (), {})

        module.__getattr__ = attribute  # type: ignore[method-assign]
        return module

    def exec_module(self, module: types.ModuleType) -> None:
        """Leave it empty."""


class _Run:
    """One evaluation of a package's files, up to the first job that is created."""

    def __init__(self, files: dict[str, str], environ: dict[str, str]) -> None:
        self.files = files
        self.environ = environ
        self.created: list[Any] = []
        self._ended = False
        self._modules: dict[str, Any] = {}

    def module(self, path: str, base: str) -> Any:
        """Evaluate a file, once."""
        path = (
            path
            if path == "@plugin"
            else os.path.normpath(os.path.join(os.path.dirname(base), path))
        )
        if path not in self._modules:
            text = _PLUGIN
            if path != "@plugin":
                text = _ATTRIBUTE.sub("", self.files[path])
            self._modules[path] = self._evaluate(path, text).freeze()
        return self._modules[path]

    def call(self, path: str, function: str) -> list[Any]:
        """Call a function of a file; return what it would create."""
        self._evaluate(path, f"{self.files[path]}\n{function}()\n")
        return self.created

    def _evaluate(self, path: str, text: str) -> Any:
        module = starlark.Module()
        module["ENVIRON"] = self.environ
        for name, function in self._functions().items():
            module.add_callable(name, function)
        extensions = [starlark.LibraryExtension.StructType]
        globals_ = starlark.Globals.extended_by(extensions)
        dialect = starlark.Dialect.extended()
        loader = starlark.FileLoader(lambda name: self.module(name, path))
        try:
            ast = starlark.parse(path, text + _BUILTINS, dialect)
            starlark.eval(module, ast, globals_, loader)
        except starlark.StarlarkError:
            if not self._ended:
                raise
        return module

    def _functions(self) -> dict[str, Any]:
        def create_cluster(spec: Any, **_: Any) -> Any:
            self.created.append(spec)
            named = {**spec["metadata"], "name": "uf-ray-1"}
            answer = {**spec, "metadata": named, "status": {}}
            return {"rayCluster": answer, "activityId": "activity"}

        def create_job(spec: Any, **_: Any) -> None:
            self.created.append(spec)
            self._ended = True
            raise _StopError

        return {
            "create_cluster": create_cluster,
            "create_job": create_job,
            "print": lambda *_, **__: None,
            "dumps": json.dumps,
            "loads": json.loads,
        }


class _StopError(Exception):
    """Ends an evaluation: what follows waits for a cluster."""


def main() -> None:
    """Print every flow's objects."""
    sys.meta_path.insert(0, _Absent())
    sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
    import flows
    from michelangelo.uniflow.core.build import build

    environ = json.loads(sys.argv[1])
    result = {}
    for name in ("check", "train", "spark", "scala"):
        built = build(getattr(flows, name)).files
        files = {path: content.decode() for path, content in built.items()}
        meta = json.loads(files.pop("meta.json"))
        run = _Run(files, environ)
        result[name] = run.call(meta["main_file"], meta["main_function"])
    json.dump(result, sys.stdout, indent=2)


if __name__ == "__main__":
    main()
