"""The public functions of a running session: remote, get, put, wait and their kin. They check what users pass, and ask the engine."""

from __future__ import annotations

import inspect
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from skate import exceptions
from skate._init import checked_namespace
from skate.core import arguments, runtime, serialize
from skate.core import options as _options
from skate.core.actor import ActorClass, ActorHandle
from skate.core.function import RemoteFunction
from skate.core.plain import plain
from skate.core.ref import ObjectRef, ObjectRefGenerator, check_session

if TYPE_CHECKING:
    from skate.engine.base import Engine


def _nodes() -> Any:
    from skate.dag import _bind

    return _bind


def _this_process() -> Any:
    from skate._private.worker import global_worker

    return global_worker


def _environment(fields: dict[str, Any]) -> dict[str, Any]:
    from skate.runtime_env import RuntimeEnv

    return RuntimeEnv(**fields, _validate=False)


def _show_progress(line: str) -> None:
    from skate.experimental import tqdm_ray

    tqdm_ray.show_line(line)


runtime.show_progress = _show_progress
runtime.this_process = _this_process
runtime.environment = _environment
runtime.binder = _nodes


def remote(*args: Any, **given: Any) -> Any:
    """Make a function run as tasks, or a class as actors. With or without options.

    Example:
        >>> import skate
        >>> @skate.remote(num_cpus=0.5)
        ... def double(x: int) -> int:
        ...     return 2 * x
        >>> skate.get([double.remote(i) for i in range(3)])
        [0, 2, 4]

    Raises:
        TypeError, ValueError: what is decorated is neither, or an option is wrong.
        AssertionError: options that are not keywords, or none at all, as in `@remote()`.
    """
    if len(args) == 1 and not given and callable(args[0]):
        return _make_remote(args[0], {})
    if args or not given:
        raise AssertionError(
            "The @ray.remote decorator must be applied either with no arguments and no parentheses, for example '@ray.remote', or "
            "with some keyword options, for example '@ray.remote(num_cpus=2)'."
        )
    return lambda thing: _make_remote(thing, given)


def _make_remote(thing: Any, given: Mapping[str, Any]) -> Any:
    if inspect.isclass(thing):
        return ActorClass.make(thing, _options.parse_actor(given), given)
    if isinstance(thing, RemoteFunction | ActorClass):
        raise TypeError(
            f"The @ray.remote decorator must be applied to either a function or a class, and {thing!r} is remote already."
        )
    if inspect.isfunction(thing) or type(thing).__name__ == "cython_function_or_method":
        return RemoteFunction(thing, _options.parse_task(given), given)
    raise TypeError(
        f"The @ray.remote decorator must be applied to either a function or a class, not to {thing!r}."
    )


def get(object_refs: Any, *, timeout: float | None = None, _use_object_store: bool = False) -> Any:
    """The value of a ref, or the list of values of a list of refs; waits until they are there.

    Args:
        object_refs: A ref, or a list of refs.
        timeout: Seconds to wait at most; None, or a negative number, waits for ever, 0 does not wait.

    Raises:
        GetTimeoutError: time was up.
        RayTaskError: the task raised; the exception is an instance of the user's type too.
        ValueError, TypeError: `object_refs` is no ref and no list of refs, or is of a session that has ended.

    Example:
        >>> import skate
        >>> skate.get([skate.put(1), skate.put("two")])
        [1, 'two']
    """
    engine = runtime.engine
    if engine is None:
        engine = runtime.current()
    given = timeout
    if timeout is not None and timeout < 0:
        timeout = None
    if type(object_refs) is ObjectRef:
        if runtime.sessions > 1:
            check_session(engine, (object_refs,))
        return engine.get((object_refs,), timeout)[0]
    if isinstance(object_refs, ObjectRefGenerator):
        return object_refs
    if hasattr(object_refs, "_skate_get"):  # the result of a compiled graph
        return object_refs._skate_get(given)
    if not isinstance(object_refs, list):
        raise ValueError(
            f"Invalid type of object refs, {type(object_refs)}, is given. 'object_refs' must either be an ObjectRef or a list of "
            f"ObjectRefs.{_instead(object_refs)}"
        )
    if object_refs and all(hasattr(item, "_skate_get") for item in object_refs):
        return [item._skate_get(given) for item in object_refs]
    for item in object_refs:
        if type(item) is not ObjectRef:
            raise TypeError(
                f"Attempting to call `get` on the value {item!r}, which is not an ray.ObjectRef: 'object_refs' must either be an "
                f"ObjectRef or a list of ObjectRefs.{_instead(item)}"
            )
    if runtime.sessions > 1:
        check_session(engine, object_refs)
    return engine.get(object_refs, timeout)


def _instead(given: Any) -> str:
    """What somebody who gave `get` this may have meant, as a sentence to add, or nothing."""
    if isinstance(given, list):
        return " Nested lists are not looked into: flatten them, or get each list by itself."
    if isinstance(given, Iterable) and not isinstance(given, (str, bytes, Mapping)):
        return f" To get what is in a {type(given).__name__}, make a list of it: get(list(…))."
    return ""


def put(value: Any, *, _owner: Any = None, _tensor_transport: str | None = None) -> ObjectRef[Any]:
    """Store a copy of a value, and return a ref to it.

    Raises:
        TypeError: the value is a ref already, or can't be pickled.

    Example:
        >>> import skate
        >>> skate.get(skate.put([1, 2]))
        [1, 2]
    """
    if type(value) is ObjectRef:
        raise TypeError(
            "Calling 'put' on an ray.ObjectRef is not allowed: it is a reference to a value already. To store the ref itself, put it in a "
            "list: skate.put([ref])."
        )
    engine = runtime.engine
    if engine is None:
        engine = runtime.current()
    try:
        return engine.put(value)
    except (TypeError, AttributeError) as error:
        if isinstance(error, exceptions.RayError):
            raise
        raise arguments.unpicklable_value(value, error) from error


def wait(
    ray_waitables: Any,
    *,
    num_returns: int = 1,
    timeout: float | None = None,
    fetch_local: bool = True,
) -> tuple[list[Any], list[Any]]:
    """Wait until `num_returns` of the refs have values, or `timeout` seconds have passed.

    Args:
        ray_waitables: A list of refs, or of generators (ready when they have an item).
        num_returns: How many to wait for.
        timeout: Seconds to wait at most; None waits for ever, 0 does not wait.
        fetch_local: Accepted for Ray's programs: values are on this machine always.

    Returns:
        The refs that are ready, `num_returns` at most, and all the others, each in the order given.

    Raises:
        TypeError, ValueError: not a list, duplicates, a `num_returns` that can't be, or a ref of a session that has ended.

    Example:
        >>> import skate
        >>> ready, rest = skate.wait([skate.put(1), skate.put(2)])
        >>> len(ready), len(rest)
        (1, 1)
    """
    engine = runtime.engine
    if engine is None:
        engine = runtime.current()
    if isinstance(ray_waitables, ObjectRef | ObjectRefGenerator):
        raise TypeError(
            "wait() expected a list of ray.ObjectRef or ray.ObjectRefGenerator, got a single ray.ObjectRef or ray.ObjectRefGenerator "
            f"{ray_waitables}: put it in a list, wait([ref])."
        )
    if not isinstance(ray_waitables, list):
        raise TypeError(
            f"wait() expected a list of ray.ObjectRef or ray.ObjectRefGenerator, got {type(ray_waitables)}"
        )
    if timeout is not None and timeout < 0:
        raise ValueError(f"The 'timeout' argument must be nonnegative. Received {timeout}")
    for item in ray_waitables:
        if type(item) is not ObjectRef and not isinstance(item, ObjectRefGenerator):
            raise TypeError(
                f"wait() expected a list of ray.ObjectRef or ray.ObjectRefGenerator, got list containing {type(item)}"
            )
    if not ray_waitables:
        return [], []
    if runtime.sessions > 1:
        check_session(engine, [item for item in ray_waitables if type(item) is ObjectRef])
    if len(set(ray_waitables)) != len(ray_waitables):
        raise ValueError("Wait requires a list of unique ray_waitables: one of them is there twice.")
    if num_returns <= 0:
        raise ValueError(f"Invalid number of objects to return {num_returns}: it must be at least 1.")
    if num_returns > len(ray_waitables):
        raise ValueError(
            "num_returns cannot be greater than the number of ray_waitables provided to ray.wait: "
            f"{num_returns} > {len(ray_waitables)}."
        )
    return engine.wait(ray_waitables, num_returns, timeout)


def cancel(ray_waitable: Any, *, force: bool = False, recursive: bool = True) -> None:
    """Stop a task. Its refs raise `TaskCancelledError`; one that has ended stays as it is.

    Args:
        ray_waitable: A ref or generator that the task makes.
        force: End the worker's process, rather than interrupt the task with KeyboardInterrupt.
        recursive: Also cancel the tasks that it has started.

    Raises:
        TypeError: not a ref.
        ValueError: `force` for an actor's task.
    """
    ref = ray_waitable.completed() if isinstance(ray_waitable, ObjectRefGenerator) else ray_waitable
    if type(ref) is not ObjectRef:
        raise TypeError(
            f"ray.cancel() only supported for object refs. For actors, try ray.kill(). Got: {type(ray_waitable)}."
        )
    runtime.current().cancel(ref, force, recursive)


def kill(actor: Any, *, no_restart: bool = True) -> None:
    """End an actor at once.

    Args:
        actor: A handle.
        no_restart: False lets it restart if it has restarts left.

    Raises:
        ValueError: not a handle.
    """
    if not isinstance(actor, ActorHandle):
        raise ValueError(
            f"ray.kill() only supported for actors. For tasks, try ray.cancel(). Got: {type(actor)}."
        )
    runtime.current().kill_actor(actor._actor_state(), no_restart)


def get_actor(name: str, namespace: str | None = None) -> ActorHandle:
    """A handle to the live actor of that name.

    Args:
        name: As given in `options(name=…)`.
        namespace: Where to look; default: this session's own.

    Raises:
        ValueError: there is none, or the name is empty.
        TypeError: the name is no string.
    """
    if not name:
        raise ValueError(
            f"Please supply a non-empty value to get_actor, the name given in options(name=…): got {name!r}."
        )
    if not isinstance(name, str):
        raise TypeError(f"get_actor() takes a name as a string: got {name!r}, a {type(name).__name__}.")
    if namespace is not None:
        checked_namespace(namespace)
    return ActorHandle(runtime.current().find_actor(plain(name), plain(namespace)))


def _running(asked: str) -> Engine:
    if runtime.engine is None:
        raise exceptions.RaySystemError(
            f"Skate has not been started yet: {asked}() tells about a session, and none is running. Call skate.init() first."
        )
    return runtime.engine


def nodes() -> list[dict[str, Any]]:
    """The machines of the session.

    Raises:
        RaySystemError: there is no session; asking starts none.
    """
    return _running("nodes").nodes()


def cluster_resources() -> dict[str, float]:
    """All resources, by name.

    Raises:
        RaySystemError: there is no session; asking starts none.
    """
    return _running("cluster_resources").cluster_resources()


def available_resources() -> dict[str, float]:
    """The resources that nobody holds, by name.

    Raises:
        RaySystemError: there is no session; asking starts none.
    """
    return _running("available_resources").available_resources()


def get_gpu_ids() -> list[Any]:
    """The GPUs assigned to the task or actor that asks: numbers, or names if CUDA_VISIBLE_DEVICES had some when the session started."""
    return list(runtime.current().task_info().gpu_ids)


def _register_serializer(cls: type, *, serializer: Any, deserializer: Any) -> None:
    serialize.register(cls, serializer=serializer, deserializer=deserializer)


def _deregister_serializer(cls: type) -> None:
    serialize.deregister(cls)


def _serialize(obj: Any) -> bytes:
    return serialize.pack(obj).data


def _set_tracer(tracer: Any) -> None:
    runtime.tracer = tracer


def _kv(action: str, key: bytes, value: bytes | None, namespace: bytes, overwrite: bool) -> Any:
    """The session's key-value pairs: see `Engine.kv`."""
    return runtime.current().kv(action, plain(key), plain(value), plain(namespace), overwrite)


def _pack(value: Any) -> tuple[bytes, list[memoryview]]:
    """A value's pickle and its out-of-band buffers, to be carried by other means than a call; refs in it live on."""
    packed = serialize.pack(value)
    for item in packed.nested:
        runtime.current().pin_forever(item)
    return packed.data, packed.buffers


def _create_placement_group(about: Mapping[str, Any]) -> str:
    return runtime.current().create_group(plain(dict(about)))


def _remove_placement_group(id: str) -> None:
    runtime.current().remove_group(id)


def _find_placement_group(name: str) -> tuple[str, list[dict[str, float]]] | None:
    return runtime.current().find_group(plain(name))


def _placement_group_table(id: str) -> dict[str, dict[str, Any]]:
    return runtime.current().group_table(id)


def _placement_group_ready(id: str, value: Any) -> ObjectRef[Any]:
    return runtime.current().group_ready(id, value)


def _debug(frame: Any, trace: Any) -> None:
    runtime.current().debug(frame, trace)


def _list_named_actors(all_namespaces: bool) -> list[tuple[str, str]]:
    return runtime.current().list_named_actors(all_namespaces)
