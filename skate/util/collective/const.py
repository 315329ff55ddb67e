"""Names that groups go by."""

from __future__ import annotations


def get_store_name(group_name: str) -> str:
    """The name of the actor where a group's members meet.

    Raises:
        ValueError: the group's name is empty.
    """
    if not group_name:
        raise ValueError("group_name is None or empty.")
    return f"collective:{group_name}"


__all__ = ["get_store_name"]
