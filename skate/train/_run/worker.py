"""The actor that runs the training function of one rank."""

from __future__ import annotations

import os
import queue
import threading
import time
from collections.abc import Callable
from typing import Any

import cloudpickle

import skate
from skate.air.session import enter
from skate.train._run.failures import failed
from skate.train._run.hangs import Look, frame_of, look_at
from skate.train._run.session import WorkerFacts, WorkerSession

__all__ = [
    "TrainWorker",
]


class TrainWorker:
    """Runs the training function in a thread, so that the controller's calls are answered meanwhile.

    Args:
        threads: How many threads numeric libraries use, unless OMP_NUM_THREADS says so already.
    """

    def __init__(self, threads: int = 1) -> None:
        # As many threads as CPUs are held: workers that take all cores each are in one another's way.
        os.environ.setdefault("OMP_NUM_THREADS", str(threads))
        self._outgoing: queue.SimpleQueue[tuple[Any, ...]] = queue.SimpleQueue()
        self._answers: queue.SimpleQueue[Any] = queue.SimpleQueue()
        self._training: threading.Thread | None = None

    def describe(self) -> tuple[str, list[int], str]:
        """The host's id, the GPUs that this worker holds, and the actor's id."""
        context = skate.get_runtime_context()
        gpus = [int(gpu) for gpu in context.get_accelerator_ids().get("GPU", [])]
        return context.get_node_id(), gpus, str(context.get_actor_id())

    def execute(self, function: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        """Call a function here."""
        return function(*args, **kwargs)

    def start(self, facts: WorkerFacts, function: Callable[[], Any]) -> None:
        """Begin to run the training function."""
        session = WorkerSession(facts, self._outgoing.put, self._answers.get)
        enter(session)
        self._training = threading.Thread(
            target=self._run, args=(session, function), name="training", daemon=True
        )
        self._training.start()

    def _run(self, session: WorkerSession, function: Callable[[], Any]) -> None:
        try:
            value = function()
            session.finish()
            message: tuple[Any, ...] = (
                "ended",
                cloudpickle.dumps(value if session.world_rank == 0 else None),
            )
        except BaseException as error:  # SystemExit too: the controller is told of whatever ends the function
            message = failed(error)
        enter(None)
        self._outgoing.put(message)

    def exchange(self) -> list[tuple[Any, ...]]:
        """Wait for messages of the training function.

        Returns:
            All that there are, at least one.
        """
        messages = [self._outgoing.get()]
        while not self._outgoing.empty():
            messages.append(self._outgoing.get())
        return messages

    def reply(self, answer: Any) -> None:
        """Answer the call in which the training function waits."""
        self._answers.put(answer)

    def look(self) -> Look:
        """What the training function does at this moment."""
        frame = None if self._training is None else frame_of(self._training)
        return look_at(frame, time.process_time())
