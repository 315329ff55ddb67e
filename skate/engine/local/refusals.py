"""The errors of what will never have a place."""

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
