"""Concurrency inside actors: threads, asyncio and concurrency groups."""

from __future__ import annotations

import asyncio
import threading
import time
from typing import Any

import pytest

from .api import ray
from .helpers import PATIENCE, Gate, get
from .support import blocks_its_thread, differs_from_ray


@ray.remote
def same(x: Any) -> Any:
    return x


# Threads


@ray.remote
class Threaded:
    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.inside = 0
        self.worst = 0
        self.total = 0

    def meet(self, gate: Any, who: int = 0) -> int:
        with self.lock:
            self.inside += 1
            self.worst = max(self.worst, self.inside)
        ray.get(gate.wait.remote(who))
        with self.lock:
            self.inside -= 1
        return who

    def most(self) -> int:
        return self.worst

    def ping(self) -> str:
        return "pong"

    def add(self) -> None:
        with self.lock:
            self.total += 1

    def read(self) -> int:
        return self.total

    def fail(self) -> None:
        raise ValueError("in a thread")

    def thread(self) -> int:
        return threading.get_ident()


def test_a_threaded_actor_runs_calls_at_the_same_time() -> None:
    gate, actor = Gate.remote(), Threaded.options(max_concurrency=3).remote()
    refs = [actor.meet.remote(gate, i) for i in range(3)]
    assert sorted(get(gate.arrived.remote(3))) == [0, 1, 2]
    gate.open.remote()
    assert get(refs) == [0, 1, 2]


def test_max_concurrency_is_a_limit() -> None:
    gate, actor = Gate.remote(), Threaded.options(max_concurrency=2).remote()
    refs = [actor.meet.remote(gate, i) for i in range(5)]
    get(gate.arrived.remote(2))
    assert ray.wait([gate.arrived.remote(3)], timeout=0.2)[0] == []
    gate.open.remote()
    get(refs)
    assert get(actor.most.remote()) == 2


def test_max_concurrency_in_the_decorator() -> None:
    @ray.remote(max_concurrency=2)
    class Two:
        def meet(self, gate: Any) -> None:
            ray.get(gate.wait.remote())

    gate, two = Gate.remote(), Two.remote()
    refs = [two.meet.remote(gate) for _ in range(2)]
    get(gate.arrived.remote(2))
    gate.open.remote()
    get(refs)


def test_a_plain_actor_runs_one_call_at_a_time() -> None:
    gate, actor = Gate.remote(), Threaded.remote()
    refs = [actor.meet.remote(gate, i) for i in range(3)]
    get(gate.arrived.remote())
    assert ray.wait([gate.arrived.remote(2)], timeout=0.2)[0] == []
    gate.open.remote()
    get(refs)
    assert get(actor.most.remote()) == 1


def test_a_blocked_call_does_not_hold_the_others_up() -> None:
    gate, actor = Gate.remote(), Threaded.options(max_concurrency=2).remote()
    blocked = actor.meet.remote(gate)
    get(gate.arrived.remote())
    assert get(actor.ping.remote()) == "pong"
    gate.open.remote()
    get(blocked)


def test_threads_share_the_actors_state() -> None:
    actor = Threaded.options(max_concurrency=4).remote()
    get([actor.add.remote() for _ in range(100)])
    assert get(actor.read.remote()) == 100


def test_an_error_in_a_thread_leaves_the_actor_alive() -> None:
    actor = Threaded.options(max_concurrency=2).remote()
    with pytest.raises(ValueError, match="in a thread"):
        get(actor.fail.remote())
    assert get(actor.ping.remote()) == "pong"


def test_kill_ends_a_threaded_actor_with_calls_inside() -> None:
    gate, actor = Gate.remote(), Threaded.options(max_concurrency=2).remote()
    refs = [actor.meet.remote(gate, i) for i in range(2)]
    get(gate.arrived.remote(2))
    ray.kill(actor)
    for ref in refs:
        with pytest.raises(ray.exceptions.RayActorError):
            get(ref)
    gate.open.remote()


@blocks_its_thread
def test_threads_may_wait_for_each_other_in_plain_python() -> None:
    @ray.remote(max_concurrency=2)
    class Pair:
        def __init__(self) -> None:
            self.event = threading.Event()

        def wait(self) -> bool:
            return self.event.wait(PATIENCE)

        def set(self) -> None:
            self.event.set()

    pair = Pair.remote()
    waiting = pair.wait.remote()
    pair.set.remote()
    assert get(waiting) is True


def test_a_thread_started_by_a_method_may_use_the_api() -> None:
    @ray.remote
    class Starts:
        def work(self) -> list[Any]:
            answers: list[Any] = []
            thread = threading.Thread(target=lambda: answers.append(ray.get(same.remote("from a thread"))))
            thread.start()
            thread.join(PATIENCE)
            return answers

    assert get(Starts.remote().work.remote()) == ["from a thread"]


# asyncio


@ray.remote
class Async:
    def __init__(self) -> None:
        self.event = asyncio.Event()
        self.inside = 0
        self.worst = 0
        self.trail: list[Any] = []

    async def wait(self) -> str:
        self.inside += 1
        self.worst = max(self.worst, self.inside)
        await self.event.wait()
        self.inside -= 1
        return "set"

    async def set(self) -> None:
        self.event.set()

    async def meet(self, gate: Any, who: int = 0) -> int:
        self.inside += 1
        self.worst = max(self.worst, self.inside)
        await gate.wait.remote(who)
        self.inside -= 1
        return who

    async def most(self) -> int:
        return self.worst

    async def ping(self) -> str:
        return "pong"

    async def fail(self) -> None:
        raise KeyError("in a coroutine")

    def sync_method(self) -> str:
        return "sync"

    async def note(self, x: Any) -> list[Any]:
        self.trail.append(x)
        return list(self.trail)

    async def loop_id(self) -> int:
        return id(asyncio.get_running_loop())

    async def ask(self, x: Any) -> Any:
        return await same.remote(x)

    async def gather(self, n: int) -> list[Any]:
        return await asyncio.gather(*[same.remote(i) for i in range(n)])

    async def background(self) -> str:
        task = asyncio.create_task(asyncio.sleep(0, "done"))
        return await task

    async def sync_get(self, x: Any) -> Any:
        return ray.get(same.remote(x))


def test_an_asyncio_actor_runs_calls_at_the_same_time() -> None:
    actor = Async.remote()
    waiting = [actor.wait.remote() for _ in range(5)]
    actor.set.remote()
    assert get(waiting) == ["set"] * 5


def test_an_asyncio_actor_takes_a_thousand_calls_at_once() -> None:
    actor = Async.remote()
    waiting = [actor.wait.remote() for _ in range(900)]
    assert ray.wait(waiting, timeout=0)[0] == []
    deadline = time.monotonic() + PATIENCE
    while get(actor.most.remote()) <= 100:  # a caller's calls need not begin in order here
        assert time.monotonic() < deadline
    actor.set.remote()
    get(waiting)


def test_answers_of_a_threaded_actor_do_not_wait_for_calls_that_block() -> None:
    @ray.remote(max_concurrency=2)
    class Threaded:
        def quick(self) -> int:
            return 1

        def block(self, gate: Any) -> None:
            ray.get(gate.wait.remote())

    gate, actor = Gate.remote(), Threaded.remote()
    before = [actor.quick.remote() for _ in range(50)]
    blocked = [actor.block.remote(gate) for _ in range(2)]
    after = actor.quick.remote()
    assert get(before) == [1] * 50
    gate.open.remote()
    assert get([*blocked, after]) == [None, None, 1]


def test_max_concurrency_limits_coroutines() -> None:
    gate, actor = Gate.remote(), Async.options(max_concurrency=2).remote()
    refs = [actor.meet.remote(gate, i) for i in range(5)]
    get(gate.arrived.remote(2))
    assert ray.wait([gate.arrived.remote(3)], timeout=0.2)[0] == []
    gate.open.remote()
    get(refs)
    assert get(actor.most.remote()) == 2


def test_one_async_method_makes_an_asyncio_actor() -> None:
    """Then plain methods run in the event loop too, one at a time."""
    actor = Async.remote()
    waiting = actor.wait.remote()
    assert get(actor.sync_method.remote()) == "sync"
    actor.set.remote()
    assert get(waiting) == "set"


@differs_from_ray("coroutines start in any order")
def test_coroutines_start_in_the_order_called() -> None:
    actor = Async.remote()
    refs = [actor.note.remote(i) for i in range(200)]
    ray.wait(refs, num_returns=200, timeout=PATIENCE)
    assert get(actor.note.remote("end")) == [*range(200), "end"]


def test_every_coroutine_starts() -> None:
    actor = Async.remote()
    get([actor.note.remote(i) for i in range(50)])
    assert sorted(get(actor.note.remote(50))) == list(range(51))


def test_all_coroutines_share_one_loop() -> None:
    actor = Async.remote()
    assert len(set(get([actor.loop_id.remote() for _ in range(3)]))) == 1


def test_await_a_ref_inside_an_asyncio_actor() -> None:
    actor = Async.remote()
    assert get(actor.ask.remote("x")) == "x"
    assert get(actor.gather.remote(5)) == [0, 1, 2, 3, 4]


def test_a_waiting_coroutine_leaves_the_loop_free() -> None:
    gate, actor = Gate.remote(), Async.remote()
    waiting = actor.meet.remote(gate)
    get(gate.arrived.remote())
    assert get(actor.ping.remote()) == "pong"
    gate.open.remote()
    get(waiting)


def test_background_asyncio_tasks() -> None:
    assert get(Async.remote().background.remote()) == "done"


def test_an_error_in_a_coroutine() -> None:
    actor = Async.remote()
    with pytest.raises(KeyError, match="in a coroutine"):
        get(actor.fail.remote())
    assert get(actor.ping.remote()) == "pong"


def test_sync_get_inside_a_coroutine_works() -> None:
    """It blocks the loop meanwhile, and warns of it, but does not deadlock."""
    actor = Async.remote()
    assert get(actor.sync_get.remote("blocking")) == "blocking"


def test_an_asyncio_actor_that_calls_itself() -> None:
    @ray.remote
    class Recursive:
        async def down(self, n: int) -> int:
            if n == 0:
                return 0
            me = ray.get_runtime_context().current_actor
            return 1 + int(await me.down.remote(n - 1))

    assert get(Recursive.remote().down.remote(3)) == 3


def test_two_asyncio_actors_play_ping_pong() -> None:
    @ray.remote
    class Player:
        async def hit(self, other: Any, left: int) -> int:
            if left == 0:
                return 0
            me = ray.get_runtime_context().current_actor
            return 1 + int(await other.hit.remote(me, left - 1))

    assert get(Player.remote().hit.remote(Player.remote(), 6)) == 6


def test_ref_arguments_are_resolved_before_a_coroutine_starts() -> None:
    gate, actor = Gate.remote(), Async.remote()
    late = actor.note.remote(gate.wait.remote())
    early = actor.note.remote("early")
    assert get(early) == ["early"], (
        "an asyncio actor does not hold a call behind one that waits for its arguments"
    )
    gate.open.remote()
    assert get(late) == ["early", None]


def test_an_async_constructor_is_awaited() -> None:
    @ray.remote
    class AsyncInit:
        async def __init__(self) -> None:  # type: ignore[misc]
            await asyncio.sleep(0)
            self.value = 1

        async def read(self) -> int:
            return self.value

    assert get(AsyncInit.remote().read.remote()) == 1


def test_an_inherited_async_method_makes_an_asyncio_actor() -> None:
    class Base:
        async def ping(self) -> str:
            await asyncio.sleep(0)
            return "pong"

    @ray.remote
    class Derived(Base):
        pass

    assert get(Derived.remote().ping.remote()) == "pong"


def test_runtime_context_is_each_coroutines_own() -> None:
    @ray.remote
    class Contexts:
        async def task_id(self, gate: Any) -> tuple[str, str]:
            before = ray.get_runtime_context().get_task_id()
            await gate.wait.remote()
            return before, ray.get_runtime_context().get_task_id()

    gate, actor = Gate.remote(), Contexts.remote()
    refs = [actor.task_id.remote(gate) for _ in range(2)]
    get(gate.arrived.remote(2))
    gate.open.remote()
    (a, a_after), (b, b_after) = get(refs)
    assert a == a_after and b == b_after and a != b


# Waiting inside actors


def test_wait_in_an_actor() -> None:
    @ray.remote
    class Waits:
        def work(self, n: int) -> int:
            ready, pending = ray.wait([same.remote(i) for i in range(n)], num_returns=n, timeout=PATIENCE)
            return len(ready) - len(pending)

    assert get(Waits.remote().work.remote(4)) == 4


def test_a_threaded_actor_waits_in_each_thread_on_its_own() -> None:
    @ray.remote(max_concurrency=3)
    class Waits:
        def work(self, x: int) -> Any:
            ready, _ = ray.wait([same.remote(x)], timeout=PATIENCE)
            return ray.get(ready[0])

    actor = Waits.remote()
    assert get([actor.work.remote(i) for i in range(6)]) == list(range(6))
