"""Functions and classes, pickled once a session."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from skate.core import serialize
from skate.core.arguments import pack_code
from skate.core.function import FunctionSpec
from skate.engine.local.client.objects import Guard

if TYPE_CHECKING:
    from skate.core.actor import ClassSpec
    from skate.engine.local.client.engine import LocalEngine


class Exported(NamedTuple):
    """A function or class, pickled: `payload` is a pickle, or the key of one in the store."""

    engine: int
    number: int
    name: str
    module: str
    payload: Any
    held: Any


class Exports:
    """The functions and classes that this process has sent, or will send."""

    def __init__(self, engine: LocalEngine) -> None:
        self.engine = engine

    def export(self, spec: FunctionSpec | ClassSpec) -> Exported:
        """The pickled function or class; made once a session."""
        found: Exported | None = spec.exported
        if found is not None and found.engine == self.engine.number:
            return found
        raise RuntimeError(f"{spec.name} was not prepared before it was sent.")

    def prepare(self, spec: FunctionSpec | ClassSpec) -> None:
        """Pickle a function or class, before the mutex is taken.

        Raises:
            TypeError: it can't be pickled.
        """
        thing = spec.function if isinstance(spec, FunctionSpec) else spec.cls
        what = "function" if isinstance(spec, FunctionSpec) else "actor class"
        packed = pack_code(thing, what, f"{spec.module}.{spec.name}")
        number = next(self.engine.keys)
        if packed.size() > serialize.INLINE_LIMIT:
            self.engine.objects.store(number, packed)
            payload: Any = number
            held: Any = (Guard(self.engine.objects.drop, number), packed.nested)
        else:
            self.engine.objects.escape(packed.nested)
            payload = packed.inline()
            held = packed.nested
        spec.exported = Exported(self.engine.number, number, spec.name, spec.module, payload, held)
