"""Spans around calls: the caller's context travels with each call, and so does what sets OpenTelemetry up."""

from __future__ import annotations

import functools
import importlib
import inspect
import os
import weakref
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import skate
from skate import _set_tracer

_CONTEXT = "_ray_trace_ctx"
_TRACED = "skate_is_traced"


def _load(hook: str) -> Callable[[], object]:
    """The function of "module:function".

    Raises:
        ValueError: it is not written so, or is not there.
    """
    module, colon, name = hook.partition(":") if isinstance(hook, str) else ("", "", "")
    if not colon or not name:
        raise ValueError(f'_tracing_startup_hook={hook!r}: write it as "module:function".')
    try:
        found: Callable[[], object] = getattr(importlib.import_module(module), name)
    except (ImportError, AttributeError) as error:
        raise ValueError(f"_tracing_startup_hook={hook!r} can't be loaded: {error}.") from error
    return found


def enable(hook: str) -> None:
    """Turn tracing on in this process.

    Raises:
        ValueError: the hook can't be loaded.
        ImportError: OpenTelemetry is not installed.
    """
    setup = _load(hook)
    try:
        import opentelemetry.trace  # noqa: F401
    except ImportError:
        raise ImportError("Tracing needs OpenTelemetry: pip install opentelemetry-sdk") from None
    setup()
    _set_tracer(Tracer(hook))


def disable() -> None:
    """Turn tracing off in this process."""
    _set_tracer(None)


class Tracer:
    """What the core hands calls to while tracing is on.

    Args:
        hook: What sets OpenTelemetry up, for the processes that run the calls.
    """

    def __init__(self, hook: str) -> None:
        self.hook = hook
        self._specs: weakref.WeakKeyDictionary[Any, Any] = weakref.WeakKeyDictionary()

    def submit_task(
        self, submit: Any, spec: Any, options: Any, args: tuple[Any, ...], kwargs: Mapping[str, Any]
    ) -> Any:
        """Submit a task inside a span."""
        name = f"{spec.module}.{spec.name}"
        traced = self._specs.get(spec)
        if traced is None:
            what = {"ray.remote": "function", "ray.function": name}
            traced = self._specs[spec] = type(spec)(_wrapped(spec.function, name, what))
        with _span(f"{name} ray.remote", "PRODUCER", {"ray.remote": "function", "ray.function": name}):
            return submit(traced, options, args, {**kwargs, _CONTEXT: self._carrier()})

    def create_actor(
        self, create: Any, spec: Any, options: Any, args: tuple[Any, ...], kwargs: Mapping[str, Any]
    ) -> Any:
        """Create an actor inside a span."""
        traced = self._specs.get(spec)
        if traced is None:
            traced = self._specs[spec] = type(spec)(_traced_class(spec.cls))
        with _span(f"{spec.name}.__init__ ray.remote", "PRODUCER", _actor_facts(spec.name, "__init__")):
            return create(traced, options, args, {**kwargs, _CONTEXT: self._carrier()})

    def submit_actor_call(
        self,
        submit: Any,
        actor: Any,
        method: Any,
        options: Any,
        args: tuple[Any, ...],
        kwargs: Mapping[str, Any],
    ) -> Any:
        """Call an actor's method inside a span, if the actor was created with tracing on."""
        if _TRACED not in actor.meta.methods or method.name.startswith("__ray"):
            return submit(actor, method, options, args, kwargs)
        name = actor.meta.class_name
        with _span(f"{name}.{method.name} ray.remote", "PRODUCER", _actor_facts(name, method.name)):
            return submit(actor, method, options, args, {**kwargs, _CONTEXT: self._carrier()})

    def _carrier(self) -> dict[str, Any]:
        from opentelemetry import propagate

        carrier: dict[str, str] = {}
        propagate.inject(carrier)
        return {"hook": self.hook, "carrier": carrier}


def _actor_facts(cls: str, method: str) -> dict[str, Any]:
    return {
        "ray.remote": "actor",
        "ray.actor_class": cls,
        "ray.actor_method": method,
        "ray.function": f"{cls}.{method}",
    }


@contextmanager
def _span(name: str, kind: str, facts: dict[str, Any], context: Any = None) -> Iterator[None]:
    from opentelemetry import trace

    here = skate.get_runtime_context()
    facts = {
        **facts,
        "ray.pid": str(os.getpid()),
        "ray.job_id": here.get_job_id(),
        "ray.node_id": here.get_node_id(),
        "ray.worker_id": here.get_worker_id(),
    }
    for key, value in (("ray.task_id", here.get_task_id()), ("ray.actor_id", here.get_actor_id())):
        if value is not None:
            facts[key] = value
    tracer = trace.get_tracer("skate")
    with tracer.start_as_current_span(
        name, context=context, kind=getattr(trace.SpanKind, kind), attributes=facts
    ):
        yield


_enabled_here: set[str] = set()


@contextmanager
def _executing(given: dict[str, Any] | None, name: str, facts: dict[str, Any]) -> Iterator[None]:
    """A span around an execution, inside the caller's; none where the caller sent no context."""
    if given is None:
        yield
        return
    from opentelemetry import propagate

    hook = given["hook"]
    if hook not in _enabled_here:
        _enabled_here.add(hook)
        if not skate._is_driver():  # noqa: SLF001 -- a driver has set itself up in init()
            enable(hook)
    with _span(f"{name} ray.remote_worker", "CONSUMER", facts, propagate.extract(given["carrier"])):
        yield


def _wrapped(function: Any, name: str, facts: dict[str, Any]) -> Any:
    """A function of the same kind that takes the caller's context as well."""
    if inspect.iscoroutinefunction(function):

        @functools.wraps(function)
        async def run_coroutine(*args: Any, **kwargs: Any) -> Any:
            with _executing(kwargs.pop(_CONTEXT, None), name, facts):
                return await function(*args, **kwargs)

        return run_coroutine
    if inspect.isasyncgenfunction(function):

        @functools.wraps(function)
        async def run_async_generator(*args: Any, **kwargs: Any) -> Any:
            with _executing(kwargs.pop(_CONTEXT, None), name, facts):
                async for item in function(*args, **kwargs):
                    yield item

        return run_async_generator
    if inspect.isgeneratorfunction(function):

        @functools.wraps(function)
        def run_generator(*args: Any, **kwargs: Any) -> Any:
            with _executing(kwargs.pop(_CONTEXT, None), name, facts):
                return (yield from function(*args, **kwargs))

        return run_generator

    @functools.wraps(function)
    def run(*args: Any, **kwargs: Any) -> Any:
        with _executing(kwargs.pop(_CONTEXT, None), name, facts):
            return function(*args, **kwargs)

    return run


def _traced_class(cls: type) -> type:
    """A subclass whose methods take the caller's context as well."""

    def marked(self: Any) -> bool:
        return True

    made: dict[str, Any] = {_TRACED: marked, "__module__": cls.__module__, "__doc__": cls.__doc__}
    for name, function in inspect.getmembers(cls, inspect.isfunction):
        static = inspect.getattr_static(cls, name)
        if name == "__init__" or (not name.startswith("__") and not isinstance(static, staticmethod)):
            made[name] = _wrapped(function, f"{cls.__name__}.{name}", _actor_facts(cls.__name__, name))
    if "__init__" not in made:
        inherited = inspect.getattr_static(cls, "__init__")  # of a type that is not written in Python
        made["__init__"] = _wrapped(
            inherited, f"{cls.__name__}.__init__", _actor_facts(cls.__name__, "__init__")
        )
    traced = type(cls)(cls.__name__, (cls,), made)
    traced.__qualname__ = cls.__qualname__
    return traced


__all__ = ["Tracer", "disable", "enable"]
