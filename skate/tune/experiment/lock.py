"""One driver at a time writes an experiment's directory."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import json
import logging
import os
import socket
import time
from typing import TYPE_CHECKING, Any

from skate.tune.error import TuneError

if TYPE_CHECKING:
    from skate.tune.experiment.storage import ExperimentStorage

__all__ = [
    "DriverLock",
]

_FILE = ".driver.json"
_logger = logging.getLogger(__name__)


class DriverLock:
    """Held by the driver that writes an experiment.

    On the local disk it is a lock of the operating system, which ends with the process however that dies. Elsewhere it is a
    file that says who writes; it counts while its writer, on the same host, lives, and from another host for as long as it
    has been renewed.

    Args:
        storage: Where the experiment is kept.
    """

    def __init__(self, storage: ExperimentStorage) -> None:
        self._storage = storage
        self._path = f"{storage.path}/{_FILE}"
        self._descriptor: int | None = None
        self._held = False

    def take(self) -> None:
        """Be the one that writes.

        Raises:
            TuneError: another driver is.
        """
        if self._storage.store.is_local:
            self._lock_file()
        else:
            self._look_for_another()
            self._storage.store.write(self._path, self._who())
        self._held = True

    def renew(self) -> None:
        """Say that this driver still writes; nothing to do on the local disk."""
        if self._held and not self._storage.store.is_local:
            self._storage.store.write(self._path, self._who())

    def release(self) -> None:
        """Let another driver write; no error if this one doesn't."""
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None
        elif self._held:
            self._storage.store.delete(self._path)
        self._held = False

    def _lock_file(self) -> None:
        descriptor = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            data = os.pread(descriptor, 4096, 0)
            os.close(descriptor)
            raise self._taken(_parse(data)) from None
        except OSError as error:
            os.close(descriptor)
            if error.errno not in (errno.ENOLCK, errno.ENOTSUP):
                raise
            _logger.warning(
                "%s: this file system has no locks, so nothing keeps two drivers apart.", self._path
            )
            return
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, self._who(), 0)
        self._descriptor = descriptor

    def _look_for_another(self) -> None:
        if not self._storage.store.exists(self._path):
            return
        other = _parse(self._storage.store.read(self._path))
        if not other:
            return
        if other["host"] == socket.gethostname() and other["boot"] == _boot_id():
            alive = _start_of(other["pid"]) == other["started"]
        else:
            alive = time.time() - other["renewed"] < 2 * self._storage.sync_config.sync_period
        if alive:
            raise self._taken(other)

    def _taken(self, other: dict[str, Any]) -> TuneError:
        who = f"process {other['pid']} on {other['host']}" if other else "a process that has just begun"
        return TuneError(
            f"another driver ({who}) works on the experiment {self._storage.path!r}. Wait for its end, or end it; or give "
            "this run another name or storage_path in its RunConfig."
        )

    def _who(self) -> bytes:
        me = {
            "host": socket.gethostname(),
            "boot": _boot_id(),
            "pid": os.getpid(),
            "started": _start_of(os.getpid()),
            "renewed": time.time(),
        }
        return json.dumps(me).encode()


def _parse(data: bytes) -> dict[str, Any]:
    """What a lock's file says; empty if it has just been made."""
    return dict(json.loads(data)) if data else {}


def _boot_id() -> str:
    with contextlib.suppress(OSError), open("/proc/sys/kernel/random/boot_id") as file:
        return file.read().strip()
    return ""


def _start_of(pid: int) -> str:
    """When a process began, which tells it from a later one of the same id; empty if there is none."""
    try:
        with open(f"/proc/{pid}/stat") as file:
            return file.read().rpartition(")")[2].split()[19]
    except OSError:
        return ""
