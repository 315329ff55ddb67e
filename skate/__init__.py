"""Skate runs Python in parallel, with Ray's API: tasks, actors and objects.

The map:

    skate               the public names, defined in _api.py
    skate.exceptions    every error that users meet
    skate.util          ActorPool, queues, as_completed, …: written on the public names alone
    skate.compat        `ray` and `ray.x.y` as names of Skate, for programs that stay as they are
    skate.cli           the command `skate`
    skate.dag           graphs of calls: bind, execute, compile
    skate.tune          searches for the best of many trials
    skate.train         training on several workers
    skate.air           what tune and train share: checkpoints, storage, configuration, results
    skate.core          what engines share: functions, actors, refs, options, pickling, context
    skate.engine.base   the contract that an engine keeps
    skate.engine.local  this machine's cores (the default)
    skate.engine.inline this process, in a deterministic order

Arrows go down only: a library uses the public names, the public names use core and the contract, an engine uses core.

Example:
    >>> import skate
    >>> @skate.remote
    ... def square(x: int) -> int:
    ...     return x * x
    >>> skate.get([square.remote(i) for i in range(4)])
    [0, 1, 4, 9]
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from skate import exceptions
from skate._api import (
    ClientContext,
    available_resources,
    cancel,
    cluster_resources,
    get,
    get_actor,
    get_gpu_ids,
    init,
    is_initialized,
    kill,
    nodes,
    put,
    remote,
    shutdown,
    wait,
)
from skate._api import (
    _at_shutdown as _at_shutdown,
)
from skate._api import (
    _deregister_serializer as _deregister_serializer,
)
from skate._api import (
    _is_driver as _is_driver,
)
from skate._api import (
    _list_named_actors as _list_named_actors,
)
from skate._api import (
    _register_serializer as _register_serializer,
)
from skate._api import (
    _serialize as _serialize,
)
from skate._version import __version__
from skate.core.actor import exit_actor, method
from skate.core.context import get_runtime_context
from skate.core.ids import (
    ActorClassID,
    ActorID,
    FunctionID,
    JobID,
    NodeID,
    PlacementGroupID,
    TaskID,
    UniqueID,
    WorkerID,
)
from skate.core.ref import DynamicObjectRefGenerator, ObjectRef, ObjectRefGenerator

if TYPE_CHECKING:
    from skate import actor, air, dag, remote_function, runtime_context, runtime_env, train, tune, util

ObjectID = ObjectRef

__all__ = [
    "ActorClassID",
    "ActorID",
    "ClientContext",
    "DynamicObjectRefGenerator",
    "FunctionID",
    "JobID",
    "NodeID",
    "ObjectID",
    "ObjectRef",
    "ObjectRefGenerator",
    "PlacementGroupID",
    "TaskID",
    "UniqueID",
    "WorkerID",
    "__version__",
    "actor",
    "air",
    "available_resources",
    "cancel",
    "cluster_resources",
    "dag",
    "exceptions",
    "exit_actor",
    "get",
    "get_actor",
    "get_gpu_ids",
    "get_runtime_context",
    "init",
    "is_initialized",
    "kill",
    "method",
    "nodes",
    "put",
    "remote",
    "remote_function",
    "runtime_context",
    "runtime_env",
    "shutdown",
    "train",
    "tune",
    "util",
    "wait",
]

_LAZY = ("actor", "air", "dag", "remote_function", "runtime_context", "runtime_env", "train", "tune", "util")


def __getattr__(name: str) -> Any:
    if name in _LAZY:
        import importlib

        return importlib.import_module(f"skate.{name}")
    raise AttributeError(f"module 'skate' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)
