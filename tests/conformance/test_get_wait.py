"""Getting results and waiting for them."""

from __future__ import annotations

import asyncio
import threading
import time
from typing import Any

import pytest

from .api import ray
from .helpers import PATIENCE, Gate, get


@ray.remote
def same(x: Any) -> Any:
    return x


@ray.remote
def after(gate: Any, x: Any) -> Any:
    ray.get(gate.wait.remote(x))
    return x


@ray.remote
def fail(message: str) -> None:
    raise ValueError(message)


# get


def test_get_of_a_list_keeps_its_order() -> None:
    gate = Gate.remote()
    late = after.remote(gate, "late")
    early = same.remote("early")
    assert get(early) == "early"
    gate.open.remote()
    assert get([late, early, late]) == ["late", "early", "late"]


def test_get_of_an_empty_list_is_an_empty_list() -> None:
    assert ray.get([]) == []


def test_get_of_a_tuple_is_refused() -> None:
    with pytest.raises(ValueError, match="'object_refs' must either be an ObjectRef or a list"):
        ray.get((ray.put(1), ray.put(2)))


def test_get_of_a_list_with_something_else_in_it() -> None:
    with pytest.raises(TypeError, match="Attempting to call `get` on the value 1"):
        ray.get([ray.put(1), 1])


def test_wait_for_a_single_ref_says_what_it_takes() -> None:
    with pytest.raises(TypeError, match=r"got a single ray\.ObjectRef"):
        ray.wait(ray.put(1))


@pytest.mark.parametrize("value", [1, "ref", None, {"a": 1}], ids=repr)
def test_get_of_something_else_says_what_it_takes(value: object) -> None:
    with pytest.raises(ValueError, match="Invalid type"):
        ray.get(value)


@pytest.mark.parametrize("value", [1, "text", None], ids=repr)
def test_get_of_a_list_with_something_else_names_it(value: object) -> None:
    with pytest.raises(TypeError, match=f"{value}.*ObjectRef"):
        ray.get([ray.put(1), value])


def test_get_is_an_expression_of_any_nesting() -> None:
    assert ray.get(same.remote(ray.get(same.remote([1])))) == [1]


def test_timeout_raises_get_timeout_error() -> None:
    gate = Gate.remote()
    ref = after.remote(gate, 1)
    began = time.monotonic()
    with pytest.raises(ray.exceptions.GetTimeoutError, match=r"Get timed out: some object\(s\) not ready"):
        ray.get(ref, timeout=0.1)
    assert 0.05 < time.monotonic() - began < 5
    gate.open.remote()
    assert get(ref) == 1


def test_get_timeout_error_is_a_timeout_error() -> None:
    assert issubclass(ray.exceptions.GetTimeoutError, TimeoutError)
    assert issubclass(ray.exceptions.GetTimeoutError, ray.exceptions.RayError)


def test_timeout_of_zero_gives_what_is_ready() -> None:
    assert ray.get(ray.put(3), timeout=0) == 3


def test_timeout_of_zero_raises_for_what_is_not() -> None:
    gate = Gate.remote()
    ref = after.remote(gate, 1)
    with pytest.raises(ray.exceptions.GetTimeoutError):
        ray.get(ref, timeout=0)
    gate.open.remote()
    assert get(ref) == 1


def test_timeout_counts_for_the_whole_list() -> None:
    gate = Gate.remote()
    began = time.monotonic()
    with pytest.raises(ray.exceptions.GetTimeoutError):
        ray.get([ray.put(1), after.remote(gate, 1), after.remote(gate, 2)], timeout=0.3)
    assert time.monotonic() - began < 5
    gate.open.remote()


def test_a_negative_timeout_of_get_means_no_timeout() -> None:
    """Unlike ``wait``, ``get`` takes -1 for "wait for ever"."""
    gate = Gate.remote()
    ref = after.remote(gate, 1)
    get(gate.arrived.remote())
    gate.open.remote()
    assert ray.get(ref, timeout=-1) == 1


def test_timeout_must_be_given_by_name() -> None:
    with pytest.raises(TypeError):
        ray.get(ray.put(1), 1)


def test_timeout_inside_a_task() -> None:
    gate = Gate.remote()

    @ray.remote
    def impatient(box: list[Any]) -> str:
        try:
            ray.get(box[0], timeout=0.05)
        except ray.exceptions.GetTimeoutError:
            return "gave up"
        return "got it"

    assert get(impatient.remote([gate.wait.remote()])) == "gave up"
    gate.open.remote()


def test_get_of_a_list_of_finished_tasks_raises_the_first_error_in_it() -> None:
    refs = [same.remote(1), fail.remote("first"), fail.remote("second")]
    ray.wait(refs, num_returns=3, timeout=PATIENCE)
    with pytest.raises(ValueError, match="first"):
        get(refs)


def test_get_of_a_list_raises_an_error_without_waiting_for_the_rest() -> None:
    gate = Gate.remote()
    pending = after.remote(gate, 1)
    with pytest.raises(ValueError, match="early"):
        get([pending, fail.remote("early")])
    gate.open.remote()
    assert get(pending) == 1


def test_get_of_one_ref_from_many_threads() -> None:
    gate = Gate.remote()
    ref = after.remote(gate, "value")
    answers: list[Any] = []
    threads = [threading.Thread(target=lambda: answers.append(get(ref))) for _ in range(8)]
    for thread in threads:
        thread.start()
    gate.open.remote()
    for thread in threads:
        thread.join(PATIENCE)
    assert answers == ["value"] * 8


def test_threads_submit_and_get_on_their_own() -> None:
    sums: list[int] = []

    def work(base: int) -> None:
        sums.append(sum(get([same.remote(base + i) for i in range(10)])))

    threads = [threading.Thread(target=work, args=(100 * i,)) for i in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(PATIENCE)
    assert sorted(sums) == [45, 1045, 2045, 3045]


# wait


def test_wait_splits_ready_from_pending() -> None:
    gate = Gate.remote()
    pending = after.remote(gate, 1)
    ready = same.remote(2)
    assert ray.wait([pending, ready], timeout=PATIENCE) == ([ready], [pending])
    gate.open.remote()


def test_wait_returns_lists() -> None:
    ready, pending = ray.wait([ray.put(1)], timeout=PATIENCE)
    assert isinstance(ready, list) and isinstance(pending, list)


def test_wait_waits_for_one_unless_told() -> None:
    refs = [ray.put(i) for i in range(3)]
    ready, pending = ray.wait(refs)
    assert (len(ready), len(pending)) == (1, 2)


def test_wait_returns_at_most_num_returns_though_more_are_ready() -> None:
    refs = [ray.put(i) for i in range(5)]
    ready, pending = ray.wait(refs, num_returns=2)
    # Which two is not promised; both lists keep the order given.
    assert len(ready) == 2 and len(pending) == 3
    assert ready == [ref for ref in refs if ref in ready]
    assert pending == [ref for ref in refs if ref not in ready]


def test_wait_for_all() -> None:
    refs = [same.remote(i) for i in range(5)]
    assert ray.wait(refs, num_returns=5, timeout=PATIENCE) == (refs, [])


def test_both_lists_keep_the_order_given() -> None:
    gates = [Gate.remote() for _ in range(2)]
    refs = [after.remote(gates[0], 0), same.remote(1), after.remote(gates[1], 2), same.remote(3)]
    ray.get([refs[3], refs[1]])
    ready, pending = ray.wait(refs, num_returns=2, timeout=PATIENCE)
    assert ready == [refs[1], refs[3]] and pending == [refs[0], refs[2]]
    gates[0].open.remote()
    gates[1].open.remote()


def test_ready_is_in_the_order_given_and_not_of_completion() -> None:
    gate = Gate.remote()
    late = after.remote(gate, "late")
    early = same.remote("early")
    get(early)
    gate.open.remote()
    get(late)
    assert ray.wait([late, early], num_returns=2)[0] == [late, early]


def test_wait_returns_the_very_refs_it_was_given() -> None:
    refs = [ray.put(0), ray.put(1)]
    ready, _ = ray.wait(refs, num_returns=2)
    assert all(got is given for got, given in zip(ready, refs, strict=True))


def test_wait_times_out_with_what_is_ready() -> None:
    gate = Gate.remote()
    refs = [after.remote(gate, 0), ray.put(1)]
    ready, pending = ray.wait(refs, num_returns=2, timeout=0.1)
    assert ready == [refs[1]] and pending == [refs[0]]
    gate.open.remote()


def test_wait_with_timeout_zero_only_looks() -> None:
    gate = Gate.remote()
    ref = after.remote(gate, 1)
    assert ray.wait([ref], timeout=0) == ([], [ref])
    gate.open.remote()
    get(ref)
    assert ray.wait([ref], timeout=0) == ([ref], [])


def test_wait_counts_a_failed_task_as_ready() -> None:
    ref = fail.remote("failed")
    assert ray.wait([ref], timeout=PATIENCE) == ([ref], [])
    with pytest.raises(ValueError, match="failed"):
        get(ref)


def test_wait_of_an_empty_list() -> None:
    assert ray.wait([], num_returns=1, timeout=0) == ([], [])


def test_wait_does_not_fetch_when_told() -> None:
    refs = [same.remote(b"x" * 1_000_000), ray.put(1)]
    ready, pending = ray.wait(refs, num_returns=2, timeout=PATIENCE, fetch_local=False)
    assert ready == refs and not pending


def test_wait_for_more_than_there_are_is_a_value_error() -> None:
    with pytest.raises(ValueError, match="num_returns"):
        ray.wait([ray.put(1)], num_returns=2)


@pytest.mark.parametrize("count", [0, -1])
def test_wait_for_fewer_than_one_is_a_value_error(count: int) -> None:
    with pytest.raises(ValueError, match=f"{count}"):
        ray.wait([ray.put(1)], num_returns=count)


def test_wait_for_the_same_ref_twice_is_a_value_error() -> None:
    ref = ray.put(1)
    with pytest.raises(ValueError, match="unique"):
        ray.wait([ref, ref])


def test_wait_of_a_single_ref_is_a_type_error() -> None:
    with pytest.raises(TypeError, match="list"):
        ray.wait(ray.put(1))


@pytest.mark.parametrize("value", [1, "ref", None], ids=repr)
def test_wait_of_a_list_with_something_else_is_a_type_error(value: object) -> None:
    with pytest.raises(TypeError, match=type(value).__name__):
        ray.wait([value])


def test_wait_with_a_negative_timeout_is_a_value_error() -> None:
    with pytest.raises(ValueError, match="timeout"):
        ray.wait([ray.put(1)], timeout=-1)


def test_wait_takes_actor_calls_and_tasks_alike() -> None:
    gate = Gate.remote()
    call, task = gate.wait.remote(), same.remote(1)
    assert ray.wait([call, task], timeout=PATIENCE) == ([task], [call])
    gate.open.remote()
    assert ray.wait([call], timeout=PATIENCE) == ([call], [])


def test_wait_in_a_loop_sees_everything_once() -> None:
    pending = [same.remote(i) for i in range(20)]
    seen = []
    while pending:
        ready, pending = ray.wait(pending, timeout=PATIENCE)
        seen += get(ready)
    assert sorted(seen) == list(range(20))


def test_wait_inside_a_task() -> None:
    gate = Gate.remote()

    @ray.remote
    def first(box: list[Any]) -> int:
        ready, _ = ray.wait(box, timeout=PATIENCE)
        return box.index(ready[0])

    assert get(first.remote([gate.wait.remote(), ray.put(1)])) == 1
    gate.open.remote()


def test_wait_wakes_when_something_becomes_ready() -> None:
    gate = Gate.remote()
    ref = after.remote(gate, "woken")
    get(gate.arrived.remote())
    threading.Timer(0.05, lambda: gate.open.remote()).start()
    assert ray.wait([ref], timeout=PATIENCE) == ([ref], [])


def test_get_inside_a_running_event_loop_still_works() -> None:
    async def main() -> int:
        return int(get(same.remote(1)))

    assert asyncio.run(main()) == 1
