"""The leak check of `conftest.py` sees each kind of thing that a test can leave behind."""

from __future__ import annotations

import mmap
import os
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import psutil
import pytest

from tests.leaks import LeakGuard, leaked_since, our_processes, take_snapshot
from tests.support import wait_until

_SOON = 0.0
_ORPHAN = """
import subprocess, sys
command = [sys.executable, "-c", "import sys; sys.stdin.read()"]
child = subprocess.Popen(command, stdin=0, start_new_session=True)
print(child.pid)
child.returncode = 0  # so that it is not waited for
"""


@pytest.fixture
def cleanup() -> Iterator[ExitStack]:
    with ExitStack() as stack:
        yield stack


def _only(leaked: list[str]) -> str:
    assert len(leaked) == 1, leaked
    return leaked[0]


def test_nothing_new_is_no_leak() -> None:
    assert leaked_since(take_snapshot(), _SOON) == []


def test_a_file_descriptor_is_named(cleanup: ExitStack, tmp_path: Path) -> None:
    before = take_snapshot()
    cleanup.enter_context((tmp_path / "forgotten.txt").open("w"))
    assert str(tmp_path / "forgotten.txt") in _only(leaked_since(before, _SOON))


def test_a_thread_is_named(cleanup: ExitStack) -> None:
    before = take_snapshot()
    done = threading.Event()
    thread = threading.Thread(target=done.wait, name="forgotten", daemon=True)
    thread.start()
    cleanup.callback(thread.join)
    cleanup.callback(done.set)
    assert "forgotten" in _only(leaked_since(before, _SOON))


def test_a_child_is_named(cleanup: ExitStack) -> None:
    before = take_snapshot()
    child = subprocess.Popen([sys.executable, "-c", "input()", "forgotten"], stdin=subprocess.PIPE)
    cleanup.callback(child.communicate, b"\n")
    process = next(text for text in leaked_since(before, _SOON) if text.startswith("process"))
    assert str(child.pid) in process
    assert "forgotten" in process


def test_an_orphan_in_a_session_of_its_own_is_found(cleanup: ExitStack) -> None:
    before = take_snapshot()
    parent = subprocess.Popen(
        [sys.executable, "-c", _ORPHAN], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert parent.stdout is not None
    orphan = int(parent.stdout.readline())
    parent.wait()
    cleanup.callback(
        wait_until,
        lambda: orphan not in [process.pid for process in our_processes()],
        what="the orphan to end",
    )
    cleanup.callback(parent.communicate)  # closes its standard input, which ends it
    assert psutil.Process(orphan) not in psutil.Process().children(recursive=True)
    assert psutil.Process(orphan) in our_processes()
    assert any(f"process {orphan} " in text for text in leaked_since(before, _SOON))


@pytest.mark.skipif(not Path("/dev/shm").is_dir(), reason="no /dev/shm on this system")
def test_shared_memory_is_named(cleanup: ExitStack) -> None:
    before = take_snapshot()
    segment = Path(f"/dev/shm/skate-forgotten-{os.getpid()}")
    segment.touch()
    cleanup.callback(segment.unlink)
    assert str(segment) in _only(leaked_since(before, _SOON))


@pytest.mark.skipif(not hasattr(os, "memfd_create"), reason="no memfd on this system")
def test_mapped_memory_is_named_though_its_descriptor_is_closed(cleanup: ExitStack) -> None:
    before = take_snapshot()
    descriptor = os.memfd_create("skate")
    os.ftruncate(descriptor, mmap.PAGESIZE)
    cleanup.enter_context(mmap.mmap(descriptor, mmap.PAGESIZE, mmap.MAP_SHARED))
    os.close(descriptor)
    # mmap duplicates the descriptor it is given, so both the copy and the mapping are seen.
    assert [text.split(" ")[0] for text in leaked_since(before, _SOON)] == ["file", "mapped"]


def test_a_session_directory_is_named(cleanup: ExitStack) -> None:
    before = take_snapshot()
    directory = Path(tempfile.mkdtemp(prefix="skate-"))
    cleanup.callback(directory.rmdir)
    assert str(directory) in _only(leaked_since(before, _SOON))


def test_what_goes_away_in_time_is_no_leak() -> None:
    before = take_snapshot()
    go = threading.Event()
    thread = threading.Thread(target=go.wait)
    thread.start()
    assert leaked_since(before, _SOON)
    go.set()
    assert leaked_since(before) == []


def test_a_window_answers_for_the_tests_inside_it(tmp_path: Path) -> None:
    guard = LeakGuard(_SOON)
    guard.open()
    guard.start_test()
    with (tmp_path / "shared.txt").open("w"):
        assert guard.end_test() == []
        with pytest.raises(AssertionError, match=r"shared\.txt"):
            guard.close()


def test_a_window_that_leaves_nothing_closes_quietly(tmp_path: Path) -> None:
    guard = LeakGuard()
    with guard.window(), (tmp_path / "shared.txt").open("w"):
        guard.start_test()
        assert guard.end_test() == []


def test_a_test_that_closes_a_window_answers_for_itself_again(tmp_path: Path) -> None:
    guard = LeakGuard(_SOON)
    guard.open()
    guard.start_test()
    guard.close()
    with (tmp_path / "own.txt").open("w"):
        assert "own.txt" in _only(guard.end_test())
