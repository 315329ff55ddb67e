"""Objects: large ones, many of them, more than memory holds, and more than the disk holds."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest

import skate
from tests.reliability.programs import run
from tests.support import wait_until

_MB = 1 << 20


def _files(folder: Path) -> list[Path]:
    return [path for path in folder.rglob("*") if path.is_file()]


def _block(number: int, size: int = 10 * _MB) -> Any:
    return np.full(size // 8, number, dtype=np.int64)


@pytest.fixture
def small_store(tmp_path: Path) -> Iterator[Path]:
    """A session with 100 MB of shared memory; what it moves away goes below the path."""
    skate.init(num_cpus=2, object_store_memory=100 * _MB, object_spilling_directory=str(tmp_path))
    yield tmp_path
    skate.shutdown()
    assert list(tmp_path.iterdir()) == []


def test_a_hundred_thousand_small_objects_are_held() -> None:
    skate.init(num_cpus=2)
    refs = [skate.put(("object", number)) for number in range(100_000)]

    @skate.remote
    def read(inner: list[Any]) -> int:
        return sum(value[1] for value in skate.get(inner))

    assert skate.get(refs) == [("object", number) for number in range(100_000)]
    assert skate.get(read.remote(refs[:10_000]), timeout=40) == sum(range(10_000))
    del refs
    assert skate.get(read.remote([skate.put(("x", 1))]), timeout=20) == 1
    skate.shutdown()


def test_what_memory_has_no_room_for_is_read_back_right(small_store: Path) -> None:
    refs = [skate.put(_block(number)) for number in range(30)]
    assert _files(small_store), "nothing was moved to disk"
    for number in [*range(30), *reversed(range(30))]:
        value = skate.get(refs[number])
        assert value[0] == value[-1] == number and value.nbytes == 10 * _MB
        del value
    del refs
    wait_until(lambda: not _files(small_store), what="the files of released objects to be deleted")


def test_results_of_tasks_are_moved_to_disk_too(small_store: Path) -> None:
    @skate.remote
    def make(number: int) -> Any:
        return _block(number)

    @skate.remote
    def total(value: Any) -> int:
        return int(value.sum())

    refs = [make.remote(number) for number in range(30)]
    sums = skate.get([total.remote(ref) for ref in refs], timeout=50)
    assert sums == [number * (10 * _MB // 8) for number in range(30)]
    assert _files(small_store)
    del refs
    wait_until(lambda: not _files(small_store), what="the files of released objects to be deleted")


def test_what_is_being_read_stays_where_it_is(small_store: Path) -> None:
    first = skate.put(_block(7))
    view = skate.get(first)
    refs = [skate.put(_block(number)) for number in range(20)]
    del first
    assert (view == 7).all()
    assert all(skate.get(ref)[0] == number for number, ref in enumerate(refs))


def test_an_object_larger_than_the_store(small_store: Path) -> None:
    ref = skate.put(_block(3, 150 * _MB))
    assert (skate.get(ref) == 3).all()

    @skate.remote
    def last(value: Any) -> int:
        return int(value[-1])

    assert skate.get(last.remote(ref), timeout=30) == 3


def test_released_memory_is_used_again(small_store: Path) -> None:
    for number in range(50):
        assert skate.get(skate.put(_block(number)))[-1] == number
    assert _files(small_store) == []


def test_objects_held_in_turn_by_many_tasks_are_right(small_store: Path) -> None:
    @skate.remote
    def both(left: Any, right: Any) -> Any:
        return left + right

    refs = [skate.put(_block(number, 4 * _MB)) for number in range(32)]
    while len(refs) > 1:
        refs = [both.remote(refs[at], refs[at + 1]) for at in range(0, len(refs), 2)]
    assert (skate.get(refs[0], timeout=50) == sum(range(32))).all()


def test_refs_that_many_threads_read_at_once_are_counted_right(small_store: Path) -> None:
    def free() -> float:
        return skate.available_resources().get("object_store_memory", 0.0)

    @skate.remote
    def make() -> list[Any]:
        return [skate.put(_block(number, _MB)) for number in range(40)]

    @skate.remote
    def total(refs: list[Any]) -> int:
        return sum(int(value[0]) for value in skate.get(refs))

    def read(holder: Any, turn: int) -> bool:
        refs = skate.get(holder)
        same = skate.get(holder)
        return refs == same and bool(skate.get(refs[turn % 40])[-1] == turn % 40)

    whole = free()
    holder = make.remote()
    with ThreadPoolExecutor(4) as threads:
        assert all(threads.map(read, [holder] * 400, range(400)))
    assert skate.get(total.remote(skate.get(holder)), timeout=30) == sum(range(40))
    assert free() < whole
    del holder
    wait_until(lambda: free() == whole, what="the objects to be released")


@pytest.fixture
def tiny_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 20 MB."""
    where = tmp_path / "disk"
    where.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=20m", "tmpfs", str(where)],
        capture_output=True,
        text=True,
        check=False,
    )
    if mounted.returncode:
        pytest.skip(f"a small file system can't be mounted here: {mounted.stderr.strip()}")
    yield where
    subprocess.run(["umount", "-l", str(where)], check=True)


_FULL = """
import numpy as np
skate.init(num_cpus=1, object_store_memory=80 << 20, object_spilling_directory=os.environ["SPILL"], log_to_driver=False)
refs = []
error = None
try:
    for number in range(40):
        refs.append(skate.put(np.full((5 << 20) // 8, number)))
except skate.exceptions.OutOfDiskError as problem:
    error = problem
assert error is not None, "the disk took more than it has"
say("error", str(error))
assert len(refs) >= 14, len(refs)
for number, ref in enumerate(refs):
    value = skate.get(ref, timeout=10)
    assert value[0] == value[-1] == number

@skate.remote
def make():
    return np.full((5 << 20) // 8, 99)

try:
    skate.get(make.remote(), timeout=10)
except skate.exceptions.OutOfDiskError as problem:
    say("task failed")
del refs[5:], ref, value
fresh = skate.put(np.full((5 << 20) // 8, 77))
assert skate.get(fresh)[0] == 77
assert skate.get(make.remote(), timeout=10)[0] == 99
for number, ref in enumerate(refs):
    assert skate.get(ref, timeout=10)[-1] == number
skate.shutdown()
say("fine")
"""


def test_a_full_disk_is_an_error_and_nothing_is_lost(tiny_disk: Path) -> None:
    said = run(_FULL, SPILL=str(tiny_disk))
    assert "error" in said and "task failed" in said and "fine" in said
    assert list(tiny_disk.iterdir()) == []


@pytest.mark.slow
@pytest.mark.timeout(200)
def test_an_object_of_three_gigabytes() -> None:
    free = psutil.virtual_memory().available
    if free < 9 << 30:
        pytest.skip(f"9 GB of free memory are needed, and {free >> 30} are there")
    skate.init(num_cpus=1, object_store_memory=4 << 30)
    value = np.zeros(3 << 30, dtype=np.uint8)
    value[-1] = 7

    @skate.remote
    def ends(array: Any) -> tuple[int, int]:
        return len(array), int(array[-1])

    @skate.remote
    def make() -> Any:
        array = np.zeros(3 << 30, dtype=np.uint8)
        array[-1] = 9
        return array

    ref = skate.put(value)
    del value
    assert skate.get(ends.remote(ref)) == (3 << 30, 7)
    del ref
    assert skate.get(make.remote())[-1] == 9
    skate.shutdown()


def test_workers_let_go_of_arguments_that_tasks_have_shared(small_store: Path) -> None:
    """What a worker still held would leave less room than the next object needs, and it would go to disk."""

    @skate.remote
    def first(value: Any, _number: int) -> int:
        return int(value[0])

    for number in range(5):
        block = skate.put(_block(number, 60 * _MB))
        assert skate.get([first.remote(block, index) for index in range(20)], timeout=30) == [number] * 20
        del block
        wait_until(lambda: _used() < 60 * _MB, what="the store to be free again")
    assert not _files(small_store)


def test_a_large_captured_value_is_stored_once(
    small_store: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    here = tmp_path_factory.mktemp("here")
    captured = _block(7, 20 * _MB)

    @skate.remote(num_cpus=1)
    def look(number: int) -> tuple[int, int, int]:
        (here / f"{number // 2}-{os.getpid()}").touch()
        wait_until(lambda: len(list(here.glob(f"{number // 2}-*"))) == 2, 30, "a task in another worker")
        return os.getpid(), int(captured[-1]), _used()

    before = _used()
    answers = [
        answer
        for turn in range(3)
        for answer in skate.get([look.remote(2 * turn), look.remote(2 * turn + 1)])
    ]
    assert len({pid for pid, _value, _used in answers}) >= 2
    assert [value for _pid, value, _used in answers] == [7] * 6
    for used in [*(used for _pid, _value, used in answers), _used()]:
        assert 20 * _MB <= used - before < 21 * _MB


def _used() -> int:
    from skate.core import runtime
    from skate.engine.local import protocol

    engine: Any = runtime.engine
    used: int = engine.ask(protocol.INFO, "store")[0]
    return used
