"""What a task or actor can learn about itself: `get_runtime_context()`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from skate.core import runtime
from skate.core.actor import ActorHandle
from skate.core.ids import ActorID, JobID, NodeID, PlacementGroupID, TaskID

if TYPE_CHECKING:
    from skate.core.task_info import TaskInfo


class NotInWorkerError(RuntimeError, AssertionError):
    """A driver has asked for what only tasks and actors have. Ray raises the one type for some of it, and the other for the rest."""


class RuntimeContext:
    """Facts about the program, and about the task or actor that asks."""

    def _info(self) -> TaskInfo:
        return runtime.current().task_info()

    @property
    def worker(self) -> Any:
        """This process, as `ray._private.worker.global_worker` describes it."""
        assert runtime.this_process is not None  # the public API has set it
        return runtime.this_process()

    def get(self) -> dict[str, Any]:
        """The main identifiers as a dictionary."""
        info = self._info()
        found: dict[str, Any] = {"job_id": self.job_id, "node_id": self.node_id, "namespace": info.namespace}
        if info.mode != "driver":
            found["task_id"] = self.task_id
        if info.actor is not None:
            found["actor_id"] = self.actor_id
        return found

    def get_job_id(self) -> str:
        """The program's id in hex."""
        return self._info().job_id

    def get_node_id(self) -> str:
        """This machine's id in hex."""
        return self._info().node_id

    def get_worker_id(self) -> str:
        """This process's id in hex."""
        return self._info().worker_id

    def get_task_id(self) -> str | None:
        """The id in hex of the task that asks; None in the driver."""
        return self._info().task_id

    def get_task_name(self) -> str | None:
        """The task's name: `options(name=…)`, or the function's."""
        return self._info().task_name

    def get_task_function_name(self) -> str | None:
        """The function's qualified name; None in the driver."""
        return self._info().function_name

    def get_actor_id(self) -> str | None:
        """The id in hex of the actor that asks; None outside one."""
        actor = self._info().actor
        return None if actor is None else actor.key.to_bytes(ActorID.SIZE, "big").hex()

    def get_actor_name(self) -> str | None:
        """The name the actor was given ("" if none); None outside an actor."""
        info = self._info()
        return None if info.actor is None else (info.actor_name or "")

    def get_assigned_resources(self) -> dict[str, float]:
        """The resources that this task or actor holds.

        Raises:
            RuntimeError: asked by a driver, which holds none. (Also an AssertionError.)
        """
        info = self._info()
        if info.mode == "driver":
            raise NotInWorkerError(
                "get_assigned_resources() is only available when the process is a worker: a driver holds no resources."
            )
        return dict(info.resources)

    def get_accelerator_ids(self) -> dict[str, list[str]]:
        """Ids of the accelerators assigned, by kind."""
        ids = [str(i) for i in self._info().gpu_ids]
        return {kind: ids if kind == "GPU" else [] for kind in _ACCELERATORS}

    def get_resource_ids(self) -> dict[str, list[str]]:
        """The older name of `get_accelerator_ids`."""
        return self.get_accelerator_ids()

    def get_node_labels(self) -> dict[str, Any]:
        """This machine's labels."""
        info = self._info()
        return {"ray.io/node-id": info.node_id, **info.labels}

    def get_placement_group_id(self) -> str | None:
        """The placement group of the task or actor that asks, in hex; None if it is in none."""
        return self._info().placement_group_id

    def get_runtime_env_string(self) -> str:
        """The runtime environment as JSON."""
        import json

        return json.dumps({n: v for n, v in self._info().runtime_env.items() if not n.startswith("_")})

    def get_session_name(self) -> str:
        """The session's name."""
        return self._info().session_name

    def get_temp_dir(self) -> str:
        """The session's directory for temporary files."""
        return self._info().session_dir

    def is_canceled(self) -> bool:
        """Whether the task that asks has been cancelled.

        Raises:
            RuntimeError: asked by a driver.
        """
        info = self._info()
        if info.mode == "driver":
            raise NotInWorkerError(
                "is_canceled() is only available when the process is a worker: a driver can't be cancelled."
            )
        return info.cancelled

    @property
    def job_id(self) -> JobID:
        """The older name of `get_job_id()`, which gives the hex form."""
        return JobID.from_hex(self.get_job_id())

    @property
    def node_id(self) -> NodeID:
        """The older name of `get_node_id()`, which gives the hex form."""
        return NodeID.from_hex(self.get_node_id())

    @property
    def task_id(self) -> TaskID | None:
        """The older name of `get_task_id()`, which gives the hex form."""
        task = self.get_task_id()
        return None if task is None else TaskID.from_hex(task)

    @property
    def actor_id(self) -> ActorID | None:
        """The older name of `get_actor_id()`, which gives the hex form."""
        actor = self.get_actor_id()
        return None if actor is None else ActorID.from_hex(actor)

    @property
    def namespace(self) -> str:
        """The namespace in which names of actors are looked up."""
        return self._info().namespace

    @property
    def runtime_env(self) -> dict[str, Any]:
        """The runtime environment of the task or actor that asks: a `RuntimeEnv`, which is a dict."""
        found = self._info().runtime_env
        assert runtime.environment is not None  # the public API has set it
        return runtime.environment({name: value for name, value in found.items() if not name.startswith("_")})

    @property
    def gcs_address(self) -> str:
        """Where the session is reached."""
        return self._info().address

    @property
    def was_current_actor_reconstructed(self) -> bool:
        """Whether this actor has been restarted.

        Raises:
            RuntimeError: asked outside an actor. (Also an AssertionError.)
        """
        info = self._info()
        if info.actor is None:
            raise NotInWorkerError(
                "was_current_actor_reconstructed is only available in an actor: this code runs in none."
            )
        return info.restarted

    @property
    def current_actor(self) -> ActorHandle:
        """A handle to the actor that asks.

        Raises:
            RuntimeError: asked outside an actor.
        """
        actor = self._info().actor
        if actor is None:
            raise RuntimeError("current_actor is only available in an actor: this code runs in none.")
        return ActorHandle(actor)

    @property
    def should_capture_child_tasks_in_placement_group(self) -> bool:
        """Whether tasks made here join the placement group of the one that asks."""
        return self._info().captures_children

    @property
    def current_placement_group_id(self) -> PlacementGroupID:
        """The older name of `get_placement_group_id()`, as an id; nil for none."""
        group = self.get_placement_group_id()
        return PlacementGroupID.nil() if group is None else PlacementGroupID.from_hex(group)

    def __repr__(self) -> str:
        if runtime.engine is None:
            return "RuntimeContext(no session)"
        info = self._info()
        parts = [f"mode={info.mode!r}", f"job_id={info.job_id!r}", f"namespace={info.namespace!r}"]
        if info.task_name:
            parts.append(f"task={info.task_name!r}")
        return f"RuntimeContext({', '.join(parts)})"


_ACCELERATORS = ("GPU", "TPU", "neuron_cores", "HPU", "NPU", "RBLN", "FURIOSA", "MBLT", "TTNPU")


def get_runtime_context() -> RuntimeContext:
    """The runtime context of the code that asks.

    Example:
        >>> import skate
        >>> with skate.init(num_cpus=1):
        ...     print(skate.get_runtime_context().get_task_id())
        None
    """
    runtime.current()
    return RuntimeContext()
