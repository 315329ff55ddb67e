"""Groups of actors, made and ended by the driver."""

from __future__ import annotations

import uuid
from typing import Any

import skate
from skate.experimental.collective.communicator import CommunicatorHandle
from skate.util import collective
from skate.util.collective.types import Backend

_groups: dict[str, CommunicatorHandle] = {}


def create_collective_group(actors: list[Any], backend: str, name: str | None = None) -> CommunicatorHandle:
    """Make a group of actors, and wait until all have joined; their methods then use `skate.util.collective` under its name.

    Args:
        actors: The members; the ranks follow this order.
        backend: "gloo" or "torch_gloo", or one that is registered.
        name: The group's name; default: a random one.

    Raises:
        ValueError: an actor is there twice, or there is no such backend.
        RuntimeError: there is a group of that name, or an actor is in a group of that backend already.

    Example:
        >>> import skate
        >>> from skate.experimental.collective import create_collective_group, destroy_collective_group
        >>> @skate.remote(num_cpus=0)
        ... class Member:
        ...     def rank(self, group):
        ...         from skate.util import collective
        ...         return collective.get_rank(group)
        >>> members = [Member.remote() for _ in range(2)]
        >>> group = create_collective_group(members, backend="gloo", name="pair")
        >>> skate.get([member.rank.remote("pair") for member in members])
        [0, 1]
        >>> destroy_collective_group(group)
    """
    kind: str = Backend(backend)
    name = name or uuid.uuid4().hex
    if name in _groups:
        raise RuntimeError(f"Group {name!r} exists already: use another name, or destroy_collective_group().")
    if len(set(actors)) < len(actors):
        raise ValueError(f"All actors must be unique, got: {actors}")
    for actor in actors:
        if get_collective_groups([actor], kind):
            raise RuntimeError(
                f"Actor {actor} already in group for backend {kind}. Actors can currently only participate in at most one "
                "group per backend."
            )
    skate.get(
        [actor.__ray_call__.remote(_join, len(actors), rank, kind, name) for rank, actor in enumerate(actors)]
    )
    made = _groups[name] = CommunicatorHandle(list(actors), name, kind)
    return made


def get_collective_groups(actors: list[Any], backend: str | None = None) -> list[CommunicatorHandle]:
    """The groups that all these actors are in.

    Args:
        actors: Handles.
        backend: Only groups of that backend.
    """
    kind = None if backend is None else Backend(backend)
    return [
        group
        for group in _groups.values()
        if all(group.get_rank(actor) != -1 for actor in actors) and kind in (None, group.backend)
    ]


def destroy_collective_group(group_or_name: CommunicatorHandle | str) -> None:
    """End a group: its members leave it.

    Raises:
        ValueError: there is no such group.
    """
    if isinstance(group_or_name, CommunicatorHandle):
        name = group_or_name.name
    elif isinstance(group_or_name, str):
        name = group_or_name
    else:
        raise ValueError(f"Expected CommunicatorHandle or str (group name), got {group_or_name!r}.")
    group = _groups.pop(name, None)
    if group is None:
        raise ValueError(f"No group with name {name} found.")
    leaving = [actor.__ray_call__.remote(_leave, name) for actor in group.actors]
    for ref in leaving:
        try:
            skate.get(ref)
        except skate.exceptions.RayActorError:
            continue  # it is gone, and has left so


def destroy_all_collective_groups() -> None:
    """End every group that this program has made."""
    for name in list(_groups):
        destroy_collective_group(name)


def _join(_actor: Any, size: int, rank: int, backend: str, name: str) -> None:
    collective.init_collective_group(size, rank, backend, name)


def _leave(_actor: Any, name: str) -> None:
    collective.destroy_collective_group(name)


__all__ = [
    "create_collective_group",
    "destroy_all_collective_groups",
    "destroy_collective_group",
    "get_collective_groups",
]
