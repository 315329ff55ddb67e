"""Running a call to its end: its function, its results, its errors."""

from __future__ import annotations

import inspect
import time
from typing import TYPE_CHECKING, Any

import greenlet

from skate import exceptions
from skate.core.actor import ActorExit
from skate.core.arguments import several
from skate.core.ref import DynamicObjectRefGenerator
from skate.engine.inline.calls import Call, current, settle
from skate.engine.inline.fiber import Fiber, Latch, current_fiber

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from skate.engine.inline.engine import InlineEngine
    from skate.engine.inline.values import Outcome


class Executor:
    """Runs calls in fibers."""

    def __init__(self, engine: InlineEngine) -> None:
        self.engine = engine

    def start(
        self, call: Call, function: Callable[..., Any], env: dict[str, str], ended: Callable[[], None]
    ) -> None:
        """Run a call until it waits for the first time; `ended()` is called when it is over, whatever its end."""
        life = call.life

        def run() -> None:
            current.set(call)
            try:
                self._run(call, function, life)
            except greenlet.GreenletExit:
                return  # it was ended from outside, and its refs have been told
            finally:
                self.engine.fibers.discard(fiber)
                ended()

        fiber = Fiber(run, call.name)
        fiber.env = env
        fiber.holding = call.holding
        call.fiber = fiber
        call.started = True
        call.began = time.time()
        self.engine.fibers.add(fiber)
        fiber.go_on()

    def _run(self, call: Call, function: Callable[..., Any], life: int) -> None:
        try:
            args, kwargs = call.arguments.unpack(self.engine.values)
            value = function(*args, **kwargs)
            del args, kwargs
            self.deliver(call, value)
        except greenlet.GreenletExit:
            raise
        except BaseException as error:
            if life == call.life:
                self.failed(call, error)

    # -- results ----------------------------------------

    def deliver(self, call: Call, value: Any) -> None:
        """End a call with what its function returned.

        Raises:
            Exception: the value can't be pickled, is not what num_returns asks for, or is a generator that raises.
        """
        values = self.engine.values
        returns = call.num_returns
        if returns == "streaming":
            self._stream(call, value)
            self._finish(call, [values.outcome(None)])
        elif returns == "dynamic":
            self._finish(call, [values.outcome(self._dynamic(call, value), call.function_name)])
        elif returns == 0:
            self._finish(call, [])
        elif inspect.isgenerator(value):
            self._fill(call, value)
        elif returns == 1:
            self._finish(call, [values.outcome(value, call.function_name)])
        else:
            outcomes = [values.outcome(item, call.function_name) for item in several(value, returns)]
            self._finish(call, outcomes)

    def _finish(self, call: Call, outcomes: list[Outcome]) -> None:
        with self.engine.scheduler.lock:
            call.finish(outcomes)

    def _fill(self, call: Call, generator: Iterable[Any]) -> None:
        """Give each ref the next item of a generator."""
        given = 0
        for item in generator:
            outcome = self.engine.values.outcome(item, call.function_name)
            with self.engine.scheduler.lock:
                settle(call.refs[given], outcome)
            given += 1
            if given == len(call.refs):
                break
        if given < len(call.refs):
            raise ValueError(
                f"Task yielded {given} values, but num_returns={len(call.refs)}: yield that many, or ask for fewer."
            )
        self._finish(call, [self.engine.values.outcome(None)] * given)

    def _dynamic(self, call: Call, items: Iterable[Any]) -> DynamicObjectRefGenerator:
        refs = []
        iterator = iter(items)
        while True:
            try:
                refs.append(self.engine.put(next(iterator)))
            except StopIteration:
                return DynamicObjectRefGenerator(refs)
            except Exception as error:
                refs.append(self.engine.stored(self.user_error(call, error)))
                return DynamicObjectRefGenerator(refs)

    def _stream(self, call: Call, items: Iterable[Any]) -> None:
        """Hand a generator's items on as they come."""
        scheduler = self.engine.scheduler
        fiber = current_fiber()
        for index, item in enumerate(items):
            outcome = self.engine.values.outcome(item, call.function_name)
            with scheduler.lock:
                call.item(index, outcome)
            while not call.has_room():
                call.room = Latch(1, lambda: "its reader to take an item")
                scheduler.wait(call.room, None, self.engine.on_park)
            if call.dropped:
                close = getattr(items, "close", None)
                if close is not None:
                    close()
                return
            if fiber is not None:
                scheduler.give_way(fiber)

    # -- errors ----------------------------------------

    def user_error(self, call: Call, error: BaseException) -> Outcome:
        """What user code raised, as a ref holds it."""
        actor = call.actor
        actor_id = None if actor is None else actor.key.to_bytes(16, "big").hex()
        instance = None if actor is None else actor.instance
        return self.engine.values.user_error(error, call.function_name, call.task_id(), actor_id, instance)

    def failed(self, call: Call, error: BaseException) -> None:
        """End a call with what its function raised, or have it run again."""
        if call.done:
            return
        if isinstance(error, SystemExit):
            self._left(call, error)
            return
        if call.cancelled and isinstance(error, KeyboardInterrupt):
            outcome = self.engine.values.error(exceptions.TaskCancelledError(call.task_id()))
        elif call.may_retry(error):
            self.engine.history.end(call, self.user_error(call, error))
            self.again(call)
            return
        else:
            outcome = self.user_error(call, error)
            if self.engine.config.record and call.actor is None:
                self._record(call, error)
        with self.engine.scheduler.lock:
            call.fail(outcome)

    def _record(self, call: Call, error: BaseException) -> None:
        """Keep a task that has failed, for `skate replay`."""
        from skate.core import recording

        assert call.function is not None
        try:
            args, kwargs = call.arguments.unpack(self.engine.values)
            where, task = self.engine.config.record, call.task_id().hex()
            recording.save(
                where,
                task,
                call.name,
                call.function,
                args,
                kwargs,
                error,
                lambda ref: self.engine.get([ref], 0)[0],
            )
        except Exception as problem:
            import logging

            logging.getLogger("skate").warning(
                "the failed task %s could not be recorded: %s", call.name, problem
            )

    def again(self, call: Call) -> None:
        """Run a call another time."""
        call.life += 1
        call.started = False
        call.fiber = None
        call.task = None
        if call.actor is None:
            self.engine.enqueue(call)
        else:
            self.engine.actors.requeue(call)

    def _left(self, call: Call, error: SystemExit) -> None:
        """`exit_actor()`, or `sys.exit()` in user code: in another engine, the process would end."""
        if call.actor is not None:
            if isinstance(error, ActorExit):
                cause = error.cause
            else:
                cause = f"its method called sys.exit({error.code!r})."
            self.engine.actors.die(call.actor, cause)
        elif call.retries != 0 and not call.cancelled:
            call.retries -= 1
            self.again(call)
        else:
            text = f"Task {call.name} did not end: it called sys.exit({error.code!r})."
            with self.engine.scheduler.lock:
                call.fail(self.engine.values.error(exceptions.WorkerCrashedError(text)))
