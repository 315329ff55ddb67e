"""Actors: their queues, their constructors, their ends."""

from __future__ import annotations

import functools
import inspect
import time
import weakref
from collections import deque
from typing import TYPE_CHECKING, Any

import greenlet

from skate import exceptions
from skate.core import serialize
from skate.core.actor import ActorExit, ActorState
from skate.core.failure import FailedArgumentError
from skate.core.ref import ERROR, PENDING, ObjectRef
from skate.engine.inline.admission import Entry
from skate.engine.inline.calls import Call, add_waiter, current
from skate.engine.inline.fiber import Fiber, Latch, current_fiber
from skate.engine.placement.resources import scale
from skate.engine.placement.where import ANYWHERE, Where

if TYPE_CHECKING:
    from collections.abc import Callable

    from skate.core.actor import ActorMeta, ClassSpec
    from skate.core.options import ActorOptions
    from skate.engine.inline.aio import ActorLoop
    from skate.engine.inline.engine import InlineEngine
    from skate.engine.inline.resources import Holding
    from skate.engine.inline.values import Arguments, Outcome

NEW, ALIVE, RESTARTING, DEAD = "new", "alive", "restarting", "dead"


class Group:
    """Calls that share a limit; those of each caller in the order they were made."""

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self.running = 0
        self.callers: dict[int, deque[Call]] = {}

    def heads(self) -> list[Call]:
        """The calls that could start now."""
        if self.running >= self.limit:
            return []
        found = []
        for caller in list(self.callers):
            queue = self.callers[caller]
            while queue and queue[0].done:
                queue.popleft()
            if not queue:
                del self.callers[caller]
            elif not queue[0].waiting_for:
                found.append(queue[0])
        return found


class Actor:
    """One actor."""

    def __init__(
        self,
        key: int,
        meta: ActorMeta,
        spec: ClassSpec,
        options: ActorOptions,
        payload: Any,
        arguments: Arguments,
    ) -> None:
        self.key = key
        self.meta = meta
        self.payload = payload
        self.options = options
        self.arguments = arguments
        self.name = options.name or ""
        self.namespace = ""
        self.is_asyncio = spec.is_asyncio
        self.state = NEW
        self.instance: Any = None
        self.restarts = 0
        self.created = time.time()
        self.born = 0.0
        self.released = False
        self.terminating = False
        self.unanswered = 0
        self.demand: dict[str, int] = {}
        self.where: Where = ANYWHERE
        self.holding: Holding | None = None
        self.env_vars: dict[str, str] = {}
        self.env: dict[str, str] = {}
        self.infeasible = ""
        self.death: Outcome | None = None
        self.loop: ActorLoop | None = None
        self.running: dict[Call, None] = {}
        self.constructing: Fiber | None = None
        self.pumping = False
        self.handles: weakref.ref[ActorState] | None = None
        """The state that all counted handles share; weak, as the actor ends with it."""
        self.kept: ActorState | None = None
        """Keeps a detached actor."""
        self.own = ActorState(key, meta)
        """What the actor's handles to itself hold: they don't keep it alive."""
        limit = options.max_concurrency or (1000 if spec.is_asyncio else 1)
        self.groups = {"": Group(limit)}
        for group, size in (options.concurrency_groups or {}).items():
            self.groups[group] = Group(size)

    def group_of(self, call: Call, method: str) -> str:
        """The concurrency group of a call.

        Raises:
            ValueError: there is no such group.
        """
        declared = self.meta.methods.get(method)
        name = (
            call.options.concurrency_group or (declared.options.concurrency_group if declared else None) or ""
        )
        if name not in self.groups:
            known = sorted(group for group in self.groups if group)
            raise ValueError(
                f"concurrency group {name!r} is not declared by {self.meta.class_name}: it has {known}."
            )
        return str(name)


class Actors:
    """All actors of a session."""

    def __init__(self, engine: InlineEngine) -> None:
        self.engine = engine
        self.by_key: dict[int, Actor] = {}
        self.names: dict[tuple[str, str], Actor] = {}
        self.dead: weakref.WeakValueDictionary[int, Actor] = weakref.WeakValueDictionary()
        """Dead actors that somebody has a handle to."""

    # -- handles -----------------------------------------------------------------------------------------------------------

    def state_of(self, actor: Actor) -> ActorState:
        """The state that counted handles share."""
        with self.engine.scheduler.lock:
            found = None if actor.handles is None else actor.handles()
            if found is None:
                found = ActorState(actor.key, actor.meta)
                found._engine_state = actor
                deferred = self.engine.scheduler.deferred
                actor.handles = weakref.ref(
                    found, lambda _ref: deferred.append(lambda: self._released(actor))
                )
                actor.released = False
            return found

    def counted(self, state: ActorState) -> ActorState:
        """The counted state for any state of an actor."""
        actor = self.by_key.get(state.key)
        return state if actor is None else self.state_of(actor)

    def grave(self, key: int, meta: ActorMeta) -> ActorState:
        """A handle's state for an actor that is dead."""
        state = ActorState(key, meta)
        state._engine_state = self.dead.get(key)
        return state

    def _released(self, actor: Actor) -> None:
        if actor.handles is not None and actor.handles() is None:
            actor.released = True
            self._end_if_idle(actor)

    def _end_if_idle(self, actor: Actor) -> None:
        if actor.released and not actor.unanswered and actor.state != DEAD:
            self.die(actor, "all references to the actor were removed.")

    # -- birth -------------------------------------------------------------------------------------------------------------

    def construct(self, actor: Actor) -> None:
        """Run the constructor once its arguments and resources are there."""
        pending = [ref for ref in actor.arguments.slots if ref._kind == PENDING]
        if not pending:
            self._construct_now(actor)
            return
        left = len(pending)

        def arrived(_ref: Any) -> None:
            nonlocal left
            left -= 1
            if not left:
                self.engine.scheduler.push(lambda: self._construct_now(actor))

        for ref in pending:
            add_waiter(ref, arrived)

    def _construct_now(self, actor: Actor) -> None:
        if actor.state == DEAD:
            return
        for ref in actor.arguments.slots:
            if ref._kind == ERROR:
                self._stillborn(actor, FailedArgumentError.of(ref._value))
                return
        life = actor.restarts
        entry = Entry(
            actor.demand,
            actor.where,
            lambda: actor.state in (NEW, RESTARTING) and actor.restarts == life,
            lambda holding: self._begin(actor, holding),
            lambda kind, text: self._refused(actor, kind, text),
        )
        actor.infeasible = self.engine.admission.ask(entry, f"actor {actor.meta.class_name}")

    def _refused(self, actor: Actor, kind: str, text: str) -> None:
        error = (
            exceptions.ActorPlacementGroupRemoved if kind == "group" else exceptions.ActorUnschedulableError
        )
        self.die(actor, text, self.engine.values.error(error(f"actor {actor.meta.class_name}: {text}")))

    def _begin(self, actor: Actor, holding: Holding) -> None:
        actor.holding = holding
        actor.env = self.engine.environment(actor.env_vars, holding)
        name = f"{actor.meta.class_name}.__init__"
        call = Call(
            next(self.engine.keys), name, actor.meta.methods["__ray_ready__"].options, actor.arguments, None
        )
        call.actor = actor
        call.env_vars = actor.env_vars
        life = actor.restarts

        def run() -> None:
            current.set(call)
            try:
                cls = serialize.unpack(actor.payload)
                args, kwargs = actor.arguments.unpack(self.engine.values)
                instance = self._instance(actor, cls, args, kwargs)
                del args, kwargs
            except greenlet.GreenletExit:
                return
            except BaseException as error:
                if actor.restarts == life:
                    self._stillborn(actor, error)
                return
            finally:
                self.engine.fibers.discard(fiber)
            if actor.restarts == life and actor.state != DEAD:
                self._born(actor, instance)

        fiber = actor.constructing = Fiber(run, name)
        fiber.env = dict(actor.env)
        fiber.holding = holding
        self.engine.fibers.add(fiber)
        fiber.go_on()

    def _instance(self, actor: Actor, cls: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        constructor = cls.__init__
        if not inspect.iscoroutinefunction(constructor):
            return cls(*args, **kwargs)
        # Python refuses a constructor that returns a coroutine: it runs in the actor's own event loop.
        instance = cls.__new__(cls, *args, **kwargs)
        task = self.loop_of(actor).create_task(constructor(instance, *args, **kwargs))
        latch = Latch(1, lambda: "an async constructor")
        task.add_done_callback(latch)
        self.engine.scheduler.wait(latch, None, self.engine.on_park)
        task.result()
        return instance

    def loop_of(self, actor: Actor) -> ActorLoop:
        """The actor's event loop."""
        if actor.loop is None:
            from skate.engine.inline.aio import ActorLoop

            actor.loop = ActorLoop(self.engine, actor)
        return actor.loop

    def _born(self, actor: Actor, instance: Any) -> None:
        actor.instance = instance
        actor.constructing = None
        actor.state = ALIVE
        actor.born = time.time()
        assert actor.holding is not None
        with self.engine.scheduler.lock:
            self.engine.admission.ledger.keep_only(actor.holding, scale(actor.options.running_demand()))
            self.engine.admission.freed()
        if actor.options.max_restarts == 0:
            actor.arguments.forget()
        self.schedule(actor)
        self._end_if_idle(actor)

    def _stillborn(self, actor: Actor, error: BaseException) -> None:
        if isinstance(error, ActorExit):
            self.die(actor, ActorExit.cause)
            return
        name = f"{actor.meta.class_name}.__init__"
        hexed = actor.key.to_bytes(16, "big").hex()
        outcome = self.engine.values.user_error(error, name, ObjectRef(actor.key).task_id(), hexed, None)
        died = exceptions.ActorDiedError(serialize.unpack(outcome[1]))
        self.die(actor, "its constructor raised.", self.engine.values.error(died))

    # -- calls -------------------------------------------------------------------------------------------------------------

    def add(self, actor: Actor, call: Call) -> None:
        """A call whose arguments may still be waited for (with the lock held)."""
        if actor.state == DEAD:
            assert actor.death is not None
            call.fail(actor.death)
            return
        if call.waiting_for and not actor.meta.ordered:
            return  # it takes its place when they are there
        actor.groups[call.group].callers.setdefault(call.caller, deque()).append(call)
        self.schedule(actor)

    def arguments_arrived(self, actor: Actor, call: Call) -> None:
        """The refs among a call's arguments have values (with the lock held)."""
        if not call.done and not actor.meta.ordered:
            self.add(actor, call)
        self.schedule(actor)

    def requeue(self, call: Call) -> None:
        """Run a call again, before the others of its caller."""
        actor = call.actor
        assert actor is not None
        with self.engine.scheduler.lock:
            actor.groups[call.group].callers.setdefault(call.caller, deque()).appendleft(call)
            self.schedule(actor)

    def schedule(self, actor: Actor) -> None:
        """Have the actor's next call started, if one can."""
        if actor.state == ALIVE and not actor.pumping:
            actor.pumping = True
            self.engine.scheduler.push(lambda: self._pump(actor))

    def _pump(self, actor: Actor) -> None:
        actor.pumping = False
        if actor.state != ALIVE or actor.terminating:
            return
        with self.engine.scheduler.lock:
            heads = [call for group in actor.groups.values() for call in group.heads()]
            if not heads:
                self._end_if_idle(actor)
                return
            rng = self.engine.scheduler.random
            call = min(heads, key=lambda c: c.key) if rng is None else rng.choice(heads)
            group = actor.groups[call.group]
            group.callers[call.caller].popleft()
            group.running += 1
            actor.running[call] = None
            self.schedule(actor)
        life = actor.restarts

        def ended() -> None:
            if actor.restarts != life or actor.state == DEAD:
                return
            actor.running.pop(call, None)
            group.running -= 1
            self.schedule(actor)
            self._end_if_idle(actor)
            if actor.terminating and not actor.running:
                self.die(actor, ActorExit.cause)

        if actor.is_asyncio:
            self.loop_of(actor).start_call(call, ended)
            return
        if len(actor.groups) == 1 and group.limit == 1:
            call.holding = actor.holding
        self.engine.executor.start(call, self.method(actor, call), dict(actor.env), ended)

    def method(self, actor: Actor, call: Call) -> Callable[..., Any]:
        """The function that a call runs."""
        name = call.function_name.rpartition(".")[2]
        if name == "__ray_terminate__":
            return functools.partial(self._terminate, actor)
        if name == "__ray_ready__":
            return lambda: True
        instance = actor.instance
        if name == "__ray_call__":
            return functools.partial(_call_on, instance)
        return functools.partial(_call_method, instance, name)

    def _terminate(self, actor: Actor) -> None:
        if len(actor.running) <= 1:
            raise ActorExit(0)
        actor.terminating = True

    # -- ends --------------------------------------------------------------------------------------------------------------

    def kill(self, actor: Actor, no_restart: bool) -> None:
        """`skate.kill`."""
        if actor.state == DEAD:
            return
        own = current_fiber() in self._fibers(actor)
        limit = actor.options.max_restarts
        if no_restart or (0 <= limit <= actor.restarts):
            self.die(actor, "it was killed by `ray.kill`.")
        else:
            self._restart(actor)
        if own:
            raise greenlet.GreenletExit

    def die(self, actor: Actor, cause: str, error: Outcome | None = None) -> None:
        """End an actor for good; calls that have no answer fail."""
        with self.engine.scheduler.lock:
            if actor.state == DEAD:
                return
            actor.state = DEAD
            self.engine.history.actor_ended(actor, cause)
            if self.names.get((actor.namespace, actor.name)) is actor:
                del self.names[actor.namespace, actor.name]
            self.by_key.pop(actor.key, None)
            self.dead[actor.key] = actor
            if error is None:
                restarts = f" It had been restarted {actor.restarts} times." if actor.restarts else ""
                context = exceptions.ActorDiedErrorContext(
                    error_message=f"The actor is dead because {cause}{restarts}",
                    actor_id=actor.key.to_bytes(16, "big").hex(),
                    class_name=actor.meta.class_name,
                    name=actor.name,
                    ray_namespace=actor.namespace if actor.name else "",
                )
                error = self.engine.values.error(exceptions.ActorDiedError(context))
            actor.death = error
            running = list(actor.running)
            calls = running + [
                call for group in actor.groups.values() for q in group.callers.values() for call in q
            ]
            for group in actor.groups.values():
                group.callers.clear()
            self._unwind(actor)
            for call in calls:
                call.fail(error)
            actor.kept = None
            actor.arguments.forget()
        actor.instance = None

    def _restart(self, actor: Actor) -> None:
        with self.engine.scheduler.lock:
            running = list(actor.running)
            self._unwind(actor)
            actor.restarts += 1
            actor.state = RESTARTING
            text = (
                "it was killed during this call, and is being restarted. Whether the call had taken effect is unknown; set "
                "max_task_retries to have such calls made again"
            )
            for call in reversed(running):
                call.life += 1
                if call.retries != 0 and not call.cancelled and not call.done:
                    call.retries -= 1
                    call.started = False
                    self.requeue(call)
                else:
                    died: exceptions.RayError = exceptions.ActorUnavailableError(
                        text, actor.key.to_bytes(16, "big")
                    )
                    if call.cancelled:
                        died = exceptions.TaskCancelledError(call.task_id())
                    call.fail(self.engine.values.error(died))
        actor.instance = None
        self.construct(actor)

    def _fibers(self, actor: Actor) -> list[Fiber]:
        found = [call.fiber for call in actor.running if call.fiber is not None]
        if actor.constructing is not None:
            found.append(actor.constructing)
        if actor.loop is not None and actor.loop.stepping is not None:
            found.append(actor.loop.stepping)
        return found

    def _unwind(self, actor: Actor) -> None:
        """Stop what runs, and free what is held (with the lock held)."""
        for fiber in self._fibers(actor):
            self.engine.scheduler.doom(fiber)
        actor.running.clear()
        actor.constructing = None
        for group in actor.groups.values():
            group.running = 0
        if actor.loop is not None:
            actor.loop.end()
            actor.loop = None
        if actor.holding is not None:
            holding, actor.holding = actor.holding, None
            self.engine.admission.give_back(holding)


def _call_method(instance: Any, method: str, /, *args: Any, **kwargs: Any) -> Any:
    return getattr(instance, method)(*args, **kwargs)


def _call_on(instance: Any, function: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Any:
    return function(instance, *args, **kwargs)
