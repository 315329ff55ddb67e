"""What marks an object as a node, for those who must know it without knowing nodes."""

from __future__ import annotations


class DAGNodeBase:
    """The root of all node classes."""


__all__ = ["DAGNodeBase"]
