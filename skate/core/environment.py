"""The runtime environment of a task, an actor or a program: what of it there is, and how one builds on another."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

SUPPORTED = frozenset({"env_vars", "config"})


def check_runtime_env(env: Mapping[str, Any]) -> None:
    """Refuse what is not supported.

    Raises:
        ValueError: a field that is not supported yet.
        TypeError: variables that are not strings.
    """
    extra = sorted(set(env) - SUPPORTED)
    if extra:
        raise ValueError(
            f"runtime_env={{{extra[0]!r}: …}} is not supported yet. Supported: {', '.join(sorted(SUPPORTED))}."
        )
    for name, value in (env.get("env_vars") or {}).items():
        if not isinstance(name, str) or not isinstance(value, str):
            raise TypeError(f"runtime_env['env_vars'][{name!r}]={value!r}: names and values must be strings.")


def merge_env(program: Mapping[str, Any], own: Mapping[str, Any] | None) -> str:
    """A task's environment, its own variables on top of the program's, as one canonical text; empty for none.

    Raises:
        ValueError, TypeError: as `check_runtime_env`.
    """
    check_runtime_env(own or {})
    merged = {**(program.get("env_vars") or {}), **((own or {}).get("env_vars") or {})}
    if not merged:
        return ""
    import json

    return json.dumps({"env_vars": merged}, sort_keys=True)
