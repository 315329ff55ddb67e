"""A process that is about to be a worker puts itself into an environment."""

from __future__ import annotations

import os
import re
import site
import sys
from collections.abc import Callable, Iterable, Mapping
from typing import Any

_REFERENCE = re.compile(r"\$\{(\w+)\}")


def enter(env: Mapping[str, Any]) -> None:
    """Set the variables, the paths and the working directory of a settled environment."""
    for name, value in (env.get("env_vars") or {}).items():
        os.environ[name] = expand(value)
    built = env.get("built")
    if built:
        _use_packages(built["site"], built["python"])
    for path in reversed(env.get("_sys_path") or []):
        sys.path.insert(0, path)
    run_setups(env.get("_worker_setup") or [])
    for path in reversed(env.get("py_modules") or []):
        sys.path.insert(0, path)
    folder = env.get("working_dir")
    if folder:
        os.chdir(folder)
        sys.path.insert(0, folder)


def run_setups(setups: Iterable[tuple[str, tuple[Any, ...]]]) -> None:
    """Call what a program wants called in each process that runs its tasks: ("module:function", arguments) pairs."""
    for setup, arguments in setups:
        module, _, function = setup.partition(":")
        getattr(__import__(module, fromlist=[function]), function)(*arguments)


def expand(value: str) -> str:
    """A variable's value, which may build on what is there: {"PATH": "/opt/tool/bin:${PATH}"}."""
    return _REFERENCE.sub(lambda found: os.environ.get(found[1], ""), value)


def _use_packages(packages: str, python: str) -> None:
    """Import from a virtual environment first, and have child processes run in it."""
    before = list(sys.path)
    site.addsitedir(packages)
    added = [path for path in sys.path if path not in before]
    sys.path[:] = [*added, *before]
    home = os.path.dirname(os.path.dirname(python))
    sys.executable = python
    sys.prefix = sys.exec_prefix = home
    os.environ["VIRTUAL_ENV"] = home
    os.environ["PATH"] = os.pathsep.join([os.path.dirname(python), os.environ.get("PATH", "")])


def setup_hook(spec: Mapping[str, str]) -> Callable[[], object]:
    """The function that a settled environment runs in each worker before its first task.

    Raises:
        Exception: it can't be imported or unpickled.
    """
    if "name" in spec:
        import importlib

        module, _dot, name = spec["name"].rpartition(".")
        found: Callable[[], object] = getattr(importlib.import_module(module), name)
        return found
    import base64

    from skate.core import serialize

    unpacked: Callable[[], object] = serialize.unpack(base64.b64decode(spec["pickle"]))
    return unpacked
