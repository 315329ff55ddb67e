"""Iterators in parallel: items in shards that actors hold, with stages that run there.

Datasets (`skate.data`) do more, and are what new programs want. These iterators are for programs that have theirs already.

Example:
    >>> from skate.util import iter
    >>> squares = iter.from_items([1, 2, 3, 4], num_shards=2).for_each(lambda x: x * x)
    >>> sorted(squares.gather_async())
    [1, 4, 9, 16]
"""

from __future__ import annotations

from skate.util.iter._local import LocalIterator
from skate.util.iter._parallel import (
    ParallelIterator,
    from_actors,
    from_items,
    from_iterators,
    from_range,
)
from skate.util.iter._worker import ParallelIteratorWorker

__all__ = [
    "LocalIterator",
    "ParallelIterator",
    "ParallelIteratorWorker",
    "from_actors",
    "from_items",
    "from_iterators",
    "from_range",
]
