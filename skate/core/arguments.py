"""Arguments on their way to where they are used: pickled, with the values of refs among them sent beside; and what can't be pickled."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from skate.core import runtime, serialize
from skate.core.ref import ObjectRef, check_session

_HINT = "Use skate.util.inspect_serializability() to see which part can't be pickled."


class ArgSlot:
    """Stands in pickled arguments for a top-level ref, whose value is sent beside them."""

    __slots__ = ("index",)

    def __init__(self, index: int) -> None:
        self.index = index

    def __reduce__(self) -> tuple[Any, ...]:
        return ArgSlot, (self.index,)


def pack_args(
    args: tuple[Any, ...], kwargs: Mapping[str, Any], what: str
) -> tuple[serialize.Packed, list[ObjectRef[Any]]]:
    """Pickled arguments, and the refs at top level, whose places hold `ArgSlot`s.

    Raises:
        TypeError: an argument can't be pickled; the message names it.
        ValueError: a ref among them is of a session that has ended.
    """
    slots: list[ObjectRef[Any]] = []

    def swap(value: Any) -> Any:
        if type(value) is ObjectRef:
            slots.append(value)
            return ArgSlot(len(slots) - 1)
        return value

    swapped = (tuple([swap(a) for a in args]), {k: swap(v) for k, v in kwargs.items()})
    if runtime.sessions > 1:
        check_session(runtime.current(), slots)
    try:
        return serialize.pack(swapped), slots
    except Exception as error:
        raise _unpicklable(args, kwargs, what, error) from error


def put_back(
    args: tuple[Any, ...], kwargs: dict[str, Any], values: Sequence[Any]
) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """Unpickled arguments with the values of the refs where `ArgSlot`s stand for them."""
    args = tuple([values[a.index] if type(a) is ArgSlot else a for a in args])
    return args, {k: values[v.index] if type(v) is ArgSlot else v for k, v in kwargs.items()}


def pack_code(thing: Any, what: str, name: str) -> serialize.Packed:
    """A pickled function or class.

    Raises:
        TypeError: it can't be pickled.
    """
    try:
        return serialize.pack(thing)
    except Exception as error:
        raise TypeError(
            f"Could not serialize the {what} {name}: {_sentence(error)} It refers to something that can't be pickled: use "
            "skate.util.inspect_serializability() to see what, and create that inside the function instead."
        ) from error


def unpicklable_value(value: object, error: Exception) -> TypeError:
    """What `put` raises for a value that can't be pickled."""
    return TypeError(f"Could not serialize the put value {_shown(value)}: {_sentence(error)} {_HINT}")


def pack_result(value: Any, name: str) -> serialize.Packed:
    """A pickled result.

    Raises:
        Exception: what pickling it raises, with a note that says whose result it is and what to do.
    """
    try:
        return serialize.pack(value)
    except Exception as error:
        error.add_note(f"Could not serialize the return value {_shown(value)} of {name}(). {_HINT}")
        raise


def several(value: Any, count: int) -> list[Any]:
    """The results of a call with `num_returns=count`.

    Raises:
        TypeError: what was returned is no sequence.
        ValueError: it has another length.
    """
    values = list(value) if hasattr(value, "__iter__") or hasattr(value, "__getitem__") else None
    if values is None:
        raise TypeError(
            f"Task returned an object of type {type(value).__name__}, but num_returns={count}: return a sequence of that many values."
        )
    if len(values) != count:
        raise ValueError(
            f"Task returned {len(values)} objects, but num_returns={count}: return a sequence of that many values."
        )
    return values


def _unpicklable(args: tuple[Any, ...], kwargs: Mapping[str, Any], what: str, error: Exception) -> TypeError:
    named = [(f"argument {i + 1}", a) for i, a in enumerate(args)]
    named += [(f"argument {k!r}", v) for k, v in kwargs.items()]
    for name, value in named:
        try:
            serialize.pack(value)
        except Exception as cause:  # noqa: BLE001 -- whatever it raises, it is the culprit
            return TypeError(
                f"Could not serialize the argument {_shown(value)} for a task or actor {what} ({name}, a "
                f"{type(value).__name__}): {_sentence(cause)} {_HINT}"
            )
    return TypeError(
        f"Could not serialize the arguments for a task or actor {what}: {_sentence(error)} {_HINT}"
    )


def _shown(value: object) -> str:
    text = repr(value)
    return text if len(text) < 200 else text[:200] + "…"


def _sentence(error: Exception) -> str:
    text = str(error) or type(error).__name__
    return text if text.endswith((".", "!", "?")) else f"{text}."
