"""From a call of the API to a message for the hub."""

from __future__ import annotations

import contextvars
import pickle
import time
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

from skate import exceptions
from skate.core import serialize
from skate.core.actor import ActorMeta, ActorState, ClassSpec, too_many_calls
from skate.core.environment import merge_env
from skate.core.function import FunctionSpec
from skate.core.ref import ERROR, ObjectRef, ObjectRefGenerator
from skate.engine.dask.blob import Blob, error_blob, names_of
from skate.engine.dask.calls import (
    LARGE,
    ActorSpec,
    Call,
    Placed,
    base_key,
    inside,
    pack_args,
    pack_code,
    scaled,
)
from skate.engine.placement.where import GROUP, check_fits, group_of, where

if TYPE_CHECKING:
    from skate.core.actor import MethodSpec
    from skate.core.options import ActorOptions, MethodOptions, TaskOptions
    from skate.engine.dask.engine import DaskEngine

current_task: contextvars.ContextVar[Any] = contextvars.ContextVar("skate_dask_task", default=None)
"""What runs in this thread or coroutine: an executor's `Running`, or None."""


class Exported(NamedTuple):
    """A function or class as it is sent."""

    engine: object
    """Whose it is: other sessions make their own."""
    key: int
    code: Blob
    inside: list[Any]
    """The refs and actors in it."""
    stored: ObjectRef[Any] | None
    """Where it lies, if it is too large to travel with every call."""


class Submit:
    """Submits one process's calls and actors."""

    def __init__(self, engine: DaskEngine) -> None:
        self.engine = engine
        self.sequences: dict[int, tuple[int, int]] = {}
        """The number and key of the last call to each actor that keeps the order."""

    def _prepare(self, spec: FunctionSpec | ClassSpec) -> Exported:
        """A function or class, pickled once."""
        found: Exported | None = spec.exported
        if found is None or found.engine is not self.engine:
            thing = spec.function if isinstance(spec, FunctionSpec) else spec.cls
            what = "function" if isinstance(spec, FunctionSpec) else "actor class"
            blob, nested = pack_code(thing, what, f"{spec.module}.{spec.name}")
            stored = self.engine.put_blob(blob) if blob.size() > LARGE else None
            found = spec.exported = Exported(self.engine, next(self.engine.keys), blob, nested, stored)
        return found

    def task(
        self, spec: FunctionSpec, options: TaskOptions, args: tuple[Any, ...], kwargs: Mapping[str, Any]
    ) -> Any:
        self.engine.check_open()
        _engine, function_key, code, within, stored = self._prepare(spec)
        blob, slots, nested = pack_args(args, kwargs, spec.name)
        placed = self._placed(options, options.demand(), spec.name)
        call = Call(
            key=next(self.engine.keys),
            name=spec.name,
            shown=options.name or spec.name,
            args=blob,
            returns=options.num_returns,
            job=self.engine.job,
            module=spec.module,
            function=code,
            function_key=function_key,
            demand=inside(scaled(options.demand()), placed),
            placed=placed,
            created=time.time(),
            env=merge_env(self.engine.job.env, options.runtime_env),
            retries=options.max_retries,
            retry_exceptions=_retryable(options.retry_exceptions),
            max_calls=options.max_calls,
            backpressure=options.generator_backpressure,
        )
        placement = self._place(options)
        if isinstance(placement, str):
            error = exceptions.TaskUnschedulableError(f"task {spec.name} can't be scheduled: {placement}")
            return self._outputs(call, error_blob(error))
        call.nodes = placement
        if stored is not None:
            call.function, call.stored_function = None, True
        return self._submit("task", call, slots, stored, nested + within)

    def _placed(self, options: Any, demand: Mapping[str, float], name: str) -> Placed | None:
        """The placement group that something is to run in.

        Raises:
            ValueError: the group can never hold the demand, or has no such bundle.
        """
        running = current_task.get()
        parent = None if running is None else running.executor.placed
        place = where(options, parent.group if parent is not None and parent.captures else None)
        if place[0] != GROUP:
            return None
        _kind, _alternatives, id, index, captures = place
        group = group_of(options)[0]
        bundles = (
            [*self.engine.group_table(id)[id]["bundles"].values()] if group is None else group.bundle_specs
        )
        check_fits(demand, bundles, name)
        return Placed(id, index, captures)

    def _place(self, options: Any) -> tuple[str, ...] | str:
        """The nodes that a task may run on, all if empty; or why there is none."""
        strategy = options.scheduling_strategy
        affinity = type(strategy).__name__ == "NodeAffinitySchedulingStrategy"
        if not affinity and not options.label_selector:
            return ()
        nodes = self.engine.ask("nodes")
        if affinity:
            if any(node["NodeID"] == strategy.node_id for node in nodes):
                return () if strategy.soft else (strategy.node_id,)
            if strategy.soft:
                return ()
            return f"its node affinity is hard, and there is no node {strategy.node_id}. Use soft=True."
        from skate.core.labels import unmet

        fitting = tuple(node["NodeID"] for node in nodes if not unmet(node["Labels"], options.label_selector))
        return fitting or ("none",)

    def _submit(
        self, op: str, call: Call, slots: list[ObjectRef[Any]], code: ObjectRef[Any] | None, nested: list[Any]
    ) -> Any:
        """Tell the hub of a call, and give out its refs. `slots`, `code` and `nested` live at least until the hub has heard."""
        call.slots = len(slots)
        beside = list(slots)
        if code is not None:
            beside.append(code)
        if call.args.size() > LARGE:
            beside.append(self.engine.put_blob(call.args))
            call.args, call.stored_args = Blob(0, b""), True
        running = current_task.get()
        if running is not None:
            call.parent = running.key
        with self.engine.refs.lock:
            returned = self._outputs(call, None)
            self.engine.pending[call.key] = call.actor
            if call.actor:
                self.engine.unanswered[call.actor] = self.engine.unanswered.get(call.actor, 0) + 1
        self.engine.send((op, call, [ref._key for ref in beside], names_of(nested)))
        return returned

    def _outputs(self, call: Call, error: Blob | None) -> Any:
        returns = call.returns
        refs = [self.output(key, error) for key in call.outputs()]
        if returns == "streaming":
            stream = self.engine.streams.open(call.key, refs[0], call.backpressure is not None)
            if error is not None:
                self.engine.streams.ended(call.key, error)
            return ObjectRefGenerator(stream)
        if returns == 1 or isinstance(returns, str):
            return refs[0]
        return refs or None

    def output(self, key: int, error: Blob | None) -> ObjectRef[Any]:
        ref = self.engine.refs.new(key)
        ref._call = base_key(key)
        if error is not None:
            ref._kind, ref._value = ERROR, error
            self.engine.send(("put", key, error))
        return ref

    def actor_call(
        self,
        actor: ActorState,
        method: MethodSpec,
        options: MethodOptions,
        args: tuple[Any, ...],
        kwargs: Mapping[str, Any],
    ) -> Any:
        self.engine.check_open()
        meta = actor.meta
        name = f"{meta.class_name}.{method.name}"
        blob, slots, nested = pack_args(args, kwargs, name)
        waiting = self.engine.unanswered.get(actor.key, 0)
        if 0 <= meta.max_pending_calls <= waiting:
            raise too_many_calls(meta, method.name, waiting)
        retries = meta.max_task_retries if options.max_task_retries is None else options.max_task_retries
        call = Call(
            key=next(self.engine.keys),
            name=name,
            shown=options.name or name,
            args=blob,
            returns=options.num_returns,
            job=self.engine.job,
            retries=retries,
            retry_exceptions=_retryable(options.retry_exceptions),
            backpressure=options.generator_backpressure,
            created=time.time(),
            actor=actor.key,
            method=method.name,
            group=options.concurrency_group,
        )
        with self.engine.refs.lock:
            if meta.ordered:
                last, before = self.sequences.get(actor.key, (0, 0))
                call.sequence = (f"{self.engine.number:x}", last + 1, before)
                self.sequences[actor.key] = (last + 1, call.key)
            return self._submit("call", call, slots, None, [*nested, actor])

    def create_actor(
        self, spec: ClassSpec, options: ActorOptions, args: tuple[Any, ...], kwargs: Mapping[str, Any]
    ) -> ActorState:
        self.engine.check_open()
        _engine, _key, code, within, _stored = self._prepare(spec)
        blob, slots, nested = pack_args(args, kwargs, spec.name)
        groups = dict(options.concurrency_groups or {})
        ordered = not spec.is_asyncio and (options.max_concurrency or 1) == 1 and not groups
        meta = ActorMeta(
            spec.name, spec.module, spec.methods, options.max_task_retries, options.max_pending_calls, ordered
        )
        placed = self._placed(options, options.creation_demand(), spec.name)
        placement = self._place(options)
        stored_args = blob.size() > LARGE
        if stored_args:
            slots.append(self.engine.put_blob(blob))
            blob = Blob(0, b"")
        key = next(self.engine.keys)
        namespace = options.namespace or self.engine.job.namespace
        state = ActorState(key, meta)
        described = ActorSpec(
            key=key,
            class_name=spec.name,
            cls=code,
            args=blob,
            meta=meta.packed(),
            job=self.engine.job,
            name=options.name or "",
            namespace=namespace,
            detached=options.lifetime == "detached",
            max_restarts=options.max_restarts,
            creation=inside(scaled(options.creation_demand()), placed),
            running=inside(scaled(options.running_demand()), placed),
            placed=placed,
            created=time.time(),
            env=merge_env(self.engine.job.env, options.runtime_env),
            concurrency=options.max_concurrency or (1000 if spec.is_asyncio else 1),
            groups=groups,
            is_asyncio=spec.is_asyncio,
            ordered=ordered,
            nodes=() if isinstance(placement, str) else placement,
            deps=tuple(ref._key for ref in slots),
            nested=names_of(nested + within),
            slots=len(slots) - stored_args,
            stored_args=stored_args,
        )
        unplaced = f"actor {spec.name} can't be scheduled: {placement}" if isinstance(placement, str) else ""
        with self.engine.refs.lock:
            self.engine.refs.guard_actor(state)
            self.engine.send(("adopt_new", key))
        if not options.name:
            self.engine.send(("create", described, unplaced))
            return state
        taken = self.engine.ask("create", described, unplaced)
        if taken is None:
            return state
        if not options.get_if_exists:
            raise exceptions.ActorAlreadyExistsError(
                f"The name {options.name} (namespace={namespace}) is already taken by a live actor. Use another name, "
                "get_actor() to reach the one that has it, or get_if_exists=True."
            )
        return self.engine.restore_actor(taken[0], pickle.loads(taken[1]))


def _retryable(given: Any) -> Any:
    if given is None or isinstance(given, bool):
        return bool(given)
    return serialize.pack(tuple(given)).data
