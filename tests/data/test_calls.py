"""Calls of users' functions: time limits, repetition, blocks that may fail, pools of actors, coroutine functions."""

from __future__ import annotations

import asyncio
import os
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import skate
import skate.data
from skate.data.execution.udf import Rules, matches, within
from skate.exceptions import GetTimeoutError, RayTaskError, UserCodeException


@pytest.fixture
def context() -> Iterator[skate.data.DataContext]:
    """Settings for one test."""
    changed = skate.data.DataContext.get_current().copy()
    with skate.data.DataContext.current(changed):
        yield changed


class FailsFirst:
    """Fails for the first calls in all, counted by files: whichever process makes them."""

    def __init__(self, folder: Path, times: int, message: str = "try again") -> None:
        self.folder, self.times, self.message = folder, times, message

    def __call__(self, row: dict[str, Any]) -> dict[str, Any]:
        if row["id"] == 2:
            for number in range(self.times):
                try:
                    (self.folder / str(number)).touch(exist_ok=False)
                except FileExistsError:
                    continue
                raise OSError(self.message)
        return row


@pytest.mark.parametrize("patterns", [True, ["try again"], [r"OSError: try \w+"]])
def test_a_call_that_fails_is_made_again(
    context: skate.data.DataContext, tmp_path: Path, patterns: Any
) -> None:
    context.retried_map_errors, context.max_map_retries = patterns, 2
    dataset = skate.data.range(4, override_num_blocks=1).map(FailsFirst(tmp_path, 2))
    assert [row["id"] for row in dataset.take_all()] == [0, 1, 2, 3]


@pytest.mark.parametrize(("patterns", "retries"), [(True, 1), (["other"], 5), (False, 5)])
def test_a_call_is_made_again_no_more_often_than_allowed(
    context: skate.data.DataContext, tmp_path: Path, patterns: Any, retries: int
) -> None:
    context.retried_map_errors, context.max_map_retries = patterns, retries
    with pytest.raises(UserCodeException, match="try again"):
        skate.data.range(4, override_num_blocks=1).map(FailsFirst(tmp_path, 2)).take_all()


def test_what_a_generator_yields_is_not_given_twice(context: skate.data.DataContext) -> None:
    context.retried_map_errors, context.max_map_retries = True, 1
    failed: list[int] = []

    def halves(batch: dict[str, Any]) -> Iterator[dict[str, Any]]:
        yield {"id": batch["id"][:1]}
        if not failed:
            failed.append(1)
            raise RuntimeError("in the middle")
        yield {"id": batch["id"][1:]}

    rows = skate.data.range(3, override_num_blocks=1).map_batches(halves).take_all()
    assert [row["id"] for row in rows] == [0, 1, 2] and failed == [1]


def test_patterns_are_texts_or_expressions() -> None:
    error = OSError("HTTP 503 (slow)")
    assert matches(error, True) and matches(error, ["503 (slow)"]) and matches(error, [r"50\d"])
    assert not matches(error, False) and not matches(error, ["404"])
    assert not matches(error, ["404 (not"])  # a text alone: it is no expression


def test_a_coroutine_that_fails_is_run_again(context: skate.data.DataContext) -> None:
    context.retried_map_errors, context.max_map_retries = ["TimeoutError"], 1
    failed: list[int] = []

    async def ask(row: dict[str, Any]) -> dict[str, Any]:
        if not failed:
            failed.append(1)
            raise TimeoutError("the service is slow")
        return row

    assert skate.data.range(1).map(ask).take_all() == [{"id": 0}] and failed == [1]


def bad(row: dict[str, Any]) -> dict[str, Any]:
    return {"id": 6 // (row["id"] % 4)}


@pytest.mark.usefixtures("session")
@pytest.mark.parametrize("where", [{}, {"num_cpus": 1}, {"compute": skate.data.ActorPoolStrategy(size=1)}])
def test_blocks_that_may_fail_are_left_out(
    context: skate.data.DataContext, where: dict[str, Any], caplog: pytest.LogCaptureFixture
) -> None:
    context.max_errored_blocks = 2
    rows = skate.data.range(8, override_num_blocks=8).map(bad, **where).take_all()
    assert [row["id"] for row in rows] == [6, 3, 2, 6, 3, 2]
    assert caplog.text.count("a block is left out") == 2
    context.max_errored_blocks = 1
    with pytest.raises(RayTaskError, match="ZeroDivisionError"):
        skate.data.range(8, override_num_blocks=8).map(bad, **where).take_all()
    context.max_errored_blocks = -1
    assert skate.data.range(8, override_num_blocks=1).map(bad, **where).take_all() == []


def hangs(row: dict[str, Any]) -> dict[str, Any]:
    if row["id"] == 1:
        threading.Event().wait()
    return row


@pytest.mark.usefixtures("session")
@pytest.mark.parametrize("where", [{}, {"compute": skate.data.ActorPoolStrategy(size=1)}])
def test_a_function_that_hangs_is_ended(context: skate.data.DataContext, where: dict[str, Any]) -> None:
    context.udf_timeout_s = 0.3
    with pytest.raises(UserCodeException, match=r"took longer than 0\.3 s.*udf_timeout_s.*row 1"):
        skate.data.range(2, override_num_blocks=1).map(hangs, **where).take_all()


@pytest.mark.usefixtures("session")
def test_a_coroutine_that_hangs_is_ended(context: skate.data.DataContext) -> None:
    context.udf_timeout_s = 0.3

    async def hang(row: dict[str, Any]) -> dict[str, Any]:
        await asyncio.Event().wait()
        return row

    with pytest.raises(UserCodeException, match=r"took longer than 0\.3 s"):
        skate.data.range(2).map(hang).take_all()


def test_a_limit_holds_in_other_threads_too() -> None:
    found: list[Any] = []
    stop = threading.Event()

    def run() -> None:
        found.append(within(lambda: 5, 30, "f"))
        try:
            within(stop.wait, 0.05, "f")
        except TimeoutError as error:
            found.append(str(error))

    thread = threading.Thread(target=run)
    thread.start()
    thread.join()
    stop.set()
    assert found[0] == 5 and "0.05 s" in found[1]


def test_an_error_points_at_the_users_line_below_a_library() -> None:
    def parse(row: dict[str, Any]) -> dict[str, Any]:
        return {"x": np.asarray(["a"]).astype(int)[0]}

    with pytest.raises(UserCodeException) as caught:
        skate.data.range(2).map(parse).take_all()
    assert "test_calls.py" in str(caught.value) and "in parse, on row 0 of its input ({'id': 0})" in str(
        caught.value
    )


def test_rules_without_limits_are_none() -> None:
    assert not Rules("f").any and Rules("f", 1.0).any and Rules("f", None, True, 1).any
    assert not Rules("f", None, True, 0).any


class Connection:
    """Like a client whose session belongs to an event loop."""

    def __init__(self) -> None:
        self.loop: Any = None

    async def __call__(self, batch: dict[str, Any]) -> dict[str, Any]:
        running = asyncio.get_running_loop()
        self.loop = self.loop or running
        assert self.loop is running
        await asyncio.sleep(0)
        return batch


@pytest.mark.usefixtures("session")
def test_an_asynchronous_instance_keeps_its_event_loop() -> None:
    dataset = skate.data.range(8, override_num_blocks=4).map_batches(Connection, concurrency=1)
    assert dataset.sum("id") == 28


@pytest.mark.usefixtures("session")
def test_calls_of_one_actor_at_a_time_share_its_event_loop() -> None:
    pool = skate.data.ActorPoolStrategy(size=1, max_concurrent_calls_per_actor=3)
    dataset = skate.data.range(24, override_num_blocks=12).map_batches(Connection, compute=pool)
    assert [row["id"] for row in dataset.take_all()] == list(range(24))


def test_coroutines_run_at_the_same_time_and_keep_their_order() -> None:
    together = asyncio.Event()
    waiting: list[int] = []

    async def meet(row: dict[str, Any]) -> dict[str, Any]:
        waiting.append(row["id"])
        if len(waiting) == 10:
            together.set()
        await together.wait()
        return row

    rows = skate.data.range(10, override_num_blocks=1).map(meet).take_all()
    assert [row["id"] for row in rows] == list(range(10))


@pytest.mark.usefixtures("session")
def test_coroutines_run_where_a_loop_is_under_way_as_in_a_notebook() -> None:
    async def tell(row: dict[str, Any]) -> dict[str, Any]:
        await asyncio.sleep(0)
        return {**row, "pid": os.getpid()}

    async def cell() -> list[dict[str, Any]]:
        return list(skate.data.range(2, override_num_blocks=1).map(tell).take_all())

    rows = asyncio.run(cell())
    assert [row["id"] for row in rows] == [0, 1] and os.getpid() not in {row["pid"] for row in rows}


class Where:
    """Tells its process."""

    def __call__(self, row: dict[str, Any]) -> dict[str, Any]:
        return {"id": row["id"], "pid": os.getpid()}


@pytest.mark.usefixtures("session")
def test_a_pool_works_with_the_actors_that_there_is_room_for() -> None:
    for concurrency in (5, (1, 5)):
        dataset = skate.data.range(12, override_num_blocks=12).map(Where, concurrency=concurrency, num_cpus=1)
        rows = dataset.take_all()
        assert [row["id"] for row in rows] == list(range(12))
        assert 1 <= len({row["pid"] for row in rows}) <= 2


@pytest.mark.usefixtures("session")
def test_the_least_number_of_actors_can_be_waited_for(context: skate.data.DataContext) -> None:
    context.wait_for_min_actors_s = 120
    assert len(skate.data.range(2).map(Where, concurrency=1).take_all()) == 2
    context.wait_for_min_actors_s = 1
    with pytest.raises(GetTimeoutError, match="Timed out while starting actors"):
        skate.data.range(2).map(Where, concurrency=3, num_cpus=1).take_all()


class StartsLater:
    """Its constructor fails for the first times in all."""

    def __init__(self, folder: Path, times: int) -> None:
        for number in range(times):
            try:
                (folder / str(number)).touch(exist_ok=False)
            except FileExistsError:
                continue
            raise ConnectionError("not yet")

    def __call__(self, row: dict[str, Any]) -> dict[str, Any]:
        return row


@pytest.mark.usefixtures("session")
def test_a_constructor_can_be_tried_again(context: skate.data.DataContext, tmp_path: Path) -> None:
    dataset = skate.data.range(2).map(StartsLater, fn_constructor_args=(tmp_path, 2), concurrency=1)
    with pytest.raises(RayTaskError, match="not yet"):
        dataset.take_all()
    context.actor_init_retry_on_errors = True
    again = tmp_path / "again"
    again.mkdir()
    dataset = skate.data.range(2).map(StartsLater, fn_constructor_args=(again, 2), concurrency=1)
    assert len(dataset.take_all()) == 2


@pytest.mark.usefixtures("session")
def test_an_actor_that_dies_at_its_start_can_be_replaced(
    context: skate.data.DataContext, tmp_path: Path
) -> None:
    context.max_consecutive_actor_init_deaths = 2
    dataset = skate.data.range(2).map(StartsLater, fn_constructor_args=(tmp_path, 2), concurrency=1)
    assert len(dataset.take_all()) == 2


@pytest.mark.usefixtures("session")
def test_options_can_be_chosen_for_each_task() -> None:
    calls: list[int] = []

    def chosen() -> dict[str, Any]:
        calls.append(1)
        return {"num_cpus": 0.5}

    dataset = skate.data.range(3, override_num_blocks=3).map(lambda row: row, ray_remote_args_fn=chosen)
    assert len(dataset.take_all()) == 3 and len(calls) == 3


@pytest.mark.usefixtures("session")
def test_settings_reach_the_functions(context: skate.data.DataContext) -> None:
    context.set_config("answer", 42)

    def ask(row: dict[str, Any]) -> dict[str, Any]:
        return {"x": skate.data.DataContext.get_current().get_config("answer")}

    for where in ({}, {"num_cpus": 1}, {"compute": skate.data.ActorPoolStrategy(size=1)}):
        assert skate.data.range(1).map(ask, **where).take_all() == [{"x": 42}]


def test_a_stage_in_tasks_starts_a_session_by_itself() -> None:
    assert not skate.is_initialized()
    rows = skate.data.range(2).map(lambda row: row, concurrency=1).take_all()
    assert [row["id"] for row in rows] == [0, 1] and skate.is_initialized()
