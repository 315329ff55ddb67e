"""Actor classes: inheritance, kinds of methods, and the errors of using a class wrongly."""

from __future__ import annotations

import inspect
from typing import Any

import pytest

from .api import ray
from .helpers import get
from .support import differs_from_ray


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
    assert Kinds.static(1) == 2
    assert Kinds.klass(1) == "kinds1"
    assert Kinds.tag == "kinds"


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
