"""Whether a call's arguments fit a function: cheap when they plainly do, exact when in doubt."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from typing import Any

_UNBOUNDED = 1 << 30


def module_of(thing: Any) -> str:
    """The module of a function or class; of one that the program itself defines, the name of the program's file.

    Example:
        >>> module_of(inspect.signature)
        'inspect'
    """
    module = getattr(thing, "__module__", None) or "__main__"
    if module != "__main__":
        return str(module)
    for part in (thing, *getattr(thing, "__dict__", {}).values()):
        code = getattr(part, "__code__", None)
        if code is not None:
            return inspect.getmodulename(code.co_filename) or "__main__"
    return "__main__"


class CallShape:
    """How many positional arguments a callable takes, and its signature for the calls that need a closer look."""

    __slots__ = ("_signature", "function", "most", "needed", "skip_self")

    def __init__(self, function: Callable[..., Any], skip_self: bool = False) -> None:
        self.function = function
        self.skip_self = skip_self
        self._signature: inspect.Signature | None = None
        code = getattr(function, "__code__", None)
        if code is None or hasattr(function, "__wrapped__"):
            self.needed, self.most = _UNBOUNDED, -1
            return
        most = code.co_argcount - skip_self
        self.needed = most - len(getattr(function, "__defaults__", None) or ())
        has_needed_keywords = code.co_kwonlyargcount > len(getattr(function, "__kwdefaults__", None) or ())
        self.most = (
            -1 if has_needed_keywords else (_UNBOUNDED if code.co_flags & inspect.CO_VARARGS else most)
        )

    def signature(self) -> inspect.Signature | None:
        """The signature as a caller sees it, or None for a callable that has none to show."""
        if self._signature is None:
            try:
                signature = inspect.signature(self.function)
            except (TypeError, ValueError):
                return None
            parameters = list(signature.parameters.values())
            if self.skip_self:
                parameters = parameters[1:]
            self._signature = signature.replace(parameters=parameters)
        return self._signature

    def check(self, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> None:
        """Raise what a direct call would raise for arguments that don't fit.

        Raises:
            TypeError: too few, too many, or unknown arguments; it names the function and what it takes.
        """
        if not kwargs and self.needed <= len(args) <= self.most:
            return
        signature = self.signature()
        if signature is not None:
            try:
                signature.bind(*args, **kwargs)
            except TypeError as error:
                name = getattr(self.function, "__qualname__", repr(self.function))
                raise TypeError(f"{error}: the call must fit {name}{signature}") from None
