"""What test suites written for Ray share: conditions to wait for, actors that hold tasks up, programs run beside the test."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import time
import traceback
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

import skate

_TIMED_OUT = "The condition wasn't met before the timeout expired."


@skate.remote(num_cpus=0)
class SignalActor:
    """Holds tasks up until it is told to let them go: they wait for `wait()`, somebody else calls `send()`."""

    def __init__(self) -> None:
        self._event = asyncio.Event()
        self._waiting = 0

    async def send(self, clear: bool = False) -> None:
        """Let everybody go who waits, and who comes later unless `clear` is given."""
        self._event.set()
        if clear:
            self._event.clear()

    async def wait(self, should_wait: bool = True) -> None:
        """Return once `send` has been called; at once without `should_wait`."""
        if should_wait:
            self._waiting += 1
            try:
                await self._event.wait()
            finally:
                self._waiting -= 1

    async def cur_num_waiters(self) -> int:
        """How many wait now."""
        return self._waiting


@skate.remote(num_cpus=0)
class Semaphore:
    """A semaphore that tasks of all processes share.

    Args:
        value: How many may hold it at once.
    """

    def __init__(self, value: int = 1) -> None:
        self._semaphore = asyncio.Semaphore(value)

    async def acquire(self) -> None:
        """Return once there is room."""
        await self._semaphore.acquire()

    async def release(self) -> None:
        """Make room for one."""
        self._semaphore.release()

    async def locked(self) -> bool:
        """Whether there is no room."""
        return self._semaphore.locked()


def wait_for_condition(
    condition_predictor: Callable[..., bool],
    timeout: float = 10,
    retry_interval_ms: float = 100,
    raise_exceptions: bool = False,
    **kwargs: Any,
) -> None:
    """Ask again and again until a condition holds.

    Args:
        condition_predictor: Whether it holds.
        timeout: Seconds to go on for.
        retry_interval_ms: Milliseconds between two questions.
        raise_exceptions: Let errors of `condition_predictor` through, rather than ask again.
        **kwargs: What it is called with.

    Raises:
        RuntimeError: it did not hold in time; with the last error of `condition_predictor`, if there was one.
    """
    deadline = time.monotonic() + timeout
    last = ""
    while time.monotonic() <= deadline:
        try:
            if condition_predictor(**kwargs):
                return
        except Exception:
            if raise_exceptions:
                raise
            last = f" Last exception: {traceback.format_exc()}"
        time.sleep(retry_interval_ms / 1000)
    raise RuntimeError(_TIMED_OUT + last)


async def async_wait_for_condition(
    condition_predictor: Callable[..., Awaitable[bool] | bool],
    timeout: float = 10,
    retry_interval_ms: float = 100,
    **kwargs: Any,
) -> None:
    """As `wait_for_condition`, in a coroutine; the condition may be a coroutine function.

    Raises:
        RuntimeError: it did not hold in time.
    """
    deadline = time.monotonic() + timeout
    last = ""
    while time.monotonic() <= deadline:
        try:
            held = condition_predictor(**kwargs)
            if await held if isinstance(held, Awaitable) else held:
                return
        except Exception:  # noqa: BLE001 -- it is told below if the condition never holds
            last = f" Last exception: {traceback.format_exc()}"
        await asyncio.sleep(retry_interval_ms / 1000)
    raise RuntimeError(_TIMED_OUT + last)


class FakeTimer:
    """A clock that moves when it is told to.

    Args:
        start_time: Its first time in seconds; default: now.
    """

    def __init__(self, start_time: float | None = None) -> None:
        self.reset(start_time)

    def reset(self, start_time: float | None = None) -> None:
        """Set it back to `start_time`, or to now."""
        self._now = time.time() if start_time is None else start_time

    def time(self) -> float:
        """The time that it shows."""
        return self._now

    def advance(self, by: float) -> None:
        """Move it on by so many seconds."""
        self._now += by

    def realistic_sleep(self, amt: float) -> None:
        """Move it on as a sleep would, which takes a little longer than asked for."""
        self._now += amt + 0.001


def driver_command() -> list[str]:
    """The command that runs a program from its standard input with Skate behind the name `ray`."""
    return [sys.executable, "-m", "skate", "run", "-"]


def run_string_as_driver(
    driver_script: str,
    env: Mapping[str, str] | None = None,
    encode: str = "utf-8",
    timeout: float | None = 300,
) -> str:
    """Run a program in a process of its own, and return what it printed and complained of.

    Args:
        driver_script: The program's text.
        env: Its environment variables; default: this process's.
        encode: How its text is encoded.
        timeout: Seconds after which it is killed; None for no limit.

    Raises:
        subprocess.CalledProcessError: it ended with another code than 0; `output` has what it printed.
        subprocess.TimeoutExpired: time was up.
    """
    done = subprocess.run(
        driver_command(),
        input=driver_script.encode(encode),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        env=dict(os.environ if env is None else env),
        timeout=timeout,
        check=True,
    )
    return done.stdout.decode(encode)


def is_named_tuple(cls: type) -> bool:
    """Whether a class was made by `namedtuple` or `typing.NamedTuple`."""
    return issubclass(cls, tuple) and isinstance(getattr(cls, "_fields", None), tuple)


__all__ = [
    "FakeTimer",
    "Semaphore",
    "SignalActor",
    "async_wait_for_condition",
    "driver_command",
    "is_named_tuple",
    "run_string_as_driver",
    "wait_for_condition",
]
