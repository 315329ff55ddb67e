"""Pictures of graphs, in Graphviz's language."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from skate.dag.dag_node import DAGNode


def plot(dag: DAGNode, to_file: str | None = None) -> None:
    """Draw a graph into a file: its format is the file's ending, and ".dot" or ".gv" is the text for Graphviz itself.

    Args:
        dag: The node that ends the graph.
        to_file: Where to; default: "dag.png" in the current directory.

    Raises:
        ImportError: Graphviz is needed for that format and is not installed.
    """
    render(to_dot(dag), Path(to_file or "dag.png"))


def to_dot(dag: DAGNode) -> str:
    """The graph in Graphviz's language."""
    lines = ["digraph G {", "  rankdir=LR;"]
    order: list[DAGNode] = []
    dag.traverse_and_apply(order.append)
    numbers = {node.get_stable_uuid(): number for number, node in enumerate(order)}
    for node in order:
        number = numbers[node.get_stable_uuid()]
        lines.append(f'  n{number} [label="{_label(node)}"];')
        lines.extend(f"  n{numbers[child.get_stable_uuid()]} -> n{number};" for child in node.get_children())
    return "\n".join([*lines, "}", ""])


def _label(node: DAGNode) -> str:
    return f"{type(node).__name__}: {node.body_line()}".replace("\\", "\\\\").replace('"', "'")


def render(dot: str, path: Path) -> None:
    """Write Graphviz's text as a picture.

    Raises:
        ImportError: the `dot` program is needed for that format and is not installed.
    """
    if path.suffix in (".dot", ".gv"):
        path.write_text(dot, encoding="utf-8")
        return
    kind = path.suffix.lstrip(".") or "png"
    try:
        subprocess.run(
            ["dot", f"-T{kind}", "-o", str(path)], input=dot.encode(), check=True, capture_output=True
        )
    except FileNotFoundError:
        raise ImportError(
            f"Please install graphviz to draw {path}: its program `dot` is not on the PATH. Or write the text, to a file that ends "
            "in '.dot'."
        ) from None


__all__ = ["plot", "render", "to_dot"]
