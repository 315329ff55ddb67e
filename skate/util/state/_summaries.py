"""Tasks, actors and objects counted by function, class or place."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any


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
