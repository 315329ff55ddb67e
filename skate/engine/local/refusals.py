"""The errors of what will never have a place, or was ended for the sake of others."""

from __future__ import annotations

import pickle

from skate import exceptions


def refusal(why: str, text: str, actor: bool) -> bytes:
    """The pickle of the error of a task or an actor that was refused.

    Args:
        why: The scheduler's word for it.
        text: In words.
        actor: Whether it is an actor.
    """
    error: exceptions.RayError
    if why == "group":
        kind = exceptions.ActorPlacementGroupRemoved if actor else exceptions.TaskPlacementGroupRemoved
        error = kind(text)
    else:
        error = exceptions.ActorUnschedulableError(text) if actor else exceptions.TaskUnschedulableError(text)
    return pickle.dumps(error, protocol=5)


def out_of_memory(text: str) -> bytes:
    """The pickle of the error of what was ended before the machine ran out of memory."""
    return pickle.dumps(exceptions.OutOfMemoryError(text), protocol=5)
