"""Find objects of some type inside arguments, however deep, and put others in their place."""

from __future__ import annotations

import io
import pickle
from collections.abc import Callable
from typing import Any

import cloudpickle

import skate

_LEAVES = (type(None), bool, int, float, complex, str, bytes, bytearray, range, type)


def find(value: Any, wanted: type | tuple[type, ...]) -> list[Any]:
    """The `wanted` objects inside `value`, each once, in the order in which they are met."""
    found: dict[int, Any] = {}

    def note(item: Any) -> Any:
        found.setdefault(id(item), item)
        return item

    replace(value, wanted, note)
    return list(found.values())


def replace(value: Any, wanted: type | tuple[type, ...], change: Callable[[Any], Any]) -> Any:
    """`value` with `change(item)` for every `wanted` item in it; the same object if there is none.

    Lists, tuples, dictionaries and sets are looked through as they are, other objects by way of their pickle.
    """
    if isinstance(value, wanted):
        return change(value)
    kind = type(value)
    if kind in _LEAVES:
        return value
    if kind is dict:
        pairs = [(replace(k, wanted, change), replace(v, wanted, change)) for k, v in value.items()]
        same = all(k is a and v is b for (k, v), (a, b) in zip(value.items(), pairs, strict=True))
        return value if same else dict(pairs)
    if kind in (list, tuple, set, frozenset):
        items = [replace(item, wanted, change) for item in value]
        same = all(old is new for old, new in zip(value, items, strict=True))
        return value if same else kind(items)
    return _replace_in_object(value, wanted, change)


class _Pickler(cloudpickle.Pickler):  # type: ignore[misc]
    def __init__(self, file: io.BytesIO, wanted: type | tuple[type, ...]) -> None:
        super().__init__(file, protocol=5)
        self.wanted = wanted
        self.set_aside: list[Any] = []
        self.hits = 0

    def persistent_id(self, item: Any) -> int | None:
        if isinstance(item, self.wanted):
            self.hits += 1
        # Refs and handles stay as they are: a pickle of one outside a call would keep its value for good.
        elif not isinstance(item, skate.ObjectRef | skate.ObjectRefGenerator | skate.actor.ActorHandle):
            return None
        self.set_aside.append(item)
        return len(self.set_aside) - 1


class _Unpickler(pickle.Unpickler):
    def __init__(self, file: io.BytesIO, items: list[Any]) -> None:
        super().__init__(file)
        self._items = items

    def persistent_load(self, index: Any) -> Any:
        return self._items[index]


def _replace_in_object(value: Any, wanted: type | tuple[type, ...], change: Callable[[Any], Any]) -> Any:
    if isinstance(value, skate.ObjectRef | skate.ObjectRefGenerator | skate.actor.ActorHandle):
        return value
    file = io.BytesIO()
    pickler = _Pickler(file, wanted)
    try:
        pickler.dump(value)
    except Exception:  # noqa: BLE001 -- what can't be pickled is reported by the call that it is an argument of
        return value
    if not pickler.hits:
        return value
    file.seek(0)
    items = [change(item) if isinstance(item, wanted) else item for item in pickler.set_aside]
    return _Unpickler(file, items).load()
