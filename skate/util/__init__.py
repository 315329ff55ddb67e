"""Small tools on top of tasks and actors, with the names of `ray.util`.

    ActorPool                    spread calls over a fixed set of actors            actor_pool.py
    as_completed, map_unordered  results in the order in which they are ready       helpers.py
    queue.Queue                  a FIFO queue that many processes share             queue.py
    multiprocessing.Pool         stands in for the standard pool                    multiprocessing/
    joblib.register_ray          joblib's loops on actors                           joblib/
    collective                   allreduce, broadcast, … among actors               collective/
    dask                         Dask's graphs as tasks                             dask/
    tracing                      OpenTelemetry spans around calls                   tracing/
    metrics                      counters, gauges, histograms; Prometheus text      metrics.py
    register_serializer          pickle a class in a way of your own                serialization.py
    profile                      mark a block for `skate.timeline()`                ../_timeline.py
    state                        list tasks, actors, objects, …                     state/
    inspect_serializability      find what inside an object cannot be pickled       check_serialize.py
    placement_group              reserve resources for tasks and actors that belong together  placement_group.py
    list_named_actors            the names that `get_actor` finds                   named_actors.py
    log_once                     say something once, not at every call              debug.py
    get_node_ip_address          where this machine is                              node.py
    annotations.PublicAPI        say how stable a function of your library is       annotations.py
    accelerators                 names for `options(accelerator_type=…)`            accelerators/
    iter, actor_group            older tools: iterators over shards, sets of actors  iter/, actor_group.py

Everything here uses the public API of `skate` alone, so it runs on every engine.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from skate._lazy import submodule as _submodule
from skate._timeline import profile
from skate.util.actor_pool import ActorPool
from skate.util.check_serialize import inspect_serializability
from skate.util.debug import disable_log_once_globally, enable_periodic_logging, log_once
from skate.util.helpers import as_completed, map_unordered
from skate.util.named_actors import list_named_actors
from skate.util.node import get_node_instance_id, get_node_ip_address
from skate.util.placement_group import (
    get_current_placement_group,
    get_placement_group,
    placement_group,
    placement_group_table,
    remove_placement_group,
)

if TYPE_CHECKING:
    from skate.util.client_connect import connect, disconnect
from skate.util.serialization import deregister_serializer, register_serializer

__all__ = [
    "ActorPool",
    "as_completed",
    "connect",
    "deregister_serializer",
    "disable_log_once_globally",
    "disconnect",
    "enable_periodic_logging",
    "get_current_placement_group",
    "get_node_instance_id",
    "get_node_ip_address",
    "get_placement_group",
    "inspect_serializability",
    "list_named_actors",
    "log_once",
    "map_unordered",
    "placement_group",
    "placement_group_table",
    "profile",
    "register_serializer",
    "remove_placement_group",
]


if not TYPE_CHECKING:

    def __getattr__(name):
        """A submodule, imported when it is first asked for; `connect` and `disconnect` likewise."""
        if name in ("connect", "disconnect"):
            from skate.util import client_connect

            return getattr(client_connect, name)
        return _submodule(__name__, name)
