"""Listing, getting and summarizing what a session has done and is doing.

Every function asks the session of this process, or, with `address=` or where there is none, another session of this user on this
machine. Nothing is recorded for the sake of these functions while nobody asks, beyond a bounded ring in each process.
"""

from __future__ import annotations

from typing import Any, cast

from skate.util.state import common as _common
from skate.util.state._client import StateApiClient
from skate.util.state._logs import get_log, list_logs
from skate.util.state.common import (
    ActorState,
    ClusterEventState,
    GetApiOptions,
    JobState,
    ListApiOptions,
    NodeState,
    ObjectState,
    PlacementGroupState,
    RuntimeEnvState,
    StateResource,
    SummaryApiOptions,
    SummaryResource,
    TaskState,
    WorkerState,
)

Filters = list[tuple[str, str, Any]] | None


# -- one -----------------------------------------------------------------------------------------------------------------


def get_actor(
    id: str, address: str | None = None, timeout: int = _common.DEFAULT_RPC_TIMEOUT, _explain: bool = False
) -> ActorState | None:
    """The actor of that id (in hex), or None."""
    return cast("ActorState | None", _get(StateResource.ACTORS, id, address, timeout, _explain))


def get_job(
    id: str, address: str | None = None, timeout: int = _common.DEFAULT_RPC_TIMEOUT, _explain: bool = False
) -> JobState | None:
    """The program of that id, or None."""
    return cast("JobState | None", _get(StateResource.JOBS, id, address, timeout, _explain))


def get_placement_group(
    id: str, address: str | None = None, timeout: int = _common.DEFAULT_RPC_TIMEOUT, _explain: bool = False
) -> PlacementGroupState | None:
    """The placement group of that id, or None."""
    return cast(
        "PlacementGroupState | None", _get(StateResource.PLACEMENT_GROUPS, id, address, timeout, _explain)
    )


def get_node(
    id: str, address: str | None = None, timeout: int = _common.DEFAULT_RPC_TIMEOUT, _explain: bool = False
) -> NodeState | None:
    """The machine of that id, or None."""
    return cast("NodeState | None", _get(StateResource.NODES, id, address, timeout, _explain))


def get_worker(
    id: str, address: str | None = None, timeout: int = _common.DEFAULT_RPC_TIMEOUT, _explain: bool = False
) -> WorkerState | None:
    """The process of that id, or None."""
    return cast("WorkerState | None", _get(StateResource.WORKERS, id, address, timeout, _explain))


def get_task(
    id: Any, address: str | None = None, timeout: int = _common.DEFAULT_RPC_TIMEOUT, _explain: bool = False
) -> TaskState | list[TaskState] | None:
    """The task of that id, or that makes that ref; a list if it was tried more than once; None if there is none."""
    name = id if isinstance(id, str) else id.task_id().hex()
    return cast(
        "TaskState | list[TaskState] | None", _get(StateResource.TASKS, name, address, timeout, _explain)
    )


def get_objects(
    id: str, address: str | None = None, timeout: int = _common.DEFAULT_RPC_TIMEOUT, _explain: bool = False
) -> list[ObjectState]:
    """Who holds the object of that id: a row for each process."""
    return cast("list[ObjectState]", _get(StateResource.OBJECTS, id, address, timeout, _explain))


def _get(resource: StateResource, id: str, address: str | None, timeout: int, explain: bool) -> Any:
    return StateApiClient(address).get(resource, id, GetApiOptions(timeout=timeout), explain)


# -- lists ---------------------------------------------------------------------------------------------------------------


def list_actors(
    address: str | None = None,
    filters: Filters = None,
    limit: int = _common.DEFAULT_LIMIT,
    timeout: int = _common.DEFAULT_RPC_TIMEOUT,
    detail: bool = False,
    raise_on_missing_output: bool = True,
    _explain: bool = False,
) -> list[ActorState]:
    """The actors, the dead included.

    Args:
        address: A session's name or folder; default: this process's, or the youngest of this user's.
        filters: (column, "=" or "!=", value) each; all must hold. Text is compared without regard to case.
        limit: Rows at most.
        timeout: Seconds to wait for answers.
        detail: Fill all columns.
        raise_on_missing_output: Raise if a process could not be asked.

    Raises:
        RayStateApiException: a filter names no column, or an answer is missing.
        ValueError: a filter is malformed.
        ConnectionError: there is no such session.
    """
    options = ListApiOptions(limit, timeout, detail, filters)
    return StateApiClient(address).list(StateResource.ACTORS, options, raise_on_missing_output, _explain)


def list_placement_groups(
    address: str | None = None,
    filters: Filters = None,
    limit: int = _common.DEFAULT_LIMIT,
    timeout: int = _common.DEFAULT_RPC_TIMEOUT,
    detail: bool = False,
    raise_on_missing_output: bool = True,
    _explain: bool = False,
) -> list[PlacementGroupState]:
    """The placement groups. Arguments as in `list_actors`."""
    options = ListApiOptions(limit, timeout, detail, filters)
    return StateApiClient(address).list(
        StateResource.PLACEMENT_GROUPS, options, raise_on_missing_output, _explain
    )


def list_nodes(
    address: str | None = None,
    filters: Filters = None,
    limit: int = _common.DEFAULT_LIMIT,
    timeout: int = _common.DEFAULT_RPC_TIMEOUT,
    detail: bool = False,
    raise_on_missing_output: bool = True,
    _explain: bool = False,
) -> list[NodeState]:
    """The machines. Arguments as in `list_actors`."""
    options = ListApiOptions(limit, timeout, detail, filters)
    return StateApiClient(address).list(StateResource.NODES, options, raise_on_missing_output, _explain)


def list_jobs(
    address: str | None = None,
    filters: Filters = None,
    limit: int = _common.DEFAULT_LIMIT,
    timeout: int = _common.DEFAULT_RPC_TIMEOUT,
    detail: bool = False,
    raise_on_missing_output: bool = True,
    _explain: bool = False,
) -> list[JobState]:
    """The programs. Arguments as in `list_actors`."""
    options = ListApiOptions(limit, timeout, detail, filters)
    return StateApiClient(address).list(StateResource.JOBS, options, raise_on_missing_output, _explain)


def list_workers(
    address: str | None = None,
    filters: Filters = None,
    limit: int = _common.DEFAULT_LIMIT,
    timeout: int = _common.DEFAULT_RPC_TIMEOUT,
    detail: bool = False,
    raise_on_missing_output: bool = True,
    _explain: bool = False,
) -> list[WorkerState]:
    """The processes, those that have ended included. Arguments as in `list_actors`."""
    options = ListApiOptions(limit, timeout, detail, filters)
    return StateApiClient(address).list(StateResource.WORKERS, options, raise_on_missing_output, _explain)


def list_tasks(
    address: str | None = None,
    filters: Filters = None,
    limit: int = _common.DEFAULT_LIMIT,
    timeout: int = _common.DEFAULT_RPC_TIMEOUT,
    detail: bool = False,
    raise_on_missing_output: bool = True,
    _explain: bool = False,
) -> list[TaskState]:
    """The tasks, actor calls and actor creations, each attempt a row, by time of creation. Arguments as in `list_actors`."""
    options = ListApiOptions(limit, timeout, detail, filters)
    return StateApiClient(address).list(StateResource.TASKS, options, raise_on_missing_output, _explain)


def list_objects(
    address: str | None = None,
    filters: Filters = None,
    limit: int = _common.DEFAULT_LIMIT,
    timeout: int = _common.DEFAULT_RPC_TIMEOUT,
    detail: bool = False,
    raise_on_missing_output: bool = True,
    _explain: bool = False,
) -> list[ObjectState]:
    """The refs and handles that processes hold. Arguments as in `list_actors`."""
    options = ListApiOptions(limit, timeout, detail, filters)
    return StateApiClient(address).list(StateResource.OBJECTS, options, raise_on_missing_output, _explain)


def list_runtime_envs(
    address: str | None = None,
    filters: Filters = None,
    limit: int = _common.DEFAULT_LIMIT,
    timeout: int = _common.DEFAULT_RPC_TIMEOUT,
    detail: bool = False,
    raise_on_missing_output: bool = True,
    _explain: bool = False,
) -> list[RuntimeEnvState]:
    """The environments that workers have been made with. Arguments as in `list_actors`."""
    options = ListApiOptions(limit, timeout, detail, filters)
    return StateApiClient(address).list(
        StateResource.RUNTIME_ENVS, options, raise_on_missing_output, _explain
    )


def list_cluster_events(
    address: str | None = None,
    filters: Filters = None,
    limit: int = _common.DEFAULT_LIMIT,
    timeout: int = _common.DEFAULT_RPC_TIMEOUT,
    detail: bool = False,
    raise_on_missing_output: bool = True,
    _explain: bool = False,
) -> list[ClusterEventState]:
    """Workers that have ended without being asked to. Arguments as in `list_actors`."""
    options = ListApiOptions(limit, timeout, detail, filters)
    return StateApiClient(address).list(
        StateResource.CLUSTER_EVENTS, options, raise_on_missing_output, _explain
    )


# -- summaries -----------------------------------------------------------------------------------------------------------


def summarize_tasks(
    address: str | None = None,
    timeout: int = _common.DEFAULT_RPC_TIMEOUT,
    raise_on_missing_output: bool = True,
    _explain: bool = False,
) -> dict[str, Any]:
    """Counts of tasks, by function and state."""
    options = SummaryApiOptions(timeout=timeout)
    client = StateApiClient(address)
    return client.summary(
        SummaryResource.TASKS,
        options=options,
        raise_on_missing_output=raise_on_missing_output,
        _explain=_explain,
    )


def summarize_actors(
    address: str | None = None,
    timeout: int = _common.DEFAULT_RPC_TIMEOUT,
    raise_on_missing_output: bool = True,
    _explain: bool = False,
) -> dict[str, Any]:
    """Counts of actors, by class and state."""
    options = SummaryApiOptions(timeout=timeout)
    client = StateApiClient(address)
    return client.summary(
        SummaryResource.ACTORS,
        options=options,
        raise_on_missing_output=raise_on_missing_output,
        _explain=_explain,
    )


def summarize_objects(
    address: str | None = None,
    timeout: int = _common.DEFAULT_RPC_TIMEOUT,
    raise_on_missing_output: bool = True,
    _explain: bool = False,
) -> dict[str, Any]:
    """Counts and sizes of objects."""
    options = SummaryApiOptions(timeout=timeout)
    client = StateApiClient(address)
    return client.summary(
        SummaryResource.OBJECTS,
        options=options,
        raise_on_missing_output=raise_on_missing_output,
        _explain=_explain,
    )


__all__ = [
    "get_log",
    "list_logs",
    "StateApiClient",
    "get_actor",
    "get_job",
    "get_node",
    "get_objects",
    "get_placement_group",
    "get_task",
    "get_worker",
    "list_actors",
    "list_cluster_events",
    "list_jobs",
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
