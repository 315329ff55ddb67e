"""Values that can't be moved: a clear error that names the culprit, on the right ref, and the worker lives on."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from typing import Any, NoReturn

import pytest

import skate


@pytest.fixture(autouse=True)
def _session() -> Iterator[None]:
    skate.init(num_cpus=1, log_to_driver=False)
    yield
    skate.shutdown()


class WontLoad:
    """Pickles well and refuses to be unpickled."""

    def __reduce__(self) -> tuple[Any, ...]:
        return _refuse, ("culprit",)


def _refuse(word: str) -> NoReturn:
    raise LookupError(f"the {word} does not load")


class NeedsTwo(Exception):
    """Can't be rebuilt from `args`, as its constructor wants more."""

    def __init__(self, code: int, *, detail: str) -> None:
        super().__init__(f"code {code}")
        self.code = code
        self.detail = detail


class HoldsLock(Exception):
    """Can't be pickled."""

    def __init__(self) -> None:
        super().__init__("the lock is stuck")
        self.lock = threading.Lock()


@skate.remote
def pid() -> int:
    return os.getpid()


@skate.remote
def identity(value: Any) -> Any:
    return value


def _same_worker(before: int) -> None:
    assert skate.get(pid.remote(), timeout=10) == before, "the worker did not live on"


@pytest.fixture
def worker() -> Iterator[None]:
    """Whatever the test does, the one worker survives it."""
    before = skate.get(pid.remote(), timeout=10)
    yield
    _same_worker(before)


def test_an_argument_that_cannot_be_pickled(worker: None) -> None:
    with pytest.raises(TypeError, match=r"(?s)lock.*identity|identity.*lock"):
        identity.remote(threading.Lock())


def test_a_put_that_cannot_be_pickled(worker: None) -> None:
    with pytest.raises(TypeError, match="lock"):
        skate.put([threading.Lock()])


def test_a_function_that_cannot_be_pickled(worker: None) -> None:
    lock = threading.Lock()

    @skate.remote
    def locked() -> None:
        with lock:
            pass

    with pytest.raises(TypeError, match=r"locked.*lock"):
        locked.remote()


def test_a_result_that_cannot_be_pickled(worker: None) -> None:
    @skate.remote
    def give_lock() -> Any:
        return threading.Lock()

    other = identity.remote(1)
    with pytest.raises(skate.exceptions.RayTaskError, match=r"(?s)give_lock.*lock"):
        skate.get(give_lock.remote(), timeout=10)
    assert skate.get(other, timeout=10) == 1


def test_one_of_several_results_that_cannot_be_pickled(worker: None) -> None:
    @skate.remote(num_returns=2)
    def give_two() -> tuple[int, Any]:
        return 1, threading.Lock()

    _first, second = give_two.remote()
    with pytest.raises(skate.exceptions.RayTaskError, match="lock"):
        skate.get(second, timeout=10)


def test_an_exception_that_cannot_be_pickled(worker: None) -> None:
    @skate.remote
    def fail() -> None:
        raise HoldsLock

    with pytest.raises(skate.exceptions.RayTaskError, match=r"(?s)HoldsLock.*the lock is stuck"):
        skate.get(fail.remote(), timeout=10)


def test_an_exception_that_wants_more_arguments_than_it_keeps(worker: None) -> None:
    @skate.remote
    def fail() -> None:
        raise NeedsTwo(7, detail="all of it")

    with pytest.raises(skate.exceptions.RayTaskError, match=r"(?s)NeedsTwo.*code 7"):
        skate.get(fail.remote(), timeout=10)


def test_an_exception_whose_text_raises(worker: None) -> None:
    class Mute(Exception):
        def __str__(self) -> str:
            raise ValueError("no words")

    @skate.remote
    def fail() -> None:
        raise Mute

    with pytest.raises(skate.exceptions.RayTaskError):
        skate.get(fail.remote(), timeout=10)


def test_a_result_that_does_not_load(worker: None) -> None:
    @skate.remote
    def give() -> WontLoad:
        return WontLoad()

    good = identity.remote(5)
    bad = give.remote()
    for _ in range(2):
        with pytest.raises(Exception, match="the culprit does not load"):
            skate.get(bad, timeout=10)
    assert skate.get(good, timeout=10) == 5


def test_an_argument_that_does_not_load(worker: None) -> None:
    with pytest.raises(skate.exceptions.RayTaskError, match=r"(?s)identity.*the culprit does not load"):
        skate.get(identity.remote(WontLoad()), timeout=10)


def test_a_large_result_that_does_not_load(worker: None) -> None:
    @skate.remote
    def give() -> Any:
        return [bytes(1 << 20), WontLoad()]

    with pytest.raises(Exception, match="the culprit does not load"):
        skate.get(give.remote(), timeout=10)


def test_the_dependent_of_a_failed_task_fails_with_its_error(worker: None) -> None:
    @skate.remote
    def fail() -> None:
        raise NeedsTwo(7, detail="all of it")

    with pytest.raises(skate.exceptions.RayTaskError, match="code 7"):
        skate.get(identity.remote(identity.remote(fail.remote())), timeout=10)


def test_recursion_without_end(worker: None) -> None:
    @skate.remote
    def down(depth: int) -> int:
        def deeper(level: int) -> int:
            return deeper(level + 1)

        return deeper(depth)

    with pytest.raises(RecursionError):
        skate.get(down.remote(0), timeout=20)


def test_a_value_nested_too_deeply(worker: None) -> None:
    @skate.remote
    def nest() -> list[Any]:
        value: list[Any] = []
        for _ in range(100_000):
            value = [value]
        return value

    with pytest.raises(skate.exceptions.RayTaskError, match=r"(?s)nest.*recursion"):
        skate.get(nest.remote(), timeout=20)


def test_actors_survive_all_of_it() -> None:
    @skate.remote
    class Target:
        def pid(self) -> int:
            return os.getpid()

        def take(self, value: Any) -> None:
            """Take anything."""

        def give(self, what: str) -> Any:
            return threading.Lock() if what == "lock" else WontLoad()

        def fail(self, what: str) -> None:
            raise HoldsLock if what == "lock" else NeedsTwo(1, detail="x")

    target = Target.remote()
    before = skate.get(target.pid.remote(), timeout=10)
    with pytest.raises(TypeError, match="lock"):
        target.take.remote(threading.Lock())
    refs = [
        target.take.remote(WontLoad()),
        target.give.remote("lock"),
        target.give.remote("other"),
        target.fail.remote("lock"),
        target.fail.remote("other"),
    ]
    for ref in refs:
        with pytest.raises(Exception, match=r"lock|load|code 1"):
            skate.get(ref, timeout=10)
    assert skate.get(target.pid.remote(), timeout=10) == before


def test_asyncio_actors_survive_all_of_it() -> None:
    @skate.remote
    class Target:
        async def pid(self) -> int:
            return os.getpid()

        async def give(self, what: str) -> Any:
            return threading.Lock() if what == "lock" else WontLoad()

        async def fail(self) -> None:
            raise HoldsLock

    target = Target.remote()
    before = skate.get(target.pid.remote(), timeout=10)
    for ref in (target.give.remote("lock"), target.give.remote("other"), target.fail.remote()):
        with pytest.raises(Exception, match=r"lock|load"):
            skate.get(ref, timeout=10)
    assert skate.get(target.pid.remote(), timeout=10) == before
