"""What a test leaves behind: processes, threads, file descriptors, shared memory, session directories.

`tests/conftest.py` looks before and after each test. Whatever belongs to this run of the tests and was not
there before is a leak, and is reported by name once it has had `SETTLE` seconds to go away.

A session that outlives a test on purpose (one that a module's tests share) is opened inside a window. While a
window is open the tests are not checked one by one; closing it checks them together, against the time before
it opened::

    @pytest.fixture(scope="module")
    def shared() -> Iterator[None]:
        with guard.window():
            skate.init(num_cpus=2)
            yield
            skate.shutdown()
"""

from __future__ import annotations

import gc
import os
import tempfile
import threading
import time
import uuid
from collections.abc import Hashable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TypeAlias

import psutil

SETTLE = 2.0
"""Seconds that something on its way out gets to be gone."""

MARK = "SKATE_TEST_RUN"
"""The environment variable by which a process is known as ours when its parent has died."""

_RUN = uuid.uuid4().hex
_POLL = 0.02
_SHARED_MEMORY = Path("/dev/shm")
_DESCRIPTORS = Path("/proc/self/fd")
_MAPPINGS = Path("/proc/self/maps")

Snapshot: TypeAlias = dict[Hashable, str]
"""What there is at one moment: identity to description."""


def mark_this_run() -> None:
    """Mark every process started from now on as ours; a run inside a run keeps the outer mark too."""
    os.environ[MARK] = ":".join(filter(None, [os.environ.get(MARK), _RUN]))


def our_processes() -> list[psutil.Process]:
    """Our children and theirs, and every process that carries our mark, whoever its parent is now."""
    found = set(psutil.Process().children(recursive=True))
    for process in psutil.process_iter():
        try:
            if _RUN in process.environ().get(MARK, ""):
                found.add(process)
        except psutil.Error:
            continue  # another user's, or gone while we looked
    return sorted(found, key=lambda process: process.pid)


def take_snapshot() -> Snapshot:
    """Look at everything that a test of this run could leave behind."""
    return {
        **_processes(),
        **_threads(),
        **_descriptors(),
        **_mappings(),
        **_shared_memory(),
        **_session_directories(),
    }


def leaked_since(before: Snapshot, settle: float = SETTLE) -> list[str]:
    """Describe what is here and was not in `before`, once it has had `settle` seconds to go away."""
    deadline = time.monotonic() + settle
    while True:
        now = take_snapshot()
        leaked = [now[key] for key in now if key not in before]
        if not leaked or time.monotonic() > deadline:
            return leaked
        gc.collect()  # a cycle may hold the last reference to a file or a thread
        time.sleep(_POLL)


class LeakGuard:
    """Decides which moments are compared: the ends of a test, or those of a window around several tests."""

    def __init__(self, settle: float = SETTLE) -> None:
        self._settle = settle
        self._before: Snapshot = {}
        self._windows = 0
        self._in_test = False

    def start_test(self) -> None:
        """Remember what there is, unless a window is open."""
        self._in_test = True
        if not self._windows:
            self._before = take_snapshot()

    def end_test(self) -> list[str]:
        """Describe what the test leaked; nothing while a window is open, for the window answers for it."""
        self._in_test = False
        return [] if self._windows else leaked_since(self._before, self._settle)

    def open(self) -> None:
        """Open a window: a session that several tests share is about to start."""
        if not self._windows and not self._in_test:
            self._before = take_snapshot()
        self._windows += 1

    def close(self) -> None:
        """Close a window: the shared session has been shut down.

        Raises:
            AssertionError: something that was not there when the window opened is still here.
        """
        self._windows -= 1
        if not self._windows:
            leaked = leaked_since(self._before, self._settle)
            assert not leaked, report(leaked, "the tests that shared a session")

    @contextmanager
    def window(self) -> Iterator[None]:
        """Hold a window open; see `open` and `close`."""
        self.open()
        try:
            yield
        finally:
            self.close()


guard = LeakGuard()
"""The one that the fixture of `tests/conftest.py` asks."""


def report(leaked: list[str], who: str) -> str:
    """The message of a failed check."""
    what = f"{who} left {len(leaked)} thing(s) behind after {SETTLE:g} s"
    hint = "shut the session down, or share it through a window: see tests/leaks.py"
    return "\n  ".join([f"{what} ({hint}):", *leaked])


def _processes() -> Snapshot:
    return {("process", process): _describe_process(process) for process in our_processes()}


def _describe_process(process: psutil.Process) -> str:
    try:
        command = " ".join(process.cmdline()) or process.name()
        return f"process {process.pid} ({process.status()}, child of {process.ppid()}): {command[:300]}"
    except psutil.Error as gone:
        return f"process {process.pid} ({gone})"


def _threads() -> Snapshot:
    # A _DummyThread stands for a foreign thread that once asked who it was; it is kept for ever.
    # distributed keeps one thread of its own ("Dask-Offload") for as long as the process lives.
    threads = [
        thread
        for thread in threading.enumerate()
        if not isinstance(thread, threading._DummyThread) and not thread.name.startswith("Dask-Offload")
    ]
    return {("thread", thread): f"thread {thread!r}" for thread in threads}


def _descriptors() -> Snapshot:
    if not _DESCRIPTORS.exists():
        return {}
    found: Snapshot = {}
    sockets = _unix_sockets()
    listing = f"/proc/{os.getpid()}/fd"  # what the descriptor points to through which we list them
    for name in os.listdir(_DESCRIPTORS):
        try:
            target = os.readlink(_DESCRIPTORS / name)
        except FileNotFoundError:
            continue
        if target != listing:
            found["descriptor", name, target] = (
                f"file descriptor {name} -> {target} {sockets.get(target, '')}"
            )
    return found


def _unix_sockets() -> dict[str, str]:
    """The paths of Unix sockets, which their descriptors do not show, by what the descriptors do show."""
    rows = [line.split(maxsplit=7) for line in Path("/proc/net/unix").read_text().splitlines()]
    return {f"socket:[{row[6]}]": row[7] for row in rows if len(row) == 8}


def _mappings() -> Snapshot:
    """Shared memory without a name that is still mapped here, though its descriptor may be closed."""
    if not _MAPPINGS.exists():
        return {}
    rows = [line.split(maxsplit=5) for line in _MAPPINGS.read_text().splitlines()]
    memory = [(row[4], row[5]) for row in rows if len(row) == 6 and row[5].startswith("/memfd:skate")]
    return {("mapping", inode, name): f"mapped memory {name}, inode {inode}" for inode, name in memory}


def _shared_memory() -> Snapshot:
    return {
        ("shared memory", path): f"shared memory {path}"
        for path in _SHARED_MEMORY.glob("skate*")
        if not _held_by_a_stranger(path)
    }


def _held_by_a_stranger(path: Path) -> bool:
    """Whether a process outside this run holds the file: another run of Skate on the same machine."""
    ours = {os.getpid(), *(process.pid for process in our_processes())}
    for pid in set(psutil.pids()) - ours:
        try:
            process = Path(f"/proc/{pid}")
            targets = [os.readlink(entry) for entry in (process / "fd").iterdir()]
            if any(str(path) in text for text in [*targets, (process / "maps").read_text()]):
                return True
        except OSError:
            continue  # another user's, or gone while we looked
    return False


def _session_directories() -> Snapshot:
    # The directory for temporary files is this run's own (conftest.py), so all of these are ours.
    return {("directory", path): f"directory {path}" for path in Path(tempfile.gettempdir()).glob("skate-*")}
