"""Actors: what `@remote` makes of a class, and the handles to its instances."""

from __future__ import annotations

import functools
import inspect
import pickle
from collections.abc import Callable, Mapping
from typing import Any, NoReturn, TypeVar, overload

from skate import exceptions
from skate.core import options as _options
from skate.core import runtime, serialize
from skate.core.ids import ActorID
from skate.core.options import ActorOptions, MethodOptions
from skate.core.signature import CallShape, module_of

F = TypeVar("F", bound=Callable[..., Any])

_METHOD_OPTIONS = "__skate_method_options__"
BUILTIN_METHODS = ("__ray_terminate__", "__ray_ready__", "__ray_call__")
"""Methods that every actor has: end gracefully, answer True once constructed, run a function on the instance."""


class ActorClassInheritanceException(TypeError):
    """A class derives from a decorated one: derive from the plain class and decorate the result."""


class ActorExit(SystemExit):
    """What `exit_actor` raises to leave the method under way."""

    cause = "it ended as it wished: exit_actor() is called, by a method or by __ray_terminate__."
    """Why the actor is dead, for those who call it."""


def exit_actor() -> NoReturn:
    """End the actor whose method calls this, after the answers already made; it does not restart.

    Raises:
        TypeError: the caller is not an actor's method.
    """
    if runtime.current().task_info().actor is None:
        raise TypeError("exit_actor() was called outside an actor: only an actor's own method can end it.")
    raise ActorExit(0)


@overload
def method(function: F, /) -> F: ...


@overload
def method(**given: Any) -> Callable[[F], F]: ...


def method(*args: Any, **given: Any) -> Any:
    """Set options for an actor's method: num_returns, concurrency_group, max_task_retries, retry_exceptions ….

    Without parentheses, `@skate.method`, it sets none.

    Raises:
        AssertionError: positional options, or an unknown one.
        TypeError, ValueError: an option's value is wrong.
    """
    known = _options.method_names()
    if len(args) == 1 and callable(args[0]) and not given:
        return args[0]
    if args:
        raise AssertionError(
            "The @ray.method decorator must be applied using no arguments or at least one of the arguments in the list "
            f"{known}, for example '@ray.method(num_returns=2)'."
        )
    for name in given:
        if name not in known:
            raise AssertionError(
                f"Unexpected keyword argument to @ray.method: {name!r}. The supported keyword arguments are {known}"
            )
    options = _options.parse_method(given)

    def decorate(function: F) -> F:
        setattr(function, _METHOD_OPTIONS, options)
        return function

    return decorate


class MethodSpec:
    """A method as callers see it."""

    __slots__ = ("cost", "doc", "is_generator", "name", "options", "shape")

    def __init__(
        self,
        name: str,
        options: MethodOptions,
        is_generator: bool,
        shape: CallShape | None,
        doc: str | None = None,
    ) -> None:
        self.name = name
        self.doc = doc
        self.is_generator = is_generator
        if options.num_returns is None:
            options = options.replace(num_returns="streaming" if is_generator else 1)
        self.options = options
        refuse_streaming(name, options.num_returns, is_generator)
        self.shape = shape
        self.cost = 1.0

    def __getstate__(self) -> tuple[Any, ...]:
        shape = self.shape
        if shape is None or shape.most < 0:
            return self.name, self.options, self.is_generator, self.doc, None
        return self.name, self.options, self.is_generator, self.doc, (shape.needed, shape.most)

    def __setstate__(self, state: tuple[Any, ...]) -> None:
        self.name, self.options, self.is_generator, self.doc, counts = state
        self.cost = 1.0
        self.shape = None
        if counts is not None:
            self.shape = CallShape(_unknown)
            self.shape.needed, self.shape.most = counts

    def check(self, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> None:
        """Raise TypeError for arguments that can't fit; a call that can't be judged here is judged in the actor."""
        shape = self.shape
        if shape is None:
            return
        if shape.function is not _unknown:
            shape.check(args, kwargs)
        elif not kwargs and not shape.needed <= len(args) <= shape.most:
            raise TypeError(
                f"{self.name}() takes {shape.needed} to {shape.most} positional arguments but {len(args)} were given."
            )


def _unknown(*_args: Any, **_kwargs: Any) -> None:
    """Stands for a method whose code is in another process."""


def refuse_streaming(name: str, num_returns: int | str | None, is_generator: bool) -> None:
    """Raise for a result that only a generator can make.

    Raises:
        ValueError: `num_returns` is "streaming" or "dynamic", and the function is no generator function.
    """
    if isinstance(num_returns, str) and not is_generator:
        raise ValueError(
            f"num_returns={num_returns!r} can only be used with generator functions (those that use 'yield'), and {name}() is none: use "
            "yield in it, or leave num_returns out."
        )


class ClassSpec:
    """A class as engines see it: one per decorated class."""

    __slots__ = ("__weakref__", "cls", "exported", "is_asyncio", "methods", "module", "name", "shape")

    def __init__(self, cls: type) -> None:
        self.cls = cls
        self.name = cls.__name__
        self.module = module_of(cls)
        constructor: Callable[..., Any] = cls.__init__  # type: ignore[misc]
        self.shape = CallShape(constructor, skip_self=True) if constructor is not object.__init__ else None
        self.methods: dict[str, MethodSpec] = {}
        self.is_asyncio = False
        self.exported: Any = None
        for name, function in inspect.getmembers(cls, inspect.isroutine):
            if name == "__call__" and not hasattr(cls.__call__, "__code__"):
                continue
            static = inspect.getattr_static(cls, name)
            if not isinstance(static, staticmethod | classmethod) and not hasattr(function, "__code__"):
                if not hasattr(function, "__wrapped__") and not hasattr(function, "__func__"):
                    continue
            is_async = inspect.iscoroutinefunction(function) or inspect.isasyncgenfunction(function)
            self.is_asyncio = self.is_asyncio or is_async
            is_generator = inspect.isgeneratorfunction(function) or inspect.isasyncgenfunction(function)
            bound = isinstance(static, staticmethod | classmethod)
            shape = CallShape(
                getattr(function, "__func__", function), skip_self=not isinstance(static, staticmethod)
            )
            options = getattr(function, _METHOD_OPTIONS, None) or MethodOptions()
            checked = None if bound and shape.most < 0 else shape
            self.methods[name] = MethodSpec(name, options, is_generator, checked, function.__doc__)
        for name in BUILTIN_METHODS:
            self.methods[name] = MethodSpec(name, MethodOptions(), False, None)

    def concurrency_groups_used(self) -> set[str]:
        """Names of the groups that methods are declared in."""
        return {m.options.concurrency_group for m in self.methods.values() if m.options.concurrency_group}

    def check(self, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> None:
        """Raise TypeError for arguments that the constructor can't take."""
        if self.shape is not None:
            self.shape.check(args, kwargs)
        elif args or kwargs:
            raise TypeError(f"{self.name}() takes no arguments")


class ActorMeta:
    """What a handle must know of its actor's class, wherever the handle goes."""

    __slots__ = (
        "_packed",
        "class_name",
        "max_pending_calls",
        "max_task_retries",
        "methods",
        "module",
        "ordered",
    )

    def __init__(
        self,
        class_name: str,
        module: str,
        methods: dict[str, MethodSpec],
        max_task_retries: int,
        max_pending_calls: int,
        ordered: bool,
    ) -> None:
        self.ordered = ordered
        """Whether a call that waits for its arguments holds up the calls made after it."""
        self.class_name = class_name
        self.module = module
        self.methods = methods
        self.max_task_retries = max_task_retries
        self.max_pending_calls = max_pending_calls
        self._packed = b""

    def packed(self) -> bytes:
        """The pickle of this, made once: it goes along with every handle that is passed on. `unpack_meta` reads it."""
        if not self._packed:
            # By value: a method's retry_exceptions may be classes of the program itself.
            self._packed = serialize.pack(self).data
        return self._packed

    def __getstate__(self) -> tuple[Any, ...]:
        return (
            self.class_name,
            self.module,
            self.methods,
            self.max_task_retries,
            self.max_pending_calls,
            self.ordered,
        )

    def __setstate__(self, state: tuple[Any, ...]) -> None:
        (
            self.class_name,
            self.module,
            self.methods,
            self.max_task_retries,
            self.max_pending_calls,
            self.ordered,
        ) = state
        self._packed = b""


@functools.lru_cache(maxsize=512)
def unpack_meta(packed: bytes) -> ActorMeta:
    """What `ActorMeta.packed` gave; handles of one class share it in a process."""
    meta: ActorMeta = pickle.loads(packed)
    return meta


def too_many_calls(meta: ActorMeta, method: str, waiting: int) -> exceptions.PendingCallsLimitExceeded:
    """What a call raises that would exceed `max_pending_calls`."""
    return exceptions.PendingCallsLimitExceeded(
        f"The task {method} could not be submitted to the {meta.class_name} actor because more than {meta.max_pending_calls} tasks are "
        f"queued on the actor: {waiting} calls of this process have no answer yet. Get some results first, or raise the limit, which is "
        "the `max_pending_calls` actor option."
    )


class ActorState:
    """An actor as one process sees it; its handles there share it. `_engine_state` and `_guard` belong to the engine."""

    __slots__ = ("__weakref__", "_engine_state", "_guard", "key", "meta")

    def __init__(self, key: int, meta: ActorMeta) -> None:
        self.key = key
        self.meta = meta
        self._engine_state: Any = None
        self._guard: Any = None

    def __reduce__(self) -> tuple[Any, ...]:
        serialize.note_nested(self)
        return restore_actor, (self.key, self.meta.packed())


@serialize.by_name
def restore_actor(key: int, packed_meta: bytes) -> ActorState:
    """The state of this process for an actor whose handle is unpickled."""
    return runtime.current().restore_actor(key, unpack_meta(packed_meta))


class ActorMethod:  # noqa: D101 -- an instance's docstring is the user's method's
    # A method of a remote actor: `handle.method.remote(...)`.

    __slots__ = ("__doc__", "_name", "_options", "_spec", "_state")

    def __init__(self, state: ActorState, spec: MethodSpec, options: MethodOptions) -> None:
        self.__doc__ = spec.doc
        self._state = state
        self._spec = spec
        self._options = options
        self._name = spec.name

    def remote(self, *args: Any, **kwargs: Any) -> Any:
        """Call the method; returns a ref at once."""
        spec = self._spec
        shape = spec.shape
        if kwargs or (shape is not None and not shape.needed <= len(args) <= shape.most):
            spec.check(args, kwargs)
        engine = runtime.engine
        if engine is None:
            engine = runtime.current()
        if runtime.tracer is not None:
            submit = engine.submit_actor_call
            return runtime.tracer.submit_actor_call(submit, self._state, spec, self._options, args, kwargs)
        return engine.submit_actor_call(self._state, spec, self._options, args, kwargs)

    def options(self, **given: Any) -> ActorMethod:
        """The same method with other options for the calls made through it."""
        options = _options.parse_method(given, self._options)
        refuse_streaming(self._name, options.num_returns, self._spec.is_generator)
        return ActorMethod(self._state, self._spec, options)

    def bind(self, *args: Any, **kwargs: Any) -> Any:
        """Write the call down as a node of a graph, to be made by its `execute()`; see `skate.dag`."""
        returns = self._options.num_returns
        return runtime.nodes().bind_method(ActorHandle(self._state), self, returns, args, kwargs)

    @property
    def __name__(self) -> str:
        return self._name

    @property
    def __signature__(self) -> inspect.Signature | None:
        shape = self._spec.shape
        return None if shape is None or shape.function is _unknown else shape.signature()

    def _remote(self, args: Any = None, kwargs: Any = None, name: str = "", **given: Any) -> Any:
        """As `options(**given).remote(*args, **kwargs)`: the spelling of older libraries."""
        chosen = self.options(**given) if given else self
        return chosen.remote(*(args or ()), **(kwargs or {}))

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Refused, with a word on how to do it.

        Raises:
            TypeError: always.
        """
        raise TypeError(
            "Actor methods cannot be called directly. Instead of running "
            f"'object.{self._name}()', try 'object.{self._name}.remote()'."
        )

    def __repr__(self) -> str:
        return f"ActorMethod({self._state.meta.class_name}.{self._name})"


class ActorHandle:
    """A handle to a live actor. The actor ends when its last handle is gone, unless it is detached."""

    def __init__(self, state: ActorState) -> None:
        self.__dict__["_state"] = state

    def _actor_state(self) -> ActorState:
        state: ActorState = self.__dict__["_state"]
        return state

    @property
    def _actor_id(self) -> ActorID:
        return ActorID(self._actor_state().key.to_bytes(ActorID.SIZE, "big"))

    @property
    def _ray_actor_id(self) -> ActorID:
        return self._actor_id

    def __getattr__(self, name: str) -> ActorMethod:
        # Cached in the instance: a method holds the state, not the handle, so there is no cycle.
        state = self._actor_state()
        spec = state.meta.methods.get(name)
        if spec is None:
            raise AttributeError(
                f"'{type(self).__name__}' object has no attribute '{name}': the {state.meta.class_name} actor has no such method. "
                "Only methods can be reached through a handle: read an attribute in a method of the class, or with"
                " handle.__ray_call__.remote(lambda self: self.x)."
            )
        found = ActorMethod(state, spec, spec.options)
        self.__dict__[name] = found
        return found

    def __dir__(self) -> list[str]:
        return [*object.__dir__(self), *self._actor_state().meta.methods]

    def __reduce__(self) -> tuple[Any, ...]:
        state = self._actor_state()
        serialize.note_nested(state)
        return restore_handle, (state.key, state.meta.packed())

    def __copy__(self) -> ActorHandle:
        return ActorHandle(self._actor_state())

    def __deepcopy__(self, memo: dict[int, Any]) -> ActorHandle:
        return ActorHandle(self._actor_state())

    def __eq__(self, other: object) -> bool:
        return isinstance(other, ActorHandle) and other._actor_state().key == self._actor_state().key

    def __hash__(self) -> int:
        return hash(self._actor_state().key)

    def __repr__(self) -> str:
        return f"Actor({self._actor_state().meta.class_name}, {self._actor_id.hex()})"


@serialize.by_name
def restore_handle(key: int, packed_meta: bytes) -> ActorHandle:
    """A handle that is unpickled."""
    return ActorHandle(restore_actor(key, packed_meta))


class ActorClass:
    """A class whose instances live in workers: `Class.remote(...)` returns a handle at once.

    Example:
        >>> import skate
        >>> @skate.remote
        ... class Counter:
        ...     def __init__(self) -> None:
        ...         self.n = 0
        ...     def add(self) -> int:
        ...         self.n += 1
        ...         return self.n
        >>> counter = Counter.remote()
        >>> skate.get([counter.add.remote() for _ in range(3)])
        [1, 2, 3]
    """

    def __init__(self, *given: Any) -> None:
        if len(given) == 3 and isinstance(given[1], tuple) and isinstance(given[2], dict):
            # Python calls type(base)(name, bases, namespace) for `class B(A)` where A is one of us.
            raise ActorClassInheritanceException(
                "Inheriting from actor classes is not currently supported: "
                f"class {given[0]} inherits from one. Derive from the plain class and decorate the result: keep "
                "`class Base: …` undecorated, write `@skate.remote class Derived(Base)`, and `skate.remote(Base)` where "
                "Base itself should be an actor."
            )
        cls, options, defaults = given[0], given[1], given[2]
        self._spec = ClassSpec(cls)
        self._actor_options: ActorOptions = options
        self._default_options: dict[str, Any] = dict(defaults)
        self.__doc__ = cls.__doc__
        self.__module__ = cls.__module__
        self.__name__ = cls.__name__
        self.__qualname__ = cls.__qualname__
        self.__wrapped__ = cls
        _check_groups(self._spec, options)

    @classmethod
    def make(cls, plain: type, options: ActorOptions, given: Mapping[str, Any]) -> ActorClass:
        """The actor class of a plain class."""
        made = object.__new__(cls)
        ActorClass.__init__(made, plain, options, _Defaults(given))
        return made

    def remote(self, *args: Any, **kwargs: Any) -> ActorHandle:
        """Start an actor. Its constructor runs in the actor; an error there fails the calls."""
        self._spec.check(args, kwargs)
        create = runtime.current().create_actor
        if runtime.tracer is not None:
            create = functools.partial(runtime.tracer.create_actor, create)
        return ActorHandle(create(self._spec, self._actor_options, args, kwargs))

    def options(self, **given: Any) -> ActorClass:
        """The same class with other options for the actors made through it.

        Raises:
            TypeError, ValueError: an option's name or value is wrong.
        """
        chosen = _options.parse_actor(given, self._actor_options)
        other = object.__new__(type(self))
        other.__dict__.update(self.__dict__)
        other._actor_options = chosen
        other._default_options = {**self._default_options, **given}
        _check_groups(self._spec, other._actor_options)
        return other

    def bind(self, *args: Any, **kwargs: Any) -> Any:
        """Write the actor's creation down as a node of a graph; see `skate.dag`."""
        return runtime.nodes().bind_class(self, self._default_options, args, kwargs)

    def _remote(self, args: Any = None, kwargs: Any = None, **given: Any) -> ActorHandle:
        """As `options(**given).remote(*args, **kwargs)`: the spelling of older libraries."""
        chosen = self.options(**given) if given else self
        return chosen.remote(*(args or ()), **(kwargs or {}))

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Refused, with a word on how to do it.

        Raises:
            TypeError: always.
        """
        name = self._spec.name
        raise TypeError(
            f"Actors cannot be instantiated directly. Instead of '{name}()', use '{name}.remote()'; the plain class is "
            f"'{name}.__wrapped__'."
        )

    def __getattr__(self, name: str) -> Any:
        state = self.__dict__.pop("_unpickled", None)
        if state is not None:
            ActorClass.__init__(self, state["cls"], state["options"], _Defaults(state["given"]))
            return getattr(self, name)
        spec = self.__dict__.get("_spec")
        if spec is not None and not name.startswith("__") and hasattr(spec.cls, name):
            found = getattr(spec.cls, name)
            if inspect.isfunction(found) and not isinstance(
                inspect.getattr_static(spec.cls, name), staticmethod
            ):
                raise AttributeError(
                    f"{spec.name}.{name} can't be used on the actor class: create an actor with {spec.name}.remote() and call "
                    f"handle.{name}.remote(), or use the plain class {spec.name}.__wrapped__.{name}."
                )
            return found  # what belongs to the class itself: static and class methods, constants
        raise AttributeError(f"actor class has no attribute {name!r}")

    def __getstate__(self) -> dict[str, Any]:
        return {"cls": self._spec.cls, "options": self._actor_options, "given": self._default_options}

    def __setstate__(self, state: dict[str, Any]) -> None:
        # Looked at when it is first used: a class whose methods name itself is not complete yet at this moment.
        self.__dict__["_unpickled"] = state

    def __repr__(self) -> str:
        return f"ActorClass({self._spec.name})"


class _Defaults(list[tuple[str, Any]]):
    """Options as pairs: not a dict, so that ActorClass(...) can tell its own use from Python's class statement."""

    def __init__(self, given: Mapping[str, Any]) -> None:
        super().__init__(dict(given).items())


def _check_groups(spec: ClassSpec, options: ActorOptions) -> None:
    groups = options.concurrency_groups or {}
    missing = spec.concurrency_groups_used() - set(groups)
    if missing:
        raise ValueError(
            f"actor class {spec.name} has methods in concurrency group {sorted(missing)[0]!r}, which is not declared. Declare "
            f"it: @skate.remote(concurrency_groups={{{sorted(missing)[0]!r}: 2}}). Declared: {sorted(groups) or 'none'}."
        )
