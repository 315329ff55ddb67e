"""Tasks: remote functions, their arguments, options and results.

Whatever is said of ``ray`` here is said of the module under test.
"""

from __future__ import annotations

import functools
import inspect
import os
from typing import Any

import pytest

from .api import ray
from .helpers import Gate, get
from .support import differs_from_ray, needs_processes


def test_a_task_returns_its_value() -> None:
    @ray.remote
    def add(a: int, b: int) -> int:
        return a + b

    assert get(add.remote(1, 2)) == 3


def test_remote_returns_an_object_ref_at_once() -> None:
    gate = Gate.remote()

    @ray.remote
    def blocked() -> str:
        ray.get(gate.wait.remote())
        return "through"

    ref = blocked.remote()
    assert isinstance(ref, ray.ObjectRef)
    gate.open.remote()
    assert get(ref) == "through"


@pytest.mark.parametrize(
    "value", [None, True, 0, -1.5, "text", b"bytes", (1, 2), [1, [2]], {"a": {1}}, 2**200, 1j]
)
def test_values_of_any_kind_come_back_equal(value: object) -> None:
    @ray.remote
    def same(x: object) -> object:
        return x

    answer = get(same.remote(value))
    assert answer == value and type(answer) is type(value)


def test_a_function_without_return_gives_none() -> None:
    @ray.remote
    def nothing() -> None:
        pass

    assert get(nothing.remote()) is None


def test_decorator_with_options() -> None:
    @ray.remote(num_cpus=0.5, max_retries=0)
    def f() -> int:
        return 1

    assert get(f.remote()) == 1


def test_remote_as_a_plain_function() -> None:
    def f(x: int) -> int:
        return -x

    assert get(ray.remote(f).remote(3)) == -3
    assert get(ray.remote(num_cpus=0)(f).remote(4)) == -4
    assert f(3) == -3


def test_remote_of_a_lambda() -> None:
    assert get(ray.remote(lambda x: x * 2).remote(21)) == 42


@differs_from_ray(
    "a remote function is a RemoteFunction object without the function's name, doc and signature"
)
def test_decorated_function_keeps_name_doc_module_and_signature() -> None:
    def original(a: int, b: str = "x", *rest: int, key: float = 1.0) -> str:
        """What it does."""
        return f"{a}{b}{rest}{key}"

    f = ray.remote(original)
    assert f.__name__ == "original"
    assert f.__qualname__ == original.__qualname__
    assert f.__doc__ == "What it does."
    assert f.__module__ == __name__
    assert f.__wrapped__ is original
    assert list(inspect.signature(f).parameters) == ["a", "b", "rest", "key"]


def test_calling_a_remote_function_directly_is_an_error_that_says_how() -> None:
    @ray.remote
    def poke() -> None:
        pass

    with pytest.raises(TypeError, match=r"cannot be called directly.*poke\.remote\(\)"):
        poke()


def test_keyword_and_default_arguments() -> None:
    @ray.remote
    def f(a: int, b: int = 10, *, c: int = 100) -> tuple[int, int, int]:
        return a, b, c

    refs = [f.remote(1), f.remote(1, 2), f.remote(b=5, a=4), f.remote(7, c=8)]
    assert get(refs) == [(1, 10, 100), (1, 2, 100), (4, 5, 100), (7, 10, 8)]


def test_star_arguments() -> None:
    @ray.remote
    def f(first: int, *rest: int, **named: int) -> tuple[int, tuple[int, ...], dict[str, int]]:
        return first, rest, named

    assert get(f.remote(1, 2, 3, x=4, y=5)) == (1, (2, 3), {"x": 4, "y": 5})
    assert get(f.remote(1)) == (1, (), {})


def test_positional_only_parameters() -> None:
    @ray.remote
    def f(a: int, /, b: int, **named: int) -> tuple[int, int, dict[str, int]]:
        return a, b, named

    assert get(f.remote(1, 2)) == (1, 2, {})


def test_positional_only_name_is_free_for_keywords() -> None:
    def original(a: int, /, **named: int) -> tuple[int, dict[str, int]]:
        return a, named

    named = {"a": 2}
    assert get(ray.remote(original).remote(1, **named)) == (1, {"a": 2})


@pytest.mark.parametrize(
    ("args", "kwargs"),
    [((), {}), ((1, 2, 3), {}), ((1, 2), {"c": 3}), ((1,), {"a": 1, "b": 2})],
    ids=["missing", "too many", "unknown keyword", "twice"],
)
def test_wrong_arguments_are_a_type_error_at_the_call(args: tuple[int, ...], kwargs: dict[str, int]) -> None:
    @ray.remote
    def f(a: int, b: int) -> None:
        pass

    with pytest.raises(TypeError):
        f.remote(*args, **kwargs)


def test_default_values_are_those_of_the_definition() -> None:
    @ray.remote
    def f(x: int, seen: list[int] = []) -> list[int]:  # noqa: B006 - the mutable default is the point
        return [*seen, x]

    assert get([f.remote(1), f.remote(2)]) == [[1], [2]]


def test_options_return_a_new_function_and_leave_the_old_one() -> None:
    @ray.remote(num_returns=2)
    def pair() -> tuple[int, int]:
        return 1, 2

    one = pair.options(num_returns=1)
    assert get(one.remote()) == (1, 2)
    first, second = pair.remote()
    assert get([first, second]) == [1, 2]


@differs_from_ray("what options() returns has no options() of its own")
def test_options_stack() -> None:
    @ray.remote(num_returns=3)
    def pair() -> tuple[int, int]:
        return 1, 2

    first, second = pair.options(num_cpus=0).options(num_returns=2).remote()
    assert get([first, second]) == [1, 2]


def test_options_keep_the_decorators_other_options() -> None:
    @ray.remote(num_cpus=0.5, name="decorated")
    def look() -> tuple[Any, Any]:
        context = ray.get_runtime_context()
        return context.get_assigned_resources().get("CPU"), context.get_task_name()

    assert get(look.remote()) == (0.5, "decorated")
    assert get(look.options(name="changed").remote()) == (0.5, "changed")


def test_num_returns_zero_gives_no_ref() -> None:
    @ray.remote(num_returns=0)
    def nothing() -> None:
        pass

    assert nothing.remote() is None


def test_num_returns_zero_drops_a_value() -> None:
    @ray.remote(num_returns=0)
    def five() -> int:
        return 5

    assert five.remote() is None


def test_num_returns_zero_runs_the_task() -> None:
    gate = Gate.remote()

    @ray.remote(num_returns=0)
    def knock() -> None:
        ray.get(gate.wait.remote("me"))

    knock.remote()
    assert get(gate.arrived.remote()) == ["me"]
    gate.open.remote()


@pytest.mark.parametrize("count", [1, 2, 5])
def test_num_returns_gives_that_many_refs(count: int) -> None:
    @ray.remote
    def numbers() -> Any:
        return list(range(count)) if count > 1 else 0

    refs = numbers.options(num_returns=count).remote()
    refs = [refs] if count == 1 else refs
    assert len(refs) == count
    assert get(refs) == list(range(count))


def test_num_returns_two_takes_any_sequence_or_generator() -> None:
    @ray.remote(num_returns=2)
    def as_list() -> list[int]:
        return [1, 2]

    @ray.remote(num_returns=2)
    def as_generator() -> Any:
        yield 3
        yield 4

    assert get(as_list.remote()) == [1, 2]
    assert get(as_generator.remote()) == [3, 4]


@pytest.mark.parametrize("value", [(1,), (1, 2, 3)], ids=["too few", "too many"])
def test_wrong_number_of_returned_values_is_an_error_on_every_ref(value: tuple[int, ...]) -> None:
    @ray.remote(num_returns=2)
    def pair() -> tuple[int, ...]:
        return value

    for ref in pair.remote():
        with pytest.raises(ValueError, match="num_returns"):
            get(ref)


def test_a_single_value_where_several_are_due_is_an_error() -> None:
    @ray.remote(num_returns=2)
    def pair() -> int:
        return 1

    for ref in pair.remote():
        with pytest.raises(TypeError):
            get(ref)


def test_tasks_calling_tasks() -> None:
    @ray.remote
    def inner(x: int) -> int:
        return x + 1

    @ray.remote
    def outer(x: int) -> int:
        return int(ray.get(inner.remote(x))) * 10

    assert get(outer.remote(1)) == 20


def test_nested_tasks_do_not_deadlock_on_one_cpu(start: Any) -> None:
    start(num_cpus=1)

    @ray.remote
    def nest(depth: int) -> int:
        return 0 if depth == 0 else 1 + int(ray.get(nest.remote(depth - 1)))

    assert get(nest.remote(25)) == 25


def test_nested_fan_out_does_not_deadlock_on_one_cpu(start: Any) -> None:
    start(num_cpus=1)

    @ray.remote
    def fib(n: int) -> int:
        return n if n < 2 else sum(ray.get([fib.remote(n - 1), fib.remote(n - 2)]))

    assert get(fib.remote(4)) == 3


def test_waiting_inside_a_task_gives_its_cpu_back(start: Any) -> None:
    start(num_cpus=1)

    @ray.remote
    def inner() -> int:
        return 1

    @ray.remote
    def outer() -> int:
        ready, pending = ray.wait([inner.remote(), inner.remote()], num_returns=2)
        return len(ready) * 10 + len(pending)

    assert get(outer.remote()) == 20


def test_a_task_sees_refs_made_before_it_was_called_in_order() -> None:
    @ray.remote
    def step(x: int) -> int:
        return x + 1

    ref = ray.put(0)
    for _ in range(20):
        ref = step.remote(ref)
    assert get(ref) == 20


def test_mutually_recursive_tasks() -> None:
    @ray.remote
    def even(n: int) -> bool:
        return True if n == 0 else bool(ray.get(odd.remote(n - 1)))

    @ray.remote
    def odd(n: int) -> bool:
        return False if n == 0 else bool(ray.get(even.remote(n - 1)))

    # Ray pickles a function when it is first called, so each is told of the other by then.
    assert get(even.remote(3)) is False


def test_what_a_function_closes_over_is_captured_at_its_first_call() -> None:
    """A remote function is pickled once a session, at its first call: changes before it are seen, later ones not."""
    box = [1]

    @ray.remote
    def peek() -> list[int]:
        return box

    box.append(2)
    assert get(peek.remote()) == [1, 2]
    box.append(3)
    assert get(peek.remote()) == [1, 2]


def test_changes_made_by_a_task_to_its_argument_are_its_own() -> None:
    @ray.remote
    def grow(items: list[int]) -> list[int]:
        items.append(9)
        return items

    mine = [1]
    assert get(grow.remote(mine)) == [1, 9]
    assert mine == [1]


def test_changes_after_the_call_are_not_seen_by_the_task() -> None:
    gate = Gate.remote()

    @ray.remote
    def read(_: object, items: list[int]) -> list[int]:
        return items

    mine = [1]
    ref = read.remote(gate.wait.remote(), mine)
    mine.append(2)
    gate.open.remote()
    assert get(ref) == [1]


def test_many_arguments() -> None:
    @ray.remote
    def total(*numbers: int) -> int:
        return sum(numbers)

    assert get(total.remote(*range(500))) == 124750


def test_many_small_tasks() -> None:
    @ray.remote
    def square(x: int) -> int:
        return x * x

    assert get([square.remote(i) for i in range(200)]) == [i * i for i in range(200)]


def test_functools_partial_and_wrapped_functions() -> None:
    def base(a: int, b: int) -> int:
        return a - b

    @functools.wraps(base)
    def wrapper(*args: int) -> int:
        return base(*args) * 100

    assert get(ray.remote(wrapper).remote(3, 1)) == 200
    assert get(ray.remote(lambda x: functools.partial(base, 10)(x)).remote(1)) == 9


@needs_processes
def test_tasks_run_in_other_processes() -> None:
    @ray.remote
    def pid() -> int:
        return os.getpid()

    assert get(pid.remote()) != os.getpid()


def test_max_calls_still_answers_every_call() -> None:
    @ray.remote(max_calls=1)
    def pid() -> int:
        return os.getpid()

    assert len(get([pid.remote() for _ in range(3)])) == 3


@needs_processes
def test_max_calls_ends_the_worker_after_that_many() -> None:
    @ray.remote(max_calls=1)
    def pid() -> int:
        return os.getpid()

    assert len({get(pid.remote()) for _ in range(3)}) == 3


def test_two_tasks_run_at_the_same_time_on_two_cpus() -> None:
    gate = Gate.remote()

    @ray.remote
    def meet(who: int) -> int:
        ray.get(gate.wait.remote(who))
        return who

    refs = [meet.remote(i) for i in range(2)]
    assert sorted(get(gate.arrived.remote(2))) == [0, 1]
    gate.open.remote()
    assert get(refs) == [0, 1]


def test_async_functions_cannot_be_tasks() -> None:
    async def work() -> int:
        return 1

    with pytest.raises(ValueError, match=r"(?i)async|coroutine"):
        get(ray.remote(work).remote())


@pytest.mark.parametrize("thing", [1, "name", None], ids=str)
def test_remote_of_a_value_is_refused(thing: object) -> None:
    with pytest.raises(AssertionError, match="remote"):
        ray.remote(thing)


def test_remote_of_a_remote_function_is_a_type_error() -> None:
    @ray.remote
    def f() -> None:
        pass

    with pytest.raises(TypeError, match="function or a class"):
        ray.remote(f)


def test_remote_of_a_callable_object_is_a_type_error() -> None:
    """Only plain functions and classes: not a bound method, a partial or an object with ``__call__``."""
    things: list[Any] = [[].append, functools.partial(max, 3), len]
    for thing in things:
        with pytest.raises(TypeError, match="function or a class"):
            ray.remote(thing)


def test_remote_with_positional_options_is_refused() -> None:
    with pytest.raises(AssertionError, match="remote"):
        ray.remote(1, 2)


def test_refs_among_plain_arguments_keep_their_places() -> None:
    @ray.remote
    def show(*args: Any) -> tuple[Any, ...]:
        return args

    one, big = ray.put(1), ray.put("x" * 200_000)
    shown = get(show.remote("a", one, None, big, b"z", one))
    assert shown == ("a", 1, None, "x" * 200_000, b"z", 1)


def test_many_tasks_share_a_large_argument() -> None:
    @ray.remote
    def size(data: bytes, _number: int) -> int:
        return len(data)

    for _ in range(3):
        data = ray.put(b"x" * 1_000_000)
        assert get([size.remote(data, number) for number in range(20)]) == [1_000_000] * 20
        del data
