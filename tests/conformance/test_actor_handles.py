"""Actor handles: passed anywhere, compared, and shared."""

from __future__ import annotations

import threading
from typing import Any

from .api import ray
from .helpers import PATIENCE, get


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
