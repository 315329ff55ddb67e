"""The inline engine: the contract's methods over the scheduler, the actors and the values."""

from __future__ import annotations

import itertools
import os
import shutil
import tempfile
import threading
from typing import TYPE_CHECKING, Any, NamedTuple

from skate import exceptions
from skate.core import devices, serialize
from skate.core.actor import ActorMeta, ActorState, ClassSpec, MethodSpec, too_many_calls
from skate.core.arguments import pack_code
from skate.core.environment.fields import SHARED_FIELDS
from skate.core.failure import FailedArgumentError
from skate.core.function import FunctionSpec
from skate.core.ref import ERROR, INDEX_BITS, PENDING, ObjectRef, Stream
from skate.engine.base import Engine, InitConfig
from skate.engine.inline.actors import Actor, Actors
from skate.engine.inline.admission import Admission, Entry
from skate.engine.inline.calls import Call, add_waiter, current, settle
from skate.engine.inline.cancel import cancel_call
from skate.engine.inline.execute import Executor
from skate.engine.inline.fiber import Fiber, current_fiber
from skate.engine.inline.groups import PlacementGroups
from skate.engine.inline.history import History
from skate.engine.inline.inform import NODE_ID, describe_node, describe_task
from skate.engine.inline.resources import Holding, Ledger, total_resources
from skate.engine.inline.scheduler import Scheduler
from skate.engine.inline.values import Arguments, Outcome, Values
from skate.engine.inline.waits import Waits
from skate.engine.placement.resources import scale, unscale

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable, Mapping, Sequence

    from skate.core.options import ActorOptions, MethodOptions, TaskOptions
    from skate.core.task_info import TaskInfo
    from skate.engine.base import StateAnswer
    from skate.engine.inline.aio import ActorLoop, ForeignLoops

_CROWD = 1000
"""Ready work beyond which a submission runs some of it first."""
_sessions = itertools.count(1)


class Exported(NamedTuple):
    """What a session has made of a function or class."""

    engine: int
    thing: Any


class InlineEngine(Engine):
    """Runs everything in this process.

    Args:
        config: What `init` was asked for; `seed` chooses the order of ready work, None means order of submission.
        namespace: Where names of actors live by default.
    """

    name = "inline"

    def __init__(self, config: InitConfig, namespace: str) -> None:
        refuse_more_than_variables(config.runtime_env)
        self.config = config
        self.namespace = namespace
        self.address = f"inline:{os.getpid()}"
        self.ended = False
        self.number = -next(_sessions)
        self.keys = itertools.count((-self.number << 64) | (1 << INDEX_BITS), 1 << INDEX_BITS)
        self.total = total_resources(config)
        self.named_devices = devices.visible()
        self.scheduler = Scheduler(config.seed)
        self.admission = Admission(Ledger(self.total, config.labels, NODE_ID), self.scheduler)
        self.scheduler.stuck = self.stuck
        self.scheduler.watching = self.look_at_sockets
        self.actors = Actors(self)
        self.values = Values(self.actors.counted)
        self.executor = Executor(self)
        self.groups = PlacementGroups(self)
        self.waits = Waits(self)
        self.history = History(self)
        self.calls: dict[int, Call] = {}
        """Calls that have not ended."""
        self.fibers: set[Fiber] = set()
        self.loops: dict[ActorLoop, None] = {}
        self.session_dir = tempfile.mkdtemp(prefix="skate-inline-")
        self._foreign: ForeignLoops | None = None
        self._pinned: list[Any] = []
        self._kv: dict[tuple[bytes, bytes], bytes] = {}

    # -- life ------------------------------------------------------------------------------------------------------------

    def shutdown(self) -> None:
        error = self.values.error(
            exceptions.RaySystemError("the session has ended: skate.shutdown() was called.")
        )
        with self.scheduler.lock:
            self.ended = True
            for call in list(self.calls.values()):
                call.fail(error)
            self.calls.clear()
        me = threading.get_ident()
        for fiber in list(self.fibers):
            if fiber.thread == me and fiber is not current_fiber():
                self.scheduler.doom(fiber)
                fiber.go_on()
        for actor in list(self.actors.by_key.values()):
            self.actors.die(actor, "the session has ended.")
        for loop in list(self.loops):
            while not loop.is_closed() and (loop.stepping is None or loop.stepping.thread == me):
                if loop.stepping is not None:
                    self.scheduler.doom(loop.stepping)
                    loop.stepping.go_on()
                loop.end_now()
        self.scheduler.clear()
        self._pinned.clear()
        shutil.rmtree(self.session_dir, ignore_errors=True)

    def check_running(self) -> None:
        """Raise `RaySystemError` if the session has ended."""
        if self.ended:
            raise exceptions.RaySystemError("the session has ended: skate.shutdown() was called.")

    # -- tasks -----------------------------------------------------------------------------------------------------------

    def submit_task(
        self, spec: FunctionSpec, options: TaskOptions, args: tuple[Any, ...], kwargs: Mapping[str, Any]
    ) -> Any:
        self.check_running()
        function = self._copy(spec)
        call = Call(
            next(self.keys),
            spec.name,
            options,
            Arguments(self.values, args, kwargs, spec.name),
            current.get(),
        )
        call.function = function
        call.module = spec.module
        call.env_vars = self.variables(options.runtime_env)
        call.retries = options.max_retries
        call.where = self.groups.where(options, options.demand(), spec.name)
        call.demand = scale(options.demand())
        returned = call.outputs()
        with self.scheduler.lock:
            call.register(self.calls, self.history)
            if self._arguments_there(call, lambda: self.enqueue(call)):
                self.enqueue(call)
        if self.scheduler.ready_count() > _CROWD:
            self.scheduler.make_progress()
        return returned

    def _copy(self, spec: FunctionSpec | ClassSpec) -> Any:
        """A function's copy, or a class's pickle, made once: what they close over is as it was at the first call."""
        found = spec.exported
        if isinstance(found, Exported) and found.engine == self.number:
            return found.thing
        if isinstance(spec, FunctionSpec):
            thing = serialize.unpack(self._pack(spec.function, "function", spec))
        else:
            thing = self._pack(spec.cls, "actor class", spec)
        spec.exported = Exported(self.number, thing)
        return thing

    def _pack(self, thing: Any, what: str, spec: FunctionSpec | ClassSpec) -> Any:
        packed = pack_code(thing, what, f"{spec.module}.{spec.name}")
        self._pinned.extend(self.values.hold(packed.nested))
        return packed.inline()

    def _arguments_there(self, call: Call, go_on: Callable[[], None]) -> bool:
        """Whether the refs among the arguments have values; if not, `go_on` is called when they have (with the lock held)."""

        def arrived(_ref: Any) -> None:
            call.waiting_for -= 1
            if not call.waiting_for and not call.done and self._arguments_fine(call):
                go_on()

        for ref in call.arguments.slots:
            if ref._kind == PENDING:
                call.waiting_for += 1
                add_waiter(ref, arrived)
        return not call.waiting_for and self._arguments_fine(call)

    def _arguments_fine(self, call: Call) -> bool:
        for ref in call.arguments.slots:
            if ref._kind == ERROR:
                call.fail(self.executor.user_error(call, FailedArgumentError.of(ref._value)))
                if call.actor is not None:
                    self.actors.schedule(call.actor)
                return False
        return True

    def enqueue(self, call: Call) -> None:
        """Run a task once there is room for it."""
        life = call.life
        entry = Entry(
            call.demand,
            call.where,
            lambda: not call.done and call.life == life,
            lambda holding: self._start(call, holding),
            lambda kind, text: self._refuse(call, kind, text),
        )
        call.infeasible = self.admission.ask(entry, f"task {call.name}")

    def _refuse(self, call: Call, kind: str, text: str) -> None:
        error = exceptions.TaskPlacementGroupRemoved if kind == "group" else exceptions.TaskUnschedulableError
        with self.scheduler.lock:
            call.fail(self.values.error(error(f"task {call.name}: {text}")))

    def _start(self, call: Call, holding: Holding) -> None:
        call.holding = holding
        assert call.function is not None

        def ended() -> None:
            self.admission.give_back(holding)

        self.executor.start(call, call.function, self.environment(call.env_vars, holding), ended)

    def variables(self, runtime_env: Mapping[str, Any] | None) -> dict[str, str]:
        """The environment variables for what is called now: its caller's, with its own on top.

        Raises:
            RuntimeEnvSetupError: more than variables is asked for.
        """
        refuse_more_than_variables(runtime_env)
        caller = current.get()
        inherited = self.config.runtime_env.get("env_vars", {}) if caller is None else caller.env_vars
        return {**inherited, **((runtime_env or {}).get("env_vars") or {})}

    def environment(self, env_vars: Mapping[str, str], holding: Holding) -> dict[str, str]:
        """What a task or actor finds in `os.environ` beyond the process's own."""
        if not holding.gpus:
            return dict(env_vars)
        return {**env_vars, devices.VARIABLE: devices.variable(holding.gpus, self.named_devices)}

    def on_park(self, fiber: Fiber, parked: bool) -> None:
        """A fiber waits, or goes on: others may have its CPU meanwhile."""
        if fiber.holding is not None:
            self.admission.lend(fiber.holding, parked)

    # -- actors ----------------------------------------------------------------------------------------------------------

    def create_actor(
        self, spec: ClassSpec, options: ActorOptions, args: tuple[Any, ...], kwargs: Mapping[str, Any]
    ) -> ActorState:
        self.check_running()
        self.scheduler.run_deferred()
        place = (options.namespace or self.namespace, options.name or "")
        holder = self.actors.names.get(place) if options.name else None
        if holder is not None:
            if options.get_if_exists:
                return self.actors.state_of(holder)
            raise exceptions.ActorAlreadyExistsError(
                f"The name {place[1]} (namespace={place[0]}) is already taken by a live actor. Use another name, "
                "get_actor() to reach the one that has it, or get_if_exists=True."
            )
        where = self.groups.where(options, options.creation_demand(), spec.name)
        payload = self._copy(spec)
        overtaking = options.allow_out_of_order_execution
        if overtaking is None:
            overtaking = (
                spec.is_asyncio or (options.max_concurrency or 1) > 1 or bool(options.concurrency_groups)
            )
        meta = ActorMeta(
            spec.name,
            spec.module,
            spec.methods,
            options.max_task_retries,
            options.max_pending_calls,
            not overtaking,
        )
        arguments = Arguments(self.values, args, kwargs, spec.name)
        with self.scheduler.lock:
            actor = Actor(next(self.keys), meta, spec, options, payload, arguments)
            actor.where = where
            actor.demand = scale(options.creation_demand())
            actor.namespace = place[0]
            actor.env_vars = self.variables(options.runtime_env)
            self.actors.by_key[actor.key] = actor
            if options.name:
                self.actors.names[place] = actor
            state = self.actors.state_of(actor)
            if options.lifetime == "detached":
                actor.kept = state
            self.actors.construct(actor)
        return state

    def submit_actor_call(
        self,
        actor: ActorState,
        method: MethodSpec,
        options: MethodOptions,
        args: tuple[Any, ...],
        kwargs: Mapping[str, Any],
    ) -> Any:
        self.check_running()
        host = self._actor(actor)
        meta = actor.meta
        limit = meta.max_pending_calls
        if 0 <= limit <= host.unanswered:
            raise too_many_calls(meta, method.name, host.unanswered)
        name = f"{meta.class_name}.{method.name}"
        call = Call(next(self.keys), name, options, Arguments(self.values, args, kwargs, name), current.get())
        call.actor = host
        call.env_vars = host.env_vars
        call.group = host.group_of(call, method.name)
        call.backpressure = call.backpressure or host.options.generator_backpressure
        retries = options.max_task_retries
        call.retries = meta.max_task_retries if retries is None else retries
        returned = call.outputs()
        with self.scheduler.lock:
            host.unanswered += 1
            call.register(self.calls, self.history)
            self._arguments_there(call, lambda: self.actors.arguments_arrived(host, call))
            if not call.done:
                self.actors.add(host, call)
        if self.scheduler.ready_count() > _CROWD:
            self.scheduler.make_progress()
        return returned

    def _actor(self, state: ActorState) -> Actor:
        host: Actor | None = state._engine_state
        if host is None:
            host = state._engine_state = self.actors.by_key.get(state.key)
        if host is None:
            raise exceptions.ActorHandleNotFoundError(
                f"{state.meta.class_name}: the actor of this handle is not of this session."
            )
        return host

    def kill_actor(self, actor: ActorState, no_restart: bool) -> None:
        self.actors.kill(self._actor(actor), no_restart)

    def find_actor(self, name: str, namespace: str | None) -> ActorState:
        self.check_running()
        self.scheduler.make_progress()
        self.scheduler.run_deferred()
        space = namespace or self.namespace
        found = self.actors.names.get((space, name))
        if found is None:
            raise ValueError(
                f"Failed to look up actor with name {name!r}: no live actor has it in namespace {space!r}. Was it created with "
                "options(name=…), in that namespace, and is somebody holding a handle to it (or is it detached)?"
            )
        return self.actors.state_of(found)

    def list_named_actors(self, all_namespaces: bool) -> list[tuple[str, str]]:
        self.scheduler.make_progress()
        self.scheduler.run_deferred()
        return sorted(place for place in self.actors.names if all_namespaces or place[0] == self.namespace)

    def restore_actor(self, key: int, meta: Any) -> ActorState:
        actor = self.actors.by_key.get(key)
        if actor is None:
            return self.actors.grave(key, meta)
        call = current.get()
        if call is not None and call.actor is actor:
            return actor.own  # an actor's handle to itself does not keep it alive
        return self.actors.state_of(actor)

    # -- cancelling --------------------------------------------------------------------------------------------------------

    def cancel(self, ref: ObjectRef[Any], force: bool, recursive: bool) -> None:
        call: Call | None = ref._call
        if call is None or call.done:
            return
        if call.actor is not None and force:
            raise ValueError(
                "force=True is not supported for actor tasks: use skate.kill(actor) to end the actor itself."
            )
        cancel_call(self, call, force, recursive)

    # -- objects -----------------------------------------------------------------------------------------------------------

    def put(self, value: Any) -> ObjectRef[Any]:
        self.check_running()
        ref = self.stored(self.values.outcome(value))
        self.scheduler.make_progress()
        return ref

    def stored(self, outcome: Outcome) -> ObjectRef[Any]:
        """A new ref to a value that is there."""
        ref: ObjectRef[Any] = ObjectRef(next(self.keys))
        settle(ref, outcome)
        return ref

    def restore_ref(self, key: int) -> ObjectRef[Any]:
        return self.values.restore(key)

    def owns(self, key: int) -> bool:
        return key >> 64 == -self.number

    def pin_forever(self, item: Any) -> None:
        self._pinned.extend(self.values.hold([item]))

    # -- waiting -----------------------------------------------------------------------------------------------------------

    def get(self, refs: Sequence[ObjectRef[Any]], timeout: float | None) -> list[Any]:
        return self.waits.get(refs, timeout)

    def wait(
        self, refs: Sequence[Any], num_returns: int, timeout: float | None
    ) -> tuple[list[Any], list[Any]]:
        return self.waits.wait(refs, num_returns, timeout)

    def on_done(self, ref: ObjectRef[Any], callback: Callable[[ObjectRef[Any]], None]) -> None:
        self.waits.on_done(ref, callback)

    def wait_stream(self, stream: Stream, timeout: float | None) -> bool:
        return self.waits.wait_stream(stream, timeout)

    def take_item(self, stream: Stream) -> ObjectRef[Any] | None:
        return self.waits.take_item(stream)

    def on_stream(self, stream: Stream, callback: Callable[[Stream], None]) -> None:
        self.waits.on_stream(stream, callback)

    def drop_stream(self, stream: Stream) -> None:
        self.waits.drop_stream(stream)

    def stuck(self) -> str:
        """Why calls that have not ended don't, beyond those that wait in a fiber."""
        parts = [self.admission.stuck()]
        for call in list(self.calls.values()):
            if call.task is not None and not call.done:
                parts.append(f"{call.name} awaits something in its event loop")
            elif call.waiting_for:
                parts.append(f"{call.name} waits for its arguments")
            if len(parts) > 10:
                break
        return "; ".join(filter(None, parts))

    # -- asyncio -----------------------------------------------------------------------------------------------------------

    @property
    def foreign(self) -> ForeignLoops:
        """The event loops of others that wait."""
        if self._foreign is None:
            from skate.engine.inline.aio import ForeignLoops

            self._foreign = ForeignLoops(self)
            self.scheduler.on_ready = self._foreign.wake
        return self._foreign

    def is_foreign(self, loop: Any) -> bool:
        """Whether an event loop is not that of an actor."""
        return loop not in self.loops

    def wrap_asyncio(self, ref: ObjectRef[Any], loop: asyncio.AbstractEventLoop) -> asyncio.Future[Any]:
        from skate.engine.inline.aio import wrap

        return wrap(self, ref, loop)

    def look_at_sockets(self) -> bool:
        """Have the actors' event loops with a ready socket run; False if none waits for any."""
        watching = [loop for loop in list(self.loops) if loop.watches_sockets()]
        for loop in watching:
            loop.look()
        return bool(watching)

    # -- context -----------------------------------------------------------------------------------------------------------

    def task_info(self) -> TaskInfo:
        return describe_task(self, current.get())

    def nodes(self) -> list[dict[str, Any]]:
        return [describe_node(self)]

    def cluster_resources(self) -> dict[str, float]:
        return self.admission.ledger.amounts(free=False)

    def available_resources(self) -> dict[str, float]:
        self.scheduler.make_progress()
        self.scheduler.run_deferred()
        return self.admission.ledger.amounts(free=True)

    def create_group(self, about: Mapping[str, Any]) -> str:
        self.check_running()
        return self.groups.create(about)

    def remove_group(self, id: str) -> None:
        self.groups.remove(id)

    def find_group(self, name: str) -> tuple[str, list[dict[str, float]]] | None:
        found = self.groups.groups.find(name, self.namespace)
        return None if found is None else (found.id, [unscale(bundle.demand) for bundle in found.bundles])

    def group_table(self, id: str) -> dict[str, dict[str, Any]]:
        self.scheduler.make_progress()
        return self.groups.groups.table(id)

    def group_ready(self, id: str, value: Any) -> ObjectRef[Any]:
        self.check_running()
        return self.groups.ready(id, value)

    def state(self, what: str, timeout: float) -> StateAnswer:
        self.scheduler.run_deferred()
        return self.history.read(what)

    def add_span(self, event: str, started: float, ended: float, extra: dict[str, Any]) -> None:
        self.history.span(event, current.get(), started, ended, extra)

    def kv(self, action: str, key: bytes, value: bytes | None, namespace: bytes, overwrite: bool) -> Any:
        place = (namespace, key)
        if action == "get":
            return self._kv.get(place)
        if action == "put":
            new = place not in self._kv
            if new or overwrite:
                assert value is not None
                self._kv[place] = value
            return new
        if action == "del":
            return self._kv.pop(place, None) is not None
        if action == "keys":
            return sorted(k for space, k in self._kv if space == namespace and k.startswith(key))
        raise ValueError(f"kv action {action!r} is not one of 'get', 'put', 'del', 'keys'.")


def refuse_more_than_variables(runtime_env: Mapping[str, Any] | None) -> None:
    """Refuse what a task can't have of its own in the process that it shares with everybody.

    Raises:
        RuntimeEnvSetupError: there is such a field.
    """
    more = [name for name in SHARED_FIELDS if (runtime_env or {}).get(name)]
    if more:
        raise exceptions.RuntimeEnvSetupError(
            f"runtime_env[{more[0]!r}]: the inline engine runs everything in this process, whose packages and directory are what they "
            "are. Only env_vars can differ; use engine='local' for the rest."
        )
