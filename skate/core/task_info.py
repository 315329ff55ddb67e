"""What an engine tells of the code that asks: apart from `context`, as making a dataclass takes a moment that most programs can spare."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from skate.core.actor import ActorState


@dataclass(slots=True)
class TaskInfo:
    """Who asks: the facts an engine knows of the code that runs in this thread or coroutine."""

    job_id: str
    node_id: str
    worker_id: str
    namespace: str
    mode: str
    """"driver", "worker" (a task) or "actor"."""
    task_id: str | None = None
    task_name: str | None = None
    function_name: str | None = None
    actor: ActorState | None = None
    actor_name: str | None = None
    restarted: bool = False
    resources: dict[str, float] = field(default_factory=dict)
    gpu_ids: list[int] | list[str] = field(default_factory=list)
    runtime_env: dict[str, Any] = field(default_factory=dict)
    labels: dict[str, str] = field(default_factory=dict)
    cancelled: bool = False
    placement_group_id: str | None = None
    captures_children: bool = False
    """Whether what it calls joins its placement group."""
    session_name: str = ""
    session_dir: str = ""
    address: str = ""
