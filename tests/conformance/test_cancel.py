"""Cancelling: queued, running, recursive and forced; tasks and actor calls."""

from __future__ import annotations

import asyncio
import functools
import time
from pathlib import Path
from typing import Any

import pytest

from .api import ray
from .helpers import PATIENCE, Gate, Tally, get, wait_until
from .support import blocks_its_thread, differs_from_ray, kills_its_process


@ray.remote
def same(x: Any) -> Any:
    return x


def assert_cancelled(ref: Any) -> None:
    with pytest.raises(ray.exceptions.TaskCancelledError):
        get(ref)


def test_a_task_waiting_for_its_arguments() -> None:
    gate = Gate.remote()
    ref = same.remote(gate.wait.remote())
    ray.cancel(ref)
    assert_cancelled(ref)
    gate.open.remote()


def test_a_call_of_a_threaded_actor_waiting_for_its_arguments() -> None:
    @ray.remote(max_concurrency=2)
    class Threaded:
        def same(self, x: Any) -> Any:
            return x

    gate, actor = Gate.remote(), Threaded.remote()
    ref = actor.same.remote(gate.wait.remote())
    ray.cancel(ref)
    assert_cancelled(ref)
    gate.open.remote()


def test_a_task_waiting_for_resources(start: Any, tmp_path: Path) -> None:
    start(num_cpus=1, resources={"seat": 1})
    gate, tally = Gate.remote(), Tally(tmp_path / "runs")

    @ray.remote(num_cpus=0, resources={"seat": 1})
    def sit() -> None:
        ray.get(gate.wait.remote())

    @ray.remote(num_cpus=0, resources={"seat": 1})
    def second() -> None:
        tally.add()

    first = sit.remote()
    get(gate.arrived.remote())
    ref = second.remote()
    ray.cancel(ref)
    assert_cancelled(ref)
    gate.open.remote()
    get(first)
    assert tally.count == 0


def test_a_running_task_that_waits_in_get() -> None:
    gate = Gate.remote()

    @ray.remote
    def waits() -> None:
        ray.get(gate.wait.remote())

    ref = waits.remote()
    get(gate.arrived.remote())
    ray.cancel(ref)
    assert_cancelled(ref)
    gate.open.remote()


@blocks_its_thread
def test_a_running_task_is_interrupted_by_keyboard_interrupt(tmp_path: Path) -> None:
    """Without force the task sees ``KeyboardInterrupt`` and may clean up."""
    started, cleaned = Tally(tmp_path / "started"), Tally(tmp_path / "cleaned")

    @ray.remote
    def loops() -> None:
        started.add()
        try:
            while True:
                time.sleep(0.01)
        except KeyboardInterrupt:
            cleaned.add()
            raise

    ref = loops.remote()
    wait_until(lambda: started.count, "the task to start")
    ray.cancel(ref)
    assert_cancelled(ref)
    wait_until(lambda: cleaned.count == 1, "the task to clean up")


@blocks_its_thread
def test_a_task_that_swallows_the_interrupt_ends_as_it_likes(tmp_path: Path) -> None:
    started = Tally(tmp_path / "started")

    @ray.remote
    def stubborn() -> str:
        started.add()
        try:
            while True:
                time.sleep(0.01)
        except KeyboardInterrupt:
            return "finished anyway"

    ref = stubborn.remote()
    wait_until(lambda: started.count, "the task to start")
    ray.cancel(ref)
    assert get(ref) == "finished anyway"


@kills_its_process
def test_force_ends_a_task_that_ignores_interrupts(tmp_path: Path) -> None:
    started = Tally(tmp_path / "started")

    @ray.remote
    def ignores() -> None:
        started.add()
        while True:
            try:
                while True:
                    time.sleep(0.01)
            except KeyboardInterrupt:
                pass

    ref = ignores.remote()
    wait_until(lambda: started.count, "the task to start")
    ray.cancel(ref, force=True)
    with pytest.raises((ray.exceptions.TaskCancelledError, ray.exceptions.WorkerCrashedError)):
        get(ref)
    assert started.count == 1, "a task that was cancelled is not retried"


@kills_its_process
def test_force_spares_the_task_that_comes_next() -> None:
    @ray.remote(num_cpus=0)
    class Doorbell:
        def __init__(self) -> None:
            self.rung = 0

        def ring(self) -> None:
            self.rung += 1

        def count(self) -> int:
            return self.rung

    bell = Doorbell.remote()

    @ray.remote(max_retries=0)
    def sleeps() -> None:
        get(bell.ring.remote())
        time.sleep(PATIENCE)

    @ray.remote(max_retries=0)
    def short() -> str:
        return "done"

    def rung(times: int) -> bool:
        return bool(get(bell.count.remote()) == times)

    for times in range(1, 6):
        ref = sleeps.remote()
        wait_until(functools.partial(rung, times), "the task to start")
        ray.cancel(ref, force=True)
        with pytest.raises((ray.exceptions.TaskCancelledError, ray.exceptions.WorkerCrashedError)):
            get(ref)
        assert get(short.remote()) == "done"


def test_force_of_a_queued_task() -> None:
    gate = Gate.remote()
    ref = same.remote(gate.wait.remote())
    ray.cancel(ref, force=True)
    assert_cancelled(ref)
    gate.open.remote()


def test_a_finished_task_keeps_its_result() -> None:
    ref = same.remote("done")
    assert get(ref) == "done"
    ray.cancel(ref)
    assert get(ref) == "done"


def test_cancelling_twice_is_allowed() -> None:
    gate = Gate.remote()
    ref = same.remote(gate.wait.remote())
    ray.cancel(ref)
    ray.cancel(ref)
    assert_cancelled(ref)
    ray.cancel(ref)
    gate.open.remote()


def test_dependents_of_a_cancelled_task_fail() -> None:
    gate = Gate.remote()
    ref = same.remote(gate.wait.remote())
    dependent = same.remote(ref)
    ray.cancel(ref)
    with pytest.raises(ray.exceptions.RayError):
        get(dependent)
    gate.open.remote()


@differs_from_ray("the driver's process aborts: tasks that share an argument with a cancelled one", run=False)
def test_cancelling_leaves_other_tasks_alone() -> None:
    gate = Gate.remote()
    opened = gate.wait.remote()
    refs = [same.remote(opened) for _ in range(5)]
    ray.cancel(refs[2])
    assert_cancelled(refs[2])
    gate.open.remote()
    assert get([ref for i, ref in enumerate(refs) if i != 2]) == [None] * 4


def test_recursive_cancels_the_children() -> None:
    gate, children = Gate.remote(), Gate.remote()

    @ray.remote
    def child() -> None:
        ray.get(gate.wait.remote())

    @ray.remote
    def parent() -> None:
        ref = child.remote()
        children.wait.remote([ref])
        ray.get(ref)

    ref = parent.remote()
    [[child_ref]] = get(children.arrived.remote())
    get(gate.arrived.remote())
    ray.cancel(ref, recursive=True)
    assert_cancelled(ref)
    with pytest.raises(ray.exceptions.TaskCancelledError):
        get(child_ref)
    gate.open.remote()


def test_without_recursive_the_children_go_on() -> None:
    gate, children = Gate.remote(), Gate.remote()

    @ray.remote
    def child() -> str:
        ray.get(gate.wait.remote())
        return "grown up"

    @ray.remote
    def parent() -> None:
        ref = child.remote()
        children.wait.remote([ref])
        ray.get(ref)

    ref = parent.remote()
    [[child_ref]] = get(children.arrived.remote())
    get(gate.arrived.remote())
    ray.cancel(ref, recursive=False)
    assert_cancelled(ref)
    gate.open.remote()
    assert get(child_ref) == "grown up"


def test_a_cancelled_task_is_not_retried(tmp_path: Path) -> None:
    gate, tally = Gate.remote(), Tally(tmp_path / "runs")

    @ray.remote(max_retries=3, retry_exceptions=True)
    def waits() -> None:
        tally.add()
        ray.get(gate.wait.remote())

    ref = waits.remote()
    get(gate.arrived.remote())
    ray.cancel(ref)
    assert_cancelled(ref)
    gate.open.remote()
    assert get(same.remote(1)) == 1
    assert tally.count == 1


@differs_from_ray("the error of a task that had not started has an empty message")
def test_the_error_is_a_ray_error_and_says_cancelled() -> None:
    gate = Gate.remote()
    ref = same.remote(gate.wait.remote())
    ray.cancel(ref)
    with pytest.raises(ray.exceptions.RayError, match="(?i)cancel"):
        get(ref)
    gate.open.remote()


def test_cancel_of_a_put_object_does_nothing() -> None:
    ref = ray.put(1)
    ray.cancel(ref)
    assert get(ref) == 1


def test_cancel_of_something_else_is_a_type_error() -> None:
    with pytest.raises(TypeError, match="int"):
        ray.cancel(1)


def test_wait_counts_a_cancelled_task_as_ready() -> None:
    gate = Gate.remote()
    ref = same.remote(gate.wait.remote())
    ray.cancel(ref)
    assert ray.wait([ref], timeout=PATIENCE) == ([ref], [])
    gate.open.remote()


# Actor calls


@ray.remote
class AsyncActor:
    def __init__(self) -> None:
        self.started = asyncio.Event()
        self.cancelled = False

    async def sleeps(self) -> None:
        self.started.set()
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            self.cancelled = True
            raise

    async def has_started(self) -> None:
        await self.started.wait()

    async def was_cancelled(self) -> bool:
        return self.cancelled


def test_an_async_actor_call_sees_cancelled_error() -> None:
    actor = AsyncActor.remote()
    ref = actor.sleeps.remote()
    get(actor.has_started.remote())
    ray.cancel(ref)
    assert_cancelled(ref)
    assert get(actor.was_cancelled.remote()) is True


def test_an_async_actor_lives_on_after_a_cancelled_call() -> None:
    actor = AsyncActor.remote()
    ref = actor.sleeps.remote()
    get(actor.has_started.remote())
    ray.cancel(ref)
    assert_cancelled(ref)
    assert get(actor.has_started.remote()) is None


@ray.remote
class Holder:
    def hold(self, gate: Any) -> None:
        ray.get(gate.wait.remote())

    def quick(self) -> str:
        return "ran"


def test_a_queued_actor_call() -> None:
    gate, actor = Gate.remote(), Holder.remote()
    first = actor.hold.remote(gate)
    get(gate.arrived.remote())
    queued = actor.quick.remote()
    ray.cancel(queued)
    gate.open.remote()
    assert_cancelled(queued)
    assert get(first) is None


@differs_from_ray("the calls behind a cancelled one may wait 30 s and then be cancelled too", run=False)
def test_the_calls_behind_a_cancelled_actor_call_still_run() -> None:
    gate, actor = Gate.remote(), Holder.remote()
    first = actor.hold.remote(gate)
    get(gate.arrived.remote())
    second, third = actor.quick.remote(), actor.quick.remote()
    ray.cancel(second)
    gate.open.remote()
    assert_cancelled(second)
    assert get([first, third]) == [None, "ran"]


def test_an_actor_call_waiting_for_its_arguments() -> None:
    gate = Gate.remote()

    @ray.remote
    class Actor:
        def take(self, x: Any) -> Any:
            return x

    actor = Actor.remote()
    ref = actor.take.remote(gate.wait.remote())
    ray.cancel(ref)
    assert_cancelled(ref)
    gate.open.remote()
    assert get(actor.take.remote(1)) == 1


def test_a_finished_actor_call_keeps_its_result() -> None:
    actor = AsyncActor.remote()
    ref = actor.was_cancelled.remote()
    assert get(ref) is False
    ray.cancel(ref)
    assert get(ref) is False


def test_force_of_an_actor_call_is_a_value_error() -> None:
    """An actor's process is not ended for one call: ``kill`` is for that."""
    actor = AsyncActor.remote()
    ref = actor.sleeps.remote()
    get(actor.has_started.remote())
    with pytest.raises(ValueError, match="force"):
        ray.cancel(ref, force=True)


def test_a_sync_actor_call_that_runs_goes_on_and_can_see_that_it_is_cancelled() -> None:
    gate = Gate.remote()

    @ray.remote
    class Actor:
        def work(self) -> bool:
            ray.get(gate.wait.remote())
            return bool(ray.get_runtime_context().is_canceled())

    actor = Actor.remote()
    ref = actor.work.remote()
    get(gate.arrived.remote())
    ray.cancel(ref, recursive=False)
    gate.open.remote()
    try:
        assert get(ref) is True
    except ray.exceptions.TaskCancelledError:
        pass
    assert get(gate.arrived.remote()) == [None]


@ray.remote
def cancels(refs: list[Any], force: bool = False) -> None:
    ray.cancel(refs[0], force=force)


def test_a_task_that_another_task_was_given_the_ref_of() -> None:
    gate = Gate.remote()
    waits = gate.wait.remote()

    @ray.remote
    def waiting(x: Any) -> Any:
        return x

    ref = waiting.remote(waits)
    get(cancels.remote([ref]))
    assert_cancelled(ref)
    gate.open.remote()
    assert get(waits) is None


def test_a_task_of_another_task() -> None:
    """The driver cancels what a task has started, by the ref that the task returned."""
    gate = Gate.remote()

    @ray.remote
    class Starter:
        def start(self, gate: Any) -> list[Any]:
            @ray.remote
            def waits(gate: Any) -> None:
                ray.get(gate.wait.remote())

            self.started = waits.remote(gate)
            return [self.started]

    starter = Starter.remote()
    (ref,) = get(starter.start.remote(gate))
    get(gate.arrived.remote())
    ray.cancel(ref)
    assert_cancelled(ref)
    gate.open.remote()


@kills_its_process
def test_force_from_another_task() -> None:
    gate = Gate.remote()

    @ray.remote
    def waits(gate: Any) -> None:
        ray.get(gate.wait.remote())

    ref = waits.remote(gate)
    get(gate.arrived.remote())
    get(cancels.remote([ref], force=True))
    with pytest.raises((ray.exceptions.TaskCancelledError, ray.exceptions.WorkerCrashedError)):
        get(ref)
    gate.open.remote()


def test_an_ended_task_of_another_process_stays_as_it_is() -> None:
    @ray.remote
    def one() -> int:
        return 1

    ref = one.remote()
    assert get(ref) == 1
    get(cancels.remote([ref]))
    assert get(ref) == 1


def test_a_cancelled_actor_call_whose_actor_restarts() -> None:
    gate, actor = Gate.remote(), Holder.options(max_restarts=1, max_task_retries=1).remote()
    ref = actor.hold.remote(gate)
    get(gate.arrived.remote())
    ray.cancel(ref)
    ray.kill(actor, no_restart=False)
    assert_cancelled(ref)
    assert get(actor.quick.remote()) == "ran"
