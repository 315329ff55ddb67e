from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from tests.conformance.api import ray, submodule

if TYPE_CHECKING:
    from collections.abc import Iterator

util = submodule("util")


@ray.remote
def echo(value: Any) -> Any:
    if value == "bad":
        raise ValueError("bad value")
    return value


class _Gate:
    def __init__(self) -> None:
        import asyncio

        self.event = asyncio.Event()

    async def hold(self, value: Any) -> Any:
        await self.event.wait()
        return value

    async def open(self) -> None:
        self.event.set()

    async def echo(self, value: Any) -> Any:
        return value


Gate: Any = ray.remote(num_cpus=0)(_Gate)


@pytest.mark.parametrize("chunk_size", [1, 3, 10, 100])
def test_as_completed_gives_every_value_once(chunk_size: int) -> None:
    refs = [echo.remote(i) for i in range(25)]
    assert sorted(util.as_completed(refs, chunk_size=chunk_size)) == list(range(25))


def test_as_completed_of_nothing() -> None:
    assert list(util.as_completed([])) == []


def test_as_completed_gives_refs() -> None:
    refs = [echo.remote(i) for i in range(5)]
    found = list(util.as_completed(refs, yield_obj_refs=True))
    assert set(found) == set(refs)
    assert all(isinstance(ref, ray.ObjectRef) for ref in found)


def test_as_completed_leaves_the_list_alone() -> None:
    refs = [echo.remote(i) for i in range(5)]
    before = list(refs)
    list(util.as_completed(refs))
    assert refs == before


def test_as_completed_gives_the_ready_before_the_late() -> None:
    gate = Gate.remote()
    late = gate.hold.remote("late")
    results = util.as_completed([late, echo.remote("early")], chunk_size=1)
    assert next(results) == "early"
    ray.get(gate.open.remote())
    assert list(results) == ["late"]


def test_as_completed_does_not_wait_for_a_full_chunk(session: str) -> None:
    if session == "ray":
        pytest.skip("Ray waits until chunk_size results are ready")
    gate = Gate.remote()
    results = util.as_completed([gate.hold.remote("late"), echo.remote("early")], chunk_size=10)
    assert next(results) == "early"
    ray.get(gate.open.remote())
    assert list(results) == ["late"]


def test_as_completed_raises_what_a_task_raised() -> None:
    with pytest.raises(ValueError, match="bad value"):
        list(util.as_completed([echo.remote("bad")]))


def test_as_completed_refuses_the_same_ref_twice() -> None:
    ref = echo.remote(1)
    with pytest.raises(ValueError, match=r"unique|twice|more than once|duplicate"):
        list(util.as_completed([ref, ref]))


@pytest.mark.parametrize("chunk_size", [0, -1])
def test_as_completed_refuses_an_empty_chunk(chunk_size: int) -> None:
    with pytest.raises(ValueError, match="chunk_size"):
        list(util.as_completed([echo.remote(1)], chunk_size=chunk_size))


@pytest.mark.parametrize("limit", [1, 5, 100, None])
@pytest.mark.parametrize("chunk_size", [1, 10])
def test_map_unordered_gives_every_result_once(limit: int | None, chunk_size: int) -> None:
    results = util.map_unordered(echo, range(30), backpressure_size=limit, chunk_size=chunk_size)
    assert sorted(results) == list(range(30))


def test_map_unordered_reads_only_as_far_as_it_may() -> None:
    read: list[int] = []

    def items() -> Iterator[int]:
        value = 0
        while True:
            read.append(value)
            yield value
            value += 1

    results = util.map_unordered(echo, items(), backpressure_size=5, chunk_size=2)
    for taken in range(1, 8):
        next(results)
        assert len(read) <= taken + 5
    results.close()


def test_map_unordered_gives_refs_and_takes_methods() -> None:
    gate = Gate.remote()
    found = list(util.map_unordered(gate.echo, range(3), yield_obj_refs=True))
    assert sorted(ray.get(found)) == [0, 1, 2]


def test_map_unordered_of_nothing() -> None:
    assert list(util.map_unordered(echo, [])) == []


def test_map_unordered_raises_what_a_task_raised() -> None:
    with pytest.raises(ValueError, match="bad value"):
        list(util.map_unordered(echo, ["bad"]))


@pytest.mark.parametrize("wrong", [{"backpressure_size": 0}, {"backpressure_size": -3}, {"chunk_size": 0}])
def test_map_unordered_refuses_sizes_below_one(wrong: dict[str, int]) -> None:
    with pytest.raises(ValueError, match=next(iter(wrong))):
        list(util.map_unordered(echo, [1], **wrong))


def test_map_unordered_refuses_what_is_not_remote_or_iterable() -> None:
    with pytest.raises((TypeError, AttributeError), match="remote"):
        list(util.map_unordered(lambda value: value, [1]))
    with pytest.raises(TypeError, match="iterable"):
        list(util.map_unordered(echo, 3))


def test_named_actors_are_listed() -> None:
    namespace = ray.get_runtime_context().namespace
    handles = [
        Gate.options(name="listed").remote(),
        Gate.options(name="elsewhere", namespace="other").remote(),
    ]
    ray.get([handle.echo.remote(1) for handle in handles])
    assert util.list_named_actors() == ["listed"]
    everywhere = util.list_named_actors(all_namespaces=True)
    assert sorted(everywhere, key=lambda each: str(each["name"])) == [
        {"name": "elsewhere", "namespace": "other"},
        {"name": "listed", "namespace": namespace},
    ]
