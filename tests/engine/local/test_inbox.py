"""A worker's queue of work: its own thread takes from it while another gives work back, or drops that of a caller that is gone."""

from __future__ import annotations

import threading
from collections import deque
from types import SimpleNamespace
from typing import Any

from skate.engine.local.worker.coroutines import AsyncActor
from skate.engine.local.worker.main import Worker

CALLER: Any = SimpleNamespace(peer=1)


def worker_with(*keys: int) -> Worker:
    """As much of a worker as has to do with its inbox."""
    worker = object.__new__(Worker)
    worker.engine = SimpleNamespace(loop=SimpleNamespace(mutex=threading.Lock()))  # type: ignore[assignment]
    worker.inbox = deque((CALLER, ("call", key)) for key in keys)
    return worker


def test_work_is_taken_in_order_until_there_is_none() -> None:
    worker = worker_with(1, 2)
    assert [worker.take(), worker.take(), worker.take()] == [
        (CALLER, ("call", 1)),
        (CALLER, ("call", 2)),
        None,
    ]


def test_what_is_given_back_under_the_mutex_is_not_run_too() -> None:
    worker = worker_with(*range(100))
    taken: list[Any] = []
    thread = threading.Thread(target=lambda: taken.append(worker.take()))
    with worker.engine.loop.mutex:
        thread.start()
        given_back = []
        for _caller, message in worker.inbox:  # raises if the other thread takes one meanwhile
            given_back.append(message[1])
            thread.join(0.0001)
        worker.inbox = deque()
    thread.join()
    assert given_back == list(range(100)) and taken == [None]


def test_an_asyncio_actor_takes_nothing_while_the_mutex_is_held() -> None:
    worker = worker_with(1, 2)
    coroutines = object.__new__(AsyncActor)
    coroutines.worker = worker
    thread = threading.Thread(target=coroutines.take_inbox)
    with worker.engine.loop.mutex:
        thread.start()
        thread.join(0.01)
        worker.inbox = deque()  # its caller is gone
    thread.join()  # it has found nothing to start
    assert not worker.inbox
