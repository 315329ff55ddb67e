"""Calls of users' functions: coroutine functions, time limits, repetition, and errors that point at the user's line."""

from __future__ import annotations

import asyncio
import contextlib
import inspect
import itertools
import re
import signal
import sysconfig
import threading
import traceback
from collections import deque
from collections.abc import AsyncIterator, Callable, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from skate.data.context import DataContext
from skate.data.plan.logical import Function
from skate.exceptions import UserCodeException

if TYPE_CHECKING:
    import pyarrow as pa

_ASYNC_AT_A_TIME = 64
_SHOWN = 200  # characters of a row in a message


@dataclass
class Transform:
    """A step of a stage: tables in, tables out. It is pickled to where it runs, and set up there once.

    Attributes:
        name: The operator's, for errors.
    """

    name: str

    def setup(self) -> None:
        """Prepare in the process where it runs."""

    def close(self) -> None:
        """Give back what it has taken up there."""

    def __call__(self, tables: Iterator[pa.Table]) -> Iterator[pa.Table]:
        """The tables after this step."""
        raise NotImplementedError


@dataclass
class UserTransform(Transform):
    """A step that calls a user's function."""

    function: Function = field(default_factory=lambda: Function(None))
    _call: Callable[..., Any] | None = None
    _loop: asyncio.AbstractEventLoop | None = field(default=None, init=False)
    # Threads of an actor run the loop in turns.
    _turn: Any = field(default_factory=threading.Lock, init=False)

    def setup(self) -> None:
        """Make the instance, if the function is a class."""
        fn = self.function.fn
        if isinstance(fn, type):
            try:
                fn = fn(*self.function.init_args, **dict(self.function.init_kwargs))
            except Exception as error:
                raise user_error(error, self.name, "while its class was instantiated") from error
        self._call = fn

    def close(self) -> None:
        """Close the event loop, if the function was a coroutine function."""
        if self._loop is not None:
            self._loop.run_until_complete(self._loop.shutdown_asyncgens())
            self._loop.close()
            self._loop = None

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_call": None, "_loop": None, "_turn": None}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state, _turn=threading.Lock())

    @property
    def call(self) -> Callable[..., Any]:
        """The function of one argument."""
        if self._call is None:
            self.setup()
        fn, args, kwargs = self._call, self.function.args, dict(self.function.kwargs)
        if fn is None:
            raise TypeError(f"{self.name}: there is no function to call.")
        if not args and not kwargs:
            return fn
        return lambda item: fn(item, *args, **kwargs)

    @property
    def is_async(self) -> bool:
        """Whether the function is a coroutine function, or an asynchronous generator."""
        target = self._call if self._call is not None else self.function.fn
        target = getattr(target, "func", target)
        for candidate in (target, getattr(target, "__call__", None)):  # noqa: B004 - its code is looked at
            if inspect.iscoroutinefunction(candidate) or inspect.isasyncgenfunction(candidate):
                return True
        return False

    def results(self, items: Iterable[Any], what: str) -> Iterator[Any]:
        """The function's result for each item, in order; errors say which item."""
        rules = Rules.current(self.name)
        call = self.call
        if self.is_async:
            yield from self._async_results(call, items, what, rules)
            return
        if rules.any:
            call = rules.applied(call)
        position = 0
        item: Any = None
        try:
            for item in items:
                yield call(item)
                position += 1
        except GeneratorExit:
            raise
        except Upstream as error:
            raise error.cause from error.cause.__cause__
        except Exception as error:
            raise user_error(error, self.name, _place(what, position, item)) from error

    def lists(self, items: Iterable[Any], what: str) -> Callable[[int], list[Any]]:
        """The same results, given in lists: call it with a number for so many more, or as many as there are."""
        if self.is_async:
            one_by_one = self.results(guard(items), what)
            return lambda count: list(itertools.islice(one_by_one, count))
        rules = Rules.current(self.name)
        call = rules.applied(self.call) if rules.any else self.call
        source = iter(items)
        position = 0

        def take(count: int) -> list[Any]:
            nonlocal position
            given = list(itertools.islice(source, count))
            found: list[Any] = []
            try:
                found.extend(map(call, given))  # it keeps what it has got when a call fails
                if len(found) < len(given):
                    raise RuntimeError("the function raised StopIteration")
            except Exception as error:
                place = _place(what, position + len(found), given[len(found)])
                raise user_error(error, self.name, place) from error
            position += len(given)
            return found

        return take

    def _async_results(
        self, call: Callable[..., Any], items: Iterable[Any], what: str, rules: Rules
    ) -> Iterator[Any]:
        """Results of a coroutine function, many of them computed at the same time, in the order of the items."""
        with self._turn:
            if self._loop is None:  # one while the instance lives: its connections belong to the loop
                self._loop = asyncio.new_event_loop()
        loop = self._loop
        pending: deque[tuple[asyncio.Task[list[Any]], int, Any]] = deque()

        def finished() -> list[Any]:
            task, position, item = pending.popleft()
            try:
                with self._turn:
                    return loop.run_until_complete(task)
            except Exception as error:
                raise user_error(error, self.name, _place(what, position, item)) from error

        try:
            position = 0
            try:
                for item in items:
                    with self._turn:
                        pending.append((loop.create_task(rules.awaited(call, item)), position, item))
                    position += 1
                    if len(pending) >= _ASYNC_AT_A_TIME:
                        yield from finished()
            except Upstream as error:
                raise error.cause from error.cause.__cause__
            while pending:
                yield from finished()
        finally:
            if pending:
                with self._turn:
                    for task, _, _ in pending:
                        task.cancel()
                    left = asyncio.gather(*(task for task, _, _ in pending), return_exceptions=True)
                    loop.run_until_complete(left)


class Upstream(Exception):
    """An error of the step before, which must not be taken for one of this step's function."""

    def __init__(self, cause: Exception) -> None:
        super().__init__(cause)
        self.cause = cause


def guard(items: Iterable[Any]) -> Iterator[Any]:
    """The items; an error on the way is marked as none of the function that takes them."""
    try:
        yield from items
    except Upstream:
        raise
    except Exception as error:
        raise Upstream(error) from error


@dataclass
class Rules:
    """What the settings say of calls of users' functions.

    Attributes:
        name: The operator's, for errors.
        timeout_s: Seconds of a call at most, or None.
        retried: Errors upon which a call is made again: True for all, or patterns.
        retries: How many times more, over all calls of the task.
    """

    name: str
    timeout_s: float | None = None
    retried: bool | list[str] = False
    retries: int = 0

    @classmethod
    def current(cls, name: str) -> Rules:
        """Those of the current settings."""
        context = DataContext.get_current()
        return cls(name, context.udf_timeout_s, context.retried_map_errors, context.max_map_retries)

    @property
    def any(self) -> bool:
        """Whether there is anything to heed."""
        return self.timeout_s is not None or bool(self.retried and self.retries)

    def applied(self, call: Callable[[Any], Any]) -> Callable[[Any], Any]:
        """The function under these rules. What it yields is collected: a generator's body would escape them."""

        def collected(item: Any) -> Any:
            result = call(item)
            if inspect.isgenerator(result):
                parts = list(result)
                return (part for part in parts)
            return result

        def limited(item: Any) -> Any:
            if self.timeout_s is None:
                return collected(item)
            return within(lambda: collected(item), self.timeout_s, self.name)

        def repeated(item: Any) -> Any:
            while True:
                try:
                    return limited(item)
                except Exception as error:
                    if not self._try_again(error):
                        raise

        return repeated

    async def awaited(self, call: Callable[[Any], Any], item: Any) -> list[Any]:
        """The results of a coroutine function, or of an asynchronous generator, under these rules."""

        async def once() -> list[Any]:
            result = call(item)
            if isinstance(result, AsyncIterator):
                return [part async for part in result]
            return [await result]

        async def limited() -> list[Any]:
            try:
                return await asyncio.wait_for(once(), self.timeout_s)
            except TimeoutError as error:
                if self.timeout_s is None:
                    raise
                raise _overdue(self.name, self.timeout_s) from error

        while True:
            try:
                return await limited()
            except Exception as error:
                if not self._try_again(error):
                    raise

    def _try_again(self, error: Exception) -> bool:
        if self.retries <= 0 or not matches(error, self.retried):
            return False
        self.retries -= 1
        return True


def matches(error: BaseException, patterns: bool | list[str] | tuple[str, ...]) -> bool:
    """Whether an error's message has one of these texts or regular expressions in it; True stands for any."""
    if isinstance(patterns, bool):
        return patterns
    text = f"{type(error).__name__}: {error}"
    return any(pattern in text or _found(pattern, text) for pattern in patterns)


def _found(pattern: str, text: str) -> bool:
    try:
        return re.search(pattern, text) is not None
    except re.error:  # a text with brackets in it
        return False


def within(call: Callable[[], Any], seconds: float, name: str) -> Any:
    """The result of a call that is interrupted when it takes longer.

    Raises:
        TimeoutError: it took longer.
    """
    if threading.current_thread() is threading.main_thread():
        with _alarm(seconds, name):
            return call()
    found: list[tuple[Any, BaseException | None]] = []

    def run() -> None:
        try:
            found.append((call(), None))
        except BaseException as error:  # noqa: BLE001 - it is raised where the call was made
            found.append((None, error))

    thread = threading.Thread(target=run, name="skate-data-timed", daemon=True)
    thread.start()
    thread.join(seconds)
    if not found:
        raise _overdue(name, seconds)
    result, error = found[0]
    if error is not None:
        raise error
    return result


@contextlib.contextmanager
def _alarm(seconds: float, name: str) -> Iterator[None]:
    def ring(number: int, frame: Any) -> None:
        raise _overdue(name, seconds)

    before = signal.signal(signal.SIGALRM, ring)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def _overdue(name: str, seconds: float) -> TimeoutError:
    return TimeoutError(
        f"a call of the function of {name} took longer than {seconds} s, which is DataContext.udf_timeout_s: raise it, or give "
        "the function less at a time (batch_size)."
    )


def _place(what: str, position: int, item: Any) -> str:
    shown = f" ({repr(item)[:_SHOWN]})" if what == "row" else ""
    return f"on {what} {position} of its input{shown}"


_SKATE = str(Path(__file__).parents[2]) + "/"
_LIBRARIES = tuple(sysconfig.get_paths()[name] for name in ("stdlib", "purelib", "platlib"))


def user_error(error: Exception, name: str, where: str) -> Exception:
    """What is raised in place of an error of a user's function: it names the function's line."""
    if isinstance(error, UserCodeException) or DataContext.get_current().raise_original_map_exception:
        return error
    frames = traceback.extract_tb(error.__traceback__)
    outside = [f for f in frames if not f.filename.startswith(_SKATE)]
    own = [f for f in outside if not f.filename.startswith((*_LIBRARIES, "<frozen"))] or outside
    at = f" at {own[-1].filename}:{own[-1].lineno}, in {own[-1].name}" if own else ""
    return UserCodeException(
        f"UDF failed to process a data block: {name} raised {type(error).__name__}: {error}{at}, {where}."
    )


__all__ = ["Rules", "Transform", "Upstream", "UserTransform", "guard", "matches", "user_error", "within"]
