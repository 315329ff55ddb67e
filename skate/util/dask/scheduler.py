"""Dask's scheduler functions: each node of a graph becomes a task, and its edges become refs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import dask
from dask._task_spec import Alias, DataNode, GraphNode, convert_legacy_graph
from dask.callbacks import local_callbacks, unpack_callbacks
from dask.core import flatten
from dask.utils import ensure_dict

import skate
from skate.util.dask.callbacks import local_ray_callbacks, unpack_ray_callbacks


def ray_dask_get(dsk: Any, keys: Any, **kwargs: Any) -> Any:
    """Run a Dask graph as tasks: for `collection.compute(scheduler=ray_dask_get)`.

    Args:
        dsk: The graph.
        keys: The keys whose values are wanted; lists may be nested.
        **kwargs: `ray_remote_args` are options of the tasks; `ray_callbacks` are `RayDaskCallback`s; with `ray_persist=True` refs are
            returned rather than values. A task's Dask annotation `ray_remote_args` overrides. Others are Dask's, and have no effect.

    Returns:
        The values, nested as the keys are.
    """
    run = _Run(dsk, kwargs)
    try:
        results = run.submit_all(keys)
        if not kwargs.get("ray_persist"):
            results = _fetch(results)
        run.finish(results)
    except BaseException:
        run.failed()
        raise
    return results


def ray_dask_get_sync(dsk: Any, keys: Any, **kwargs: Any) -> Any:
    """As `ray_dask_get`, one task at a time: for debugging."""
    return ray_dask_get(dsk, keys, **{**kwargs, "_one_by_one": True})


def ray_dask_persist(*args: Any, **kwargs: Any) -> Any:
    """Compute collections and leave the results where they are: the collections returned hold refs to them.

    Args:
        *args: Dask collections.
        **kwargs: As for `dask.persist` and `ray_dask_get`.
    """
    kwargs.pop("scheduler", None)
    return dask.persist(*args, scheduler=_get_refs, **kwargs)


def _get_refs(dsk: Any, keys: Any, **kwargs: Any) -> Any:
    return ray_dask_get(dsk, keys, **{**kwargs, "ray_persist": True})


def _persist(collections: Any, optimize_graph: bool = True, **kwargs: Any) -> Any:
    return ray_dask_persist(*collections, traverse=False, optimize_graph=optimize_graph, **kwargs)


# What `collection.persist()` looks for in a scheduler.
ray_dask_get.persist = ray_dask_get_sync.persist = _persist  # type: ignore[attr-defined]


class _Run:
    """The execution of one graph."""

    def __init__(self, dsk: Any, kwargs: Mapping[str, Any]) -> None:
        if hasattr(dsk, "__dask_graph__"):
            dsk = dsk.__dask_graph__()
        self._layers = getattr(dsk, "layers", {})
        self._plain = ensure_dict(dsk)
        self._graph: dict[Any, GraphNode] = dict(convert_legacy_graph(self._plain))
        self._options = dict(kwargs.get("ray_remote_args") or {})
        self._one_by_one = bool(kwargs.get("_one_by_one"))
        self._refs: dict[Any, Any] = {}
        self._submitted: list[Any] = []
        with local_ray_callbacks(kwargs.get("ray_callbacks")) as callbacks:
            self._hooks = unpack_ray_callbacks(callbacks)
        with local_callbacks(kwargs.get("callbacks")) as callbacks:
            self._start, self._start_state, self._pretask, self._posttask, self._finish = unpack_callbacks(
                callbacks
            )
        self._state: dict[str, Any] = {
            "waiting": set(self._graph),
            "ready": set(),
            "running": set(),
            "finished": set(),
        }

    def submit_all(self, keys: Any) -> Any:
        for hook in self._start:
            hook(self._plain)
        for hook in self._start_state:
            hook(self._plain, self._state)
        annotated = self._annotated()
        for key in self._order(keys):
            for hook in self._pretask:
                hook(key, self._plain, self._state)
            self._refs[key] = self._submit(key, self._graph[key], {**self._options, **annotated.get(key, {})})
            self._state["waiting"].discard(key)
            self._state["finished"].add(key)
            for hook in self._posttask:
                hook(key, self._refs[key], self._plain, self._state, None)
        for hook in self._hooks.ray_postsubmit_all:
            hook(list(self._submitted), self._plain)
        return _shaped(keys, self._refs)

    def _annotated(self) -> dict[Any, dict[str, Any]]:
        """Options of single tasks, from `dask.annotate(ray_remote_args=…)`."""
        found: dict[Any, dict[str, Any]] = {}
        for layer in self._layers.values():
            options = (getattr(layer, "annotations", None) or {}).get("ray_remote_args")
            if options:
                found.update((key, options) for key in layer)
        return found

    def _order(self, keys: Any) -> list[Any]:
        """The keys that are needed, each after those that it needs itself."""
        done: dict[Any, None] = {}
        todo = [(key, False) for key in reversed(list(flatten([keys])))]
        while todo:
            key, expanded = todo.pop()
            if expanded:
                done[key] = None
            elif key not in done:
                todo.append((key, True))
                todo.extend((dependency, False) for dependency in self._graph[key].dependencies)
        return list(done)

    def _submit(self, key: Any, node: GraphNode, options: dict[str, Any]) -> Any:
        """The node's value: a ref, or the value itself where no task is needed."""
        if isinstance(node, Alias):
            return self._refs[node.target]
        if isinstance(node, DataNode):
            return node.value
        needed = sorted(node.dependencies, key=str)
        deps = [self._refs[dependency] for dependency in needed]
        task = self._plain.get(key, node)
        for hook in self._hooks.ray_presubmit:
            answer = hook(task, key, deps)
            if answer is not None:
                return answer
        hooks = (self._hooks.ray_pretask, self._hooks.ray_posttask)
        ref = _run_node.options(name=f"dask:{key!s}"[:200], **options).remote(
            key, node, needed, hooks if any(hooks) else None, *deps
        )
        self._submitted.append(ref)
        for hook in self._hooks.ray_postsubmit:
            hook(task, key, deps, ref)
        if self._one_by_one:
            skate.get(ref)
        return ref

    def finish(self, results: Any) -> None:
        for hook in self._hooks.ray_finish:
            hook(results)
        for hook in self._finish:
            hook(self._plain, self._state, False)

    def failed(self) -> None:
        for hook in self._finish:
            hook(self._plain, self._state, True)


@skate.remote
def _run_node(key: Any, node: GraphNode, needed: list[Any], hooks: Any, *values: Any) -> Any:
    node = _resolved(node)
    given = dict(zip(needed, values, strict=True))
    if hooks is None:
        return node(given)
    states = [hook(key, list(values)) for hook in hooks[0]] or [None] * len(hooks[1])
    result = node(given)
    for hook, state in zip(hooks[1], states, strict=False):
        hook(key, result, state)
    return result


def _resolved(item: Any) -> Any:
    """A node, or an argument of one, with values in the place of refs: optimization may have put persisted results there."""
    if isinstance(item, skate.ObjectRef):
        return skate.get(item)
    if isinstance(item, DataNode):
        value = _resolved(item.value)
        return item if value is item.value else DataNode(item.key, value)
    if type(item) in (list, tuple):
        items = [_resolved(each) for each in item]
        return item if all(a is b for a, b in zip(item, items, strict=True)) else type(item)(items)
    if type(item) is dict:
        pairs = {name: _resolved(each) for name, each in item.items()}
        return item if all(item[name] is pairs[name] for name in item) else pairs
    if isinstance(item, GraphNode) and hasattr(item, "args"):
        args, kwargs = _resolved(tuple(item.args)), _resolved(dict(item.kwargs))
        if any(a is not b for a, b in zip(item.args, args, strict=True)) or any(
            item.kwargs[name] is not kwargs[name] for name in kwargs
        ):
            item = item.copy()
            item.args, item.kwargs = args, kwargs
    return item


def _shaped(keys: Any, refs: Mapping[Any, Any]) -> Any:
    if isinstance(keys, list):
        return [_shaped(key, refs) for key in keys]
    return refs[keys]


def _fetch(results: Any) -> Any:
    """Values in the place of refs, all of them waited for together."""
    wanted = list(dict.fromkeys(ref for ref in flatten([results]) if isinstance(ref, skate.ObjectRef)))
    values = dict(zip(wanted, skate.get(wanted), strict=True))

    def fill(item: Any) -> Any:
        if isinstance(item, list):
            return [fill(each) for each in item]
        return values[item] if isinstance(item, skate.ObjectRef) else item

    return fill(results)


__all__ = ["ray_dask_get", "ray_dask_get_sync", "ray_dask_persist"]
