"""Actors: state, methods, handles and inheritance."""

from __future__ import annotations

import os
import threading
from typing import Any

import pytest

from .api import ray
from .helpers import Gate, Notebook, get
from .support import needs_processes


@ray.remote
class Counter:
    """Counts."""

    def __init__(self, start: int = 0) -> None:
        self.value = start

    def add(self, n: int = 1) -> int:
        """Add and tell."""
        self.value += n
        return self.value

    def read(self) -> int:
        return self.value

    def fail(self) -> None:
        raise ValueError("in the actor")


# State and calls


def test_an_actor_keeps_its_state() -> None:
    counter = Counter.remote()
    assert [get(counter.add.remote()) for _ in range(3)] == [1, 2, 3]


def test_constructor_arguments() -> None:
    assert get(Counter.remote(10).read.remote()) == 10
    assert get(Counter.remote(start=20).read.remote()) == 20


def test_constructor_arguments_may_be_refs() -> None:
    @ray.remote
    def seven() -> int:
        return 7

    assert get(Counter.remote(ray.put(5)).read.remote()) == 5
    assert get(Counter.remote(seven.remote()).read.remote()) == 7


def test_an_actor_without_a_constructor() -> None:
    @ray.remote
    class Plain:
        def hello(self) -> str:
            return "hello"

    assert get(Plain.remote().hello.remote()) == "hello"


def test_actors_of_one_class_are_apart() -> None:
    a, b = Counter.remote(), Counter.remote(100)
    assert get([a.add.remote(), b.add.remote()]) == [1, 101]


def test_calls_of_one_caller_run_in_the_order_made() -> None:
    notebook = Notebook.remote()
    for i in range(100):
        notebook.write.remote(i)
    assert get(notebook.read.remote()) == list(range(100))


def test_calls_made_before_the_actor_is_up_keep_their_order() -> None:
    gate = Gate.remote()

    @ray.remote
    class Slow:
        def __init__(self, _: Any) -> None:
            self.seen: list[int] = []

        def note(self, i: int) -> list[int]:
            self.seen.append(i)
            return self.seen

    slow = Slow.remote(gate.wait.remote())
    refs = [slow.note.remote(i) for i in range(5)]
    assert ray.wait(refs, timeout=0)[0] == []
    gate.open.remote()
    assert get(refs[-1]) == [0, 1, 2, 3, 4]


def test_a_call_waits_behind_an_earlier_one_whose_argument_is_not_ready() -> None:
    """Order is that of the calls: a later call does not overtake one that waits for its arguments."""
    gate, notebook = Gate.remote(), Notebook.remote()
    first = notebook.write.remote(gate.wait.remote())
    second = notebook.write.remote("second")
    assert ray.wait([second], timeout=0.2)[0] == []
    gate.open.remote()
    get([first, second])
    assert get(notebook.read.remote()) == [None, "second"]


def test_calls_run_one_at_a_time() -> None:
    @ray.remote
    class Careful:
        def __init__(self) -> None:
            self.inside = 0
            self.worst = 0

        def enter(self) -> None:
            self.inside += 1
            self.worst = max(self.worst, self.inside)
            ray.get(ray.put(1))
            self.inside -= 1

        def read(self) -> int:
            return self.worst

    careful = Careful.remote()
    get([careful.enter.remote() for _ in range(20)])
    assert get(careful.read.remote()) == 1


def test_many_callers_each_keep_their_order() -> None:
    notebook = Notebook.remote()

    @ray.remote
    def writer(who: int) -> None:
        ray.get([notebook.write.remote((who, i)) for i in range(20)])

    get([writer.remote(who) for who in range(3)])
    notes = get(notebook.read.remote())
    for who in range(3):
        assert [i for w, i in notes if w == who] == list(range(20))


def test_keyword_and_star_arguments_of_methods() -> None:
    @ray.remote
    class Echo:
        def echo(self, a: int, *rest: int, b: int = 2, **named: int) -> Any:
            return a, rest, b, named

    echo = Echo.remote()
    assert get(echo.echo.remote(1, 5, b=3, c=4)) == (1, (5,), 3, {"c": 4})


def test_refs_among_a_methods_arguments_are_resolved_and_nested_ones_not() -> None:
    @ray.remote
    class Look:
        def look(self, x: Any, box: list[Any]) -> tuple[Any, bool]:
            return x, isinstance(box[0], ray.ObjectRef)

    assert get(Look.remote().look.remote(ray.put("x"), [ray.put("y")])) == ("x", True)


def test_results_are_copies_of_the_actors_state() -> None:
    @ray.remote
    class Keeper:
        def __init__(self) -> None:
            self.items = [1]

        def read(self) -> list[int]:
            return self.items

    keeper = Keeper.remote()
    get(keeper.read.remote()).append(2)
    assert get(keeper.read.remote()) == [1]


def test_a_method_can_return_several_refs() -> None:
    @ray.remote
    class Pairs:
        @ray.method(num_returns=2)
        def declared(self) -> tuple[int, int]:
            return 1, 2

        def plain(self) -> tuple[int, int]:
            return 3, 4

        @ray.method(num_returns=0)
        def nothing(self) -> None:
            pass

    pairs = Pairs.remote()
    assert get(list(pairs.declared.remote())) == [1, 2]
    assert get(list(pairs.plain.options(num_returns=2).remote())) == [3, 4]
    assert get(pairs.declared.options(num_returns=1).remote()) == (1, 2)
    assert pairs.nothing.remote() is None


def test_a_method_that_waits_for_another_actor() -> None:
    @ray.remote
    class Front:
        def __init__(self, counter: Any) -> None:
            self.counter = counter

        def add(self) -> int:
            return int(ray.get(self.counter.add.remote())) * 10

    assert get(Front.remote(Counter.remote()).add.remote()) == 10


def test_an_actor_can_make_actors() -> None:
    @ray.remote
    class Parent:
        def __init__(self) -> None:
            self.child = Counter.remote(5)

        def ask(self) -> int:
            return int(ray.get(self.child.add.remote()))

    assert get(Parent.remote().ask.remote()) == 6


def test_an_actor_can_call_tasks() -> None:
    @ray.remote
    def square(x: int) -> int:
        return x * x

    @ray.remote
    class Boss:
        def work(self, n: int) -> list[int]:
            return list(ray.get([square.remote(i) for i in range(n)]))

    assert get(Boss.remote().work.remote(4)) == [0, 1, 4, 9]


def test_an_actors_error_leaves_its_state_and_the_actor_alive() -> None:
    counter = Counter.remote(3)
    with pytest.raises(ValueError, match="in the actor") as caught:
        get(counter.fail.remote())
    assert isinstance(caught.value, ray.exceptions.RayTaskError)
    assert "Counter.fail" in str(caught.value)
    assert get(counter.add.remote()) == 4


@needs_processes
def test_an_actor_lives_in_a_process_of_its_own() -> None:
    @ray.remote
    class Pid:
        def pid(self) -> int:
            return os.getpid()

    a, b = Pid.remote(), Pid.remote()
    pids = {get(a.pid.remote()), get(b.pid.remote()), os.getpid()}
    assert len(pids) == 3
    assert get(a.pid.remote()) in pids


def test_a_plain_actors_methods_run_in_one_thread() -> None:
    @ray.remote
    class Where:
        def __init__(self) -> None:
            self.thread = threading.get_ident()

        def same(self) -> bool:
            return threading.get_ident() == self.thread

    where = Where.remote()
    assert get([where.same.remote() for _ in range(3)]) == [True] * 3
