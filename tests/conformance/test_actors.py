"""Actors: state, methods, handles and inheritance."""

from __future__ import annotations

import inspect
import os
import threading
from typing import Any

import pytest

from .api import ray
from .helpers import PATIENCE, Gate, Notebook, get
from .support import differs_from_ray, needs_processes


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


@ray.remote
def call_add(counter: Any, n: int = 1) -> int:
    return int(ray.get(counter.add.remote(n)))


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


# Using the class wrongly


def test_instantiating_directly_is_a_type_error_that_says_how() -> None:
    with pytest.raises(TypeError, match=r"Counter\.remote\("):
        Counter()


def test_calling_a_method_directly_is_a_type_error_that_says_how() -> None:
    counter = Counter.remote()
    with pytest.raises(TypeError, match=r"add\.remote\("):
        counter.add()


def test_an_unknown_method_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="nothing_like_it"):
        _ = Counter.remote().nothing_like_it


def test_attributes_of_the_state_cannot_be_read_through_the_handle() -> None:
    with pytest.raises(AttributeError):
        _ = Counter.remote().value


def test_wrong_method_arguments_are_a_type_error_at_the_call() -> None:
    counter = Counter.remote()
    with pytest.raises(TypeError):
        counter.add.remote(1, 2, 3)
    with pytest.raises(TypeError):
        counter.add.remote(wrong=1)


def test_wrong_constructor_arguments_are_a_type_error_at_the_call() -> None:
    with pytest.raises(TypeError):
        Counter.remote(1, 2, 3)
    with pytest.raises(TypeError):
        Counter.remote(wrong=1)


def test_a_method_of_the_class_cannot_be_called_on_the_remote_class() -> None:
    with pytest.raises((AttributeError, TypeError)):
        Counter.add.remote(1)


@differs_from_ray("the class comes out as an ActorClass(Counter) object without the class's own name and doc")
def test_a_decorated_class_keeps_name_doc_and_module() -> None:
    assert Counter.__name__ == "Counter"
    assert Counter.__doc__ == "Counts."
    assert Counter.__module__ == __name__


def test_a_handles_method_has_the_signature_of_the_users() -> None:
    counter = Counter.remote()
    assert "add" in dir(counter) and "read" in dir(counter)


@differs_from_ray("a handle's method has neither doc nor signature")
def test_a_handles_method_keeps_name_doc_and_signature() -> None:
    method = Counter.remote().add
    assert method.__name__ == "add"
    assert method.__doc__ == "Add and tell."
    assert list(inspect.signature(method).parameters) == ["n"]


def test_the_repr_of_a_handle_names_class_and_id() -> None:
    counter = Counter.remote()
    text = repr(counter)
    assert "Counter" in text and counter._actor_id.hex() in text


# Classes


class Base:
    def __init__(self) -> None:
        self.trail = ["base"]

    def trace(self) -> list[str]:
        return self.trail

    def shared(self) -> str:
        return "base"


def test_inheritance_from_a_plain_class() -> None:
    @ray.remote
    class Derived(Base):
        def __init__(self) -> None:
            super().__init__()
            self.trail.append("derived")

        def shared(self) -> str:
            return "derived over " + super().shared()

    derived = Derived.remote()
    assert get(derived.trace.remote()) == ["base", "derived"]
    assert get(derived.shared.remote()) == "derived over base"


def test_a_derived_class_without_a_constructor_uses_the_bases() -> None:
    @ray.remote
    class Derived(Base):
        pass

    assert get(Derived.remote().trace.remote()) == ["base"]


def test_inheriting_from_a_remote_class_is_a_type_error() -> None:
    with pytest.raises(TypeError, match="(?i)inherit"):

        class Bad(Counter):
            pass


def test_remote_of_a_class_leaves_the_class_usable() -> None:
    remote_base = ray.remote(Base)
    assert Base().trace() == ["base"]
    assert get(remote_base.remote().trace.remote()) == ["base"]


def test_static_and_class_methods() -> None:
    @ray.remote
    class Kinds:
        tag = "kinds"

        @staticmethod
        def static(x: int) -> int:
            return x + 1

        @classmethod
        def klass(cls, x: int) -> str:
            return f"{cls.tag}{x}"

    kinds = Kinds.remote()
    assert get(kinds.static.remote(1)) == 2
    assert get(kinds.klass.remote(1)) == "kinds1"


def test_class_attributes_are_the_actors_own() -> None:
    @ray.remote
    class Shared:
        total: list[int] = []  # noqa: RUF012 - the mutable class attribute is the point

        def add(self, x: int) -> list[int]:
            self.total.append(x)
            return self.total

    shared = Shared.remote()
    assert get(shared.add.remote(1)) == [1]
    assert get(shared.add.remote(2)) == [1, 2]


def test_properties_are_used_inside_the_actor() -> None:
    @ray.remote
    class Temperature:
        def __init__(self) -> None:
            self._celsius = 20

        @property
        def celsius(self) -> int:
            return self._celsius

        def read(self) -> int:
            return self.celsius

    assert get(Temperature.remote().read.remote()) == 20


def test_dunder_methods_can_be_called() -> None:
    @ray.remote
    class Sized:
        def __len__(self) -> int:
            return 3

        def __call__(self, x: int) -> int:
            return x * 2

    sized = Sized.remote()
    assert get(sized.__len__.remote()) == 3
    assert get(sized.__call__.remote(4)) == 8


def test_private_methods_can_be_called() -> None:
    @ray.remote
    class Private:
        def _secret(self) -> str:
            return "told"

    assert get(Private.remote()._secret.remote()) == "told"


def test_methods_decorated_by_the_users_own_decorator() -> None:
    def doubled(method: Any) -> Any:
        def wrapper(self: Any, *args: Any) -> Any:
            return 2 * method(self, *args)

        return wrapper

    @ray.remote
    class Decorated:
        @doubled
        def number(self, x: int) -> int:
            return x

    assert get(Decorated.remote().number.remote(4)) == 8


def test_a_class_with_slots() -> None:
    @ray.remote
    class Slotted:
        __slots__ = ("value",)

        def __init__(self) -> None:
            self.value = 4

        def read(self) -> int:
            return self.value

    assert get(Slotted.remote().read.remote()) == 4


# Handles


def test_a_handle_passed_to_a_task() -> None:
    counter = Counter.remote()
    assert get([call_add.remote(counter) for _ in range(3)]) is not None
    assert get(counter.read.remote()) == 3


def test_a_handle_inside_a_container() -> None:
    @ray.remote
    def use(box: dict[str, Any]) -> int:
        return int(ray.get(box["counter"].add.remote(2)))

    assert get(use.remote({"counter": Counter.remote()})) == 2


def test_a_handle_captured_in_a_closure() -> None:
    counter = Counter.remote()

    @ray.remote
    def use() -> int:
        return int(ray.get(counter.add.remote(3)))

    assert get(use.remote()) == 3


def test_a_handle_returned_by_a_task() -> None:
    @ray.remote
    def make() -> Any:
        return Counter.remote(30)

    assert get(get(make.remote()).add.remote()) == 31


def test_a_handle_through_put() -> None:
    counter = Counter.remote()
    again = get(ray.put(counter))
    assert get(again.add.remote()) == 1
    assert get(counter.read.remote()) == 1


def test_a_handle_kept_by_another_actor() -> None:
    @ray.remote
    class Holder:
        def hold(self, counter: Any) -> None:
            self.counter = counter

        def use(self) -> int:
            return int(ray.get(self.counter.add.remote()))

    holder = Holder.remote()
    get(holder.hold.remote(Counter.remote()))
    assert get([holder.use.remote() for _ in range(2)]) == [1, 2]


def test_an_actor_hands_out_its_own_handle() -> None:
    @ray.remote
    class Selfie:
        def me(self) -> Any:
            return ray.get_runtime_context().current_actor

        def ping(self) -> str:
            return "pong"

    selfie = Selfie.remote()
    me = get(selfie.me.remote())
    assert get(me.ping.remote()) == "pong"


def test_handles_compare_and_hash_by_actor() -> None:
    a, b = Counter.remote(), Counter.remote()
    again = get(ray.put(a))
    assert a == again and hash(a) == hash(again)
    assert a != b and len({a, again, b}) == 2


def test_a_bound_method_passed_to_a_task() -> None:
    counter = Counter.remote()

    @ray.remote
    def use(box: list[Any]) -> int:
        return int(ray.get(box[0].remote(5)))

    assert get(use.remote([counter.add])) == 5


def test_threads_may_share_a_handle() -> None:
    counter = Counter.remote()
    threads = [
        threading.Thread(target=lambda: get([counter.add.remote() for _ in range(10)])) for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(PATIENCE)
    assert get(counter.read.remote()) == 40
