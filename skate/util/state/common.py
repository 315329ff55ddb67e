"""The rows that the state API returns, and its options."""

from __future__ import annotations

import dataclasses
import enum
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

DEFAULT_RPC_TIMEOUT = 30
DEFAULT_LIMIT = 100
DEFAULT_LOG_LIMIT = 1000
RAY_MAX_LIMIT_FROM_API_SERVER = 1_000_000
RAY_MAX_LIMIT_FROM_DATA_SOURCE = 1_000_000
DRIVER_TASK_ID_PREFIX = "f" * 40


@enum.unique
class StateResource(enum.Enum):
    """What can be listed."""

    ACTORS = "actors"
    JOBS = "jobs"
    PLACEMENT_GROUPS = "placement_groups"
    NODES = "nodes"
    WORKERS = "workers"
    TASKS = "tasks"
    OBJECTS = "objects"
    RUNTIME_ENVS = "runtime_envs"
    CLUSTER_EVENTS = "cluster_events"


@enum.unique
class SummaryResource(enum.Enum):
    """What can be summarized."""

    ACTORS = "actors"
    TASKS = "tasks"
    OBJECTS = "objects"


def state_column(
    *, filterable: bool, detail: bool = False, format_fn: Callable[[Any], Any] | None = None, **kwargs: Any
) -> Any:
    """A column of a row.

    Args:
        filterable: Whether `filters` may name it.
        detail: Whether it is filled only when `detail=True` is asked for.
        format_fn: How it is shown to people.
        **kwargs: As for `dataclasses.field`.
    """
    if detail:
        kwargs.setdefault("default", None)
    about = {"detail": detail, "filterable": filterable, "format_fn": format_fn}
    return field(metadata=about, **kwargs)


class StateSchema:
    """A row: attributes, `row["column"]` and `row.asdict()`."""

    @classmethod
    def _fields(cls) -> tuple[dataclasses.Field[Any], ...]:
        return dataclasses.fields(cls)  # type: ignore[arg-type]

    @classmethod
    def list_columns(cls, detail: bool = True) -> list[str]:
        """The columns' names, with or without those of `detail=True`."""
        return [f.name for f in cls._fields() if detail or not f.metadata.get("detail")]

    @classmethod
    def columns(cls) -> set[str]:
        """All columns."""
        return set(cls.list_columns(detail=True))

    @classmethod
    def base_columns(cls) -> set[str]:
        """The columns that are always filled."""
        return set(cls.list_columns(detail=False))

    @classmethod
    def detail_columns(cls) -> set[str]:
        """The columns of `detail=True`."""
        return cls.columns()

    @classmethod
    def filterable_columns(cls) -> set[str]:
        """The columns that `filters` may name."""
        return {f.name for f in cls._fields() if f.metadata.get("filterable")}

    @classmethod
    def humanify(cls, state: dict[str, Any]) -> dict[str, Any]:
        """A row's dictionary with times and sizes as people read them."""
        for column in cls._fields():
            form = column.metadata.get("format_fn")
            if form is not None and state.get(column.name) is not None:
                state[column.name] = form(state[column.name])
        return state

    def asdict(self) -> dict[str, Any]:
        """The columns by name."""
        return {name: getattr(self, name) for name in self.list_columns()}

    def __getitem__(self, name: str) -> Any:
        return getattr(self, name)

    def get(self, name: str, default: Any = None) -> Any:
        """A column, or `default` if there is none of that name."""
        return getattr(self, name, default)


class Humanify:
    """Values as people read them."""

    @staticmethod
    def timestamp(milliseconds: float) -> str:
        """A time of day."""
        import datetime

        if milliseconds <= 0:
            return str(milliseconds)
        when = datetime.datetime.fromtimestamp(milliseconds / 1000, tz=datetime.UTC).astimezone()
        return when.replace(tzinfo=None).isoformat(sep=" ", timespec="milliseconds")

    @staticmethod
    def memory(size: float) -> str:
        """A number of bytes."""
        for unit in ("B", "KiB", "MiB"):
            if size < 1024:
                return f"{size:.3f} {unit}"
            size /= 1024
        return f"{size:.3f} GiB"

    @staticmethod
    def duration(milliseconds: float) -> str:
        """A length of time."""
        return f"{milliseconds / 1000:.3f} s"

    @staticmethod
    def node_resources(resources: dict[str, float]) -> dict[str, Any]:
        """Resources, with those that are memory in readable units."""
        return {n: Humanify.memory(a) if "memory" in n else a for n, a in resources.items()}


def _time(**kwargs: Any) -> Any:
    return state_column(filterable=False, detail=True, format_fn=Humanify.timestamp, **kwargs)


@dataclass
class ActorState(StateSchema):
    """An actor."""

    actor_id: str = state_column(filterable=True)
    class_name: str = state_column(filterable=True)
    state: str = state_column(filterable=True)
    job_id: str = state_column(filterable=True)
    name: str | None = state_column(filterable=True)
    node_id: str | None = state_column(filterable=True)
    pid: int | None = state_column(filterable=True)
    ray_namespace: str | None = state_column(filterable=True)
    serialized_runtime_env: str | None = state_column(filterable=False, detail=True)
    required_resources: dict[str, Any] | None = state_column(filterable=False, detail=True)
    death_cause: dict[str, Any] | None = state_column(filterable=False, detail=True)
    is_detached: bool | None = state_column(filterable=False, detail=True)
    placement_group_id: str | None = state_column(filterable=True, detail=True)
    repr_name: str | None = state_column(filterable=True, detail=True)
    num_restarts: int | None = state_column(filterable=False, detail=True)
    num_restarts_due_to_lineage_reconstruction: int | None = state_column(filterable=False, detail=True)
    num_restarts_due_to_node_preemption: int | None = state_column(filterable=False, detail=True)
    call_site: str | None = state_column(filterable=False, detail=True)
    label_selector: dict[str, Any] | None = state_column(filterable=False, detail=True)
    fallback_strategy: dict[str, Any] | None = state_column(filterable=False, detail=True)


@dataclass
class TaskState(StateSchema):
    """One attempt of a task, an actor call or an actor's creation."""

    task_id: str = state_column(filterable=True)
    attempt_number: int = state_column(filterable=True)
    name: str = state_column(filterable=True)
    state: str = state_column(filterable=True)
    job_id: str = state_column(filterable=True)
    actor_id: str | None = state_column(filterable=True)
    type: str = state_column(filterable=True)
    func_or_class_name: str = state_column(filterable=True)
    parent_task_id: str = state_column(filterable=True)
    node_id: str | None = state_column(filterable=True)
    worker_id: str | None = state_column(filterable=True)
    worker_pid: int | None = state_column(filterable=True)
    error_type: str | None = state_column(filterable=True)
    language: str | None = state_column(filterable=True, detail=True)
    required_resources: dict[str, Any] | None = state_column(filterable=False, detail=True)
    runtime_env_info: dict[str, Any] | None = state_column(filterable=False, detail=True)
    placement_group_id: str | None = state_column(filterable=True, detail=True)
    events: list[dict[str, Any]] | None = state_column(filterable=False, detail=True)
    profiling_data: dict[str, Any] | None = state_column(filterable=False, detail=True)
    creation_time_ms: int | None = _time()
    start_time_ms: int | None = _time()
    end_time_ms: int | None = _time()
    task_log_info: dict[str, Any] | None = state_column(filterable=False, detail=True)
    error_message: str | None = state_column(filterable=False, detail=True)
    is_debugger_paused: bool | None = state_column(filterable=True, detail=True)
    call_site: str | None = state_column(filterable=False, detail=True)
    label_selector: dict[str, Any] | None = state_column(filterable=False, detail=True)
    fallback_strategy: dict[str, Any] | None = state_column(filterable=False, detail=True)


@dataclass
class NodeState(StateSchema):
    """A machine."""

    node_id: str = state_column(filterable=True)
    node_ip: str = state_column(filterable=True)
    is_head_node: bool = state_column(filterable=True)
    state: str = state_column(filterable=True)
    state_message: str | None = state_column(filterable=False)
    node_name: str = state_column(filterable=True)
    resources_total: dict[str, Any] = state_column(filterable=False, format_fn=Humanify.node_resources)
    labels: dict[str, Any] = state_column(filterable=False)
    start_time_ms: int | None = _time()
    end_time_ms: int | None = _time()


@dataclass
class WorkerState(StateSchema):
    """A process that runs tasks, or a program."""

    worker_id: str = state_column(filterable=True)
    is_alive: bool = state_column(filterable=True)
    worker_type: str = state_column(filterable=True)
    exit_type: str | None = state_column(filterable=True)
    node_id: str = state_column(filterable=True)
    ip: str = state_column(filterable=True)
    pid: int = state_column(filterable=True)
    exit_detail: str | None = state_column(filterable=False, detail=True)
    worker_launch_time_ms: int | None = _time()
    worker_launched_time_ms: int | None = _time()
    start_time_ms: int | None = _time()
    end_time_ms: int | None = _time()
    debugger_port: int | None = state_column(filterable=True, detail=True)
    num_paused_threads: int | None = state_column(filterable=True, detail=True)


@dataclass
class ObjectState(StateSchema):
    """A ref, or a handle of an actor, in one process."""

    object_id: str = state_column(filterable=True)
    object_size: int = state_column(filterable=True, format_fn=Humanify.memory)
    task_status: str = state_column(filterable=True)
    attempt_number: int = state_column(filterable=True)
    reference_type: str = state_column(filterable=True)
    call_site: str = state_column(filterable=True)
    type: str = state_column(filterable=True)
    pid: int = state_column(filterable=True)
    ip: str = state_column(filterable=True)


@dataclass
class PlacementGroupState(StateSchema):
    """A placement group."""

    placement_group_id: str = state_column(filterable=True)
    name: str = state_column(filterable=True)
    creator_job_id: str = state_column(filterable=True)
    state: str = state_column(filterable=True)
    bundles: list[dict[str, Any]] | None = state_column(filterable=False, detail=True)
    is_detached: bool | None = state_column(filterable=True, detail=True)
    stats: dict[str, Any] | None = state_column(filterable=False, detail=True)
    topology_strategy: dict[str, Any] | None = state_column(filterable=False, detail=True)
    topology_assignments: dict[str, Any] | None = state_column(filterable=False, detail=True)


@dataclass
class RuntimeEnvState(StateSchema):
    """An environment that workers have been made with."""

    runtime_env: dict[str, Any] = state_column(filterable=True)
    success: bool = state_column(filterable=True)
    creation_time_ms: float | None = state_column(filterable=False, format_fn=Humanify.duration)
    node_id: str = state_column(filterable=True)
    ref_cnt: int | None = state_column(filterable=False, detail=True)
    error: str | None = state_column(filterable=True, detail=True)


@dataclass
class DriverInfo:
    """The process of a program."""

    id: str
    node_ip_address: str
    pid: str


@dataclass
class JobState(StateSchema):
    """A program."""

    type: str = state_column(filterable=True)
    job_id: str | None = state_column(filterable=True)
    submission_id: str | None = state_column(filterable=True)
    driver_info: DriverInfo | None = state_column(filterable=False)
    status: str = state_column(filterable=True)
    entrypoint: str = state_column(filterable=True)
    message: str | None = state_column(filterable=False)
    error_type: str | None = state_column(filterable=True)
    start_time: int | None = state_column(filterable=False, detail=True)
    end_time: int | None = state_column(filterable=False, detail=True)
    metadata: dict[str, Any] | None = state_column(filterable=False, detail=True)
    runtime_env: dict[str, Any] | None = state_column(filterable=False, detail=True)
    driver_agent_http_address: str | None = state_column(filterable=False, detail=True)
    driver_node_id: str | None = state_column(filterable=False, detail=True)
    driver_exit_code: int | None = state_column(filterable=False, detail=True)

    def model_dump(self) -> dict[str, Any]:
        """All columns, as a plain dictionary."""
        return self.asdict()

    def dict(self) -> dict[str, Any]:
        """All columns, as a plain dictionary."""
        return self.model_dump()


@dataclass
class ClusterEventState(StateSchema):
    """Something that went wrong in the session."""

    severity: str = state_column(filterable=True)
    time: str = state_column(filterable=False)
    source_type: str = state_column(filterable=True)
    message: str = state_column(filterable=False)
    event_id: str = state_column(filterable=True)
    custom_fields: dict[str, Any] | None = state_column(filterable=False, detail=True)


SCHEMAS: dict[StateResource, type[StateSchema]] = {
    StateResource.ACTORS: ActorState,
    StateResource.JOBS: JobState,
    StateResource.PLACEMENT_GROUPS: PlacementGroupState,
    StateResource.NODES: NodeState,
    StateResource.WORKERS: WorkerState,
    StateResource.TASKS: TaskState,
    StateResource.OBJECTS: ObjectState,
    StateResource.RUNTIME_ENVS: RuntimeEnvState,
    StateResource.CLUSTER_EVENTS: ClusterEventState,
}

# -- options ----------------------------------------

PREDICATES = ("=", "!=")


@dataclass
class ListApiOptions:
    """What to list.

    Raises:
        ValueError: a filter is no (column, "=" or "!=", value).
    """

    limit: int = DEFAULT_LIMIT
    timeout: int = DEFAULT_RPC_TIMEOUT
    detail: bool = False
    filters: list[tuple[str, str, Any]] | None = field(default_factory=list)
    exclude_driver: bool = True
    server_timeout_multiplier: float = 0.8

    def __post_init__(self) -> None:
        self.filters = list(self.filters or ())
        for item in self.filters:
            if isinstance(item, str) or not isinstance(item, list | tuple) or len(item) != 3:
                raise ValueError(
                    f"filters={self.filters!r}: {item!r} is no filter. A filter is (column, '=' or '!=', value)."
                )
            if item[1] not in PREDICATES:
                raise ValueError(
                    f"Unsupported filter predicate {item[1]} is given. Available predicates: =, !=. In {item!r}."
                )


@dataclass
class GetApiOptions:
    """How to get one."""

    timeout: int = DEFAULT_RPC_TIMEOUT
    server_timeout_multiplier: float = 0.8


@dataclass
class SummaryApiOptions:
    """What to summarize."""

    timeout: int = DEFAULT_RPC_TIMEOUT
    filters: list[tuple[str, str, Any]] | None = field(default_factory=list)
    summary_by: str | None = None


@dataclass
class ListApiResponse:
    """A list, and how much of all there is it shows."""

    total: int
    num_after_truncation: int
    num_filtered: int
    result: list[dict[str, Any]]


# -- summaries ----------------------------------------


@dataclass
class TaskSummaryPerFuncOrClassName:
    """The tasks of one function."""

    func_or_class_name: str
    type: str
    state_counts: dict[str, int] = field(default_factory=dict)


@dataclass
class TaskSummaries:
    """All tasks, by function."""

    summary: dict[str, TaskSummaryPerFuncOrClassName]
    total_tasks: int
    total_actor_tasks: int
    total_actor_scheduled: int
    summary_by: str = "func_name"

    @classmethod
    def to_summary(cls, *, tasks: list[dict[str, Any]]) -> TaskSummaries:
        """Count tasks by function and state."""
        found = cls({}, 0, 0, 0)
        for task in tasks:
            name = task["name"]
            entry = found.summary.get(name)
            if entry is None:
                entry = TaskSummaryPerFuncOrClassName(task["func_or_class_name"], task["type"])
                found.summary[name] = entry
            entry.state_counts[task["state"]] = entry.state_counts.get(task["state"], 0) + 1
            if task["type"] == "NORMAL_TASK":
                found.total_tasks += 1
            elif task["type"] == "ACTOR_TASK":
                found.total_actor_tasks += 1
            else:
                found.total_actor_scheduled += 1
        return found


@dataclass
class ActorSummaryPerClass:
    """The actors of one class."""

    class_name: str
    state_counts: dict[str, int] = field(default_factory=dict)


@dataclass
class ActorSummaries:
    """All actors, by class."""

    summary: dict[str, ActorSummaryPerClass]
    total_actors: int
    summary_by: str = "class"

    @classmethod
    def to_summary(cls, *, actors: list[dict[str, Any]]) -> ActorSummaries:
        """Count actors by class and state."""
        found = cls({}, len(actors))
        for actor in actors:
            name = actor["class_name"]
            entry = found.summary.setdefault(name, ActorSummaryPerClass(name))
            entry.state_counts[actor["state"]] = entry.state_counts.get(actor["state"], 0) + 1
        return found


@dataclass
class ObjectSummaryPerKey:
    """The objects made at one place."""

    total_objects: int
    total_size_mb: float
    total_num_workers: int
    total_num_nodes: int
    task_state_counts: dict[str, int] = field(default_factory=dict)
    task_attempt_number_counts: dict[str, int] = field(default_factory=dict)
    ref_type_counts: dict[str, int] = field(default_factory=dict)


@dataclass
class ObjectSummaries:
    """All objects."""

    summary: dict[str, ObjectSummaryPerKey]
    total_objects: int
    total_size_mb: float
    callsite_enabled: bool
    summary_by: str = "callsite"

    @classmethod
    def to_summary(cls, *, objects: list[dict[str, Any]]) -> ObjectSummaries:
        """Count objects by place, and add up their sizes."""
        found = cls({}, len(objects), 0.0, False)
        pids: dict[str, set[int]] = {}
        for thing in objects:
            place = thing["call_site"]
            entry = found.summary.setdefault(place, ObjectSummaryPerKey(0, 0.0, 0, 1))
            size = max(0, thing["object_size"]) / (1 << 20)
            entry.total_objects += 1
            entry.total_size_mb += size
            found.total_size_mb += size
            pids.setdefault(place, set()).add(thing["pid"])
            for counts, key in (
                (entry.task_state_counts, thing["task_status"]),
                (entry.task_attempt_number_counts, str(thing["attempt_number"])),
                (entry.ref_type_counts, thing["reference_type"]),
            ):
                counts[key] = counts.get(key, 0) + 1
        for place, entry in found.summary.items():
            entry.total_num_workers = len(pids[place])
        return found


@dataclass
class StateSummary:
    """A summary for each node; all of them together are the node "cluster"."""

    node_id_to_summary: dict[str, TaskSummaries | ActorSummaries | ObjectSummaries]


__all__ = [
    "ActorState",
    "ActorSummaries",
    "ActorSummaryPerClass",
    "ClusterEventState",
    "DEFAULT_LIMIT",
    "DEFAULT_LOG_LIMIT",
    "DEFAULT_RPC_TIMEOUT",
    "DRIVER_TASK_ID_PREFIX",
    "DriverInfo",
    "GetApiOptions",
    "Humanify",
    "JobState",
    "ListApiOptions",
    "ListApiResponse",
    "NodeState",
    "ObjectState",
    "ObjectSummaries",
    "ObjectSummaryPerKey",
    "PREDICATES",
    "PlacementGroupState",
    "RAY_MAX_LIMIT_FROM_API_SERVER",
    "RAY_MAX_LIMIT_FROM_DATA_SOURCE",
    "RuntimeEnvState",
    "SCHEMAS",
    "StateResource",
    "StateSchema",
    "StateSummary",
    "SummaryApiOptions",
    "SummaryResource",
    "TaskState",
    "TaskSummaries",
    "TaskSummaryPerFuncOrClassName",
    "WorkerState",
    "state_column",
]
