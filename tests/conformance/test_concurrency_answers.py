"""Threaded actors: what is done is answered, whatever the other threads are at."""

from __future__ import annotations

import threading

from .api import ray
from .helpers import get
from .support import needs_processes


@needs_processes
def test_what_is_done_is_answered_while_every_thread_blocks_and_more_calls_wait() -> None:
    @ray.remote(max_concurrency=2)
    class Blocks:
        def __init__(self) -> None:
            self.event = threading.Event()

        def quick(self, index: int) -> int:
            return index

        def block(self) -> None:
            self.event.wait()

    actor = Blocks.remote()
    quick = [actor.quick.remote(index) for index in range(100)]
    blocked = [actor.block.remote() for _ in range(2)]
    waiting = actor.quick.remote(100)
    assert get(quick) == list(range(100))
    assert ray.wait([*blocked, waiting], timeout=0)[0] == []
    ray.kill(actor)
