"""Which actors can be found by name."""

from __future__ import annotations

from typing import Any

import skate


def list_named_actors(all_namespaces: bool = False) -> list[Any]:
    """The names of the live named actors.

    Args:
        all_namespaces: Look beyond this session's namespace.

    Returns:
        Names; with `all_namespaces` dicts with "name" and "namespace".

    Example:
        >>> from skate.util import list_named_actors
        >>> list_named_actors()
        []
    """
    found = skate._list_named_actors(all_namespaces)  # noqa: SLF001 -- offered to the libraries
    if all_namespaces:
        return [{"name": name, "namespace": namespace} for namespace, name in found]
    return [name for _, name in found]


__all__ = ["list_named_actors"]
