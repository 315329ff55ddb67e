"""Tasks that failed, kept on disk to be run again: `init(record="errors")` and `skate replay`.

A record is a file of its user's alone, in a folder that outlives the session. It is a pickle: reading one runs the code that it
names, so read only your own.
"""

from __future__ import annotations

import io
import os
import pickle
import sys
import time
import traceback
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from skate.core import serialize
from skate.core.ref import ObjectRef

FILES = 100
"""Records that are kept; the oldest are removed."""
BYTES = 1 << 30
"""Bytes that all records may take together."""
_SUFFIX = ".task"


class Record(NamedTuple):
    """What is known of a failed task without reading its function and arguments."""

    path: str
    task_id: str
    name: str
    when: float
    error: str


def folder() -> str:
    """Where records are: $SKATE_RECORD_DIR, or skate/failed under $XDG_STATE_HOME (default: ~/.local/state)."""
    given = os.environ.get("SKATE_RECORD_DIR")
    if given:
        return os.path.abspath(given)
    base = os.environ.get("XDG_STATE_HOME") or os.path.join(os.path.expanduser("~"), ".local", "state")
    return os.path.join(base, "skate", "failed")


def save(
    where: str,
    task_id: str,
    name: str,
    function: Callable[..., Any],
    args: tuple[Any, ...],
    kwargs: Mapping[str, Any],
    error: BaseException,
    value_of: Callable[[ObjectRef[Any]], Any],
) -> str:
    """Write a record, and remove the oldest if there are too many.

    Args:
        where: The folder.
        task_id: In hex.
        name: Of the task.
        function: What failed.
        args: Its arguments, as it was given them.
        kwargs: Its named arguments.
        error: What it raised.
        value_of: The value of a ref inside the arguments; may raise, and then replaying asks in vain for that ref.

    Returns:
        The record's path.

    Raises:
        Exception: the function or an argument can't be pickled, or the disk does not take it.
    """
    packed = serialize.pack((function, args, dict(kwargs)))
    if packed.size() > BYTES:
        raise ValueError(f"its arguments are {packed.size():,} bytes, and all records may take {BYTES:,}.")
    values: dict[int, Any] = {}
    for ref in packed.nested:
        if isinstance(ref, ObjectRef):
            key = int.from_bytes(ref.binary()[4:], "big")
            try:
                values[key] = serialize.pack(value_of(ref)).inline()
            except Exception as problem:  # noqa: BLE001 -- replay says so, if it comes to that
                values[key] = serialize.pack(_Missing(f"{type(problem).__name__}: {problem}")).inline()
    last = traceback.format_exception_only(type(error), error)[-1].strip()
    about = {
        "task_id": task_id,
        "name": name,
        "when": time.time(),
        "error": last[:500],
        "sys_path": list(sys.path),
        "cwd": os.getcwd(),
        "python": sys.version_info[:2],
    }
    os.makedirs(where, mode=0o700, exist_ok=True)
    path = os.path.join(where, task_id + _SUFFIX)
    draft = f"{path}.{os.getpid()}"
    fd = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(fd, "wb") as file:
        pickle.dump(about, file, protocol=5)
        pickle.dump((packed.inline(), values), file, protocol=5)
    os.replace(draft, path)
    _prune(where)
    return path


def entries(where: str) -> list[Record]:
    """The records in a folder, the newest first."""
    found = []
    names = os.listdir(where) if os.path.isdir(where) else []
    for name in names:
        if name.endswith(_SUFFIX):
            path = os.path.join(where, name)
            try:
                with open(path, "rb") as file:
                    about = pickle.load(file)
            except FileNotFoundError:
                continue  # removed meanwhile, to make room
            found.append(Record(path, about["task_id"], about["name"], about["when"], about["error"]))
    return sorted(found, key=lambda record: -record.when)


def load(
    path: str, restore: Callable[[Any], ObjectRef[Any]]
) -> tuple[Callable[..., Any], tuple[Any, ...], dict[str, Any]]:
    """The function and the arguments of a record. The paths that its process imported from are added to `sys.path`.

    Args:
        path: Of the record.
        restore: Makes a ref to a value that a ref inside the arguments stood for.

    Raises:
        Exception: what it refers to can't be imported here.
    """
    with open(path, "rb") as file:
        about = pickle.load(file)
        payload, values = pickle.load(file)
    sys.path += [entry for entry in about["sys_path"] if entry not in sys.path]
    refs: dict[int, ObjectRef[Any]] = {}

    def ref_of(key: int) -> ObjectRef[Any]:
        if key not in refs:
            # What it refers to may contain refs itself.
            value = _read(values[key], ref_of)
            if isinstance(value, _Missing):
                raise LookupError(f"the arguments contain a ref whose value was not there: {value.why}")
            refs[key] = restore(value)
        return refs[key]

    function, args, kwargs = _read(payload, ref_of)
    return function, args, kwargs


class _Missing(NamedTuple):
    why: str


class _Reader(pickle.Unpickler):
    """Gives refs by another function than that of the process."""

    def __init__(self, payload: Any, ref_of: Callable[[int], ObjectRef[Any]]) -> None:
        parts = (payload,) if isinstance(payload, bytes) else payload
        super().__init__(io.BytesIO(parts[0]), buffers=parts[1:])
        self._ref_of = ref_of

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) == ("skate.core.ref", "restore_ref"):
            return self._ref_of
        return super().find_class(module, name)


def _read(payload: Any, ref_of: Callable[[int], ObjectRef[Any]]) -> Any:
    return _Reader(payload, ref_of).load()


def _prune(where: str) -> None:
    files = []
    for name in os.listdir(where):
        if name.endswith(_SUFFIX):
            try:
                about = os.stat(os.path.join(where, name))
            except FileNotFoundError:
                continue  # another process makes room too
            files.append((about.st_mtime, about.st_size, os.path.join(where, name)))
    total = 0
    for number, (_when, size, path) in enumerate(sorted(files, reverse=True)):
        total += size
        if number >= FILES or (total > BYTES and number):
            try:
                os.unlink(path)
            except FileNotFoundError:
                pass  # as above
