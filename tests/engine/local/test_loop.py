"""Who reads the sockets, and where a signal is raised."""

from __future__ import annotations

import contextlib
import os
import signal
import threading
from collections.abc import Callable, Iterator

import pytest

from skate.engine.local.client.loop import Latch, Loop


@pytest.fixture
def loop() -> Iterator[Loop]:
    """A loop without connections, whose SIGINT raises ``KeyboardInterrupt``."""
    loop = Loop(lambda _now: None, lambda: True, lambda: True, lambda: None)
    handler = signal.signal(
        signal.SIGINT, lambda number, frame: loop.interrupt(lambda: signal.default_int_handler(number, frame))
    )
    yield loop
    signal.signal(signal.SIGINT, handler)
    loop.close()


@contextlib.contextmanager
def event(loop: Loop, handle: Callable[[], None]) -> Iterator[None]:
    """Something for the loop to handle."""
    read, write = os.pipe()

    def once() -> None:
        os.read(read, 1)
        handle()

    loop.handlers[read] = once
    loop.poller.add(read)
    os.write(write, b".")
    try:
        yield
    finally:
        loop.poller.remove(read)
        os.close(read)
        os.close(write)


def interrupt_main() -> None:
    signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGINT)


def test_an_interrupt_while_the_background_handles_messages_is_raised_in_the_main_thread(loop: Loop) -> None:
    raised = threading.Event()
    seen: list[bool] = []

    def handle() -> None:
        interrupt_main()
        seen.append(raised.wait(10))  # still in the middle of it when the main thread is interrupted

    with event(loop, handle):
        with pytest.raises(KeyboardInterrupt):
            loop.nudge()
            threading.Event().wait(10)
        raised.set()
        done = Latch(1)
        with event(loop, done):
            assert loop.wait(done, 10), "the background has survived, and gives up the driving"
    assert seen == [True]


def test_an_interrupt_while_the_main_thread_handles_messages_is_raised_after_them(loop: Loop) -> None:
    steps: list[str] = []

    def handle() -> None:
        interrupt_main()
        steps.append("handled to its end")

    with event(loop, handle), pytest.raises(KeyboardInterrupt):
        loop.step(10)
    assert steps == ["handled to its end"]


def test_closing_waits_for_the_thread_that_is_about_to_poll() -> None:
    about_to_poll, closing = threading.Event(), threading.Event()

    def before_poll() -> None:
        about_to_poll.set()
        closing.wait(10)
        threading.Event().wait(0.1)  # long enough for a close that does not wait to pull the descriptors away

    loop = Loop(lambda _now: None, lambda: True, lambda: True, before_poll)
    found: list[bool | Exception] = []

    def drive() -> None:
        try:
            found.append(loop.wait(Latch(1), None))
        except (OSError, ValueError) as error:
            found.append(error)

    driver = threading.Thread(target=drive)
    driver.start()
    assert about_to_poll.wait(10)
    closing.set()
    loop.close()
    driver.join(10)
    assert found == [False]


def test_a_defect_in_the_background_ends_every_connection_aloud(
    loop: Loop, caplog: pytest.LogCaptureFixture
) -> None:
    class Lost:
        fd = -7
        closed = False

        def close(self) -> None:
            self.closed = True

    conn, lost = Lost(), threading.Event()
    loop.conns[conn.fd] = conn  # type: ignore[assignment]

    def lose(_conn: object) -> None:
        loop.conns.clear()
        lost.set()

    loop.on_lost = lose

    def fail() -> None:
        raise ZeroDivisionError

    with event(loop, fail):
        loop.nudge()
        assert lost.wait(10)
    assert "a message could not be handled" in caplog.text and "ZeroDivisionError" in caplog.text
