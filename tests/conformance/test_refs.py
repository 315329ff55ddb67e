"""Object refs: identity, awaiting, and where they may travel."""

from __future__ import annotations

import asyncio
import concurrent.futures
import gc
import pickle
from typing import Any

import pytest

from .api import ray
from .helpers import PATIENCE, Gate, get
from .support import differs_from_ray, needs_processes


@ray.remote
def increment(x: int) -> int:
    return x + 1


@ray.remote
def same(x: Any) -> Any:
    return x


def test_put_then_get() -> None:
    ref = ray.put({"a": [1, 2]})
    assert isinstance(ref, ray.ObjectRef)
    assert get(ref) == {"a": [1, 2]}


def test_refs_hash_and_compare_by_identity() -> None:
    a, b = ray.put(1), ray.put(1)
    assert a == a and a != b
    assert len({a, b, a}) == 2
    assert {a: "a", b: "b"}[a] == "a"
    assert hash(a) == hash(a)


def test_a_ref_is_never_equal_to_something_else() -> None:
    ref = ray.put(1)
    assert ref != 1
    assert ref != ref.hex()
    assert (ref == None) is False  # noqa: E711 - the comparison is the point


@differs_from_ray("refs cannot be ordered")
def test_refs_have_an_order() -> None:
    refs = [ray.put(i) for i in range(5)]
    ordered = sorted(refs, key=lambda ref: ref.hex())
    assert sorted(refs) == ordered


def test_repr_and_str_name_the_id() -> None:
    ref = ray.put(1)
    assert repr(ref) == f"ObjectRef({ref.hex()})"
    assert str(ref) == repr(ref)


def test_hex_and_binary_say_the_same() -> None:
    ref = ray.put(1)
    assert bytes.fromhex(ref.hex()) == ref.binary()
    assert isinstance(ref.binary(), bytes)


def test_refs_from_their_names() -> None:
    ref = ray.put("here")
    assert ray.ObjectRef.from_hex(ref.hex()).hex() == ref.hex()
    assert ray.ObjectRef.from_binary(ref.binary()).task_id() == ref.task_id()
    random = ray.ObjectRef.from_random()
    assert random.size() == len(random.binary()) == 28 and not random.is_nil()
    with pytest.raises(ValueError, match="needs to have length 28, got 3"):
        ray.ObjectRef.from_binary(b"abc")


def test_refs_of_one_process_have_one_owner() -> None:
    @ray.remote
    def put() -> Any:
        return [ray.put(1)]

    mine, other = ray.put(1), ray.put(2)
    assert mine.owner_address() == other.owner_address() != b""
    (inner,) = get(put.remote())
    assert get(inner) == 1 and isinstance(inner.owner_address(), bytes)


def test_a_result_ref_knows_its_task() -> None:
    @ray.remote
    def whoami() -> str:
        return str(ray.get_runtime_context().get_task_id())

    ref = whoami.remote()
    assert ref.task_id().hex() == get(ref)


def test_a_ref_knows_its_job() -> None:
    assert ray.put(1).job_id().hex() == ray.get_runtime_context().get_job_id()


def test_a_ref_that_travelled_equals_the_original() -> None:
    ref = ray.put(1)
    [back] = get(same.remote([ref]))
    assert back == ref and hash(back) == hash(ref)
    assert get(back) == 1


def test_refs_cannot_be_pickled_outside_the_api() -> None:
    """A ref is counted where it goes; a plain ``pickle.dumps`` would lose count, so it is refused or it works."""
    ref = ray.put("kept")
    copy = pickle.loads(pickle.dumps(ref))
    assert get(copy) == "kept"


# Awaiting


def test_await_gives_the_value() -> None:
    async def main() -> int:
        return int(await increment.remote(1))

    assert asyncio.run(main()) == 2


def test_await_raises_the_tasks_error() -> None:
    @ray.remote
    def fail() -> None:
        raise KeyError("lost")

    async def main() -> None:
        await fail.remote()

    with pytest.raises(KeyError, match="lost"):
        asyncio.run(main())


def test_gather_and_wait_for_take_refs() -> None:
    async def main() -> list[int]:
        gathered = await asyncio.gather(*[increment.remote(i) for i in range(3)])
        return [*gathered, await asyncio.wait_for(increment.remote(10), PATIENCE)]

    assert asyncio.run(main()) == [1, 2, 3, 11]


def test_asyncio_wait_takes_wrapped_refs() -> None:
    async def main() -> set[int]:
        tasks = [asyncio.ensure_future(increment.remote(i)) for i in range(3)]
        done, _ = await asyncio.wait(tasks, timeout=PATIENCE)
        return {task.result() for task in done}

    assert asyncio.run(main()) == {1, 2, 3}


def test_awaiting_one_ref_many_times() -> None:
    async def main() -> list[int]:
        ref = increment.remote(1)
        return [await ref, await ref, *await asyncio.gather(ref, ref)]

    assert asyncio.run(main()) == [2, 2, 2, 2]


def test_awaiting_leaves_the_loop_free() -> None:
    gate = Gate.remote()

    async def main() -> str:
        waiting = asyncio.ensure_future(gate.wait.remote())
        await gate.arrived.remote()
        assert not waiting.done()
        gate.open.remote()
        await asyncio.wait_for(waiting, PATIENCE)
        return "done"

    assert asyncio.run(main()) == "done"


def test_an_await_that_times_out_leaves_the_ref_usable() -> None:
    gate = Gate.remote()

    @ray.remote
    def work() -> int:
        ray.get(gate.wait.remote())
        return 5

    async def main() -> int:
        ref = work.remote()
        with pytest.raises(asyncio.TimeoutError):
            await asyncio.wait_for(ref, 0.05)
        gate.open.remote()
        return int(await ref)

    assert asyncio.run(main()) == 5


def test_future_is_a_concurrent_future() -> None:
    future = increment.remote(1).future()
    assert isinstance(future, concurrent.futures.Future)
    assert future.result(timeout=PATIENCE) == 2


def test_future_carries_the_error() -> None:
    @ray.remote
    def fail() -> None:
        raise ValueError("no")

    error = fail.remote().future().exception(timeout=PATIENCE)
    assert isinstance(error, ValueError) and isinstance(error, ray.exceptions.RayTaskError)


def test_futures_work_with_as_completed() -> None:
    futures = [increment.remote(i).future() for i in range(4)]
    done = concurrent.futures.as_completed(futures, timeout=PATIENCE)
    assert sorted(future.result() for future in done) == [1, 2, 3, 4]


# Refs as arguments


def test_a_ref_as_an_argument_is_replaced_by_its_value() -> None:
    assert get(increment.remote(ray.put(1))) == 2
    assert get(increment.remote(increment.remote(1))) == 3


def test_a_ref_as_a_keyword_argument_is_replaced_by_its_value() -> None:
    assert get(increment.remote(x=ray.put(1))) == 2


def test_refs_among_star_arguments_are_replaced() -> None:
    @ray.remote
    def total(*numbers: int, **named: int) -> int:
        return sum(numbers) + sum(named.values())

    assert get(total.remote(ray.put(1), 2, ray.put(3), a=ray.put(4))) == 10


@pytest.mark.parametrize(
    "wrap",
    [lambda r: [r], lambda r: (r,), lambda r: {"k": r}, lambda r: {r}, lambda r: [[{"k": (r,)}]]],
    ids=["list", "tuple", "dict", "set", "deep"],
)
def test_a_ref_inside_an_argument_stays_a_ref(wrap: Any) -> None:
    @ray.remote
    def dig(box: Any) -> Any:
        while not isinstance(box, ray.ObjectRef):
            box = next(iter(box.values() if isinstance(box, dict) else box))
        return ray.get(box)

    assert get(dig.remote(wrap(ray.put("inside")))) == "inside"


def test_a_ref_inside_an_argument_need_not_be_ready() -> None:
    gate = Gate.remote()

    @ray.remote
    def first(box: list[Any]) -> bool:
        ready, _ = ray.wait(box, timeout=0)
        return bool(ready)

    pending = gate.wait.remote()
    assert get(first.remote([pending])) is False
    gate.open.remote()


def test_a_task_starts_only_when_its_ref_arguments_are_ready() -> None:
    gate, after = Gate.remote(), Gate.remote()

    @ray.remote
    def follow(_: Any) -> str:
        ray.get(after.wait.remote())
        return "followed"

    ref = follow.remote(gate.wait.remote())
    get(gate.arrived.remote())
    ready, _ = ray.wait([after.arrived.remote()], timeout=0.2)
    assert not ready
    gate.open.remote()
    get(after.arrived.remote())
    after.open.remote()
    assert get(ref) == "followed"


# Refs that travel


def test_refs_in_closures() -> None:
    ref = ray.put(41)

    @ray.remote
    def use() -> int:
        return int(ray.get(ref)) + 1

    assert get(use.remote()) == 42


def test_refs_in_returned_values() -> None:
    @ray.remote
    def make() -> dict[str, Any]:
        return {"put": ray.put("p"), "task": increment.remote(1)}

    made = get(make.remote())
    assert get(made["put"]) == "p"
    assert get(made["task"]) == 2


def test_a_ref_returned_alone_is_not_resolved() -> None:
    @ray.remote
    def make() -> Any:
        return ray.put("inner")

    inner = get(make.remote())
    assert isinstance(inner, ray.ObjectRef)
    assert get(inner) == "inner"


def test_a_ref_to_a_ref() -> None:
    inner = ray.put("value")
    outer = ray.put([inner])
    [again] = get(outer)
    assert again == inner and get(again) == "value"


def test_put_of_a_ref_is_a_type_error() -> None:
    with pytest.raises(TypeError, match="put"):
        ray.put(ray.put(1))


def test_a_ref_argument_whose_value_holds_a_ref_is_resolved_once() -> None:
    inner = ray.put("deep")

    @ray.remote
    def look(box: Any) -> bool:
        return isinstance(box[0], ray.ObjectRef) and ray.get(box[0]) == "deep"

    assert get(look.remote(ray.put([inner]))) is True


def test_refs_pass_through_several_tasks() -> None:
    @ray.remote
    def hand_on(box: list[Any], hops: int) -> Any:
        if hops == 0:
            return ray.get(box[0])
        return ray.get(hand_on.remote(box, hops - 1))

    assert get(hand_on.remote([ray.put("treasure")], 3)) == "treasure"


def test_an_object_outlives_the_task_that_put_it() -> None:
    @ray.remote
    def make() -> list[Any]:
        return [ray.put("left behind")]

    [ref] = get(make.remote())
    assert get(ref) == "left behind"


def test_an_object_outlives_the_actor_method_that_put_it() -> None:
    @ray.remote
    class Maker:
        def make(self) -> list[Any]:
            return [ray.put("from the actor"), increment.remote(1)]

    maker = Maker.remote()
    refs = get(maker.make.remote())
    assert get(refs) == ["from the actor", 2]


def test_an_object_lives_while_only_another_object_refers_to_it() -> None:
    outer = ray.put([ray.put("inner")])
    gc.collect()
    [inner] = get(outer)
    del outer
    gc.collect()
    assert get(inner) == "inner"


def test_an_object_lives_while_a_queued_task_needs_it() -> None:
    gate = Gate.remote()

    @ray.remote
    def use(_: Any, value: str, box: list[Any]) -> list[Any]:
        return [value, ray.get(box[0])]

    result = use.remote(gate.wait.remote(), ray.put("argument"), [ray.put("nested")])
    gc.collect()
    gate.open.remote()
    assert get(result) == ["argument", "nested"]


def test_an_object_lives_while_an_actor_keeps_its_ref() -> None:
    @ray.remote
    class Keeper:
        def keep(self, box: list[Any]) -> None:
            self.box = box

        def read(self) -> Any:
            return ray.get(self.box[0])

    keeper = Keeper.remote()
    get(keeper.keep.remote([ray.put("kept")]))
    gc.collect()
    assert get(keeper.read.remote()) == "kept"


def test_one_ref_may_be_used_by_many_tasks() -> None:
    ref = ray.put(list(range(1000)))

    @ray.remote
    def total(numbers: list[int]) -> int:
        return sum(numbers)

    assert get([total.remote(ref) for _ in range(10)]) == [499500] * 10


def test_large_captured_values() -> None:
    big = b"x" * 2_000_000

    @ray.remote
    def size() -> int:
        return len(big)

    assert get([size.remote() for _ in range(4)]) == [2_000_000] * 4


def test_large_arguments_and_results() -> None:
    big = b"y" * 5_000_000
    assert get(same.remote(big)) == big


def test_dropping_a_pending_tasks_ref_does_not_cancel_it() -> None:
    gate = Gate.remote()

    @ray.remote
    def knock() -> None:
        ray.get(gate.wait.remote("came"))

    knock.remote()
    gc.collect()
    assert get(gate.arrived.remote()) == ["came"]
    gate.open.remote()


def test_get_twice_gives_two_values() -> None:
    """Values of plain Python types are rebuilt at each ``get``: changing one does not change the object."""
    ref = ray.put([1])
    first = get(ref)
    first.append(2)
    assert get(ref) == [1]


def test_put_takes_a_snapshot() -> None:
    mine = [1]
    ref = ray.put(mine)
    mine.append(2)
    assert get(ref) == [1]


@needs_processes
def test_refs_resolve_in_a_task_that_did_not_exist_when_they_were_made() -> None:
    refs = [increment.remote(i) for i in range(3)]

    @ray.remote
    def late(box: list[Any]) -> list[int]:
        return list(ray.get(box))

    assert get(late.remote(refs)) == [1, 2, 3]


def test_an_object_put_by_an_actor_survives_the_actor() -> None:
    @ray.remote
    class Maker:
        def make(self) -> list[Any]:
            return [ray.put("left behind")]

    maker = Maker.remote()
    [ref] = get(maker.make.remote())
    ray.kill(maker)
    with pytest.raises(ray.exceptions.RayActorError):
        get(maker.make.remote())
    assert get(ref) == "left behind"


def test_a_result_an_actor_asked_for_is_there_or_lost_but_never_hangs_after_its_death() -> None:
    """The caller owns a small result: with the caller gone, Ray says so with ``OwnerDiedError``."""

    @ray.remote
    class Maker:
        def make(self) -> list[Any]:
            return [increment.remote(1)]

    maker = Maker.remote()
    [ref] = get(maker.make.remote())
    ray.kill(maker)
    with pytest.raises(ray.exceptions.RayActorError):
        get(maker.make.remote())
    try:
        assert get(ref) == 2
    except ray.exceptions.ObjectLostError as lost:
        assert ref.hex() in str(lost)
