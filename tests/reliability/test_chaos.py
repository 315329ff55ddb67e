"""Workers die all the time, and no result is wrong or missing."""

from __future__ import annotations

import ctypes
import os
import random
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import psutil
import pytest

import skate
from skate.core import runtime
from tests.support import wait_until

PATIENCE = 60.0


@skate.remote(max_retries=-1)
def square(number: int) -> int:
    return number * number


@skate.remote(max_retries=-1)
def big(number: int) -> bytes:
    return number.to_bytes(4, "little") * 50_000


@skate.remote(max_retries=-1)
def nested(number: int) -> int:
    return int(skate.get(square.remote(number))) + 1


@skate.remote(max_restarts=-1, max_task_retries=-1, num_cpus=0)
class Restarting:
    """Answers without relying on state, which a restart loses."""

    def __init__(self, number: int) -> None:
        self.number = number

    def answer(self, question: int) -> tuple[int, int]:
        return self.number, question + 1


@skate.remote(max_retries=0)
def die(how: str) -> None:
    if how == "kill":
        os.kill(os.getpid(), signal.SIGKILL)
    elif how == "exit":
        os._exit(3)
    ctypes.string_at(0)


def _node_pid() -> int:
    """The node's process: the first that the zygote forked."""
    engine: Any = runtime.current()
    children = psutil.Process(engine.session.zygote_pid).children()
    return min(children, key=lambda child: (child.create_time(), child.pid)).pid


def _worker_pids(node: int) -> list[int]:
    engine: Any = runtime.current()
    return [child.pid for child in psutil.Process(engine.session.zygote_pid).children() if child.pid != node]


@contextmanager
def killer(every: float, seed: int) -> Iterator[list[int]]:
    """Kill a worker of the session every so many seconds, in one of three ways."""
    stop = threading.Event()
    killed: list[int] = []
    rng = random.Random(seed)
    node = _node_pid()

    def kill() -> None:
        while not stop.wait(every):
            pids = _worker_pids(node)
            if not pids:
                continue
            pid = rng.choice(pids)
            try:
                os.kill(pid, rng.choice([signal.SIGKILL, signal.SIGSEGV, signal.SIGTERM]))
            except ProcessLookupError:
                continue
            killed.append(pid)

    thread = threading.Thread(target=kill, name="killer")
    thread.start()
    try:
        yield killed
    finally:
        stop.set()
        thread.join()


def _chaos(tasks: int, actors: int, seed: int, patience: float) -> None:
    skate.init(num_cpus=2, log_to_driver=False)
    try:
        assert skate.get(square.remote(2), timeout=10) == 4
        with killer(0.05, seed) as killed:
            everyone = [Restarting.remote(number) for number in range(actors)]
            batch = max(tasks // 10, 1)
            for start in range(0, tasks, batch):
                numbers = range(start, min(start + batch, tasks))
                squares = [square.remote(number) for number in numbers]
                answers = [everyone[number % actors].answer.remote(number) for number in numbers]
                inner = [nested.remote(number) for number in numbers[:20]]
                large = [big.remote(number) for number in numbers[:20]]
                dead = [die.remote(how) for how in ("kill", "exit", "segfault")]
                assert skate.get(squares, timeout=patience) == [number**2 for number in numbers]
                assert skate.get(answers, timeout=patience) == [
                    (number % actors, number + 1) for number in numbers
                ]
                assert skate.get(inner, timeout=patience) == [number**2 + 1 for number in numbers[:20]]
                assert [value[:4] for value in skate.get(large, timeout=patience)] == [
                    number.to_bytes(4, "little") for number in numbers[:20]
                ]
                for ref in dead:
                    with pytest.raises(skate.exceptions.WorkerCrashedError):
                        skate.get(ref, timeout=patience)
        assert killed, "nobody was killed: the work was over too soon"
        assert skate.get([square.remote(number) for number in range(100)], timeout=10) == [
            n * n for n in range(100)
        ]
    finally:
        skate.shutdown()


@pytest.mark.timeout(150)
@pytest.mark.parametrize("seed", [1, 2])
def test_chaos(seed: int) -> None:
    _chaos(tasks=2_000, actors=5, seed=seed, patience=PATIENCE)


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_much_chaos() -> None:
    _chaos(tasks=20_000, actors=20, seed=3, patience=300)


@pytest.fixture
def session() -> Iterator[None]:
    skate.init(num_cpus=2, log_to_driver=False)
    yield
    skate.shutdown()


@pytest.mark.parametrize(("how", "cause"), [("kill", "SIGKILL"), ("exit", "code 3"), ("segfault", "SIGSEGV")])
def test_a_crash_that_may_not_be_retried_gives_its_cause(session: None, how: str, cause: str) -> None:
    with pytest.raises(skate.exceptions.WorkerCrashedError, match=cause):
        skate.get(die.remote(how), timeout=20)
    assert skate.get(square.remote(3), timeout=20) == 9


@pytest.mark.parametrize("retries", [0, 1, 3])
def test_retries_stop_where_they_should(session: None, tmp_path: Any, retries: int) -> None:
    path = str(tmp_path / "tries")

    @skate.remote(max_retries=retries)
    def crash() -> None:
        with open(path, "a", encoding="ascii") as file:
            file.write("x")
        os._exit(9)

    with pytest.raises(skate.exceptions.WorkerCrashedError, match="code 9"):
        skate.get(crash.remote(), timeout=20)
    assert len((tmp_path / "tries").read_text()) == retries + 1


def test_an_actor_that_may_not_restart_gives_its_cause(session: None) -> None:
    @skate.remote
    class Fragile:
        def ping(self) -> int:
            return os.getpid()

    actor = Fragile.remote()
    os.kill(skate.get(actor.ping.remote(), timeout=20), signal.SIGKILL)
    with pytest.raises(skate.exceptions.ActorDiedError, match="SIGKILL"):
        skate.get(actor.ping.remote(), timeout=20)


def test_a_name_is_free_once_its_actor_has_crashed(session: None) -> None:
    @skate.remote(num_cpus=0)
    class Named:
        def pid(self) -> int:
            return os.getpid()

    def free() -> bool:
        try:
            skate.get_actor("n")
        except ValueError:
            return True
        return False

    for _ in range(5):
        actor = Named.options(name="n").remote()
        os.kill(skate.get(actor.pid.remote(), timeout=20), signal.SIGKILL)
        wait_until(free, what="the name to be free")


def test_actors_killed_as_soon_as_they_are_made(session: None) -> None:
    for _ in range(100):
        skate.kill(Restarting.remote(1))
        Restarting.remote(2)
    assert skate.get(square.remote(3), timeout=20) == 9
