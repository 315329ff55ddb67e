"""Crashes, exits and retries of tasks."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any

import pytest

from .api import ray
from .helpers import Tally, get
from .support import kills_its_process


class Custom(Exception):
    """A plain exception of the user's."""


@ray.remote
def same(x: Any) -> Any:
    return x


# Leaving in the middle


@kills_its_process
def test_sys_exit_in_a_task_is_a_worker_crash() -> None:
    @ray.remote(max_retries=0)
    def leave() -> None:
        sys.exit(3)

    with pytest.raises(ray.exceptions.WorkerCrashedError):
        get(leave.remote())


def test_keyboard_interrupt_in_a_task_is_an_error_on_its_ref() -> None:
    @ray.remote(max_retries=0)
    def interrupt() -> None:
        raise KeyboardInterrupt

    with pytest.raises(ray.exceptions.RayError):
        get(interrupt.remote())


@kills_its_process
def test_a_crashed_worker_is_a_worker_crashed_error() -> None:
    @ray.remote(max_retries=0)
    def crash() -> None:
        os._exit(1)

    with pytest.raises(ray.exceptions.WorkerCrashedError):
        get(crash.remote())


@kills_its_process
def test_the_session_goes_on_after_a_crash() -> None:
    @ray.remote(max_retries=0)
    def crash() -> None:
        os._exit(1)

    with pytest.raises(ray.exceptions.WorkerCrashedError):
        get(crash.remote())
    assert get([same.remote(i) for i in range(4)]) == [0, 1, 2, 3]


@kills_its_process
def test_a_crash_reaches_the_dependents() -> None:
    @ray.remote(max_retries=0)
    def crash() -> None:
        os._exit(1)

    with pytest.raises(ray.exceptions.WorkerCrashedError):
        get(same.remote(crash.remote()))


# Retries


@kills_its_process
@pytest.mark.parametrize("retries", [0, 1, 2])
def test_a_crashing_task_runs_once_and_then_its_retries(tmp_path: Path, retries: int) -> None:
    tally = Tally(tmp_path / "runs")

    @ray.remote(max_retries=retries)
    def crash() -> None:
        tally.add()
        os._exit(1)

    with pytest.raises(ray.exceptions.WorkerCrashedError):
        get(crash.remote())
    assert tally.count == retries + 1


@kills_its_process
def test_a_crash_is_retried_by_default(tmp_path: Path) -> None:
    tally = Tally(tmp_path / "runs")

    @ray.remote
    def crash_once() -> str:
        if tally.add() < 3:
            os._exit(1)
        return "third time"

    assert get(crash_once.remote()) == "third time"


@kills_its_process
def test_max_retries_of_minus_one_never_gives_up(tmp_path: Path) -> None:
    tally = Tally(tmp_path / "runs")

    @ray.remote(max_retries=-1)
    def crash_often() -> int:
        if tally.add() < 6:
            os._exit(1)
        return tally.count

    assert get(crash_often.remote()) == 6


def test_exceptions_are_not_retried_by_default(tmp_path: Path) -> None:
    tally = Tally(tmp_path / "runs")

    @ray.remote
    def stumble() -> None:
        tally.add()
        raise Custom

    with pytest.raises(Custom):
        get(stumble.remote())
    assert tally.count == 1


def test_retry_exceptions_retries_any_exception(tmp_path: Path) -> None:
    tally = Tally(tmp_path / "runs")

    @ray.remote(retry_exceptions=True, max_retries=2)
    def stumble() -> str:
        if tally.add() < 3:
            raise Custom
        return "up"

    assert get(stumble.remote()) == "up"
    assert tally.count == 3


def test_retry_exceptions_gives_up_after_max_retries(tmp_path: Path) -> None:
    tally = Tally(tmp_path / "runs")

    @ray.remote(retry_exceptions=True, max_retries=2)
    def stumble() -> None:
        raise Custom(f"run {tally.add()}")

    with pytest.raises(Custom, match="run 3"):
        get(stumble.remote())
    assert tally.count == 3


def test_retry_exceptions_with_the_default_max_retries(tmp_path: Path) -> None:
    tally = Tally(tmp_path / "runs")

    @ray.remote(retry_exceptions=True)
    def stumble() -> None:
        tally.add()
        raise Custom

    with pytest.raises(Custom):
        get(stumble.remote())
    assert tally.count == 4


def test_a_list_of_retry_exceptions_retries_those(tmp_path: Path) -> None:
    tally = Tally(tmp_path / "runs")

    @ray.remote(max_retries=3, retry_exceptions=[LookupError])
    def stumble() -> None:
        runs = tally.add()
        raise (KeyError if runs == 1 else ValueError)(runs)

    with pytest.raises(ValueError, match="2"):
        get(stumble.remote())
    assert tally.count == 2


def test_retry_exceptions_through_options(tmp_path: Path) -> None:
    tally = Tally(tmp_path / "runs")

    @ray.remote
    def stumble() -> int:
        if tally.add() == 1:
            raise Custom
        return tally.count

    assert get(stumble.options(retry_exceptions=[Custom], max_retries=1).remote()) == 2


@kills_its_process
def test_crashes_and_exceptions_share_the_retries(tmp_path: Path) -> None:
    tally = Tally(tmp_path / "runs")

    @ray.remote(max_retries=2, retry_exceptions=True)
    def stumble() -> None:
        if tally.add() == 2:
            os._exit(1)
        raise Custom

    with pytest.raises(Custom):
        get(stumble.remote())
    assert tally.count == 3


def test_a_retried_task_gets_the_same_arguments(tmp_path: Path) -> None:
    tally = Tally(tmp_path / "runs")

    @ray.remote(max_retries=1, retry_exceptions=True)
    def stumble(items: list[int], ref_value: str) -> Any:
        items.append(9)
        if tally.add() == 1:
            raise Custom
        return items, ref_value

    assert get(stumble.remote([1], ray.put("r"))) == ([1, 9], "r")


def test_an_exception_to_be_retried_may_hold_refs(tmp_path: Path) -> None:
    class Holds(Exception):
        pass

    tally = Tally(tmp_path / "runs")

    @ray.remote(max_retries=2, retry_exceptions=[Holds])
    def fail() -> None:
        tally.add()
        raise Holds([ray.put([1])])

    with pytest.raises(Holds):
        get(fail.remote())
    assert tally.count == 3
