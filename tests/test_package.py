"""What `import skate` costs and does, and what the package exports."""

from __future__ import annotations

import ast
import importlib
import importlib.metadata
import inspect
import json
import math
import pkgutil
import re
import types
import typing
from pathlib import Path

import pytest

import skate
from tests.support import REPO, run_code

_BUDGET = 0.100
"""Seconds that `import skate` may take in a fresh interpreter."""

_HEAVY = {
    *("numpy", "pandas", "pyarrow", "scipy", "torch"),
    *("dask", "distributed", "tornado", "ray", "joblib"),
    *("asyncio", "concurrent.futures.process", "multiprocessing.pool", "multiprocessing.managers"),
    *("ssl", "http.client", "http.server", "urllib.request", "email"),
    *("uvicorn", "starlette", "fastapi", "grpc", "aiohttp"),
    *("greenlet", "pydoc", "unittest", "sqlite3", "xml", "curses"),
}
"""Modules that `import skate` leaves unloaded: whoever needs one pays for it then."""

_INTERNAL = ("skate.core", "skate.engine")


def _public_modules() -> list[str]:
    found = [module.name for module in pkgutil.walk_packages(skate.__path__, "skate.")]
    return ["skate", *(name for name in found if "._" not in name and not name.startswith(_INTERNAL))]


def _exports(module: types.ModuleType) -> set[str]:
    """The public names of a module: what it defines and, if it is a package, what it gathers from Skate."""
    package = hasattr(module, "__path__")
    homes = "skate" if package else module.__name__
    borrowed = set() if package else _imported(module)

    def exported(name: str) -> bool:
        value = getattr(module, name)
        if name.startswith("_") or isinstance(value, types.ModuleType):
            return False
        home = getattr(value, "__module__", None)
        if home is None:  # a constant: anything but what typing offers, or another module defines
            return name not in borrowed and value is not getattr(typing, name, None)
        return bool(home == homes or home.startswith(f"{homes}."))

    return {name for name in dir(module) if exported(name)}


def _imported(module: types.ModuleType) -> set[str]:
    """The names that a module has from others."""
    nodes = ast.walk(ast.parse(inspect.getsource(module)))
    return {
        alias.asname or alias.name
        for node in nodes
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
    }


def test_import_loads_nothing_heavy() -> None:
    loaded = json.loads(run_code("import skate, sys, json; print(json.dumps(sorted(sys.modules)))"))
    assert not _HEAVY & set(loaded)


def test_import_is_quick(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # Compiled, as an installed package is: where bytecode is not written, each import would compile anew.
    monkeypatch.delenv("PYTHONDONTWRITEBYTECODE", raising=False)
    monkeypatch.setenv("PYTHONPYCACHEPREFIX", str(tmp_path))
    measure = "import time; t = time.perf_counter(); import skate; print(time.perf_counter() - t)"
    times: list[float] = []
    while (
        len(times) < 20 and min(times, default=math.inf) >= _BUDGET
    ):  # other work on the machine costs time too
        times.append(float(run_code(measure)))
    assert min(times) < _BUDGET, f"`import skate` took {[f'{t * 1e3:.0f} ms' for t in times]}"


def test_import_has_no_side_effects() -> None:
    look = """
import json, os, signal, sys, threading
def look():
    return {
        "threads": threading.active_count(),
        "descriptors": sorted(os.listdir("/dev/fd")),
        "environment": dict(os.environ),
        "handlers": [repr(signal.getsignal(number)) for number in sorted(signal.valid_signals())],
        "path": list(sys.path),
        "hooks": [repr(sys.excepthook), repr(threading.excepthook), repr(sys.unraisablehook)],
        "directory": os.getcwd(),
    }
before = look()
import skate
after = look()
try:
    children = bool(os.waitpid(-1, os.WNOHANG))
except ChildProcessError:
    children = False
print(json.dumps([before, after, children]))
"""
    before, after, children = json.loads(run_code(look))
    assert after == before
    assert not children


@pytest.mark.parametrize("name", _public_modules())
def test_all_is_what_is_exported(name: str) -> None:
    module = importlib.import_module(name)
    assert hasattr(module, "__all__"), f"{name} needs an __all__, or an underscore before its name"
    # getattr also loads what is loaded on first use, which dir() shows only then.
    declared = [each for each in module.__all__ if not isinstance(getattr(module, each), types.ModuleType)]
    assert len(declared) == len(set(declared)), "a name stands twice in __all__"
    missing = _exports(module) - set(declared)
    assert not missing, (
        f"{name} exports {sorted(missing)}: put them into __all__, or begin them with an underscore"
    )
    hidden = {each for each in declared if each.startswith("_") and not each.startswith("__")}
    assert not hidden, f"{name}.__all__ has private names"


@pytest.mark.parametrize("name", _public_modules())
def test_every_public_module_says_what_it_is_for(name: str) -> None:
    assert (importlib.import_module(name).__doc__ or "").strip()


def test_the_version_is_the_same_everywhere() -> None:
    assert importlib.metadata.version("skate") == skate.__version__
    newest = re.search(r"^## (\S+)", (REPO / "CHANGELOG.md").read_text(), re.MULTILINE)
    assert newest is not None
    assert newest[1] == skate.__version__


def test_the_package_is_typed() -> None:
    assert (REPO / "skate" / "py.typed").is_file()
