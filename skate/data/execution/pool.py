"""A stage in actors: a pool that grows and shrinks by need, between a least and a most."""

from __future__ import annotations

import time
from collections import deque
from typing import TYPE_CHECKING, Any

import skate
from skate.data.context import DataContext
from skate.data.execution.running import Running, Tolerance, Work, described, read_tables, results
from skate.data.execution.transforms import run_chain
from skate.exceptions import GetTimeoutError, RayActorError, RayError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from skate.data.execution.bundle import Bundle
    from skate.data.execution.stage_stats import StageStats
    from skate.data.execution.udf import Transform
    from skate.data.plan.logical import Compute

AHEAD = 4  # items of a generator, two for each block, that a task may be ahead of its reader
_CALL_RETRIES = 3  # of a call whose actor has died


class PoolWorker:
    """An actor of a pool: it holds the transforms, set up once.

    Args:
        transforms: The transforms.
        context: The settings of the dataset.
    """

    def __init__(self, transforms: list[Transform], context: DataContext) -> None:
        self._transforms, self._context = transforms, context
        retries = context.actor_init_max_retries if context.actor_init_retry_on_errors else 0
        with DataContext.current(context):
            for transform in transforms:
                while True:
                    try:
                        transform.setup()
                        break
                    except Exception:
                        if retries == 0:
                            raise
                        retries -= 1

    def ready(self) -> None:
        """Answers when the constructor has ended."""

    def work(self, target: int, read: Callable[[], Any] | None, *tables: Any) -> Iterator[Any]:
        """For each block, what is known of it and then the block."""
        with DataContext.current(self._context):
            source = iter(tables) if read is None else read_tables(read)
            yield from described(run_chain(self._transforms, source), target)


class Pool:
    """Actors that come when calls wait, and go when there is no more work for them.

    Args:
        transforms: What each holds.
        compute: Sizes and options.
    """

    def __init__(self, transforms: list[Transform], compute: Compute) -> None:
        context = DataContext.get_current()
        least, most, initial = compute.pool or (1, 1, 1)
        options = dict(
            compute.options
        )  # without num_cpus an actor holds no CPU, and starves no stage after it
        options.setdefault("max_restarts", -1)
        options.setdefault("max_task_retries", _CALL_RETRIES)
        at_a_time = compute.calls or int(options.get("max_concurrency") or 1)
        if at_a_time > 1:
            options["max_concurrency"] = at_a_time
        self._factory = skate.remote(PoolWorker).options(**options)
        self._call_options: dict[str, Any] = {
            "num_returns": "streaming",
            "_generator_backpressure_num_objects": AHEAD,
        }
        if context.actor_task_retry_on_errors:
            self._call_options["retry_exceptions"] = context.actor_task_retry_on_errors
        self._options_fn = compute.options_fn
        self._shared = skate.put(transforms), skate.put(context)
        self._least, self._most = max(1, least), max(1, most)
        self._threshold = context.autoscaling_config.actor_pool_util_upscaling_threshold
        self._step = context.autoscaling_config.actor_pool_max_upscaling_delta or 1
        self._at_a_time = at_a_time
        self._per_actor = compute.in_flight or context.max_tasks_in_flight_per_actor or 2 * at_a_time
        self._deaths_left = context.max_consecutive_actor_init_deaths
        self._started = 0
        self._starting: dict[int, tuple[Any, Any]] = {}
        self._actors: dict[int, Any] = {}
        self._load: dict[int, int] = {}
        for _ in range(max(self._least, min(initial, self._most))):
            self._start()

    def _start(self) -> None:
        factory = self._factory.options(**self._options_fn()) if self._options_fn else self._factory
        actor = factory.remote(*self._shared)
        self._starting[self._started] = (actor, actor.ready.remote())
        self._started += 1

    def wait_for_least(self) -> None:
        """Wait until the least number of actors has started, as long as `DataContext.wait_for_min_actors_s` says.

        Raises:
            GetTimeoutError: it has not.
        """
        seconds = DataContext.get_current().wait_for_min_actors_s
        if seconds <= 0:
            return
        deadline = time.monotonic() + seconds
        while len(self._actors) < self._least:
            self.admit(max(0.0, deadline - time.monotonic()))
            if len(self._actors) < self._least and time.monotonic() >= deadline:
                raise GetTimeoutError(
                    f"Timed out while starting actors: {len(self._actors)} of {self._least} have started within "
                    f"wait_for_min_actors_s={seconds} s. This may mean that the session does not have enough resources for the "
                    "requested actor pool: ask for fewer actors, or for less in each."
                )

    def admit(self, timeout: float | None) -> None:
        """Take in the actors that have started; wait for one if `timeout` says so.

        Raises:
            RayError: an actor's constructor has failed.
        """
        if not self._starting:
            return
        refs = {ref: number for number, (_, ref) in self._starting.items()}
        ready, _ = skate.wait(list(refs), num_returns=1, timeout=timeout)
        if ready and len(refs) > 1:
            ready, _ = skate.wait(list(refs), num_returns=len(refs), timeout=0)
        for ref in ready:
            number = refs[ref]
            actor, _ = self._starting.pop(number)
            try:
                skate.get(ref)
            except RayActorError as error:
                if self._deaths_left == 0:
                    cause = getattr(error, "cause", None)  # what the class raised, when it was instantiated
                    raise (cause if isinstance(cause, RayError) else error) from error
                self._deaths_left -= 1
                self._start()
                continue
            self._deaths_left = DataContext.get_current().max_consecutive_actor_init_deaths
            self._actors[number] = actor
            self._load[number] = 0

    @property
    def capacity(self) -> int:
        """Calls that all actors may have at a time when the pool is as large as it may become."""
        return self._most * self._per_actor

    @property
    def has_room(self) -> bool:
        """Whether a started actor has fewer calls than it may have. A pool that is busy grows."""
        self.admit(0)
        size = len(self._actors) + len(self._starting)
        load = sum(self._load.values())
        if not self._starting and size < self._most and load >= min(self._threshold, self._per_actor) * size:
            for _ in range(min(self._step, self._most - size)):
                self._start()
        return any(calls < self._per_actor for calls in self._load.values())

    def submit(self, target: int, item: Work) -> tuple[int, Any]:
        """Give work to the actor with the least of it."""
        number = min(self._load, key=self._load.__getitem__)
        self._load[number] += 1
        method = self._actors[number].work.options(**self._call_options)
        return number, method.remote(target, item.read, *item.refs)

    def done(self, number: int, shrink: bool) -> None:
        """Note that an actor has ended a call; end it if it is idle and no work will come."""
        self._load[number] -= 1
        if shrink and self._load[number] == 0 and len(self._actors) > self._least:
            skate.kill(self._actors.pop(number))
            del self._load[number]

    def close(self) -> None:
        """End all actors."""
        if skate.is_initialized():
            for actor in [*self._actors.values(), *(actor for actor, _ in self._starting.values())]:
                skate.kill(actor)
        self._actors.clear()
        self._starting.clear()


def in_actors(
    name: str,
    transforms: list[Transform],
    compute: Compute,
    work: Iterator[Work],
    target: int,
    stats: StageStats,
) -> Iterator[Bundle]:
    """The blocks that a pool of actors makes of the inputs, in their order."""
    pool = Pool(transforms, compute)
    tolerance = Tolerance(name)
    running: deque[tuple[int, Running]] = deque()
    ended: set[int] = (
        set()
    )  # of those running, by identity: their calls have ended, and their results wait to be read
    exhausted = False

    def look() -> None:
        """Give work to actors that have become free, while the results of an earlier call are waited for."""
        nonlocal exhausted
        for number, current in running:
            if id(current) not in ended and skate.wait([current.items.completed()], timeout=0)[0]:
                ended.add(id(current))
                pool.done(number, exhausted)
        while not exhausted and len(running) < 2 * pool.capacity and pool.has_room:
            item = next(work, None)
            if item is None:
                exhausted = True
                break
            number, items = pool.submit(target, item)
            stats.tasks += 1
            running.append((number, Running(items, item, stats.tasks)))

    try:
        pool.wait_for_least()
        while True:
            look()
            if not running:
                if exhausted:
                    return
                pool.admit(None)
                continue
            number, current = running[0]
            yield from tolerance.results(results(name, current, look))
            running.popleft()
            if id(current) in ended:
                ended.discard(id(current))
            else:
                pool.done(number, exhausted)
    finally:
        pool.close()


__all__ = ["AHEAD", "Pool", "PoolWorker", "in_actors"]
