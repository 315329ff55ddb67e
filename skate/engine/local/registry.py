"""The sessions of this user on this machine: where a command in another terminal finds one.

Each session has a file in a directory that only its user can enter (mode 0700; `$XDG_RUNTIME_DIR/skate`, or `skate-<uid>` in the
directory for temporary files). The file, of mode 0600, holds the session's token: who can read it can join the session. Files of
sessions whose process is gone are removed by whoever looks next.
"""

from __future__ import annotations

import os
import select
import stat
import time
from typing import Any, NamedTuple


class Entry(NamedTuple):
    """One session."""

    name: str
    pid: int
    born: str
    """When the process of that pid was started, as the kernel tells it: a pid may be used again."""
    started: float
    session_dir: str
    node_path: str
    namespace: str
    token: bytes
    command: str
    standing: bool
    """Whether it was started by `skate start`, and goes on without a driver."""


def _path() -> str:
    base = os.environ.get("XDG_RUNTIME_DIR", "")
    if base and os.access(base, os.W_OK | os.X_OK):
        return os.path.join(base, "skate")
    return os.path.join(os.environ.get("TMPDIR", "/tmp"), f"skate-{os.getuid()}")


def directory() -> str:
    """The registry's directory; made if need be.

    Raises:
        PermissionError: it is there, and somebody else's.
    """
    path = _path()
    while True:
        try:
            os.mkdir(path, 0o700)
            return path
        except FileExistsError:
            try:
                _check_ours(path)
                return path
            except FileNotFoundError:
                continue  # the last session has ended just now, and taken the directory with it


def _check_ours(path: str) -> None:
    about = os.lstat(path)
    if not stat.S_ISDIR(about.st_mode) or about.st_uid != os.getuid() or about.st_mode & 0o077:
        raise PermissionError(
            f"{path} should be a directory that only you can enter, and is not: remove it, or set XDG_RUNTIME_DIR."
        )


def register(settings: dict[str, Any], pid: int) -> None:
    """Enter a session, which lasts no longer than the process `pid`.

    Raises:
        OSError: the directory can't be written.
    """
    name = os.path.basename(settings["session_dir"])
    command = " ".join(settings["argv"]).replace("\n", " ")
    lines = [
        f"pid={pid}",
        f"born={_born(pid)}",
        f"started={time.time()}",
        f"session_dir={settings['session_dir']}",
        f"node_path={settings['node_path']}",
        f"namespace={settings['namespace']}",
        f"token={settings['token'].hex()}",
        f"standing={int(settings['standing'])}",
        f"command={command}",
    ]
    while True:
        path = os.path.join(directory(), name)
        draft = os.path.join(os.path.dirname(path), f".{name}")
        try:
            fd = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            break
        except FileNotFoundError:
            continue  # the last of other sessions has ended just now, and taken the directory with it
    try:
        os.write(fd, "\n".join(lines).encode(errors="surrogateescape"))
    finally:
        os.close(fd)
    os.rename(draft, path)


def unregister(session_dir: str) -> None:
    """Take a session out, if it is in; with the last, the directory goes too."""
    _remove(os.path.join(_path(), os.path.basename(session_dir)))


def _remove(path: str) -> None:
    try:
        os.unlink(path)
    except FileNotFoundError:
        pass  # the session's zygote, or somebody who found its process gone, was faster
    try:
        os.rmdir(os.path.dirname(path))
    except OSError:
        pass  # other sessions are in it


def sessions() -> list[Entry]:
    """The sessions that run, the youngest first. Files of those that do not are removed."""
    where = _path()
    try:
        _check_ours(where)
        names = os.listdir(where)
    except FileNotFoundError:
        return []  # no session, or the last has ended just now and taken the directory with it
    found = []
    for name in names:
        if name.startswith("."):
            continue  # being written
        path = os.path.join(where, name)
        try:
            entry = _read(path, name)
        except FileNotFoundError:
            continue
        except (ValueError, KeyError):
            continue  # half written by a process that has died, or not ours
        if runs(entry):
            found.append(entry)
        else:
            _remove(path)
    return sorted(found, key=lambda entry: -entry.started)


def runs(entry: Entry) -> bool:
    """Whether the process that a session lasts as long as is there."""
    return _born(entry.pid) == entry.born


def standing() -> Entry | None:
    """The youngest session that `skate start` has started, if there is one."""
    return next((entry for entry in sessions() if entry.standing), None)


def find(address: str | None = None) -> Entry:
    """The session that `address` names: its name, folder or socket; None, "auto" or "local" is the youngest.

    Raises:
        ConnectionError: there is none; the message lists those there are.
    """
    running = sessions()
    if address in (None, "", "auto", "local"):
        for entry in running:
            if os.path.exists(
                entry.node_path
            ):  # one that has just started, or is about to end, can't be asked
                return entry
        raise ConnectionError(
            "No running session was found on this machine for this user. A session runs while the program that called "
            "skate.init() does."
        )
    for entry in running:
        if address in (entry.name, entry.session_dir, entry.node_path):
            return entry
    names = ", ".join(entry.name for entry in running) or "none"
    raise ConnectionError(f"No running session is called {address!r}. Running now: {names}.")


class Observer:
    """A connection that asks a session about itself, and is no part of it.

    Raises:
        ConnectionError: the session does not answer.
    """

    def __init__(self, entry: Entry, patience: float = 10.0) -> None:
        from skate.engine.local import protocol, wire  # a driver that only looks for sessions needs neither

        self.entry = entry
        self._patience = patience
        self._reply = protocol.REPLY
        self._number = 0
        try:
            self._conn = wire.Conn(wire.connect(entry.node_path, entry.token, protocol.OBSERVER))
        except OSError as error:
            raise ConnectionError(
                f"session {entry.name} (pid {entry.pid}) does not answer: {error}."
            ) from error

    def ask(self, op: int, *rest: Any) -> Any:
        """Ask the node and wait for its answer.

        Raises:
            ConnectionError: it gives none.
        """
        self._number += 1
        self._conn.send((op, self._number, *rest))
        self._conn.flush()
        deadline = time.monotonic() + self._patience
        poll = select.poll()
        while (left := deadline - time.monotonic()) > 0:
            poll.register(self._conn.fd, select.POLLIN | (select.POLLOUT if self._conn.wants_write else 0))
            poll.poll(left * 1000)
            self._conn.flush()
            messages = self._conn.receive()
            if messages is None:
                raise ConnectionError(f"session {self.entry.name} has ended.")
            for message in messages:
                if message[0] == self._reply and message[1] == self._number:
                    return message[2]
        raise ConnectionError(f"session {self.entry.name} gave no answer within {self._patience:g} s.")

    def tell(self, *message: Any) -> None:
        """Tell the node something that it does not answer."""
        self._conn.send(message)
        self._conn.flush()

    def close(self) -> None:
        """Let go of the session."""
        self._conn.close()


def _read(path: str, name: str) -> Entry:
    with open(path, errors="surrogateescape") as file:
        facts = dict(line.split("=", 1) for line in file.read().split("\n"))
    return Entry(
        name,
        int(facts["pid"]),
        facts["born"],
        float(facts["started"]),
        facts["session_dir"],
        facts["node_path"],
        facts["namespace"],
        bytes.fromhex(facts["token"]),
        facts["command"],
        facts["standing"] == "1",
    )


def _born(pid: int) -> str:
    """The kernel's start time of a process; "" if there is no such process."""
    try:
        with open(f"/proc/{pid}/stat", "rb") as file:
            fields = file.read().rpartition(b")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return _born_elsewhere(pid)
    return "" if fields[0] == b"Z" else fields[19].decode()


def _born_elsewhere(pid: int) -> str:
    if os.path.isdir("/proc/self"):
        return ""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return ""
    return "unknown"
