"""Options: unknown names and bad values are refused with an error that names the option."""

from __future__ import annotations

from typing import Any

import pytest

from .api import ray
from .helpers import get
from .support import differs_from_ray


def f() -> int:
    return 1


class C:
    def ping(self) -> str:
        return "pong"


TASK = ray.remote(f)
ACTOR = ray.remote(C)

# (option, bad value, the error's type)
COMMON_BAD = [
    ("num_cpus", -1, ValueError),
    ("num_cpus", "two", TypeError),
    ("num_gpus", -0.5, ValueError),
    ("num_gpus", [], TypeError),
    ("resources", ["a"], TypeError),
    ("resources", {"unobtainium": -1}, ValueError),
    ("memory", -1, ValueError),
    ("memory", "1GB", TypeError),
    ("runtime_env", 3, TypeError),
    ("scheduling_strategy", 3, TypeError),
    ("label_selector", "zone", TypeError),
    ("name", 3, TypeError),
]
TASK_BAD = [
    *COMMON_BAD,
    ("num_returns", -1, ValueError),
    ("max_retries", -2, ValueError),
    ("max_retries", "always", TypeError),
    ("retry_exceptions", "yes", TypeError),
    ("retry_exceptions", [1], ValueError),
    ("max_calls", -1, ValueError),
    ("max_calls", "one", TypeError),
]
ACTOR_BAD = [
    *COMMON_BAD,
    ("max_restarts", -2, ValueError),
    ("max_restarts", "always", TypeError),
    ("max_task_retries", -2, ValueError),
    ("max_concurrency", -1, ValueError),
    ("max_concurrency", "two", TypeError),
    ("max_pending_calls", -2, ValueError),
    ("lifetime", "forever", ValueError),
    ("lifetime", 1, TypeError),
    ("namespace", 1, TypeError),
    ("get_if_exists", 3, TypeError),
]


def describe(value: object) -> str:
    return value.__name__ if isinstance(value, type) else str(value)


def culprit(option: str, value: Any) -> str:
    """What the message names: the option, or the one resource of several that is wrong."""
    return next(iter(value)) if isinstance(value, dict) else option.removeprefix("num_")


@pytest.mark.parametrize(("option", "value", "error"), TASK_BAD, ids=describe)
def test_a_bad_value_of_a_tasks_option(option: str, value: Any, error: type[Exception]) -> None:
    with pytest.raises(error, match=culprit(option, value)):
        TASK.options(**{option: value}).remote()


@pytest.mark.parametrize(("option", "value", "error"), ACTOR_BAD, ids=describe)
def test_a_bad_value_of_an_actors_option(option: str, value: Any, error: type[Exception]) -> None:
    with pytest.raises(error, match=culprit(option, value)):
        ACTOR.options(**{option: value}).remote()


@differs_from_ray("the message is of a comparison that failed")
def test_a_word_for_num_returns_that_is_none_of_the_two_names_the_option() -> None:
    with pytest.raises((TypeError, ValueError), match="num_returns"):
        TASK.options(num_returns="many")


def test_an_unknown_task_option_is_a_value_error_that_names_it() -> None:
    with pytest.raises(ValueError, match="no_such_option"):
        TASK.options(no_such_option=1)
    with pytest.raises(ValueError, match="no_such_option"):
        ray.remote(no_such_option=1)(f)


def test_an_unknown_actor_option_is_a_value_error_that_names_it() -> None:
    with pytest.raises(ValueError, match="no_such_option"):
        ACTOR.options(no_such_option=1)
    with pytest.raises(ValueError, match="no_such_option"):
        ray.remote(no_such_option=1)(C)


def test_the_error_lists_the_options_there_are() -> None:
    with pytest.raises(ValueError, match="num_cpus"):
        TASK.options(no_such_option=1)


@pytest.mark.parametrize(
    "option", ["max_restarts", "max_concurrency", "lifetime", "get_if_exists", "max_pending_calls"]
)
def test_an_actors_option_on_a_task_is_a_value_error(option: str) -> None:
    with pytest.raises(ValueError, match=option):
        TASK.options(**{option: 1})


@pytest.mark.parametrize("option", ["num_returns", "max_retries", "max_calls", "retry_exceptions"])
def test_a_tasks_option_on_an_actor_is_a_value_error(option: str) -> None:
    with pytest.raises(ValueError, match=option):
        ACTOR.options(**{option: 1})


@pytest.mark.parametrize("name", ["CPU", "GPU", "memory"])
def test_a_resource_with_an_option_of_its_own(name: str) -> None:
    with pytest.raises(ValueError, match=name):
        TASK.options(resources={name: 1}).remote()


def test_max_calls_cannot_be_changed_by_options() -> None:
    """It belongs to the function: its worker keeps the count."""
    with pytest.raises(ValueError, match="max_calls"):
        TASK.options(max_calls=1)


def test_options_are_checked_when_given() -> None:
    """A bad value is refused by ``options`` itself, before anything is called."""
    with pytest.raises(ValueError):
        TASK.options(num_cpus=-1)
    with pytest.raises(ValueError):
        ACTOR.options(num_cpus=-1)


def test_the_decorator_checks_too() -> None:
    with pytest.raises(ValueError):
        ray.remote(num_cpus=-1)(f)
    with pytest.raises(ValueError):
        ray.remote(max_restarts=-2)(C)


@pytest.mark.parametrize(
    "options",
    [
        {"num_cpus": None},
        {"num_gpus": 0},
        {"resources": {}},
        {"resources": None},
        {"memory": None},
        {"max_retries": 0},
        {"max_retries": -1},
        {"retry_exceptions": False},
        {"retry_exceptions": []},
        {"scheduling_strategy": None},
        {"runtime_env": None},
        {"name": "named"},
        {"num_returns": None},
        {"label_selector": {}},
        pytest.param({"_metadata": {"a": 1}}, marks=differs_from_ray("the option is unknown")),
        {"_labels": {"a": "b"}},
        {"enable_task_events": False},
    ],
    ids=str,
)
def test_accepted_task_options(options: dict[str, Any]) -> None:
    assert get(TASK.options(**options).remote()) == 1


@pytest.mark.parametrize(
    "options",
    [
        {"num_cpus": None},
        {"max_restarts": 0},
        {"max_restarts": -1},
        {"max_task_retries": -1},
        {"max_concurrency": None},
        {"max_concurrency": 0},
        {"max_pending_calls": -1},
        {"max_pending_calls": 0},
        {"lifetime": None},
        {"lifetime": "non_detached"},
        {"name": None},
        {"namespace": None},
        {"get_if_exists": False},
        pytest.param({"_metadata": {"a": 1}}, marks=differs_from_ray("the option is unknown")),
        {"allow_out_of_order_execution": False},
        {"enable_task_events": False},
        {"_labels": {"a": "b"}},
    ],
    ids=str,
)
def test_accepted_actor_options(options: dict[str, Any]) -> None:
    assert get(ACTOR.options(**options).remote().ping.remote()) == "pong"


# method


def test_an_unknown_option_of_method() -> None:
    with pytest.raises((TypeError, ValueError, AssertionError), match="no_such_option"):
        ray.method(no_such_option=1)


def test_method_without_options_changes_nothing() -> None:
    @ray.remote
    class Declared:
        @ray.method()
        def ping(self) -> str:
            return "pong"

    assert get(Declared.remote().ping.remote()) == "pong"


def test_method_without_parentheses_changes_nothing() -> None:
    class Plain:
        @ray.method
        def ping(self) -> str:
            return "pong"

    assert Plain().ping() == "pong"
    assert get(ray.remote(Plain).remote().ping.remote()) == "pong"


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"num_gpus": 1.5}, "GPU resource quantities >1 must"),
        (
            {"num_cpus": 0.00001},
            "precision of the fractional quantity of resource num_cpus cannot go beyond 0.0001",
        ),
        ({"object_store_memory": 1}, "Setting 'object_store_memory' is not implemented for tasks"),
        (
            {"num_returns": -1},
            "only accepts None, a non-negative integer, 'streaming' \\(for generators\\), or 'dynamic'",
        ),
        ({"no_such_option": 1}, "Invalid option keyword no_such_option for remote functions. Valid ones are"),
    ],
    ids=describe,
)
def test_words_of_a_refused_task_option(given: dict[str, Any], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        TASK.options(**given).remote()


def test_words_of_a_refused_namespace_and_attribute() -> None:
    with pytest.raises(ValueError, match='"" is not a valid namespace'):
        ACTOR.options(name="n", namespace="").remote()
    with pytest.raises(ValueError, match='"" is not a valid namespace'):
        ray.get_actor("n", namespace="")
    with pytest.raises(AttributeError, match="'ActorHandle' object has no attribute 'no_such'"):
        ACTOR.remote().no_such  # noqa: B018
    with pytest.raises(TypeError, match="Inheriting from actor classes is not currently supported"):

        class Derived(ACTOR):  # type: ignore[misc, valid-type]
            pass

    with pytest.raises(TypeError, match=r"Calling 'put' on an ray\.ObjectRef is not allowed"):
        ray.put(ray.put(1))


def test_an_unknown_option_of_a_method_call() -> None:
    actor = ACTOR.remote()
    with pytest.raises((TypeError, ValueError), match="no_such_option"):
        actor.ping.options(no_such_option=1).remote()


def test_options_of_a_method_call() -> None:
    actor = ACTOR.remote()
    assert get(actor.ping.options(name="renamed", num_returns=1).remote()) == "pong"


# remote itself


def test_the_decorator_takes_options_by_name_only() -> None:
    with pytest.raises((TypeError, AssertionError)):
        ray.remote(1)


def test_the_decorator_with_empty_parentheses() -> None:
    """``@remote()`` is refused: either no parentheses or options."""
    with pytest.raises((TypeError, AssertionError)):
        ray.remote()


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"no_such": 1}, "Invalid option keyword no_such for remote functions"),
        ({"num_cpus": -1}, "The quantity of resource num_cpus cannot be negative"),
        ({"resources": {"a": -1}}, "The quantity of resource a cannot be negative"),
        ({"max_retries": -2}, "The keyword 'max_retries' only accepts None, 0, -1 or a positive integer"),
        ({"resources": {"CPU": 1}}, "Use the 'num_cpus' and 'num_gpus' keyword instead of 'CPU' and 'GPU'"),
    ],
)
def test_messages_that_programs_look_for_in_options_of_tasks(options: dict[str, Any], says: str) -> None:
    with pytest.raises(ValueError, match=says):
        ray.remote(**options)(lambda: None)


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"no_such": 1}, "Invalid option keyword no_such for actors"),
        (
            {"lifetime": "long"},
            "actor `lifetime` argument must be one of 'detached', 'non_detached' and 'None'",
        ),
        ({"name": ""}, "Actor name cannot be an empty string"),
        ({"get_if_exists": True}, "The actor name must be specified to use `get_if_exists`"),
    ],
)
def test_messages_that_programs_look_for_in_options_of_actors(options: dict[str, Any], says: str) -> None:
    class Plain:
        pass

    with pytest.raises(ValueError, match=says):
        ray.remote(Plain).options(**options).remote()


def test_messages_that_programs_look_for_elsewhere() -> None:
    with pytest.raises(TypeError, match="The type of keyword 'name' must be .* received type <class 'int'>"):
        ray.remote(lambda: None).options(name=3).remote()
    with pytest.raises(TypeError, match="only supported for object refs. For actors, try"):
        ray.cancel("no ref")
    with pytest.raises(ValueError, match="Please supply a non-empty value to get_actor"):
        ray.get_actor("")
