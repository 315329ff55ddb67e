"""Errors: on the right ref, as both the user's type and ours, with the remote traceback."""

from __future__ import annotations

import os
import pickle
import sys
import threading
from pathlib import Path
from typing import Any

import pytest

from .api import ray
from .helpers import Gate, Tally, get
from .support import differs_from_ray, kills_its_process


class Custom(Exception):
    """A plain exception of the user's."""


class NeedsTwo(Exception):
    """An exception that cannot be rebuilt from its ``args``."""

    def __init__(self, code: int, reason: str) -> None:
        super().__init__(f"{code}: {reason}")
        self.code = code
        self.reason = reason


class Unpicklable:
    """A value that names itself and refuses to be pickled."""

    def __reduce__(self) -> Any:
        raise TypeError("this thing stays at home")


class FailsToUnpickle:
    """A value that pickles and then cannot be rebuilt."""

    def __reduce__(self) -> Any:
        return (_explode, ())


def _explode() -> None:
    raise RuntimeError("cannot be rebuilt")


@ray.remote
def same(x: Any) -> Any:
    return x


@ray.remote
def fail(message: str = "broken") -> None:
    raise ValueError(message)


# What an error is


def test_an_error_is_an_instance_of_the_users_type_and_of_ours() -> None:
    with pytest.raises(ValueError, match="broken") as caught:
        get(fail.remote())
    assert isinstance(caught.value, ray.exceptions.RayTaskError)
    assert isinstance(caught.value, ray.exceptions.RayError)


def test_errors_can_be_caught_as_task_errors() -> None:
    with pytest.raises(ray.exceptions.RayTaskError):
        get(fail.remote())


def test_the_cause_is_the_users_own_exception() -> None:
    with pytest.raises(ray.exceptions.RayTaskError) as caught:
        get(fail.remote("original"))
    cause = caught.value.cause
    assert type(cause) is ValueError and cause.args == ("original",)


def test_the_error_says_where_in_the_remote_code_it_happened() -> None:
    @ray.remote
    def calls_helper() -> None:
        def the_helper() -> None:
            raise Custom("deep inside")

        the_helper()

    with pytest.raises(Custom) as caught:
        get(calls_helper.remote())
    text = str(caught.value)
    assert "the_helper" in text and "deep inside" in text and Path(__file__).name in text


def test_the_error_names_the_task() -> None:
    with pytest.raises(ValueError) as caught:
        get(fail.remote())
    assert "fail()" in str(caught.value)


def test_a_custom_exception_keeps_its_attributes() -> None:
    @ray.remote
    def raise_it() -> None:
        error = Custom("with a note")
        error.detail = {"k": 1}
        raise error

    with pytest.raises(Custom) as caught:
        get(raise_it.remote())
    assert caught.value.detail == {"k": 1}
    assert caught.value.cause.args == ("with a note",)


@differs_from_ray("the raised error's args hold the cause itself")
def test_the_raised_error_has_the_args_of_the_users() -> None:
    @ray.remote
    def raise_it() -> None:
        raise KeyError("the key", 2)

    with pytest.raises(KeyError) as caught:
        get(raise_it.remote())
    assert caught.value.args == ("the key", 2)


def test_an_exception_class_defined_in_a_function() -> None:
    class Local(Exception):
        pass

    @ray.remote
    def raise_it() -> None:
        raise Local("here")

    with pytest.raises(ray.exceptions.RayTaskError, match="here") as caught:
        get(raise_it.remote())
    assert type(caught.value.cause).__name__ == "Local"


@differs_from_ray("the exception cannot be rebuilt, so the user's type is lost")
def test_an_exception_with_a_required_argument() -> None:
    @ray.remote
    def raise_it() -> None:
        raise NeedsTwo(7, "because")

    with pytest.raises(NeedsTwo, match="7: because") as caught:
        get(raise_it.remote())
    assert isinstance(caught.value, ray.exceptions.RayTaskError)
    assert (caught.value.code, caught.value.reason) == (7, "because")


def test_an_exception_with_a_required_argument_is_at_least_a_task_error() -> None:
    @ray.remote
    def raise_it() -> None:
        raise NeedsTwo(7, "because")

    with pytest.raises(ray.exceptions.RayError, match="7: because"):
        get(raise_it.remote())


def test_exceptions_with_explicit_cause_show_both() -> None:
    @ray.remote
    def raise_it() -> None:
        try:
            raise KeyError("inner trouble")
        except KeyError as error:
            raise Custom("outer trouble") from error

    with pytest.raises(Custom) as caught:
        get(raise_it.remote())
    assert "inner trouble" in str(caught.value) and "outer trouble" in str(caught.value)


def test_exception_groups() -> None:
    @ray.remote
    def raise_it() -> None:
        raise ExceptionGroup("several", [ValueError("one"), KeyError("two")])

    with pytest.raises(ray.exceptions.RayTaskError) as caught:
        get(raise_it.remote())
    cause = caught.value.cause
    assert isinstance(cause, ExceptionGroup)
    assert [type(error) for error in cause.exceptions] == [ValueError, KeyError]


def test_an_exception_group_can_be_caught_with_except_star() -> None:
    @ray.remote
    def raise_it() -> None:
        raise ExceptionGroup("several", [ValueError("one"), KeyError("two")])

    seen: list[str] = []
    try:
        get(raise_it.remote())
    except* ValueError:
        seen.append("value")
    except* KeyError:
        seen.append("key")
    assert seen == ["value", "key"]


def test_getting_twice_raises_twice() -> None:
    ref = fail.remote("again")
    for _ in range(2):
        with pytest.raises(ValueError, match="again"):
            get(ref)


def test_every_ref_of_a_failed_task_fails() -> None:
    refs = fail.options(num_returns=3).remote("all of them")
    for ref in refs:
        with pytest.raises(ValueError, match="all of them"):
            get(ref)


@ray.remote
def look_at(box: list[Exception]) -> tuple[bool, bool, str]:
    error = box[0]
    return isinstance(error, ValueError), isinstance(error, ray.exceptions.RayTaskError), str(error)


def test_a_caught_error_can_be_passed_on_in_a_container() -> None:
    with pytest.raises(ValueError) as caught:
        get(fail.remote("passed on"))
    user_type, ours, text = get(look_at.remote([caught.value]))
    assert user_type and ours and "passed on" in text


@differs_from_ray("a task error among the arguments is taken for an argument that failed, and fails the task")
def test_a_caught_error_can_be_passed_on_as_an_argument() -> None:
    with pytest.raises(ValueError) as caught:
        get(fail.remote("passed on"))

    @ray.remote
    def look(error: Exception) -> str:
        return type(error).__name__

    assert "ValueError" in get(look.remote(caught.value))


@differs_from_ray("the error's class is made on the fly, so plain pickle does not find it")
def test_a_caught_error_can_be_pickled() -> None:
    with pytest.raises(ValueError) as caught:
        get(fail.remote("packed"))
    again = pickle.loads(pickle.dumps(caught.value))
    assert isinstance(again, ray.exceptions.RayTaskError)
    assert "packed" in str(again)


def test_returning_an_exception_is_not_raising_it() -> None:
    error = get(same.remote(ValueError("just a value")))
    assert type(error) is ValueError and error.args == ("just a value",)


def test_putting_an_exception_is_not_raising_it() -> None:
    assert isinstance(get(ray.put(KeyError("k"))), KeyError)


# Where an error goes


def test_an_error_goes_through_a_chain_of_dependents() -> None:
    ref = fail.remote("at the root")
    for _ in range(5):
        ref = same.remote(ref)
    with pytest.raises(ValueError, match="at the root") as caught:
        get(ref)
    assert isinstance(caught.value, ray.exceptions.RayTaskError)


def test_a_dependent_of_a_failed_task_does_not_run(tmp_path: Path) -> None:
    tally = Tally(tmp_path / "ran")

    @ray.remote
    def follow(_: Any) -> None:
        tally.add()

    with pytest.raises(ValueError):
        get(follow.remote(fail.remote()))
    assert tally.count == 0


def test_an_error_in_a_nested_task_keeps_the_users_type() -> None:
    @ray.remote
    def outer() -> None:
        ray.get(fail.remote("from within"))

    with pytest.raises(ValueError, match="from within") as caught:
        get(outer.remote())
    assert isinstance(caught.value, ray.exceptions.RayTaskError)


def test_a_task_can_catch_its_childs_error() -> None:
    @ray.remote
    def outer() -> str:
        try:
            ray.get(fail.remote("caught"))
        except ValueError as error:
            return f"ours: {isinstance(error, ray.exceptions.RayTaskError)}"
        return "nothing"

    assert get(outer.remote()) == "ours: True"


def test_an_error_passed_inside_a_container_is_raised_where_it_is_got() -> None:
    @ray.remote
    def look(box: list[Any]) -> str:
        try:
            ray.get(box[0])
        except ValueError:
            return "raised there"
        return "no"

    assert get(look.remote([fail.remote()])) == "raised there"


def test_one_failure_leaves_the_other_tasks_alone() -> None:
    refs = [fail.remote() if i % 3 == 0 else same.remote(i) for i in range(9)]
    assert get([ref for i, ref in enumerate(refs) if i % 3]) == [1, 2, 4, 5, 7, 8]


# Unpicklable things


def test_an_unpicklable_argument_is_a_type_error_at_the_call_that_names_the_culprit() -> None:
    with pytest.raises(TypeError) as caught:
        same.remote({"ok": 1, "bad": Unpicklable()})
    assert "stays at home" in str(caught.value)
    assert "same" in str(caught.value), "the message names the task that was called"


def test_an_unpicklable_argument_of_an_actor_call_is_a_type_error_at_the_call() -> None:
    @ray.remote
    class Actor:
        def __init__(self, _: Any = None) -> None:
            pass

        def take(self, _: Any) -> None:
            pass

    actor = Actor.remote()
    with pytest.raises(TypeError, match="lock"):
        actor.take.remote(threading.Lock())
    with pytest.raises(TypeError, match="lock"):
        Actor.remote(threading.Lock())
    assert get(actor.take.remote(1)) is None


def test_an_unpicklable_put_is_a_type_error() -> None:
    with pytest.raises(TypeError, match="lock"):
        ray.put(threading.Lock())


def test_an_unpicklable_capture_is_a_type_error_that_names_the_function() -> None:
    lock = threading.Lock()

    @ray.remote
    def guarded() -> None:
        with lock:
            pass

    with pytest.raises(TypeError, match="guarded"):
        get(guarded.remote())


def test_an_unpicklable_result_is_an_error_on_its_ref() -> None:
    @ray.remote
    def make() -> Any:
        return threading.Lock()

    with pytest.raises(TypeError, match="lock") as caught:
        get(make.remote())
    assert isinstance(caught.value, ray.exceptions.RayTaskError)
    assert "make" in str(caught.value)


def test_the_session_goes_on_after_an_unpicklable_result() -> None:
    @ray.remote
    def make() -> Any:
        return threading.Lock()

    with pytest.raises(TypeError):
        get(make.remote())
    assert get([same.remote(i) for i in range(4)]) == [0, 1, 2, 3]


def test_an_unpicklable_exception_is_an_error_with_its_text() -> None:
    @ray.remote
    def raise_it() -> None:
        error = Custom("cannot travel")
        error.lock = threading.Lock()
        raise error

    with pytest.raises(ray.exceptions.RayError, match="cannot travel"):
        get(raise_it.remote())


def test_a_result_that_fails_to_unpickle_is_an_error_on_its_ref() -> None:
    @ray.remote
    def make() -> Any:
        return FailsToUnpickle()

    ref = make.remote()
    with pytest.raises(ray.exceptions.RayError, match="cannot be rebuilt"):
        get(ref)
    assert get(same.remote(1)) == 1


def test_an_argument_that_fails_to_unpickle_is_an_error_on_the_tasks_ref() -> None:
    with pytest.raises(ray.exceptions.RayError, match="cannot be rebuilt"):
        get(same.remote(FailsToUnpickle()))
    assert get(same.remote(2)) == 2


def test_a_put_that_fails_to_unpickle_is_an_error_at_get() -> None:
    ref = ray.put(FailsToUnpickle())
    with pytest.raises(ray.exceptions.RayError, match="cannot be rebuilt"):
        get(ref)


def test_recursion_without_end_is_a_recursion_error() -> None:
    @ray.remote
    def forever() -> int:
        def again(n: int) -> int:
            return again(n + 1)

        return again(0)

    with pytest.raises(RecursionError):
        get(forever.remote())


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


def test_an_error_arrives_while_other_tasks_are_still_running() -> None:
    gate = Gate.remote()

    @ray.remote
    def blocked() -> None:
        ray.get(gate.wait.remote())

    pending = blocked.remote()
    with pytest.raises(ValueError):
        get(fail.remote())
    gate.open.remote()
    get(pending)
