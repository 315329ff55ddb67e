"""Errors: on the right ref, as both the user's type and ours, with the remote traceback."""

from __future__ import annotations

import os
import pickle
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


def test_the_error_of_a_dependent_names_each_task_on_the_way() -> None:
    with pytest.raises(ValueError, match="broken") as caught:
        get(same.options(name="not shown").remote(same.remote(fail.remote())))
    assert isinstance(caught.value, ray.exceptions.RayTaskError)
    assert (
        str(caught.value).count("At least one of the input arguments for this task could not be computed")
        == 2
    )
    named = [line.split("::")[1].split("(")[0] for line in str(caught.value).splitlines() if "::" in line]
    assert named == ["same", "same", "fail"]
    assert type(caught.value.cause) is ValueError


def test_the_error_of_a_dependent_method_names_the_method_and_the_actor() -> None:
    @ray.remote
    class Takes:
        def take(self, x: Any) -> Any:
            return x

    takes = Takes.remote()
    with pytest.raises(ValueError, match=r"Takes\.take\(\).*actor_id=") as caught:
        get(takes.take.remote(fail.remote()))
    assert isinstance(caught.value, ray.exceptions.RayTaskError)


@kills_its_process
def test_the_error_of_a_task_that_depends_on_a_crash_is_a_task_error_and_a_crash() -> None:
    @ray.remote(max_retries=0)
    def die() -> None:
        os._exit(3)

    with pytest.raises(ray.exceptions.WorkerCrashedError):
        get(die.remote())
    with pytest.raises(ray.exceptions.RayTaskError) as caught:
        get(same.remote(die.remote()))
    assert isinstance(caught.value, ray.exceptions.WorkerCrashedError)


class Carries(Exception):
    """An exception of the user's with something in it."""

    def __init__(self, what: Any) -> None:
        super().__init__(what)
        self.what = what


@ray.remote
def fail_with(boxed: list[Any]) -> None:
    raise Carries(boxed[0])


@ray.remote
class Holder:
    """An actor to hold on to."""

    def same(self, x: Any) -> Any:
        return x


@pytest.mark.parametrize("carried", ["actor", "ref"])
def test_dependents_of_an_error_that_holds_an_actor_or_a_ref(carried: str) -> None:
    holder = Holder.remote()
    what = holder if carried == "actor" else ray.put("inside")
    failed = fail_with.remote([what])
    early = [same.remote(failed), holder.same.remote(failed)]
    with pytest.raises(Carries):
        get(failed)
    for dependent in [*early, same.remote(failed), holder.same.remote(failed)]:
        with pytest.raises(Carries) as caught:
            get(dependent)
        inside = caught.value.what
        assert get(inside.same.remote(1)) == 1 if carried == "actor" else get(inside) == "inside"


def test_a_call_behind_one_whose_argument_fails_goes_on() -> None:
    holder, gate = Holder.remote(), Gate.remote()

    @ray.remote
    def fail_later(gate: Any) -> None:
        ray.get(gate.wait.remote())
        raise ValueError("broken")

    failing = holder.same.remote(fail_later.remote(gate))
    behind = holder.same.remote("behind")
    get(gate.open.remote())
    assert get(behind) == "behind"
    with pytest.raises(ValueError, match="broken"):
        get(failing)


def test_the_errors_of_a_long_chain_of_dependents_stay_short() -> None:
    ref = fail.remote()
    for _ in range(100):
        ref = same.remote(ref)
    with pytest.raises(ValueError, match="broken") as caught:
        get(ref)
    assert "fail()" in str(caught.value) and len(str(caught.value).splitlines()) < 60


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


@ray.remote
class Interrupts:
    def interrupt(self) -> None:
        raise KeyboardInterrupt("mine")

    def answer(self) -> int:
        return 1


@ray.remote
class InterruptsInALoop:
    async def interrupt(self) -> None:
        raise KeyboardInterrupt("mine")


def test_a_task_that_raises_keyboard_interrupt_does_not_interrupt_its_caller() -> None:
    @ray.remote
    def interrupt() -> None:
        raise KeyboardInterrupt("mine")

    with pytest.raises(ray.exceptions.TaskCancelledError) as caught:
        get(interrupt.remote())
    assert isinstance(caught.value, ray.exceptions.RayTaskError)
    assert not isinstance(caught.value, KeyboardInterrupt)


def test_a_method_that_raises_keyboard_interrupt_does_not_interrupt_its_caller() -> None:
    actor = Interrupts.remote()
    with pytest.raises(ray.exceptions.TaskCancelledError) as caught:
        get(actor.interrupt.remote())
    assert not isinstance(caught.value, KeyboardInterrupt)
    assert get(actor.answer.remote()) == 1


def test_a_coroutine_that_raises_keyboard_interrupt_does_not_interrupt_its_caller() -> None:
    with pytest.raises(ray.exceptions.TaskCancelledError) as caught:
        get(InterruptsInALoop.remote().interrupt.remote())
    assert not isinstance(caught.value, KeyboardInterrupt)


@differs_from_ray("its own frames are among the user's")
def test_a_traceback_ends_at_the_users_line() -> None:
    @ray.remote
    def outer() -> None:
        ray.get(fail.remote("from within"))

    with pytest.raises(ValueError) as caught:
        get(outer.remote())
    frames = [line for line in str(caught.value).splitlines() if line.startswith("  File ")]
    assert frames and all(__file__ in frame for frame in frames), frames
