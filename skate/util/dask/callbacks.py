"""Hooks around the tasks of a Dask graph."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterable, Iterator
from typing import Any, ClassVar, NamedTuple, Self

import skate

HOOKS = (
    "ray_presubmit",
    "ray_postsubmit",
    "ray_pretask",
    "ray_posttask",
    "ray_postsubmit_all",
    "ray_finish",
)


class Hooks(NamedTuple):
    """The hooks of all callbacks in force, by kind; each a list of functions."""

    ray_presubmit: list[Any]
    ray_postsubmit: list[Any]
    ray_pretask: list[Any]
    ray_posttask: list[Any]
    ray_postsubmit_all: list[Any]
    ray_finish: list[Any]


class RayDaskCallback:
    """Hooks around the tasks of a Dask graph, as arguments or as methods of a subclass; in force inside `with`.

    Args:
        ray_presubmit: `(task, key, deps)`, before a task is submitted; what it returns, unless None, is taken for the task's result,
            and the task is not run.
        ray_postsubmit: `(task, key, deps, object_ref)`, after that.
        ray_pretask: `(key, object_refs)`, in the worker before the task runs; what it returns goes to `ray_posttask`.
        ray_posttask: `(key, result, pre_state)`, in the worker after the task.
        ray_postsubmit_all: `(object_refs, dsk)`, once all tasks are submitted.
        ray_finish: `(result,)`, once all results are there.

    Example:
        >>> from skate.util.dask import RayDaskCallback
        >>> class Count(RayDaskCallback):
        ...     def __init__(self):
        ...         self.submitted = 0
        ...     def _ray_postsubmit(self, task, key, deps, object_ref):
        ...         self.submitted += 1
    """

    active: ClassVar[set[Any]] = set()
    ray_active: ClassVar[set[Any]] = active

    def __init__(self, **hooks: Any) -> None:
        unknown = set(hooks) - set(HOOKS)
        if unknown:
            raise TypeError(
                f"RayDaskCallback has no hook {sorted(unknown)[0]!r}; there are {', '.join(HOOKS)}."
            )
        for name, hook in hooks.items():
            if hook is not None:
                setattr(self, f"_{name}", hook)

    @property
    def own_hooks(self) -> Any:
        """This callback's hooks, as `unpack_ray_callbacks` takes them."""
        return _Own(tuple(getattr(self, f"_{name}", None) for name in HOOKS))

    def __enter__(self) -> Self:
        self._own = self.own_hooks
        RayDaskCallback.active.add(self._own)
        return self

    def __exit__(self, *_exc: object) -> None:
        RayDaskCallback.active.discard(self._own)

    def register(self) -> None:
        """Be in force from now on, without `with`."""
        self.__enter__()

    def unregister(self) -> None:
        """No longer be in force."""
        self.__exit__()


class _Own:
    """One callback's hooks, in the order of `HOOKS`."""

    def __init__(self, hooks: tuple[Any, ...]) -> None:
        self.hooks = hooks


def unpack_ray_callbacks(cbs: Iterable[Any]) -> Hooks:
    """The hooks of several callbacks, by kind."""
    lists: tuple[list[Any], ...] = tuple([] for _ in HOOKS)
    for callback in cbs:
        own = callback if isinstance(callback, _Own) else callback.own_hooks
        for found, hook in zip(lists, own.hooks, strict=True):
            if hook is not None:
                found.append(hook)
    return Hooks(*lists)


@contextlib.contextmanager
def local_ray_callbacks(callbacks: Any = None) -> Iterator[Any]:
    """The callbacks for one graph: those given, or else those in force, which are then not in force for graphs inside it."""
    given = callbacks is not None
    before = set(RayDaskCallback.active)
    if not given:
        RayDaskCallback.active.clear()
        callbacks = before
    try:
        yield callbacks or ()
    finally:
        if not given:
            RayDaskCallback.active.update(before)


class ProgressBarCallback(RayDaskCallback):
    """Shows on standard error how many of a graph's tasks are done."""

    def __init__(self) -> None:
        super().__init__()

    def _ray_postsubmit_all(self, object_refs: list[Any], dsk: Any) -> None:
        total = done = len(object_refs)
        left = list(dict.fromkeys(object_refs))
        while left:
            _, left = skate.wait(left, num_returns=1)
            done = total - len(left)
            sys.stderr.write(f"\r{done} of {total} tasks")
            sys.stderr.flush()
        sys.stderr.write("\n")


__all__ = [
    "HOOKS",
    "Hooks",
    "ProgressBarCallback",
    "RayDaskCallback",
    "local_ray_callbacks",
    "unpack_ray_callbacks",
]
