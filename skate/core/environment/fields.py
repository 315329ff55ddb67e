"""What a runtime environment can ask for: checks, and how a task's environment builds on the program's.

An environment is *settled* before it travels: directories have become entries of the cache, hooks have been pickled, and what is
left is plain data. Its canonical text is the key by which workers that have it are told from others.
"""

from __future__ import annotations

import functools
import os
from collections.abc import Mapping
from typing import Any

from skate.core.environment.checks import CHECKS, check_together

_NOT_HERE = {
    "conda": "use pip or uv, which make a virtual environment",
    "container": "run the whole program in the container instead",
    "image_uri": "run the whole program in the container instead",
    "java_jars": "only Python runs here",
    "py_executable": "start the whole program with that interpreter",
    "nsight": "start the program under nsys instead",
    "rocprof_sys": "start the program under rocprof instead",
    "mpi": "start the program under mpirun instead",
}
HOOK = "worker_process_setup_hook"
SHARED_FIELDS = ("working_dir", "py_modules", "pip", "uv", HOOK)
"""What belongs to a whole process; where tasks share one they can't differ in it."""
FIELDS = ("env_vars", "working_dir", "py_modules", "excludes", "pip", "uv", HOOK, "config")


def check_runtime_env(env: Mapping[str, Any]) -> None:
    """Refuse an environment that can't be.

    Raises:
        ValueError: a field that is not supported, or two that exclude each other.
        TypeError: a value of a type that its field does not take.

    A field that nobody knows is left out, with a warning: programs carry fields for other runners.
    """
    for name in env:
        if not isinstance(name, str):
            raise TypeError(f"runtime_env={{{name!r}: …}}: names of fields are strings.")
    check_together(env)
    for name, value in env.items():
        if name.startswith("_") or name == "timeout" or value is None:
            continue
        if name in _NOT_HERE:
            if name in CHECKS:
                CHECKS[name](value)
            raise ValueError(
                f"runtime_env={{{name!r}: …}} is not supported on this engine: {_NOT_HERE[name]}."
            )
        if name == HOOK and isinstance(value, Mapping):
            continue  # settled already
        if name == "config":
            _check_timeout(value)
        elif name in FIELDS:
            CHECKS[name](value)
        elif name != "built":
            _warn_unknown(name)


def merge_env(program: Mapping[str, Any], own: Mapping[str, Any] | None) -> str:
    """A task's environment on top of the program's, settled, as one canonical text; empty for none.

    A field of the task's replaces the program's, except that variables are put together.

    Raises:
        ValueError, TypeError: as `check_runtime_env`.
        RuntimeEnvSetupError: a directory or an archive can't be packed.
    """
    if not own:
        return text_of(program) if program else ""
    settled = settle(own)
    merged = {**program, **settled}
    if "env_vars" in program and "env_vars" in settled:
        merged["env_vars"] = {**program["env_vars"], **settled["env_vars"]}
    if "pip" in settled:
        merged.pop("uv", None)
    if "uv" in settled:
        merged.pop("pip", None)
    return text_of(merged)


def text_of(settled: Mapping[str, Any]) -> str:
    """The canonical text of a settled environment; empty for none."""
    kept = {name: value for name, value in settled.items() if value}
    if not kept:
        return ""
    import json

    return json.dumps(kept, sort_keys=True)


def settle(env: Mapping[str, Any]) -> dict[str, Any]:
    """The environment as plain data that any process can use: packed, pickled, read from files.

    Raises:
        ValueError, TypeError: as `check_runtime_env`.
        RuntimeEnvSetupError: a directory or an archive can't be packed.
    """
    check_runtime_env(env)
    given = {name: value for name, value in env.items() if value is not None and not name.startswith("_")}
    excludes = tuple(given.pop("excludes", None) or ())
    settled: dict[str, Any] = {}
    for name, value in given.items():
        if name == "working_dir":
            from skate.core.environment import packages

            settled[name] = packages.directory(os.fspath(value), excludes)
        elif name == "py_modules":
            from skate.core.environment import packages

            settled[name] = [packages.module(each, excludes) for each in value]
        elif name in ("pip", "uv"):
            settled[name] = _requirements(name, value)
        elif name == HOOK:
            settled[name] = _hook(value)
        elif name == "config":
            seconds = value.get("setup_timeout_seconds")
            if seconds is not None:
                settled["timeout"] = seconds
        elif name == "env_vars":
            settled[name] = dict(value)
        elif name in ("timeout", "built"):
            settled[name] = value  # by an earlier settling
    return settled


def _requirements(tool: str, value: Any) -> dict[str, Any]:
    spec: dict[str, Any] = CHECKS[tool](value)
    return spec if spec["packages"] else {}


def _hook(value: Any) -> dict[str, str]:
    if isinstance(value, Mapping):
        return dict(value)  # settled already
    if isinstance(value, str):
        return {"name": value}
    import base64

    from skate.core import serialize

    name = getattr(value, "__qualname__", repr(value))
    packed = serialize.pack(value).inline()
    if type(packed) is not bytes:
        raise TypeError(
            f"runtime_env[{HOOK!r}]={name}: it refers to large arrays; load them inside it instead."
        )
    return {"pickle": base64.b64encode(packed).decode(), "shown": name}


@functools.cache
def _warn_unknown(name: str) -> None:
    """Say so once in a process: an environment is checked where it is given, and again where it is merged."""
    import logging
    from difflib import get_close_matches

    close = get_close_matches(name, FIELDS, n=1)
    hint = f"did you mean {close[0]!r}?" if close else f"there are {', '.join(FIELDS)}."
    logging.getLogger("skate").warning(
        "runtime_env={%r: …} has no effect, as there is no such field: %s", name, hint
    )


def _check_timeout(config: Any) -> None:
    if not isinstance(config, Mapping):
        raise TypeError(
            f"runtime_env['config'] must be of type dict or RuntimeEnvConfig, got: {type(config)} ({config!r})."
        )
    seconds = config.get("setup_timeout_seconds", 600)
    if isinstance(seconds, bool) or not isinstance(seconds, int):
        raise TypeError(f"setup_timeout_seconds must be of type int, got: {type(seconds)} ({seconds!r}).")
    if seconds <= 0 and seconds != -1:
        raise ValueError(
            f"setup_timeout_seconds must be greater than zero or equals to -1 (no limit), got: {seconds}."
        )
