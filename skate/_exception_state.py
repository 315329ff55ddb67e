"""How an exception is taken apart, rebuilt and combined without running its constructor.

An exception's constructor is the user's: it may need arguments that `args` does not hold, refuse attributes,
or have effects. So pickling and the dual instances of `RayTaskError` work on the state alone.
"""

from __future__ import annotations

from types import GetSetDescriptorType, MemberDescriptorType
from typing import Any, TypeVar

E = TypeVar("E", bound=BaseException)

_HEAP_TYPE = 1 << 9  # Py_TPFLAGS_HEAPTYPE: set on classes made by a `class` statement
_OWN_PICKLING = frozenset(
    ("__reduce__", "__reduce_ex__", "__getstate__", "__setstate__", "__getnewargs__", "__getnewargs_ex__")
)
_C_DESCRIPTORS = (MemberDescriptorType, GetSetDescriptorType)  # fields kept outside an instance's __dict__
_ROOTS = (BaseException, Exception, object)


def builtin_base(cls: type) -> type:
    """The built-in class that lays out the memory of `cls`: the one whose `__new__` may create it."""
    while cls.__flags__ & _HEAP_TYPE:
        base = cls.__base__
        if base is None:
            break
        cls = base
    return cls


def bare(cls: type[E], args: tuple[Any, ...]) -> E:
    """An instance of `cls` with these `args`, whose constructors written in Python have not run."""
    error: E = builtin_base(cls).__new__(cls, *args)
    return error


def builtin_args(error: BaseException) -> tuple[Any, ...]:
    """The arguments with which `bare` creates an exception like this one."""
    if isinstance(error, BaseExceptionGroup):
        # A subclass may take other arguments, so `args` is not to be trusted here.
        members: Any = BaseExceptionGroup
        return members.message.__get__(error), members.exceptions.__get__(error)
    base: Any = builtin_base(type(error))
    return tuple(base.__reduce__(error)[1])  # unlike `args`, it has the file names of an OSError


def slot_names(cls: type) -> list[str]:
    """The names that `__slots__` of `cls` and its bases define."""
    return [
        name
        for base in cls.__mro__
        if base.__flags__ & _HEAP_TYPE
        for name, member in vars(base).items()
        if isinstance(member, _C_DESCRIPTORS) and not name.startswith("__")
    ]


def reduce_exception(error: BaseException) -> tuple[Any, ...]:
    """What `__reduce__` should return for `error`: its class, built-in arguments and attributes."""
    cls = type(error)
    args = builtin_args(error)
    if isinstance(error, BaseExceptionGroup):
        args = (args[0], [Portable(inner) for inner in args[1]])
    state = dict(error.__dict__)
    state.update((name, getattr(error, name)) for name in slot_names(cls) if hasattr(error, name))
    if isinstance(error, (ImportError, NameError, AttributeError)):
        state["name"] = error.name
    if isinstance(error, ImportError):
        state["path"] = error.path
    if cls.__setattr__ is not BaseException.__setattr__:
        return rebuild, (cls, args, state)  # it may refuse attributes, as a frozen dataclass does
    return (rebuild, (cls, args, None), state) if state else (rebuild, (cls, args, None))


def rebuild(cls: type[E], args: tuple[Any, ...], state: dict[str, Any] | None) -> E:
    """Undo `reduce_exception`."""
    base: Any = builtin_base(cls)
    if base is BaseExceptionGroup:
        args = (args[0], [inner.error if isinstance(inner, Portable) else inner for inner in args[1]])
    error = bare(cls, args)
    try:
        base.__init__(error, *args)  # sets what is kept outside `__dict__`: errno, code, value, ...
    except TypeError:
        error.args = args  # the original's constructor skipped it too, so there is nothing to set
    for name, value in (state or {}).items():
        BaseException.__setattr__(error, name, value)
    return error


class Portable:
    """Pickles an exception by its state, and unpickles as that exception itself.

    A class with pickling of its own keeps it.
    """

    def __init__(self, error: BaseException) -> None:
        self.error = error

    def __reduce__(self) -> tuple[Any, ...]:
        if _has_own_pickling(type(self.error)):
            reduced: Any = self.error.__reduce_ex__(4)
            if isinstance(reduced, tuple):
                return reduced
        return reduce_exception(self.error)


def _has_own_pickling(cls: type) -> bool:
    import copyreg

    registered = copyreg.dispatch_table.get(cls)
    # tblib, which distributed loads, registers one function for every class of exceptions: that is no class's own.
    if registered is not None and registered is not copyreg.dispatch_table.get(Exception):
        return True
    return any(
        base.__flags__ & _HEAP_TYPE and not _OWN_PICKLING.isdisjoint(vars(base)) for base in cls.__mro__
    )


class Forward:
    """A data descriptor that reads and writes an attribute of the instance's `cause`."""

    __slots__ = ("name",)

    def __init__(self, name: str) -> None:
        self.name = name

    def __get__(self, instance: Any, owner: type) -> Any:
        return self if instance is None else getattr(instance.cause, self.name)

    def __set__(self, instance: Any, value: object) -> None:
        setattr(instance.cause, self.name, value)


def combine(first: type[E], cause_class: type[BaseException], name: str) -> type[E] | None:
    """A class deriving from both, whose attributes kept outside `__dict__` are read from `.cause`.

    Returns:
        The class, or None when `cause_class` cannot be a base: it refuses subclasses, or its layout or
        metaclass does not fit.
    """
    forwarded = {
        attribute: Forward(attribute)
        for base in cause_class.__mro__
        if base not in _ROOTS
        for attribute, member in vars(base).items()
        if isinstance(member, _C_DESCRIPTORS) and not attribute.startswith("__")
    }
    namespace = {**forwarded, "__module__": first.__module__, "__qualname__": name, "__doc__": first.__doc__}
    try:
        combined: type[E] = type(name, (first, cause_class), namespace)
    except Exception:  # noqa: BLE001 -- the user's __init_subclass__ or metaclass may raise anything
        return None
    return combined
