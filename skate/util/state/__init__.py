"""The state of a session: what its tasks, actors, objects and processes are doing, and have done.

Example:
    >>> import skate
    >>> from skate.util.state import list_nodes
    >>> with skate.init(num_cpus=1, ignore_reinit_error=True):
    ...     nodes = list_nodes()
    >>> [node.state for node in nodes]
    ['ALIVE']
"""

from __future__ import annotations

from skate.util.state._logs import get_log, list_logs
from skate.util.state.api import (
    StateApiClient,
    get_actor,
    get_job,
    get_node,
    get_objects,
    get_placement_group,
    get_task,
    get_worker,
    list_actors,
    list_cluster_events,
    list_jobs,
    list_nodes,
    list_objects,
    list_placement_groups,
    list_runtime_envs,
    list_tasks,
    list_workers,
    summarize_actors,
    summarize_objects,
    summarize_tasks,
)

__all__ = [
    "StateApiClient",
    "get_actor",
    "get_job",
    "get_log",
    "get_node",
    "get_objects",
    "get_placement_group",
    "get_task",
    "get_worker",
    "list_actors",
    "list_cluster_events",
    "list_jobs",
    "list_logs",
    "list_nodes",
    "list_objects",
    "list_placement_groups",
    "list_runtime_envs",
    "list_tasks",
    "list_workers",
    "summarize_actors",
    "summarize_objects",
    "summarize_tasks",
]
