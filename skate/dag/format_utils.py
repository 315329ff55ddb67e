"""`str()` of a node: its body, arguments and options, those of nodes inside it indented."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from skate.dag.base import DAGNodeBase

if TYPE_CHECKING:
    from skate.dag.dag_node import DAGNode

_INDENT = "    "


def describe(node: DAGNode, body_line: str) -> str:
    """The text for a node whose body is `body_line`."""
    other = node.get_other_args_to_resolve()
    lines = [
        f"({type(node).__name__}, {node.get_stable_uuid()})(",
        f"{_INDENT}body={body_line}",
        f"{_INDENT}args=[{_block((None, arg) for arg in node.get_args())}]",
        f"{_INDENT}kwargs={{{_block(node.get_kwargs().items())}}}",
        f"{_INDENT}options={{{_block((k, v) for k, v in node.get_options().items() if v)}}}",
        f"{_INDENT}other_args_to_resolve={{{_block(other.items())}}}",
        ")",
    ]
    return "\n".join(lines)


def _block(items: Iterable[tuple[str | None, Any]]) -> str:
    entries = [_text(value) if name is None else f"{name}: {_text(value)}" for name, value in items]
    if not entries:
        return ""
    inner = "".join(f"{entry},\n" for entry in entries)
    indented = "".join(f"{_INDENT * 2}{line}\n" for line in inner.splitlines())
    return f"\n{indented}{_INDENT}"


def _text(value: Any) -> str:
    if isinstance(value, DAGNodeBase):
        return str(value)
    if isinstance(value, list | tuple) and any(isinstance(item, DAGNodeBase) for item in value):
        return f"[{', '.join(_text(item) for item in value)}]"
    return repr(value)


__all__ = ["describe"]
