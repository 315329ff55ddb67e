"""Finding what inside an object cannot be pickled."""

from __future__ import annotations

import functools
import sys
import types
from collections.abc import Mapping
from itertools import islice
from reprlib import Repr
from typing import TYPE_CHECKING, Any

import skate

if TYPE_CHECKING:
    from collections.abc import Iterator

_MAX_LINES = 30  # of the printed tree: it must stay readable in one screen
_MAX_ELEMENTS = 1000  # of one container that are looked at

_repr = Repr()
_repr.maxother = _repr.maxstring = 60


class FailureTuple:
    """One thing that cannot be pickled.

    Attributes:
        obj: The thing itself.
        path: How it is reached from the inspected object: names of variables, attributes and elements.
        parent: What holds it; None when it is the inspected object itself.
    """

    def __init__(self, obj: Any, path: tuple[str, ...], parent: Any) -> None:
        self.obj = obj
        self.path = path
        self.parent = parent

    @property
    def name(self) -> str:
        """The last part of the path."""
        return self.path[-1] if self.path else "unknown"

    def __repr__(self) -> str:
        return f"FailTuple({self.name} [path={' -> '.join(self.path)}, obj={self.obj}, parent={self.parent}])"


def inspect_serializability(
    base_obj: Any, name: str | None = None, depth: int = 3, print_file: Any = None
) -> tuple[bool, set[FailureTuple]]:
    """Say whether an object can be sent to another process, and if not, which part of it is to blame.

    Looks into variables that functions use, attributes, class bodies, elements of containers and arguments of
    partials, and prints the way to each culprit.

    Args:
        base_obj: The object.
        name: What to call it; its own name by default.
        depth: How many levels to look into it.
        print_file: A file to print to; standard output by default.

    Returns:
        Whether it can be sent, and the culprits.

    Example:
        >>> import io, threading
        >>> from skate.util import inspect_serializability
        >>> lock = threading.Lock()
        >>> ok, culprits = inspect_serializability(lambda: lock, print_file=io.StringIO())
        >>> ok, [culprit.path for culprit in culprits]
        (False, [('lock',)])
    """
    search = _Search()
    title = name or getattr(base_obj, "__qualname__", None) or _repr.repr(base_obj)
    error = _why_not(base_obj)
    if error is not None:
        search.look_into(base_obj, (name,) if name else (), None, depth)
    _report(title, error, search, sys.stdout if print_file is None else print_file)
    return error is None, search.culprits


def _why_not(obj: Any) -> str | None:
    """Why `obj` cannot be pickled; None if it can."""
    try:
        skate._serialize(obj)  # noqa: SLF001 -- offered to the libraries
    except Exception as error:  # noqa: BLE001 -- the reducer of the object may raise anything
        return (str(error) or type(error).__name__).splitlines()[0]
    return None


class _Search:
    """Walks down what cannot be pickled; an object met twice is looked into once."""

    def __init__(self) -> None:
        self.culprits: set[FailureTuple] = set()
        self.lines: list[str] = []
        self._seen: dict[int, Any] = {}  # holds the objects too, so that no id is used again

    def look_into(self, obj: Any, path: tuple[str, ...], parent: Any, depth: int) -> None:
        """Find the culprits in `obj`, which cannot be pickled: itself, if all its parts can."""
        self._seen[id(obj)] = obj
        guilty = False
        for kind, name, part in _parts(obj) if depth > 0 else ():
            error = _why_not(part)
            if error is None:
                continue
            guilty = True
            if id(part) in self._seen:
                continue
            self.lines.append(f"{'  ' * len(path)}  {kind} {name} = {_repr.repr(part)}: {error}")
            self.look_into(part, (*path, name), obj, depth - 1)
        if not guilty:
            self.culprits.add(FailureTuple(obj, path, parent))


def _parts(obj: Any) -> Iterator[tuple[str, str, Any]]:
    """(kind, name, value) of what is pickled along with `obj`."""
    if isinstance(obj, types.FunctionType):
        yield from _function_parts(obj)
    elif isinstance(obj, types.MethodType):
        yield "object", "__self__", obj.__self__
        yield "function", obj.__func__.__name__, obj.__func__
    elif isinstance(obj, functools.partial):
        yield "function", "func", obj.func
        for index, value in enumerate(obj.args):
            yield "argument", f"args[{index}]", value
        for key, value in obj.keywords.items():
            yield "argument", key, value
    elif isinstance(obj, type):
        for name, value in list(vars(obj).items()):
            plain = value.__func__ if isinstance(value, (staticmethod, classmethod)) else value
            if name not in ("__dict__", "__weakref__"):
                yield "class attribute", name, plain
    elif isinstance(obj, Mapping):
        for key, value in islice(list(obj.items()), _MAX_ELEMENTS):
            yield "key", repr(key), key
            yield "element", f"[{key!r}]", value
    elif isinstance(obj, (list, tuple)):
        for index, value in enumerate(obj[:_MAX_ELEMENTS]):
            yield "element", f"[{index}]", value
    elif isinstance(obj, (set, frozenset)):
        for value in islice(list(obj), _MAX_ELEMENTS):
            yield "element", _repr.repr(value), value
    if not isinstance(obj, (type, types.FunctionType, types.ModuleType)):
        yield from _attributes(obj)


def _function_parts(function: types.FunctionType) -> Iterator[tuple[str, str, Any]]:
    for name in _global_names(function.__code__):
        if name in function.__globals__:
            yield "global variable", name, function.__globals__[name]
    for name, cell in zip(function.__code__.co_freevars, function.__closure__ or (), strict=True):
        try:
            yield "captured variable", name, cell.cell_contents
        except ValueError:
            continue  # the variable has no value yet
    for index, value in enumerate(function.__defaults__ or ()):
        first = function.__code__.co_argcount - len(function.__defaults__ or ())
        yield "default of argument", function.__code__.co_varnames[first + index], value
    for name, value in (function.__kwdefaults__ or {}).items():
        yield "default of argument", name, value
    for name, value in function.__dict__.items():
        yield "attribute", name, value


def _global_names(code: types.CodeType) -> list[str]:
    """Names that the code, or functions defined in it, may look up as globals."""
    names = list(code.co_names)
    for constant in code.co_consts:
        if isinstance(constant, types.CodeType):
            names.extend(_global_names(constant))
    return list(dict.fromkeys(names))


def _attributes(obj: Any) -> Iterator[tuple[str, str, Any]]:
    state = getattr(obj, "__dict__", None)
    if isinstance(state, dict):
        for name, value in list(state.items()):
            yield "attribute", str(name), value
    for base in type(obj).__mro__:
        for name, member in list(vars(base).items()):
            if (
                isinstance(member, types.MemberDescriptorType)
                and not name.startswith("__")
                and hasattr(obj, name)
            ):
                yield "attribute", name, getattr(obj, name)


def _report(title: str, error: str | None, search: _Search, file: Any) -> None:
    if error is None:
        file.write(f"{title} can be sent to other processes.\n")
        return
    lines = [f"{title} cannot be sent to other processes: {error}", *search.lines[:_MAX_LINES]]
    if len(search.lines) > _MAX_LINES:
        lines.append(f"  ... and {len(search.lines) - _MAX_LINES} more")
    for culprit in islice(search.culprits, 5):
        where = " -> ".join(culprit.path) or title
        held = "" if culprit.parent is None else f", held by {_repr.repr(culprit.parent)}"
        lines.append(f"To blame: {where} ({_repr.repr(culprit.obj)}){held}")
    lines.append("Make it where it is used instead, leave it out of the state (__getstate__),")
    lines.append("or give its class a form that can be sent (util.register_serializer).")
    file.write("\n".join(lines) + "\n")


__all__ = ["FailureTuple", "inspect_serializability"]
