"""Turning values into bytes and back: pickle 5 with out-of-band buffers, and refs noticed on the way.

cloudpickle takes functions and classes that other processes can't import. It is imported on first use, as it costs more than
the rest of the package together.
"""

from __future__ import annotations

import copyreg
import io
import pickle
import threading
import types
from collections.abc import Callable, Sequence
from typing import Any, ClassVar, NamedTuple, TypeVar

from skate.core import runtime

INLINE_LIMIT = 100 * 1024
"""Values whose pickle is longer than this many bytes go to shared memory."""

PLAIN = frozenset({int, float, str, bytes, bool, type(None)})
"""Types that cross processes as they are: immutable, and written by marshal without change."""


class Packed(NamedTuple):
    """A pickled value: the pickle, its out-of-band buffers, and the refs and handles found inside."""

    data: bytes
    buffers: list[memoryview]
    nested: list[Any]

    def size(self) -> int:
        """Bytes in all."""
        return len(self.data) + sum(b.nbytes for b in self.buffers)

    def inline(self) -> bytes | tuple[bytes, ...]:
        """The form that travels inside a message."""
        if not self.buffers:
            return self.data
        return (self.data, *(bytes(b) for b in self.buffers))


class _Context(threading.local):
    """Where the pickler of this thread collects the refs that it meets."""

    nested: list[Any] | None = None


_context = _Context()
_custom: dict[type, tuple[Callable[[Any], Any], Callable[[Any], Any]]] = {}
_pickler: type | None = None
_by_name: set[int] = set()
_Function = TypeVar("_Function", bound=Callable[..., Any])


def by_name(function: _Function) -> _Function:
    """Have a function of ours pickled by its name at once: cloudpickle would first find out whether it can be imported."""
    _by_name.add(id(function))
    return function


def note_nested(item: Any) -> None:
    """Record that `item` (a ref or an actor's state) is inside the value being pickled.

    Outside our own pickling, as in a bare `pickle.dumps(ref)`, nobody can know how long the bytes live: the value is kept
    until shutdown.
    """
    if runtime.sessions > 1:
        from skate.core.ref import ObjectRef, check_session

        if type(item) is ObjectRef:
            check_session(runtime.current(), (item,))
    if _context.nested is not None:
        _context.nested.append(item)
        return
    runtime.current().pin_forever(item)


def register(cls: type, *, serializer: Callable[[Any], Any], deserializer: Callable[[Any], Any]) -> None:
    """Pickle instances of `cls` as `serializer(obj)`, and rebuild them by `deserializer(that)`."""
    _custom[cls] = (serializer, deserializer)


def deregister(cls: type) -> None:
    """Forget what `register` was told of `cls`."""
    _custom.pop(cls, None)


def rebuild_code(filename: str, args: tuple[Any, ...]) -> types.CodeType:
    """A code object in its own file: cloudpickle leaves the name out, and tracebacks would show no source line."""
    return types.CodeType(*args).replace(co_filename=filename)


class _Reducers(dict[type, Any]):
    """Reducers by type; those of copyreg are looked up as they are when a type is met."""

    # A ChainMap would do the same, at six times the cost for each object that is pickled.
    __missing__ = copyreg.dispatch_table.__getitem__


def _make_pickler() -> type:
    import cloudpickle

    plain_table = cloudpickle.Pickler.dispatch_table.maps[0]  # the second is copyreg's
    reduce_code = plain_table[types.CodeType]

    def reduce_with_filename(code: types.CodeType) -> Any:
        _constructor, args = reduce_code(code)
        return rebuild_code, (code.co_filename, args)

    class Pickler(cloudpickle.Pickler):  # type: ignore[misc]
        """cloudpickle's pickler, with the serializers that users register, and code that knows its file."""

        dispatch_table: ClassVar[Any] = _Reducers({**plain_table, types.CodeType: reduce_with_filename})

        def reducer_override(self, obj: Any) -> Any:
            if id(obj) in _by_name:
                return NotImplemented
            if _custom:
                found = _custom.get(type(obj))
                if found is not None:
                    serializer, deserializer = found
                    return deserializer, (serializer(obj),)
            return super().reducer_override(obj)

    return Pickler


def warm_up() -> None:
    """Import what the first `pack` would import."""
    global _pickler
    if _pickler is None:
        _pickler = _make_pickler()


def pack(value: Any) -> Packed:
    """Pickle `value`.

    Raises:
        TypeError, pickle.PicklingError, …: whatever the value's own reduction raises.
    """
    if _pickler is None:
        warm_up()
    buffers: list[memoryview] = []

    def keep_in_band(buffer: pickle.PickleBuffer) -> bool:
        try:
            raw = buffer.raw()
        except BufferError:
            return True
        buffers.append(raw)
        return False

    outer = _context.nested
    nested: list[Any] = []
    _context.nested = nested
    try:
        with io.BytesIO() as file:
            _pickler(file, protocol=5, buffer_callback=keep_in_band).dump(value)  # type: ignore[misc]
            data = file.getvalue()
    except RecursionError as error:
        raise pickle.PicklingError(
            f"can't pickle {type(value).__name__}: it nests deeper than Python's recursion limit. Flatten it, or raise "
            "the limit with sys.setrecursionlimit()."
        ) from error
    finally:
        _context.nested = outer
    return Packed(data, buffers, nested)


def unpack(payload: bytes | Sequence[Any]) -> Any:
    """The value that `Packed.inline()` or a list `[pickle, buffer, …]` holds."""
    if type(payload) is bytes:
        return pickle.loads(payload)
    data: Any = payload[0]
    return pickle.loads(data, buffers=payload[1:])
