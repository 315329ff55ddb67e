"""Starting and ending sessions: again and again, in the middle of work, in forks, from threads."""

from __future__ import annotations

import asyncio
import os
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import skate
from tests.leaks import leaked_since, take_snapshot
from tests.reliability.programs import run
from tests.support import run_python, wait_until


@skate.remote
def add(a: int, b: int) -> int:
    return a + b


@skate.remote
def nap(seconds: float) -> float:
    time.sleep(seconds)
    return seconds


@skate.remote
def wait_for(path: str) -> str:
    wait_until(lambda: os.path.exists(path), 60)
    return "went on"


@skate.remote(num_cpus=0)
class Counter:
    def __init__(self) -> None:
        self.count = 0

    def add(self) -> int:
        self.count += 1
        return self.count


@pytest.fixture
def session() -> Iterator[None]:
    skate.init(num_cpus=2)
    yield
    skate.shutdown()


def _cycle(number: int) -> None:
    skate.init(num_cpus=2)
    actor = Counter.remote()
    refs = [add.remote(number, other) for other in range(10)]
    big = skate.put(bytes(1 << 20))
    assert skate.get(refs) == [number + other for other in range(10)]
    assert skate.get(actor.add.remote()) == 1
    assert len(skate.get(big)) == 1 << 20
    skate.shutdown()


def test_twenty_sessions_one_after_another_leak_nothing() -> None:
    _cycle(0)
    before = take_snapshot()
    for number in range(20):
        _cycle(number)
    assert leaked_since(before, settle=1.0) == []


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_two_hundred_sessions_one_after_another_leak_nothing() -> None:
    _cycle(0)
    before = take_snapshot()
    for number in range(200):
        _cycle(number)
    assert leaked_since(before, settle=1.0) == []


def test_shutdown_in_the_middle_of_work_and_init_again() -> None:
    for _ in range(3):
        skate.init(num_cpus=2)
        actors = [Counter.remote() for _ in range(3)]
        refs = [nap.remote(30) for _ in range(20)] + [
            actor.add.remote() for actor in actors for _ in range(50)
        ]
        skate.wait(refs, num_returns=1, timeout=5)
        started = time.monotonic()
        skate.shutdown()
        assert time.monotonic() - started < 1
    skate.init(num_cpus=2)
    assert skate.get(add.remote(1, 2), timeout=10) == 3
    skate.shutdown()


def test_shutdown_wakes_who_waits_in_another_thread() -> None:
    skate.init(num_cpus=1)
    ref = nap.remote(100)
    caught: list[BaseException] = []

    def wait() -> None:
        try:
            skate.get(ref)
        except skate.exceptions.RayError as error:
            caught.append(error)

    thread = threading.Thread(target=wait)
    thread.start()
    skate.get(Counter.remote().add.remote())
    skate.shutdown()
    thread.join(5)
    assert not thread.is_alive()
    assert len(caught) == 1


def test_a_ref_of_an_ended_session_says_so() -> None:
    skate.init(num_cpus=1)
    ref = nap.remote(100)
    skate.shutdown()
    skate.init(num_cpus=1)
    with pytest.raises(ValueError, match="session that has ended"):
        skate.get(ref, timeout=5)
    assert skate.get(add.remote(1, 2), timeout=10) == 3
    skate.shutdown()


def test_an_actor_of_an_ended_session_says_so() -> None:
    skate.init(num_cpus=1)
    actor = Counter.remote()
    assert skate.get(actor.add.remote()) == 1
    skate.shutdown()
    skate.init(num_cpus=1)
    with pytest.raises(skate.exceptions.RayError):
        skate.get(actor.add.remote(), timeout=5)
    skate.shutdown()


# -- fork ------------------------------------------------------------------------------------------------------


_FORK = """
skate.init(num_cpus=2)

@skate.remote
def add(a, b):
    return a + b

assert skate.get(add.remote(1, 2)) == 3
ref = skate.put(bytes(1 << 20))
"""


def test_a_fork_of_the_driver_can_exit() -> None:
    body = """
    pid = os.fork()
    if pid == 0:
        sys.exit(7)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 7
    say("sum", skate.get(add.remote(2, 3), timeout=10), len(skate.get(ref)))
    skate.shutdown()
    """
    assert "sum 5 1048576" in run(_FORK + _dedent(body))


def test_a_fork_of_the_driver_can_start_a_session_of_its_own() -> None:
    body = """
    pid = os.fork()
    if pid == 0:
        assert not skate.is_initialized()
        skate.init(num_cpus=1)
        say("child", skate.get(add.remote(10, 20), timeout=10))
        skate.shutdown()
        os._exit(0)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
    say("sum", skate.get(add.remote(2, 3), timeout=10), len(skate.get(ref)))
    skate.shutdown()
    """
    said = run(_FORK + _dedent(body))
    assert "child 30" in said and "sum 5 1048576" in said


def test_a_fork_outlives_the_session_of_its_parent() -> None:
    body = """
    read, write = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.close(write)
        os.read(read, 1)
        os._exit(3)
    session_dir = runtime.engine.session.config["session_dir"]
    skate.shutdown()
    assert not os.path.exists(session_dir)
    os.close(write)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 3
    say("fine")
    """
    assert "fine" in run(_FORK + _dedent(body))


def _dedent(text: str) -> str:
    import textwrap

    return textwrap.dedent(text)


_FORKING = """
import multiprocessing
import skate

@skate.remote
def add(a, b):
    return a + b

with skate.init(num_cpus=2):
    assert skate.get(add.remote(1, 2)) == 3
    with multiprocessing.get_context("fork").Pool(2) as pool:
        assert pool.map(abs, range(-20, 0)) == list(range(20, 0, -1))
        assert skate.get([add.remote(n, 1) for n in range(20)]) == list(range(1, 21))
        pool.close()
        pool.join()
print("done")
"""


def test_multiprocessing_that_forks_beside_a_session(tmp_path: Path) -> None:
    # A program of its own: threads of other libraries that tests have used may hold locks when this process forks.
    script = tmp_path / "forking.py"
    script.write_text(_FORKING)
    finished = run_python(script, timeout=100, interpreter_options=())
    assert (finished.stdout, finished.returncode) == ("done\n", 0), finished.stderr


@pytest.mark.filterwarnings("ignore:.*fork")
def test_a_fork_while_other_threads_use_the_session(session: None) -> None:
    stop = threading.Event()

    def work() -> None:
        while not stop.is_set():
            assert skate.get([add.remote(n, 1) for n in range(20)], timeout=20) == list(range(1, 21))

    threads = [threading.Thread(target=work) for _ in range(3)]
    for thread in threads:
        thread.start()
    codes = []
    for _ in range(20):
        pid = os.fork()
        if pid == 0:
            # The child of a multi-threaded process: it only shows that it can leave.
            os._exit(0 if not skate.is_initialized() else 1)
        codes.append(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
    stop.set()
    for thread in threads:
        thread.join(20)
    assert codes == [0] * 20


# -- threads and asyncio -----------------------------------------------------------------------------------------


def test_many_threads_call_get_at_once(session: None) -> None:
    shared = [add.remote(n, 1) for n in range(200)]
    results: dict[int, Any] = {}

    def work(number: int) -> None:
        own = [add.remote(number, n) for n in range(50)]
        results[number] = (skate.get(own, timeout=30), skate.get(shared, timeout=30))

    threads = [threading.Thread(target=work, args=(number,)) for number in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(40)
    assert results == {n: ([n + other for other in range(50)], list(range(1, 201))) for n in range(16)}


def test_threads_that_wait_while_others_time_out(session: None, tmp_path: Path) -> None:
    slow = wait_for.remote(str(tmp_path / "go"))
    errors: list[str] = []
    everybody = threading.Barrier(9)

    def impatient() -> None:
        for _ in range(10):
            try:
                skate.get(slow, timeout=0.02)
            except skate.exceptions.GetTimeoutError:
                continue
            else:
                errors.append("got too early")
        everybody.wait(30)

    def let_go() -> None:
        everybody.wait(30)
        (tmp_path / "go").touch()

    threads = [threading.Thread(target=impatient) for _ in range(8)] + [threading.Thread(target=let_go)]
    for thread in threads:
        thread.start()
    assert skate.get(slow, timeout=40) == "went on"
    for thread in threads:
        thread.join(10)
        assert not thread.is_alive()
    assert errors == []


def test_asyncio_gathers_refs(session: None, tmp_path: Path) -> None:
    async def main() -> list[Any]:
        actor = Counter.remote()
        sums = asyncio.gather(*[add.remote(n, 1) for n in range(100)])
        counts = asyncio.gather(*[actor.add.remote() for _ in range(100)])
        slow = asyncio.wait_for(wait_for.remote(str(tmp_path / "go")), 30)
        ticks = 0
        pending = asyncio.ensure_future(asyncio.gather(sums, counts, slow))
        while not pending.done():
            await asyncio.sleep(0.001)
            ticks += 1
            if ticks == 10:  # it never ends if the loop stands still
                (tmp_path / "go").touch()
        return list(await pending)

    sums, counts, slow = asyncio.run(main())
    assert sums == list(range(1, 101))
    assert counts == list(range(1, 101))
    assert slow == "went on"


def test_asyncio_and_threads_and_the_main_thread_together(session: None) -> None:
    async def many() -> list[int]:
        return list(await asyncio.gather(*[add.remote(n, 1) for n in range(200)]))

    answers: list[list[int]] = []
    threads = [threading.Thread(target=lambda: answers.append(asyncio.run(many()))) for _ in range(3)]
    for thread in threads:
        thread.start()
    assert skate.get([add.remote(n, 1) for n in range(200)], timeout=30) == list(range(1, 201))
    for thread in threads:
        thread.join(30)
    assert answers == [list(range(1, 201))] * 3


@pytest.mark.slow
def test_a_task_that_blocks_the_interpreter_for_five_seconds_holds_up_nobody_else(session: None) -> None:
    @skate.remote
    def block() -> tuple[float, float]:
        """When it began and ended: one instruction, of five seconds or more, in which the GIL is never let go."""
        size = 10**7
        while True:
            began = time.monotonic()
            sum(range(size))
            ended = time.monotonic()
            if ended - began >= 5:
                return began, ended
            size = int(size * 6 / (ended - began))

    @skate.remote(num_cpus=0)
    class Answer:
        def ask(self) -> int:
            return 42

    actor = Answer.remote()
    assert skate.get(actor.ask.remote()) == 42
    blocked = block.remote()
    answered: list[tuple[float, float]] = []
    while not skate.wait([blocked], timeout=0)[0]:
        asked = time.monotonic()
        assert skate.get([add.remote(1, 2), actor.ask.remote()], timeout=20) == [3, 42]
        answered.append((asked, time.monotonic()))
    began, ended = skate.get(blocked)
    assert ended - began >= 5
    meanwhile = [asked for asked, answer in answered if began < asked and answer < ended]
    assert len(meanwhile) >= 20, "the others were held up"


def test_a_task_cancelled_while_it_blocks_the_interpreter_ends_by_force(session: None) -> None:
    @skate.remote(max_retries=0)
    def block() -> int:
        return sum(range(10**11))

    ref = block.remote()
    with pytest.raises(skate.exceptions.GetTimeoutError):
        skate.get(ref, timeout=0.3)
    skate.cancel(ref, force=True)
    with pytest.raises((skate.exceptions.TaskCancelledError, skate.exceptions.WorkerCrashedError)):
        skate.get(ref, timeout=10)
    assert skate.get(add.remote(1, 2), timeout=10) == 3
