"""Where a function runs: `TaskPoolStrategy` or `ActorPoolStrategy`."""

from __future__ import annotations

from typing import Any

from skate.data.plan.logical import Compute


class ComputeStrategy:
    """Base of the two strategies."""


class TaskPoolStrategy(ComputeStrategy):
    """Run a function in tasks.

    Args:
        size: At most so many at a time; None leaves it to the number of CPUs.
        enable_true_multi_threading: Accepted for Ray's programs: a task has a process of its own.

    Raises:
        ValueError: a size below 1.
    """

    def __init__(self, size: int | None = None, *, enable_true_multi_threading: bool | None = None) -> None:
        if size is not None and size < 1:
            raise ValueError("`size` must be >= 1", size)
        self.size = size
        self.enable_true_multi_threading = enable_true_multi_threading

    def __eq__(self, other: object) -> bool:
        return isinstance(other, TaskPoolStrategy) and self.size == other.size

    def __hash__(self) -> int:
        return hash((TaskPoolStrategy, self.size))

    def __repr__(self) -> str:
        return f"TaskPoolStrategy(size={self.size})"


class ActorPoolStrategy(ComputeStrategy):
    """Run a function, or instances of a class, in a pool of actors.

    Args:
        size: A fixed number of actors; not together with the others.
        min_size: The least number.
        max_size: The greatest number; None for as many as there are CPUs.
        initial_size: The number to start with; default the least.
        max_tasks_in_flight_per_actor: Calls that may wait at an actor.
        max_concurrent_calls_per_actor: Calls that an actor runs at a time, in threads.
        enable_true_multi_threading: Accepted for Ray's programs.

    Raises:
        ValueError: the numbers contradict each other.
    """

    enable_true_multi_threading: bool | None

    def __init__(
        self,
        *,
        size: int | None = None,
        min_size: int | None = None,
        max_size: int | None = None,
        initial_size: int | None = None,
        max_tasks_in_flight_per_actor: int | None = None,
        max_concurrent_calls_per_actor: int | None = None,
        enable_true_multi_threading: bool | None = None,
    ) -> None:
        if size is not None:
            if size < 1:
                raise ValueError("size must be >= 1", size)
            if min_size is not None or max_size is not None or initial_size is not None:
                raise ValueError(
                    "min_size, max_size, and initial_size cannot be set at the same time as `size`"
                )
            min_size = max_size = initial_size = size
        if min_size is not None and min_size < 1:
            raise ValueError("min_size must be >= 1", min_size)
        self.min_size = 1 if min_size is None else min_size
        self.max_size: float = float("inf") if max_size is None else max_size
        if self.min_size > self.max_size:
            raise ValueError("min_size must be <= max_size", self.min_size, max_size)
        self.initial_size = self.min_size if initial_size is None else initial_size
        if self.initial_size < self.min_size:
            raise ValueError(f"initial_size ({self.initial_size}) must be >= min_size ({self.min_size})")
        if self.initial_size > self.max_size:
            raise ValueError(f"initial_size ({self.initial_size}) must be <= max_size ({self.max_size})")
        if max_tasks_in_flight_per_actor is not None and max_tasks_in_flight_per_actor < 1:
            raise ValueError(
                "max_tasks_in_flight_per_actor must be >= 1, got: ", max_tasks_in_flight_per_actor
            )
        self.max_tasks_in_flight_per_actor = max_tasks_in_flight_per_actor
        self.max_concurrent_calls_per_actor = max_concurrent_calls_per_actor
        self.enable_true_multi_threading = bool(enable_true_multi_threading)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, ActorPoolStrategy) and self.__dict__ == other.__dict__

    def __hash__(self) -> int:
        return hash((ActorPoolStrategy, self.min_size, self.max_size))

    def __repr__(self) -> str:
        shown = ", ".join(f"{name}={value}" for name, value in self.__dict__.items())
        return f"ActorPoolStrategy({shown})"


def resolve(fn: Any, compute: Any, concurrency: Any, options: dict[str, Any], options_fn: Any) -> Compute:
    """What the arguments of a method like `map_batches` say of where its function runs.

    Raises:
        ValueError: they contradict each other, or the function.
    """
    plain = tuple((name, value) for name, value in options.items() if value is not None)
    is_class = isinstance(fn, type)
    strategy = _strategy(fn, is_class, compute, concurrency)
    explicit = bool(plain) or options_fn is not None or concurrency is not None or compute is not None
    if isinstance(strategy, ActorPoolStrategy):
        most = strategy.max_size if strategy.max_size != float("inf") else _cpu_count()
        low = strategy.min_size
        sizes = (low, max(low, int(most)), strategy.initial_size)
        in_flight, calls = strategy.max_tasks_in_flight_per_actor, strategy.max_concurrent_calls_per_actor
        return Compute(None, sizes, plain, options_fn, True, in_flight, calls)
    return Compute(strategy.size, None, plain, options_fn, explicit)


def _strategy(
    fn: Any, is_class: bool, compute: Any, concurrency: Any
) -> TaskPoolStrategy | ActorPoolStrategy:
    if isinstance(compute, str):
        named = {"tasks": TaskPoolStrategy, "actors": ActorPoolStrategy}
        if compute not in named:
            raise ValueError(f"compute must be one of [`tasks`, `actors`, ComputeStrategy], got: {compute!r}")
        compute = named[compute]()
    if compute is not None and concurrency is None:
        if is_class and isinstance(compute, TaskPoolStrategy):
            raise ValueError(
                f"You specified the callable class {fn} as your UDF with the compute {compute}, but instances of classes live in "
                "actors: pass an ActorPoolStrategy to compute, or None for the default."
            )
        if not isinstance(compute, (TaskPoolStrategy, ActorPoolStrategy)):
            raise ValueError(f"compute must be one of [`tasks`, `actors`, ComputeStrategy], got: {compute}")
        return compute
    if isinstance(concurrency, bool) or not isinstance(concurrency, (int, tuple, type(None))):
        raise ValueError(
            f"``concurrency`` is expected to be set as an integer or a tuple of integers, but got: {concurrency}."
        )
    if isinstance(concurrency, tuple):
        if len(concurrency) not in (2, 3) or not all(isinstance(n, int) for n in concurrency):
            raise ValueError(
                "``concurrency`` is expected to be set as a tuple of integers (two, or three), but got: "
                f"{concurrency}."
            )
        if not is_class:
            raise ValueError(
                f"``concurrency`` is set as a tuple of integers, but ``fn`` is not a callable class: "
                f"{fn}. Use ``concurrency=n`` to control maximum number of workers to use."
            )
        least, most = concurrency[:2]
        return ActorPoolStrategy(
            min_size=least, max_size=most, initial_size=concurrency[2] if len(concurrency) == 3 else None
        )
    if is_class:
        return ActorPoolStrategy(size=concurrency) if concurrency is not None else ActorPoolStrategy()
    return TaskPoolStrategy(concurrency)


def _cpu_count() -> int:
    import os

    import skate

    if skate.is_initialized():
        return max(1, int(skate.cluster_resources().get("CPU", 1)))
    return os.cpu_count() or 1


__all__ = ["ActorPoolStrategy", "ComputeStrategy", "TaskPoolStrategy", "resolve"]
