"""Strings and bytes of subclasses, such as members of an enumeration or NumPy's, as the plain values that messages are made of."""

from __future__ import annotations

from typing import Any


def plain(value: Any) -> Any:
    """A value whose strings and bytes are plain, in dictionaries and lists too; anything else stays what it is.

    Example:
        >>> from enum import Enum
        >>> class Stage(str, Enum):
        ...     FIRST = "first"
        >>> plain({Stage.FIRST: 1}), plain("second")
        ({'first': 1}, 'second')
    """
    if isinstance(value, str):
        return value if type(value) is str else str.__str__(value)
    if isinstance(value, bytes):
        return value if type(value) is bytes else bytes(memoryview(value))
    if type(value) is dict:
        return {plain(key): plain(each) for key, each in value.items()}
    if type(value) is list:
        return [plain(each) for each in value]
    return value
