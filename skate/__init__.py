"""Skate runs Python in parallel, with Ray's API: tasks, actors and objects.

The map:

    skate               the public names, defined in _api.py
    skate.exceptions    every error that users meet
    skate.util          ActorPool, queues, as_completed, …: written on the public names alone
    skate.compat        `ray` and `ray.x.y` as names of Skate, for programs that stay as they are
    skate.cli           the command `skate`
    skate.serve         models online: deployments, handles, HTTP
    skate.job_submission programs submitted to a session that stands
    skate.dag           graphs of calls: bind, execute, compile
    skate.data          datasets that stream: read, transform, group, join, write, train
    skate.tune          searches for the best of many trials
    skate.train         training on several workers
    skate.air           what tune and train share: checkpoints, storage, configuration, results
    skate.experimental  progress bars of tasks, key-value pairs: what Ray calls experimental
    skate.core          what engines share: functions, actors, refs, options, pickling, context
    skate.engine.base   the contract that an engine keeps
    skate.engine.local  this machine's cores (the default)
    skate.engine.inline this process, in a deterministic order
    skate.engine.dask   the workers of a Dask cluster

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
    _debug as _debug,
)
from skate._api import (
    _deregister_serializer as _deregister_serializer,
)
from skate._api import (
    _kv as _kv,
)
from skate._api import (
    _list_named_actors as _list_named_actors,
)
from skate._api import (
    _pack as _pack,
)
from skate._api import (
    _register_serializer as _register_serializer,
)
from skate._api import (
    _serialize as _serialize,
)
from skate._api import (
    _set_tracer as _set_tracer,
)
from skate._api import (
    available_resources,
    cancel,
    cluster_resources,
    get,
    get_actor,
    get_gpu_ids,
    kill,
    nodes,
    put,
    remote,
    wait,
)
from skate._init import (
    ClientContext,
    init,
    is_initialized,
    shutdown,
)
from skate._init import (
    _at_shutdown as _at_shutdown,
)
from skate._init import (
    _is_driver as _is_driver,
)
from skate._lazy import submodule as _submodule
from skate._timeline import timeline
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
    from skate import (
        actor,
        air,
        cloudpickle,
        dag,
        data,
        experimental,
        job_config,
        remote_function,
        runtime_context,
        runtime_env,
        serve,
        train,
        tune,
        types,
        util,
    )
    from skate._logging_config import LoggingConfig
    from skate.client_builder import ClientBuilder, client

ObjectID = ObjectRef

SCRIPT_MODE, WORKER_MODE, LOCAL_MODE = 0, 1, 2
"""What a process is, in Ray's numbers: a driver, a worker, or both in one."""

__all__ = [
    "ActorClassID",
    "ActorID",
    "ClientBuilder",
    "ClientContext",
    "DynamicObjectRefGenerator",
    "FunctionID",
    "JobID",
    "LOCAL_MODE",
    "LoggingConfig",
    "NodeID",
    "ObjectID",
    "ObjectRef",
    "ObjectRefGenerator",
    "PlacementGroupID",
    "SCRIPT_MODE",
    "TaskID",
    "UniqueID",
    "WORKER_MODE",
    "WorkerID",
    "__version__",
    "actor",
    "air",
    "available_resources",
    "cancel",
    "client",
    "cloudpickle",
    "cluster_resources",
    "dag",
    "data",
    "exceptions",
    "exit_actor",
    "experimental",
    "get",
    "get_actor",
    "get_gpu_ids",
    "get_runtime_context",
    "init",
    "is_initialized",
    "job_config",
    "kill",
    "method",
    "nodes",
    "put",
    "remote",
    "remote_function",
    "runtime_context",
    "runtime_env",
    "serve",
    "shutdown",
    "timeline",
    "train",
    "tune",
    "types",
    "util",
    "wait",
]

_ELSEWHERE = {
    "ClientBuilder": ("skate.client_builder", "ClientBuilder"),
    "LoggingConfig": ("skate._logging_config", "LoggingConfig"),
    "client": ("skate.client_builder", "client"),
    "logger": ("skate._private.log", "logger"),
    "ray_constants": ("skate._private", "ray_constants"),
    "state": ("skate._private", "state"),
    "worker": ("skate._private", "worker"),
}
"""Names that are loaded when they are first asked for: the module, and what it calls them."""


def __getattr__(name: str) -> Any:
    """A submodule, or a name from `_ELSEWHERE`: loaded when it is first asked for."""
    if name in _ELSEWHERE:
        import importlib

        module, own = _ELSEWHERE[name]
        return getattr(importlib.import_module(module), own)
    return _submodule("skate", name)


def __dir__() -> list[str]:
    return sorted(__all__)
