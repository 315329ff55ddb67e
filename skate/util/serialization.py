"""Pickling a class in a way of one's own."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import skate

if TYPE_CHECKING:
    from collections.abc import Callable


def register_serializer(
    cls: type, *, serializer: Callable[[Any], Any], deserializer: Callable[[Any], Any]
) -> None:
    """Send instances of `cls` (not of its subclasses) in another form, from this process on.

    Workers need no registration to receive them: the deserializer travels with the data.

    Args:
        cls: The class.
        serializer: Turns an instance into something that can be pickled.
        deserializer: Turns that back into what receivers see.

    Raises:
        TypeError: `cls` is not a class, or a function cannot be called.

    Example:
        >>> import threading
        >>> import skate
        >>> from skate.util import deregister_serializer, register_serializer
        >>> class Counter:
        ...     def __init__(self, value):
        ...         self.value, self.lock = value, threading.Lock()
        >>> register_serializer(Counter, serializer=lambda counter: counter.value, deserializer=Counter)
        >>> skate.get(skate.put(Counter(5))).value
        5
        >>> deregister_serializer(Counter)
    """
    if not isinstance(cls, type):
        raise TypeError(f"cls={cls!r} is not a class: give the class whose instances are to be sent.")
    for name, function in (("serializer", serializer), ("deserializer", deserializer)):
        if not callable(function):
            raise TypeError(f"{name}={function!r} cannot be called: give a function of one argument.")
    skate._register_serializer(  # noqa: SLF001 -- offered to the libraries
        cls, serializer=serializer, deserializer=deserializer
    )


def deregister_serializer(cls: type) -> None:
    """Undo `register_serializer`; nothing happens when `cls` has none."""
    skate._deregister_serializer(cls)  # noqa: SLF001 -- offered to the libraries


__all__ = ["deregister_serializer", "register_serializer"]
