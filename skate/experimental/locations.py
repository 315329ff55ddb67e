"""Where objects lie."""

from __future__ import annotations

from typing import Any

import skate
from skate import _state


def get_object_locations(obj_refs: list[Any], timeout_ms: int = -1) -> dict[Any, dict[str, Any]]:
    """Where the values of refs lie, and how large they are.

    Args:
        obj_refs: Refs.
        timeout_ms: Milliseconds to wait for the answer at most; -1 waits for half a minute.

    Returns:
        For each ref a dictionary: "node_ids" (ids of the nodes that have a copy; the owner's of a small one; none of one that is
        not made yet), "object_size" in bytes (None of one that is not made yet), "did_spill" (whether it lies on disk).

    Raises:
        RuntimeError: there is no session.
        TypeError: something else than refs.

    Example:
        >>> import skate
        >>> from skate.experimental import get_object_locations
        >>> ref = skate.put(bytes(1_000_000))
        >>> get_object_locations([ref])[ref]["object_size"] >= 1_000_000
        True
    """
    if not skate.is_initialized():
        raise RuntimeError("skate.init() has not been called: without a session there are no objects.")
    for ref in obj_refs:
        if not isinstance(ref, skate.ObjectRef):
            raise TypeError(f"obj_refs holds {ref!r}: a list of ObjectRefs is needed.")
    rows: dict[str, list[dict[str, Any]]] = {ref.hex(): [] for ref in obj_refs}
    for row in _state.read("objects", timeout=30.0 if timeout_ms < 0 else timeout_ms / 1000).rows:
        if row["object_id"] in rows:
            rows[row["object_id"]].append(row)
    return {ref: _location(rows[ref.hex()]) for ref in obj_refs}


def get_local_object_locations(obj_refs: list[Any]) -> dict[Any, dict[str, Any]]:
    """As `get_object_locations`."""
    return get_object_locations(obj_refs)


def _location(rows: list[dict[str, Any]]) -> dict[str, Any]:
    there = [row for row in rows if row["node_ids"]]
    if not there:
        return {"node_ids": [], "object_size": None, "did_spill": False}
    nodes = list(dict.fromkeys(id for row in there for id in row["node_ids"]))
    return {"node_ids": nodes, "object_size": there[0]["object_size"], "did_spill": there[0]["did_spill"]}


__all__ = ["get_local_object_locations", "get_object_locations"]
