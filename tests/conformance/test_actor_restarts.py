"""Restarts of actors: state lost, constructor run again, calls retried."""

from __future__ import annotations

import gc
import os
from pathlib import Path
from typing import Any

import pytest

from .api import ray
from .helpers import Plain, Tally, get, is_dead, wait_until
from .support import kills_its_process


@kills_its_process
def test_a_restarted_actor_has_lost_its_state(tmp_path: Path) -> None:
    born = Tally(tmp_path / "born")
    actor = Plain.options(max_restarts=1).remote(born)
    assert [get(actor.add.remote()) for _ in range(2)] == [1, 2]
    with pytest.raises(ray.exceptions.RayActorError):
        get(actor.crash.remote())
    assert _after_restart(actor) == 1
    assert born.count == 2


def _after_kill(actor: Any) -> Any:
    """The first answer of a new life: the old one may still answer until the kill arrives, so the state tells."""
    answers = [2]

    def reborn() -> bool:
        answers.append(_after_restart(actor))
        return bool(answers[-1] <= answers[-2])

    wait_until(reborn, "the actor to be born again")
    return answers[-1]


def _after_restart(actor: Any) -> Any:
    """The first answer after a crash: calls may fail with ``ActorUnavailableError`` while the actor restarts."""
    answers: list[Any] = []

    def answered() -> bool:
        try:
            answers.append(get(actor.add.remote()))
        except ray.exceptions.ActorUnavailableError:
            return False
        return True

    wait_until(answered, "the actor to be back")
    return answers[0]


@kills_its_process
def test_the_call_that_was_lost_says_the_actor_is_unavailable_while_it_restarts() -> None:
    actor = Plain.options(max_restarts=1).remote()
    get(actor.add.remote())
    with pytest.raises(ray.exceptions.ActorUnavailableError):
        get(actor.crash.remote())


@kills_its_process
def test_restarts_are_counted(tmp_path: Path) -> None:
    born = Tally(tmp_path / "born")
    actor = Plain.options(max_restarts=2).remote(born)
    for _ in range(2):
        assert _after_restart(actor) == 1
        with pytest.raises(ray.exceptions.ActorUnavailableError):
            get(actor.crash.remote())
    _after_restart(actor)
    with pytest.raises(ray.exceptions.ActorDiedError):
        get(actor.crash.remote())
    with pytest.raises(ray.exceptions.ActorDiedError):
        get(actor.add.remote())
    assert born.count == 3


@kills_its_process
def test_max_restarts_of_minus_one_never_gives_up(tmp_path: Path) -> None:
    born = Tally(tmp_path / "born")
    actor = Plain.options(max_restarts=-1).remote(born)
    for _ in range(3):
        assert _after_restart(actor) == 1
        with pytest.raises(ray.exceptions.RayActorError):
            get(actor.crash.remote())
    assert _after_restart(actor) == 1
    assert born.count == 4


@kills_its_process
def test_an_actor_is_not_restarted_by_default(tmp_path: Path) -> None:
    born = Tally(tmp_path / "born")
    actor = Plain.remote(born)
    with pytest.raises(ray.exceptions.ActorDiedError):
        get(actor.crash.remote())
    with pytest.raises(ray.exceptions.ActorDiedError):
        get(actor.add.remote())
    assert born.count == 1


@kills_its_process
def test_max_task_retries_runs_the_lost_call_again(tmp_path: Path) -> None:
    tally = Tally(tmp_path / "runs")
    actor = Plain.options(max_restarts=3, max_task_retries=3).remote()
    assert get(actor.crash_until.remote(tally, 3)) == 3


@kills_its_process
def test_max_task_retries_is_a_limit(tmp_path: Path) -> None:
    tally = Tally(tmp_path / "runs")
    actor = Plain.options(max_restarts=5, max_task_retries=1).remote()
    with pytest.raises(ray.exceptions.RayActorError):
        get(actor.crash_until.remote(tally, 99))
    assert tally.count == 2


@kills_its_process
def test_a_lost_call_is_not_run_again_by_default(tmp_path: Path) -> None:
    tally = Tally(tmp_path / "runs")
    actor = Plain.options(max_restarts=3).remote()
    with pytest.raises(ray.exceptions.RayActorError):
        get(actor.crash_until.remote(tally, 99))
    _after_restart(actor)
    assert tally.count == 1


def test_a_methods_exception_is_not_retried_by_default(tmp_path: Path) -> None:
    tally = Tally(tmp_path / "runs")
    actor = Plain.options(max_restarts=3, max_task_retries=3).remote()
    with pytest.raises(ValueError, match="stumbled"):
        get(actor.stumble.remote(tally, 99))
    assert tally.count == 1


@pytest.mark.parametrize("kind", ["builtin", "the program's own"])
def test_retry_exceptions_on_a_method(kind: str, tmp_path: Path) -> None:
    tally = Tally(tmp_path / "runs")

    class Busy(Exception):
        pass

    error: type[Exception] = ValueError if kind == "builtin" else Busy

    @ray.remote
    class Retries:
        @ray.method(max_task_retries=2, retry_exceptions=[error])
        def stumble(self) -> int:
            if tally.add() < 3:
                raise error("stumbled")
            return tally.count

    assert get(Retries.remote().stumble.remote()) == 3


@kills_its_process
def test_was_current_actor_reconstructed() -> None:
    actor = Plain.options(max_restarts=1).remote()
    assert get(actor.reconstructed.remote()) is False
    with pytest.raises(ray.exceptions.RayActorError):
        get(actor.crash.remote())
    _after_restart(actor)
    assert get(actor.reconstructed.remote()) is True


@kills_its_process
def test_constructor_arguments_are_kept_for_a_restart() -> None:
    @ray.remote(max_restarts=1)
    class Keeps:
        def __init__(self, value: Any, box: list[Any]) -> None:
            self.value = (value, ray.get(box[0]))

        def add(self) -> Any:
            return self.value

        def crash(self) -> None:
            os._exit(1)

    actor = Keeps.remote(ray.put("a"), [ray.put("b")])
    gc.collect()
    with pytest.raises(ray.exceptions.RayActorError):
        get(actor.crash.remote())
    assert _after_restart(actor) == ("a", "b")


def test_kill_without_no_restart_restarts(tmp_path: Path) -> None:
    born = Tally(tmp_path / "born")
    actor = Plain.options(max_restarts=1).remote(born)
    assert [get(actor.add.remote()) for _ in range(2)] == [1, 2]
    ray.kill(actor, no_restart=False)
    assert _after_kill(actor) == 1
    assert born.count == 2


def test_kill_does_not_restart_unless_told(tmp_path: Path) -> None:
    born = Tally(tmp_path / "born")
    actor = Plain.options(max_restarts=-1).remote(born)
    get(actor.add.remote())
    ray.kill(actor)
    wait_until(lambda: is_dead(actor), "the actor to die")
    assert born.count == 1


@kills_its_process
def test_a_restarted_constructor_that_fails_ends_the_actor(tmp_path: Path) -> None:
    born = Tally(tmp_path / "born")

    @ray.remote(max_restarts=3)
    class OnlyOnce:
        def __init__(self) -> None:
            if born.add() > 1:
                raise ValueError("not again")

        def add(self) -> int:
            return 1

        def crash(self) -> None:
            os._exit(1)

    actor = OnlyOnce.remote()
    with pytest.raises(ray.exceptions.RayActorError):
        get(actor.crash.remote())
    wait_until(lambda: is_dead(actor), "the actor to end")
    with pytest.raises(ray.exceptions.ActorDiedError, match="not again"):
        get(actor.add.remote())
