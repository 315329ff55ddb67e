"""The end of a worker's process: what it owes is done and written before."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING, NoReturn

from skate.core.actor import ActorExit
from skate.engine.local import protocol
from skate.engine.local.client.loop import Latch

if TYPE_CHECKING:
    from skate.engine.local.worker.main import Worker


def await_pools(worker: Worker) -> None:
    """Wait until the threads have done the calls they have."""
    while any(pool.unfinished for pool in worker.pools.values()):
        latch = worker.pools_latch = Latch(1)
        if any(pool.unfinished for pool in worker.pools.values()):
            worker.engine.loop.wait(latch, 0.1)


def exit_from_code(worker: Worker, error: BaseException) -> NoReturn:
    """`exit_actor()`, or `sys.exit()` in user code: the process ends."""
    if isinstance(error, ActorExit):
        finish(worker, error.cause)
    code = error.code if isinstance(error, SystemExit) else 1
    if worker.actor is not None:
        finish(worker, f"its method called sys.exit({code!r}).")
    _flush_all(worker)
    os._exit(code if isinstance(code, int) else 1)


def finish(worker: Worker, cause: str) -> NoReturn:
    """End the process, after what it has said has been written."""
    worker.exiting = True
    worker.engine.history.hand_over()
    # Answers first: once the node has told of the end, callers look for no more.
    _flush_all(worker)
    if worker.actor is not None:
        worker.engine.tell(protocol.ACTOR_EXIT, worker.actor.key, cause)
    instance, worker.instance = worker.instance, None
    del instance
    os._exit(0)


def _flush_all(worker: Worker) -> None:
    with worker.engine.loop.mutex:
        if worker.answers is not None:
            worker.answers.queue()
        worker.engine.flush_all()
        for conn in [worker.engine.node, *worker.callers.conns]:
            if conn.closed:
                continue
            conn.sock.setblocking(True)
            conn.sock.settimeout(5)
            conn.flush()
    for stream in (sys.stdout, sys.stderr):
        stream.flush()
