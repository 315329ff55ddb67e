"""The tasks that are sent to Dask's scheduler in one message, as one graph a turn of the loop."""

from __future__ import annotations

import asyncio
import uuid
from typing import TYPE_CHECKING, Any

import dask
from dask._expr import LLGExpr
from distributed.spans import SpanMetadata

from skate.engine.dask import remote
from skate.engine.dask.blob import infrastructure

if TYPE_CHECKING:
    from dask._task_spec import Task

    from skate.engine.dask.hub import Hub

_SETTINGS = {
    "distributed.admin.large-graph-warning-threshold": "1TB"
}  # what is large does not travel in graphs


class Graph:
    """What a hub sends next."""

    def __init__(self, hub: Hub) -> None:
        self.hub = hub
        self._tasks: dict[str, Task] = {}
        self._group: tuple[Any, ...] = ()

    def add(self, group: tuple[Any, ...], name: str, task: Task) -> None:
        """Put a task into the graph that is sent next; tasks that ask for the same share one."""
        if self._tasks and group != self._group:
            self.flush()
        if not self._tasks:
            asyncio.get_running_loop().call_soon(self.flush)
        self._group = group
        self._tasks[name] = task

    def flush(self) -> None:
        """Send the graph."""
        graph, self._tasks = self._tasks, {}
        if not graph:
            return
        wanted = dict(self._group)
        retries = wanted.pop("retries", 3)
        nodes = wanted.pop("nodes", ())
        is_call = wanted.pop("call", False)
        resources = {remote.resource_name(name): amount for name, amount in wanted.items()}
        for node in nodes:
            resources[remote.node_resource(node)] = 1
        resources[remote.ANY] = 1
        names = [name for name in graph if not name.endswith("-all")]
        try:
            with dask.annotate(skate_retries=retries, skate_call=is_call), dask.config.set(_SETTINGS):
                # As Client.submit does, but for many at once. (Client.get would have Dask order them, last first.)
                futures = self.hub.client._graph_to_futures(
                    LLGExpr(graph, _determ_token=uuid.uuid4().hex),
                    names,
                    span_metadata=SpanMetadata(collections=[{"type": "Future"}]),
                    internal_priority={name: place for place, name in enumerate(graph)},
                    resources=resources,
                )
        except Exception as error:
            for name in names:
                self.hub.outcomes.fail(self.hub.holdings.entries[remote.key_of(name)], infrastructure(error))
            return
        for future in futures.values():
            entry = self.hub.holdings.entries.get(remote.key_of(future.key))
            if entry is not None:
                entry.future = future
                self.hub.start(self.hub.outcomes.watch(entry, future))
