"""Docstrings of functions that share arguments: each describes its own, and the shared ones are described once."""

from __future__ import annotations

import inspect
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

_F = TypeVar("_F", bound="Callable[..., Any]")


def documented(shared: Mapping[str, str]) -> Callable[[_F], _F]:
    """A decorator: the function's docstring also describes the arguments that it shares with others.

    Args:
        shared: What each of them means, by its name.
    """

    def complete(function: _F) -> _F:
        function.__doc__ = _joined(function, inspect.getdoc(function) or "", shared)
        return function

    return complete


def _joined(function: Callable[..., Any], text: str, shared: Mapping[str, str]) -> str:
    code = function.__code__
    names = code.co_varnames[: code.co_argcount + code.co_kwonlyargcount]
    lines = text.splitlines()
    described = {line.strip().partition(":")[0] for line in lines if line.startswith("    ")}
    missing = [f"    {name}: {shared[name]}" for name in names if name in shared and name not in described]
    if "Args:" in lines:
        after = lines.index("Args:") + 1
        while after < len(lines) and lines[after].startswith("    "):
            after += 1
        return "\n".join([*lines[:after], *missing, *lines[after:]])
    sections = [index for index, line in enumerate(lines) if line in ("Raises:", "Example:", "Returns:")]
    at = sections[0] if sections else len(lines)
    block = ["Args:", *missing, ""] if sections else ["", "Args:", *missing]
    return "\n".join([*lines[:at], *block, *lines[at:]])


__all__ = ["documented"]
