"""FastAPI routes that are methods of a class: `self` is filled in with the replica's instance."""

from __future__ import annotations

import copyreg
import inspect
from typing import Any

from starlette.datastructures import State

# A Starlette State asks itself for what it does not have yet while it is unpickled, for ever; apps have one, and travel to replicas.
copyreg.pickle(State, lambda state: (State, (dict(state._state),)))


def _instance() -> Any:
    from skate.serve.context import get_replica_context

    return get_replica_context().servable_object


async def _instance_of_replica() -> Any:
    return _instance()


def bind_methods(app: Any, cls: type) -> None:
    """Make those routes of a FastAPI app that are methods of `cls` take the replica's instance as their `self`."""
    from fastapi import Depends
    from fastapi.routing import APIRoute, APIWebSocketRoute

    routes = getattr(getattr(app, "router", None), "routes", None)
    if routes is None:
        return
    for index, route in enumerate(list(routes)):
        endpoint = getattr(route, "endpoint", None)
        if not isinstance(route, APIRoute | APIWebSocketRoute) or not _is_method_of(endpoint, cls):
            continue
        assert endpoint is not None
        signature = inspect.signature(endpoint)
        first, *others = signature.parameters.values()
        injected = first.replace(
            default=Depends(_instance_of_replica), kind=inspect.Parameter.KEYWORD_ONLY, annotation=Any
        )
        rest = [p.replace(kind=inspect.Parameter.KEYWORD_ONLY) for p in others if p.kind != p.VAR_KEYWORD]
        endpoint.__signature__ = signature.replace(parameters=[injected, *rest])
        names = inspect.signature(type(route).__init__).parameters
        options = {name: getattr(route, name) for name in names if name != "self" and hasattr(route, name)}
        routes[index] = type(route)(**options)


def _is_method_of(endpoint: Any, cls: type) -> bool:
    """Whether a function is defined in the class or one of its bases."""
    if not inspect.isfunction(endpoint):
        return False
    return any(endpoint is found for base in cls.__mro__ for found in vars(base).values())
