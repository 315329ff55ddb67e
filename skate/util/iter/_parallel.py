"""Iterators over the shards that actors hold: stages run in the actors, and items are gathered in one process."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, Generic, NamedTuple, TypeVar

import skate
from skate.util.iter._local import NOT_READY, LocalIterator
from skate.util.iter._worker import ParallelIteratorWorker
from skate.util.iter_metrics import SharedMetrics

T = TypeVar("T")
Stage = Callable[[LocalIterator[Any]], LocalIterator[Any]]


class _ActorSet(NamedTuple):
    """Actors whose items go through the same stages."""

    actors: Sequence[Any]
    transforms: tuple[Stage, ...]

    def begin(self) -> None:
        """Have all of them begin."""
        skate.get([actor.par_iter_init.remote(list(self.transforms)) for actor in self.actors])


class ParallelIterator(Generic[T]):
    """Items in shards, each of which an actor holds. `from_items`, `from_range`, `from_iterators` and `from_actors` make them.

    Stages (`for_each`, `filter`, `batch` …) run in the actors. `gather_sync` and `gather_async` bring the items to this process, as a
    `LocalIterator`; `shards` gives each shard alone. It can be sent to tasks.

    Example:
        >>> from skate.util import iter
        >>> it = iter.from_range(6, num_shards=2).for_each(lambda x: x * 2)
        >>> list(it.gather_sync())
        [0, 6, 2, 8, 4, 10]
    """

    def __init__(
        self,
        actor_sets: Sequence[_ActorSet],
        name: str,
        parent_iterators: Sequence[ParallelIterator[Any]] = (),
    ) -> None:
        self.actor_sets = list(actor_sets)
        self.name = name
        self.parent_iterators = list(parent_iterators)
        """What it is made of: kept, as their actors are needed."""

    def __iter__(self) -> Iterator[T]:
        raise TypeError(
            "You must use it.gather_sync() or it.gather_async() to iterate over the results of a ParallelIterator."
        )

    def __str__(self) -> str:
        return repr(self)

    def __repr__(self) -> str:
        return f"ParallelIterator[{self.name}]"

    def _with(self, stage: Stage, name: str) -> ParallelIterator[Any]:
        sets = [_ActorSet(each.actors, (*each.transforms, stage)) for each in self.actor_sets]
        return ParallelIterator(sets, self.name + name, self.parent_iterators)

    # -- stages ----------------------------------------

    def transform(self, fn: Callable[[Iterable[T]], Iterable[Any]]) -> ParallelIterator[Any]:
        """Have `fn`, a function of a shard's whole iterator, make a new one."""
        return self._with(lambda items: items.transform(fn), ".transform()")

    def for_each(
        self, fn: Callable[[T], Any], max_concurrency: int = 1, resources: dict[str, Any] | None = None
    ) -> ParallelIterator[Any]:
        """Apply a function to each item, in the shards' actors.

        Args:
            fn: The function.
            max_concurrency: 1 calls it in the actor. More has each actor use so many tasks at once, and 0 any number.
            resources: Options of those tasks.

        Raises:
            ValueError: `max_concurrency` is negative.
        """
        if max_concurrency < 0:
            raise ValueError(f"max_concurrency={max_concurrency}: it must not be negative.")
        return self._with(lambda items: items.for_each(fn, max_concurrency, resources), ".for_each()")

    def filter(self, fn: Callable[[T], bool]) -> ParallelIterator[T]:
        """Keep the items for which a function is true."""
        return self._with(lambda items: items.filter(fn), ".filter()")

    def batch(self, n: int) -> ParallelIterator[list[T]]:
        """Put `n` items of a shard at a time into a list."""
        return self._with(lambda items: items.batch(n), f".batch({n})")

    def flatten(self) -> ParallelIterator[Any]:
        """Take the items out of items that are lists."""
        return self._with(lambda items: items.flatten(), ".flatten()")

    def combine(self, fn: Callable[[T], list[Any]]) -> ParallelIterator[Any]:
        """Apply a function that returns a list to each item, and take the items out of the lists."""
        return self._with(lambda items: items.combine(fn), ".combine()")

    def local_shuffle(self, shuffle_buffer_size: int, seed: int | None = None) -> ParallelIterator[T]:
        """Mix the items of each shard: each is drawn at random from the `shuffle_buffer_size` that come next."""
        name = f".local_shuffle(shuffle_buffer_size={shuffle_buffer_size}, seed={seed})"
        return self._with(lambda items: items.shuffle(shuffle_buffer_size, seed), name)

    def repartition(self, num_partitions: int, batch_ms: int = 0) -> ParallelIterator[T]:
        """The same items in another number of shards, in new actors; each takes its part of every shard.

        Args:
            num_partitions: How many shards.
            batch_ms: Milliseconds for which a shard collects items before it hands them over; 0 hands over each.
        """
        sets = self.actor_sets

        def part(number: int) -> Callable[[], Iterator[Any]]:
            return lambda: _slices(sets, num_partitions, number, batch_ms)

        for each in sets:
            each.begin()
        made = [_Worker.remote(part(number), False) for number in range(num_partitions)]
        name = f"{self.name}.repartition[num_partitions={num_partitions}]"
        return ParallelIterator([_ActorSet(made, ())], name, [self])

    # -- gathering ----------------------------------------

    def gather_sync(self) -> LocalIterator[T]:
        """The items here: one of each shard in turn."""
        gathered = self.batch_across_shards().flatten()
        gathered.name = f"{self}.gather_sync()"
        return gathered

    def batch_across_shards(self) -> LocalIterator[list[T]]:
        """Lists of one item of each shard that has any left."""

        def rounds(timeout: float | None) -> Iterator[Any]:
            active = self._begin()
            asked = [actor.par_iter_next.remote() for actor in active]
            while active:
                if timeout is not None:
                    _ready, missing = skate.wait(asked, num_returns=len(asked), timeout=timeout)
                    if missing:
                        yield NOT_READY
                        continue
                left, items = [], []
                for actor, ref in zip(active, asked, strict=True):
                    try:
                        items.append(skate.get(ref))
                    except StopIteration:
                        continue
                    left.append(actor)
                active = left
                asked = [actor.par_iter_next.remote() for actor in active]
                if items:
                    yield items

        return LocalIterator(rounds, SharedMetrics(), name=f"{self}.batch_across_shards()")

    def gather_async(self, batch_ms: int = 0, num_async: int = 1) -> LocalIterator[T]:
        """The items here, as they are ready.

        Args:
            batch_ms: Milliseconds for which a shard collects items before it hands them over; 0 hands over each.
            num_async: How many requests each shard has at a time.

        Raises:
            ValueError: one of them is out of range.
        """
        if num_async < 1:
            raise ValueError(f"num_async={num_async}: queue depth must be positive.")
        if batch_ms < 0:
            raise ValueError(f"batch_ms={batch_ms}: batch time must be positive.")
        shared = SharedMetrics()

        def ready(timeout: float | None) -> Iterator[Any]:
            asked = {
                actor.par_iter_next_batch.remote(batch_ms): actor
                for actor in self._begin()
                for _ in range(num_async)
            }
            while asked:
                done, _rest = skate.wait(list(asked), timeout=timeout)
                if not done:
                    yield NOT_READY
                    continue
                actor = asked.pop(done[0])
                try:
                    batch = skate.get(done[0])
                except StopIteration:
                    continue
                asked[actor.par_iter_next_batch.remote(batch_ms)] = actor
                shared.get().current_actor = actor
                yield from batch

        return LocalIterator(ready, shared, name=f"{self}.gather_async()")

    def _begin(self) -> list[Any]:
        for each in self.actor_sets:
            each.begin()
        return [actor for each in self.actor_sets for actor in each.actors]

    def take(self, n: int) -> list[T]:
        """The first `n` items, or as many as there are."""
        return self.gather_sync().take(n)

    def show(self, n: int = 20) -> None:
        """Print the first `n` items."""
        self.gather_sync().show(n)

    # -- shards ----------------------------------------

    def union(self, other: ParallelIterator[T]) -> ParallelIterator[T]:
        """The shards of both.

        Raises:
            TypeError: that is no ParallelIterator.
        """
        if not isinstance(other, ParallelIterator):
            raise TypeError(f"other must be of type ParallelIterator, got {type(other).__name__}.")
        return ParallelIterator(
            [*self.actor_sets, *other.actor_sets],
            f"ParallelUnion[{self}, {other}]",
            [*self.parent_iterators, *other.parent_iterators],
        )

    def select_shards(self, shards_to_keep: list[int]) -> ParallelIterator[T]:
        """Only the shards with these indexes.

        Raises:
            ValueError: it is a union, or has no such shard.
        """
        if len(self.actor_sets) > 1:
            raise ValueError("select_shards() is not allowed after union(): select first.")
        actors, transforms = self.actor_sets[0]
        if not all(0 <= index < len(actors) for index in shards_to_keep):
            raise ValueError(
                f"{shards_to_keep}: at least one shard index is not valid; there are {len(actors)}."
            )
        kept = [actors[index] for index in shards_to_keep]
        name = f"{self.name}.select_shards({len(kept)} total)"
        return ParallelIterator([_ActorSet(kept, transforms)], name, self.parent_iterators)

    def num_shards(self) -> int:
        """How many shards there are."""
        return sum(len(each.actors) for each in self.actor_sets)

    def shards(self) -> list[LocalIterator[T]]:
        """Each shard alone."""
        return [self.get_shard(index) for index in range(self.num_shards())]

    def get_shard(self, shard_index: int, batch_ms: int = 0, num_async: int = 1) -> LocalIterator[T]:
        """One shard alone.

        Args:
            shard_index: Which.
            batch_ms: Milliseconds for which it collects items before it hands them over; 0 hands over each.
            num_async: How many requests it has at a time.

        Raises:
            ValueError: an argument is out of range.
        """
        if num_async < 1:
            raise ValueError(f"num_async={num_async}: queue depth must be positive.")
        if batch_ms < 0:
            raise ValueError(f"batch_ms={batch_ms}: batch time must be positive.")
        members = [(actor, each) for each in self.actor_sets for actor in each.actors]
        if not 0 <= shard_index < len(members):
            raise ValueError(f"Shard index out of range: {shard_index}. There are {len(members)} shards.")
        actor, owner = members[shard_index]

        def items(timeout: float | None) -> Iterator[Any]:
            skate.get(actor.par_iter_init.remote(list(owner.transforms)))
            asked = [actor.par_iter_next_batch.remote(batch_ms) for _ in range(num_async)]
            while asked:
                if not skate.wait([asked[0]], timeout=timeout)[0]:
                    yield NOT_READY
                    continue
                try:
                    batch = skate.get(asked.pop(0))
                except StopIteration:
                    return
                asked.append(actor.par_iter_next_batch.remote(batch_ms))
                yield from batch

        return LocalIterator(items, SharedMetrics(), name=f"{self.name}.shard[{shard_index}]")


def _slices(sets: Sequence[_ActorSet], step: int, start: int, batch_ms: int) -> Iterator[Any]:
    """One partition of a repartitioned iterator: its part of every shard, as items are ready."""
    asked = {
        actor.par_iter_slice_batch.remote(step, start, batch_ms): actor
        for each in sets
        for actor in each.actors
    }
    while asked:
        done, _rest = skate.wait(list(asked))
        actor = asked.pop(done[0])
        try:
            batch = skate.get(done[0])
        except StopIteration:
            continue
        asked[actor.par_iter_slice_batch.remote(step, start, batch_ms)] = actor
        yield from batch


_Worker = skate.remote(num_cpus=0)(ParallelIteratorWorker)


def from_items(items: list[T], num_shards: int = 2, repeat: bool = False) -> ParallelIterator[T]:
    """A parallel iterator over a list; item `i` is in shard `i % num_shards`.

    Args:
        items: The items.
        num_shards: How many shards, each in an actor of its own.
        repeat: Whether to begin again at the end, for ever.
    """
    shards = [list(items[number::num_shards]) for number in range(num_shards)]
    name = f"from_items[{(items and type(items[0]).__name__) or 'None'}, {len(items)}, shards={num_shards}"
    return from_iterators(shards, repeat=repeat, name=f"{name}{', repeat=True' if repeat else ''}]")


def from_range(n: int, num_shards: int = 2, repeat: bool = False) -> ParallelIterator[int]:
    """A parallel iterator over the numbers below `n`; each shard has a stretch of them.

    Args:
        n: How many numbers.
        num_shards: How many shards, each in an actor of its own.
        repeat: Whether to begin again at the end, for ever.
    """
    size = n // num_shards
    stretches: list[Any] = []
    for number in range(num_shards):
        start = number * size
        stretches.append(range(start, n if number == num_shards - 1 else start + size))
    name = f"from_range[{n}, shards={num_shards}{', repeat=True' if repeat else ''}]"
    return from_iterators(stretches, repeat=repeat, name=name)


def from_iterators(
    generators: Sequence[Any], repeat: bool = False, name: str | None = None
) -> ParallelIterator[Any]:
    """A parallel iterator with a shard for each iterable.

    Args:
        generators: Iterables, or functions without arguments that return one; they are sent to the shards' actors.
        repeat: Whether to begin each again at its end, for ever.
        name: How it is shown.
    """
    if not name:
        name = f"from_iterators[shards={len(generators)}{', repeat=True' if repeat else ''}]"
    return from_actors([_Worker.remote(each, repeat) for each in generators], name=name)


def from_actors(actors: Sequence[Any], name: str | None = None) -> ParallelIterator[Any]:
    """A parallel iterator over actors whose class has `ParallelIteratorWorker` as a base.

    Args:
        actors: Their handles.
        name: How it is shown.
    """
    return ParallelIterator([_ActorSet(actors, ())], name or f"from_actors[shards={len(actors)}]")
