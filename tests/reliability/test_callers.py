"""What a process owes to others goes on although one of them misbehaves or dies."""

from __future__ import annotations

import logging
import os
import signal
import threading
from typing import Any

import pytest

import skate


def test_a_callback_that_raises_does_not_stop_the_others(caplog: pytest.LogCaptureFixture) -> None:
    skate.init(num_cpus=1)

    @skate.remote
    def one() -> int:
        return 1

    raised = threading.Event()

    def fail(_value: Any) -> None:
        raised.set()
        raise ArithmeticError("in a callback")

    with caplog.at_level(logging.ERROR, "skate"):
        first = one.remote()
        first._on_completed(fail)
        assert raised.wait(10)  # called by the background thread: nobody waits for a result
        assert one.remote().future().result(timeout=10) == 1
    assert "in a callback" in caplog.text


@pytest.mark.parametrize("kind", ["plain", "asyncio"])
def test_a_generator_whose_caller_has_died_holds_nobody_up(kind: str) -> None:
    skate.init(num_cpus=2)

    @skate.remote
    class Plain:
        def items(self) -> Any:
            yield from range(100)

        def ping(self) -> str:
            return "pong"

    @skate.remote(max_concurrency=1)
    class Asyncio:
        async def items(self) -> Any:
            for item in range(100):
                yield item

        async def ping(self) -> str:
            return "pong"

    @skate.remote(max_retries=0)
    def take_one(actor: Any) -> None:
        method = actor.items.options(num_returns="streaming", _generator_backpressure_num_objects=2)
        skate.get(next(method.remote()))
        os.kill(os.getpid(), signal.SIGKILL)

    chosen: Any = Plain if kind == "plain" else Asyncio
    actor = chosen.remote()
    with pytest.raises(skate.exceptions.WorkerCrashedError):
        skate.get(take_one.remote(actor))
    assert skate.get(actor.ping.remote(), timeout=10) == "pong"
