"""The contract that an engine keeps: everything that the public API asks of what is underneath it.

An engine runs functions (`FunctionSpec`) and hosts actors (`ClassSpec`). It hands out `ObjectRef`s and fills them: the slots of
a ref whose names start with an underscore belong to the engine that made it. Every method may be called from any thread, and
from inside tasks and actors. Blocking methods return to their caller on KeyboardInterrupt with the engine still usable. Values are
copied by pickling between a caller and a task, whatever the engine: a task never sees its caller's mutable objects.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable, Mapping, Sequence
    from types import FrameType, TracebackType

    from skate.core.actor import ActorState, ClassSpec, MethodSpec
    from skate.core.function import FunctionSpec
    from skate.core.options import ActorOptions, MethodOptions, TaskOptions
    from skate.core.ref import ObjectRef, Stream
    from skate.core.task_info import TaskInfo


@dataclass(slots=True)
class InitConfig:
    """What `init` was asked for, validated. Sizes are in bytes; None means: decide from the machine."""

    num_cpus: float | None = None
    num_gpus: float | None = None
    resources: dict[str, float] = field(default_factory=dict)
    labels: dict[str, str] = field(default_factory=dict)
    memory: int | None = None
    object_store_memory: int | None = None
    namespace: str | None = None
    runtime_env: dict[str, Any] = field(default_factory=dict)
    log_to_driver: bool = True
    preload: tuple[str, ...] = ()
    worker_setup: tuple[tuple[str, tuple[Any, ...]], ...] = ()
    """What each process that runs tasks calls first: functions ("module:function") and arguments of plain built-in types."""
    seed: int | None = None
    spill_directory: str | None = None
    system_config: dict[str, Any] = field(default_factory=dict)
    record: str = ""
    """The folder that failed tasks are kept in; empty: they are not."""
    machine_id: str | None = None
    """The id that this machine is to have, in hex; None for a new one."""
    machine_variables: dict[str, str] = field(default_factory=dict)
    """Environment variables of this machine's workers, beside those of this process."""


class StateAnswer(NamedTuple):
    """What `Engine.state` tells."""

    rows: list[dict[str, Any]]
    missing: list[str]
    """What could not be asked, and why, in words."""


Returned = "ObjectRef[Any] | list[ObjectRef[Any]] | ObjectRefGenerator | None"
"""What a call gives back, by num_returns: one ref, a list of refs, a generator, or None for zero."""


class Engine(ABC):
    """Runs tasks, hosts actors and keeps objects for one process."""

    name: str
    config: InitConfig
    address: str
    """How another process would join: informative only."""

    # -- life ----------------------------------------

    @abstractmethod
    def shutdown(self) -> None:
        """End everything this engine started; pending refs fail. Called once, from the process that started it."""

    # -- calls ----------------------------------------

    @abstractmethod
    def submit_task(
        self, spec: FunctionSpec, options: TaskOptions, args: tuple[Any, ...], kwargs: Mapping[str, Any]
    ) -> Any:
        """Run `spec.function(*args, **kwargs)` once the refs among the top-level arguments have values.

        Refs at top level are replaced by their values; refs inside containers stay refs. Arguments are pickled before this
        returns. A task that ends without a result (its process died) is run again up to `options.max_retries` times, and
        after an exception only as `options.retry_exceptions` says.

        Returns:
            One ref, a list of refs, an `ObjectRefGenerator` ("streaming"), or None, by `options.num_returns`.

        Raises:
            TypeError: an argument can't be pickled; the message names it.
        """

    @abstractmethod
    def create_actor(
        self, spec: ClassSpec, options: ActorOptions, args: tuple[Any, ...], kwargs: Mapping[str, Any]
    ) -> ActorState:
        """Start an actor; its constructor runs later, and a failure there fails the calls.

        Raises:
            ValueError: the name is taken in that namespace (unless `options.get_if_exists`).
        """

    @abstractmethod
    def submit_actor_call(
        self,
        actor: ActorState,
        method: MethodSpec,
        options: MethodOptions,
        args: tuple[Any, ...],
        kwargs: Mapping[str, Any],
    ) -> Any:
        """Call a method; calls of one caller start in the order they were made. Returns as `submit_task` does.

        Raises:
            PendingCallsLimitExceeded: more than `max_pending_calls` of this process are unanswered.
        """

    @abstractmethod
    def cancel(self, ref: ObjectRef[Any], force: bool, recursive: bool) -> None:
        """Stop the task that makes `ref`, if it has not ended: its refs raise `TaskCancelledError`.

        Raises:
            ValueError: `force` with an actor's task.
        """

    # -- actors ----------------------------------------

    @abstractmethod
    def kill_actor(self, actor: ActorState, no_restart: bool) -> None:
        """End the actor at once; calls under way fail. With `no_restart=False` it restarts if it has restarts left."""

    @abstractmethod
    def find_actor(self, name: str, namespace: str | None) -> ActorState:
        """The live actor of that name.

        Raises:
            ValueError: there is none.
        """

    @abstractmethod
    def list_named_actors(self, all_namespaces: bool) -> list[tuple[str, str]]:
        """(namespace, name) of the live named actors."""

    @abstractmethod
    def restore_actor(self, key: int, meta: Any) -> ActorState:
        """The state of this process for an actor whose handle was unpickled."""

    # -- objects ----------------------------------------

    @abstractmethod
    def put(self, value: Any) -> ObjectRef[Any]:
        """Store a copy of `value`."""

    @abstractmethod
    def get(self, refs: Sequence[ObjectRef[Any]], timeout: float | None) -> list[Any]:
        """The values, in order. The first error among them, in order, is raised.

        Raises:
            GetTimeoutError: `timeout` seconds passed first (0 asks without waiting).
        """

    @abstractmethod
    def wait(
        self, refs: Sequence[Any], num_returns: int, timeout: float | None
    ) -> tuple[list[Any], list[Any]]:
        """Up to `num_returns` refs (or generators with an item) that are ready, and the rest, each in the given order."""

    @abstractmethod
    def on_done(self, ref: ObjectRef[Any], callback: Callable[[ObjectRef[Any]], None]) -> None:
        """Call `callback(ref)` once, in any thread, when the ref has a value or an error (at once if it has)."""

    @abstractmethod
    def wrap_asyncio(self, ref: ObjectRef[Any], loop: asyncio.AbstractEventLoop) -> asyncio.Future[Any]:
        """A future of `loop`, which runs in the calling thread, that ends as `ref` does."""

    @abstractmethod
    def restore_ref(self, key: int) -> ObjectRef[Any]:
        """The ref of this process for a key that was unpickled."""

    def owns(self, key: int) -> bool:
        """Whether a ref's key may be of this session, rather than of one that has ended."""
        return True

    @abstractmethod
    def pin_forever(self, item: Any) -> None:
        """Keep a ref's value (or an actor) until shutdown: its bytes have left our sight."""

    # -- generators ----------------------------------------

    @abstractmethod
    def wait_stream(self, stream: Stream, timeout: float | None) -> bool:
        """Wait until the stream has an item or has ended; False after `timeout` seconds."""

    @abstractmethod
    def take_item(self, stream: Stream) -> ObjectRef[Any] | None:
        """Remove and return the stream's first item, telling the producer; None at the end."""

    @abstractmethod
    def on_stream(self, stream: Stream, callback: Callable[[Stream], None]) -> None:
        """Call `callback(stream)` once when an item or the end is there (at once if it is)."""

    @abstractmethod
    def drop_stream(self, stream: Stream) -> None:
        """Nobody will take items any more. Called from `__del__`: must not block or raise."""

    # -- context ----------------------------------------

    @abstractmethod
    def task_info(self) -> TaskInfo:
        """Who is asking: the task or actor that runs in this thread or coroutine, or the driver."""

    @abstractmethod
    def nodes(self) -> list[dict[str, Any]]:
        """The machines, as `skate.nodes()` shows them."""

    @abstractmethod
    def cluster_resources(self) -> dict[str, float]:
        """All there is."""

    @abstractmethod
    def available_resources(self) -> dict[str, float]:
        """What nobody holds; entries of zero are left out."""

    # -- placement groups ----------------------------------------

    def create_group(self, about: Mapping[str, Any]) -> str:
        """Reserve resources, as soon as there are any, and return the group's id in hex.

        Args:
            about: "bundles" (a list of amounts by resource), "strategy", "name", "detached", "selectors" (label selectors, one a
                bundle, or none), "target" (the id of the node to prefer, or ""), "alike" (labels that all its nodes must share).

        Raises:
            RaySystemError: the name is taken.
        """
        raise self._no_groups()

    def remove_group(self, id: str) -> None:
        """Free what a group has reserved, and end what runs in it."""
        raise self._no_groups()

    def find_group(self, name: str) -> tuple[str, list[dict[str, float]]] | None:
        """The id and the bundles of the group of that name in this namespace."""
        raise self._no_groups()

    def group_table(self, id: str) -> dict[str, dict[str, Any]]:
        """What is known of a group, or of all if `id` is empty, by id."""
        raise self._no_groups()

    def group_ready(self, id: str, value: Any) -> ObjectRef[Any]:
        """A ref that has `value` once the group is created, and raises `TaskPlacementGroupRemoved` once it is removed."""
        raise self._no_groups()

    def _no_groups(self) -> Exception:
        return NotImplementedError(
            f"the {self.name} engine has no placement groups: run this program on the local or the inline engine."
        )

    def state(self, what: str, timeout: float) -> StateAnswer:
        """What has been and is: rows of `what`, with the columns of `skate.util.state.common`.

        That is "tasks", "actors", "objects", "nodes", "workers", "jobs", "placement_groups", "runtime_envs", "logs",
        "stacks" or "events".

        Raises:
            NotImplementedError: the engine keeps no such record.
        """
        raise NotImplementedError(f"the {self.name} engine keeps no record of {what}.")

    def read_log(self, node_id: str, filename: str, start: int) -> tuple[bytes, int]:
        """What a file of "logs" without a path on this machine holds from byte `start` on, and where the next reading begins.

        Nothing, if it is gone.
        """
        raise NotImplementedError(f"the {self.name} engine keeps no logs on other machines.")

    def debug(self, frame: FrameType | None, trace: TracebackType | None) -> None:
        """Stop at a frame in a debugger that the user can reach, or look at a traceback: by default, on this process's terminal."""
        import pdb  # noqa: T100 -- asked for

        debugger = pdb.Pdb()
        if trace is None:
            debugger.set_trace(frame)
        else:
            debugger.reset()
            debugger.interaction(None, trace)

    def add_span(self, event: str, started: float, ended: float, extra: dict[str, Any]) -> None:
        """Remember a block that the user has marked, for the timeline; times of `time.monotonic`."""
        return  # an engine that draws no timeline has no use for it

    # -- simulated machines ----------------------------------------

    def add_machine(
        self, id: str, resources: Mapping[str, float], labels: Mapping[str, str], variables: Mapping[str, str]
    ) -> None:
        """Have a machine of that id simulated on this one, with workers of its own, which have these environment variables too."""
        raise self._no_machines()

    def remove_machine(self, id: str) -> bool:
        """Let a simulated machine die, at once and with all on it. False if there is none of that id."""
        raise self._no_machines()

    def _no_machines(self) -> Exception:
        return NotImplementedError(f"the {self.name} engine simulates no machines: use the local engine.")

    # -- key-value pairs ---------------------------------------------------------------------------------------------------

    @abstractmethod
    def kv(self, action: str, key: bytes, value: bytes | None, namespace: bytes, overwrite: bool) -> Any:
        """A small shared dictionary. `action`: "get", "put" (whether the key is new), "del", "keys" (by prefix).

        A value that is there stays unless `overwrite`.
        """
