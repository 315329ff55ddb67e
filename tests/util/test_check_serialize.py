from __future__ import annotations

import functools
import io
import threading
from typing import Any

import pytest

from tests.conformance.api import submodule

inspect_serializability = submodule("util").inspect_serializability
LOCK = threading.Lock()


class Holder:
    def __init__(self) -> None:
        self.lock = LOCK
        self.fine = 1


class Slotted:
    __slots__ = ("lock",)

    def __init__(self) -> None:
        self.lock = LOCK


def inspect(obj: Any, **kwargs: Any) -> tuple[bool, set[tuple[str, ...]], str]:
    out = io.StringIO()
    ok, culprits = inspect_serializability(obj, print_file=out, **kwargs)
    return ok, {tuple(culprit.path) for culprit in culprits}, out.getvalue()


@pytest.mark.parametrize("obj", [1, "a", [1, {"b": 2}], len, Holder])
def test_what_can_be_sent(obj: Any) -> None:
    assert inspect(obj)[:2] == (True, set())


def test_a_captured_variable_is_named() -> None:
    captured = LOCK

    def function() -> Any:
        return captured

    ok, paths, text = inspect(function)
    assert (ok, paths) == (False, {("captured",)})
    assert "captured" in text
    assert "cannot pickle '_thread.lock' object" in text


def test_an_attribute_is_named() -> None:
    assert inspect(Holder())[:2] == (False, {("lock",)})


def test_the_way_to_a_deeper_culprit_is_given() -> None:
    holder = Holder()

    def function() -> Any:
        return holder

    ok, culprits = inspect_serializability(function, print_file=io.StringIO())
    assert not ok
    (culprit,) = culprits
    assert (culprit.obj, tuple(culprit.path), culprit.parent) == (LOCK, ("holder", "lock"), holder)
    assert "lock [path=holder -> lock" in repr(culprit)


def test_a_name_can_be_given() -> None:
    ok, paths, text = inspect(Holder(), name="my_holder")
    assert (ok, paths) == (False, {("my_holder", "lock")})
    assert "my_holder" in text


def test_a_culprit_without_parts_is_named_itself() -> None:
    ok, culprits = inspect_serializability(LOCK, print_file=io.StringIO())
    (culprit,) = culprits
    assert not ok
    assert (culprit.obj, culprit.parent) == (LOCK, None)


def test_it_prints_to_standard_output(capsys: pytest.CaptureFixture[str]) -> None:
    inspect_serializability(Holder())
    assert "lock" in capsys.readouterr().out


class TestBeyondRay:
    """Ray names the container, or nothing, where we name the element."""

    @pytest.fixture(autouse=True)
    def _ours(self, session: str) -> None:
        if session == "ray":
            pytest.skip("Ray does not look into these")

    @pytest.mark.parametrize(
        ("obj", "path"),
        [
            ([1, LOCK], ("[1]",)),
            ((LOCK,), ("[0]",)),
            ({"a": {"b": LOCK}}, ("['a']", "['b']")),
            ({LOCK}, (repr(LOCK),)),
            ({LOCK: 1}, (repr(LOCK),)),
            (Slotted(), ("lock",)),
            (functools.partial(max, LOCK, key=len), ("args[0]",)),
            (functools.partial(max, default=LOCK), ("default",)),
            (Holder().__init__, ("__self__", "lock")),  # type: ignore[misc]
        ],
    )
    def test_where_it_looks(self, obj: Any, path: tuple[str, ...]) -> None:
        assert inspect(obj)[:2] == (False, {path})

    def test_defaults_and_attributes_of_functions(self) -> None:
        def function(a: int, b: Any = LOCK, *, c: Any = LOCK) -> Any:
            return a, b, c

        assert inspect(function)[1] == {("b",)}  # the same object again is not a second culprit

    def test_globals_of_nested_functions(self) -> None:
        scope: dict[str, Any] = {"lock": LOCK}
        exec("def outer():\n    def inner():\n        return lock\n    return inner", scope)
        assert inspect(scope["outer"])[:2] == (False, {("lock",)})

    def test_class_bodies(self) -> None:
        class Local:
            shared = LOCK

        assert inspect(Local)[:2] == (False, {("shared",)})

    def test_depth_limits_the_search(self) -> None:
        assert inspect([[[[LOCK]]]], depth=2)[:2] == (False, {("[0]", "[0]")})

    def test_cycles_end(self) -> None:
        cycle: list[Any] = [LOCK]
        cycle.append(cycle)
        assert inspect(cycle, depth=10)[:2] == (False, {("[0]",)})

    def test_a_reducer_that_raises_anything(self) -> None:
        class Odd:
            def __reduce__(self) -> Any:
                raise KeyError("odd")

        ok, paths, text = inspect([Odd()])
        assert (ok, paths) == (False, {("[0]",)})
        assert "odd" in text

    def test_the_report_fits_a_screen(self) -> None:
        _, culprits, text = inspect([Holder() for _ in range(200)])
        assert len(text.splitlines()) < 50
        assert culprits
