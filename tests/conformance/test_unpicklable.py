"""Things that cannot be pickled or unpickled: an error that names the culprit, on the right ref."""

from __future__ import annotations

import threading
from typing import Any

import pytest

from .api import PEER, ray
from .helpers import get


class Custom(Exception):
    """A plain exception of the user's."""


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


def test_a_result_that_cannot_be_pickled_names_itself_and_what_helps() -> None:
    @ray.remote
    def make() -> Any:
        return threading.Lock()

    with pytest.raises(TypeError, match="cannot pickle") as caught:
        get(make.remote())
    if not PEER:
        assert "the return value <unlocked _thread.lock" in str(caught.value)
        assert "of make()" in str(caught.value) and "inspect_serializability" in str(caught.value)


def test_the_messages_of_what_cannot_be_pickled() -> None:
    lock = threading.Lock()
    with pytest.raises(
        TypeError, match="^Could not serialize the argument <unlocked _thread.lock .*for a task or actor"
    ):
        same.remote(lock)
    with pytest.raises(TypeError, match="^Could not serialize the put value <unlocked _thread.lock"):
        ray.put(lock)
