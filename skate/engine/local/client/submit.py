"""Submitting: from a call of the API to a message that waits for its worker."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from skate import exceptions
from skate.core import runtime, serialize
from skate.core.actor import too_many_calls
from skate.core.arguments import pack_args
from skate.core.environment import merge_env
from skate.core.failure import FailedArgumentError, pack_task_error
from skate.core.ref import ERROR, PENDING, REMOTE, ObjectRef, ObjectRefGenerator, Stream, check_session
from skate.engine.local import protocol
from skate.engine.local.client.calls import Call, plain, plain_but_refs
from skate.engine.local.client.objects import Guard
from skate.engine.local.client.running import current_task

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from skate.core.actor import ActorState, MethodSpec
    from skate.core.function import FunctionSpec
    from skate.core.options import MethodOptions, TaskOptions
    from skate.engine.local.client.engine import LocalEngine


class Submit:
    """Makes calls of tasks and of actors' methods, and holds them until their arguments are there."""

    def __init__(self, engine: LocalEngine) -> None:
        self.engine = engine
        self._lane_of: dict[int, tuple[Any, Any, Any]] = {}

    def forget_lanes(self) -> None:
        """What the options mean has changed, as the caller is now in another placement group."""
        self._lane_of = {}

    def task(
        self, spec: FunctionSpec, options: TaskOptions, args: tuple[Any, ...], kwargs: Mapping[str, Any]
    ) -> Any:
        exported = spec.exported
        if exported is None or exported.engine != self.engine.number:
            self.engine.exports.prepare(spec)
        found = self._lane_of.get(id(options))
        if found is None:
            found = self._find_lane(options, spec)
        lane, extra = found[1], found[2]
        call = self.pack(spec, options, args, kwargs)
        call.lane = lane
        call.extra = extra
        call.retries = options.max_retries
        call.name = spec.name
        returned = self.outputs(call, options.num_returns)
        running = current_task.get()
        if running is not None:
            call.parent = running.key
        with self.engine.loop.mutex:
            if self.engine.ended:
                raise exceptions.RaySystemError(f"the session has ended: {self.engine.ended}")
            self.engine.pending[call.key] = call
            if call.slots is None or self._ready(call):
                self.engine.lanes.add(call)
                if self.engine.node.out:
                    self.engine.loop.flush(self.engine.node)
                if len(self.engine.loop.dirty):
                    self.engine.flush_all()
        self.engine.loop.nudge()
        return returned

    def _find_lane(self, options: TaskOptions, spec: FunctionSpec) -> tuple[Any, Any, Any]:
        if len(self._lane_of) > 1024:
            self._lane_of.clear()
        extra: dict[str, Any] = {}
        if options.name:
            extra["name"] = options.name
        if options.max_calls:
            extra["max_calls"] = options.max_calls
        if options.generator_backpressure:
            extra["backpressure"] = options.generator_backpressure
        env = self.env(options.runtime_env)
        demand = options.demand()
        place = self.engine.groups.where(options, demand, spec.name)
        with self.engine.loop.mutex:
            lane = self.engine.lanes.lane(demand, env, place, options.max_retries != 0)
        # The options are kept beside the lane: while they are here, nothing else can have their id.
        found = (options, lane, extra or None)
        self._lane_of[id(options)] = found
        return found

    def env(self, given: Any) -> str:
        text = merge_env(self.engine.job_env, given)
        return "" if text == self.engine.base_env else text

    def pack(self, spec: Any, options: Any, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> Call:
        key = next(self.engine.keys)
        if not kwargs and plain(args):
            return Call(key, spec, options, protocol.ARGS_PLAIN, args)
        if not kwargs:
            split = plain_but_refs(args)
            if split is not None:
                call = Call(key, spec, options, protocol.ARGS_REFS, split)
                call.slots = [args[index] for index in split[1]]
                if runtime.sessions > 1:
                    check_session(self.engine, call.slots)
                return call
        packed, slots = pack_args(args, kwargs, spec.name)
        if packed.size() > serialize.INLINE_LIMIT:
            stored = next(self.engine.keys)
            self.engine.objects.store(stored, packed)
            call = Call(key, spec, options, protocol.ARGS_STORED, stored)
            call.held = (Guard(self.engine.objects.drop, stored), packed.nested)
        else:
            if packed.nested:
                self.engine.objects.escape(packed.nested)
            call = Call(key, spec, options, protocol.ARGS_PACKED, packed.inline())
            call.held = packed.nested or None
        if slots:
            call.slots = slots
        return call

    def outputs(self, call: Call, num_returns: Any) -> Any:
        key = call.key
        if num_returns == 1 or num_returns == "dynamic":
            ref: ObjectRef[Any] = ObjectRef(key)
            ref._call = call
            call.ref = ref
            return ref
        if num_returns == "streaming":
            call.ref = ObjectRef(key)
            call.ref._call = call
            call.stream = Stream(key, call.ref)
            call.stream.call = call
            return ObjectRefGenerator(call.stream)
        refs: list[ObjectRef[Any]] = [ObjectRef(key + index) for index in range(num_returns)]
        for ref in refs:
            ref._call = call
        call.refs = refs
        return list(refs) if refs else None

    def _ready(self, call: Call) -> bool:
        """Whether the refs among the arguments have values; if not, the call goes on when they have (with the mutex held)."""

        def go_on() -> None:
            if call.cancelled or not self._arguments_fine(call):
                return
            if call.actor is None:
                self.engine.lanes.add(call)
            elif call.actor.meta.ordered:
                self.engine.actor_calls.pump(call.actor._engine_state)
            else:
                self.engine.actor_calls.add(call.actor._engine_state, call)

        if any(ref._kind in (PENDING, REMOTE) for ref in call.slots or ()):
            self.when_ready(call, go_on)
            return False
        return self._arguments_fine(call)

    def when_ready(self, call: Call, go_on: Callable[[], None]) -> None:
        """Go on once the refs among the arguments have values, or errors (with the mutex held)."""
        waiting = [ref for ref in call.slots or () if ref._kind in (PENDING, REMOTE)]
        if not waiting:
            go_on()
            return

        def arrived(_ref: Any) -> None:
            call.waiting_for -= 1
            if not call.waiting_for:
                go_on()

        for ref in waiting:
            call.waiting_for += 1
            if ref._waiters is None:
                ref._waiters = [arrived]
            else:
                ref._waiters.append(arrived)
            if ref._kind == REMOTE:
                self.engine.objects.want(ref)

    def _arguments_fine(self, call: Call) -> bool:
        for ref in call.slots or ():
            if ref._kind == ERROR:
                if call.actor is not None and call in call.actor._engine_state.queue:
                    call.actor._engine_state.queue.remove(call)
                    self.engine.actor_calls.pump(call.actor._engine_state)  # those behind it wait no more
                # Its error is made from the user's, which is unpickled: for that the mutex has to be free.
                self.engine.loop.deferred.append((self._fail_dependent, (call, ref)))
                self.engine.loop.wake()
                return False
        self.name_inner_refs(call)
        return True

    def _fail_dependent(self, given: tuple[Call, ObjectRef[Any]]) -> None:
        """End a call that can't run, as the argument `ref` has an error (without the mutex)."""
        call, ref = given
        if call.key not in self.engine.pending:
            return  # cancelled, or the session has ended
        error = self._dependents_error(call, ref)
        with self.engine.loop.mutex:
            if call.key in self.engine.pending:
                self.engine.results.fail(call, error)
                self.engine.loop.flush_dirty()

    def _dependents_error(self, call: Call, ref: ObjectRef[Any]) -> Any:
        """The error of a call that can't run, as the argument `ref` has one."""
        actor_id = None if call.actor is None else call.actor.key.to_bytes(16, "big").hex()
        packed = pack_task_error(FailedArgumentError.of(ref._value), call.name, actor_id=actor_id)
        # Refs inside it are the failed task's to keep: then the error is passed on as it is.
        return ref._value if packed.nested else packed.inline()

    def name_inner_refs(self, call: Call) -> None:
        """Refs inside the values of arguments are found at the node by whoever unpickles them."""
        for ref in call.slots or ():
            if type(ref._guard) is list:
                self.engine.objects.escape_locked(ref._guard)

    def actor_call(
        self,
        actor: ActorState,
        method: MethodSpec,
        options: MethodOptions,
        args: tuple[Any, ...],
        kwargs: Mapping[str, Any],
    ) -> Any:
        call = self.pack(method, options, args, kwargs)
        call.actor = actor
        meta = actor.meta
        call.name = f"{meta.class_name}.{method.name}"
        retries = options.max_task_retries
        call.retries = meta.max_task_retries if retries is None else retries
        if options is not method.options or options.concurrency_group or options.generator_backpressure:
            extra: dict[str, Any] = {}
            if options.concurrency_group:
                extra["group"] = options.concurrency_group
            if options.name:
                extra["name"] = options.name
            if options.generator_backpressure:
                extra["backpressure"] = options.generator_backpressure
            call.extra = extra or None
        returned = self.outputs(call, options.num_returns)
        running = current_task.get()
        if running is not None:
            call.parent = running.key
        with self.engine.loop.mutex:
            if self.engine.ended:
                raise exceptions.RaySystemError(f"the session has ended: {self.engine.ended}")
            link = actor._engine_state
            if link is None:
                link = self.engine.actor_calls.link(actor)
            if 0 <= meta.max_pending_calls <= link.unanswered():
                raise too_many_calls(meta, method.name, link.unanswered())
            self.engine.pending[call.key] = call
            ready = call.slots is None or self._ready(call)
            if ready or (meta.ordered and call.waiting_for):
                self.engine.actor_calls.add(link, call)
            if self.engine.node.out:
                self.engine.loop.flush(self.engine.node)
        self.engine.loop.nudge()
        return returned
