"""Whatever can be iterated: datasets of PyTorch, and streams of the Hugging Face library."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING, Any

from skate.data import convert
from skate.data.block import BlockMetadata
from skate.data.datasource.datasource import Datasource, ReadTask

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    import pyarrow as pa

_ROWS = 1024


class IterableDatasource(Datasource):
    """The items of an iterable, read in one task, as far as they are needed.

    Args:
        items: The iterable.
        as_row: Makes a row of an item.
        rows: How many there are; None if that is unknown.
        name: What it is called.
    """

    def __init__(
        self, items: Iterable[Any], as_row: Callable[[Any], dict[str, Any]], rows: int | None, name: str
    ) -> None:
        super().__init__()
        self._items, self._as_row, self._rows, self._name = items, as_row, rows, name

    def get_name(self) -> str:
        """What it is called."""
        return self._name

    def estimate_inmemory_data_size(self) -> int | None:
        """Unknown."""
        return None

    def get_read_tasks(
        self, parallelism: int, per_task_row_limit: int | None = None, data_context: Any = None
    ) -> list[ReadTask]:
        """One task."""
        meta = BlockMetadata(self._rows, None, None)
        return [ReadTask(_ReadItems(self._items, self._as_row), meta, None, per_task_row_limit)]


class _ReadItems:
    def __init__(self, items: Iterable[Any], as_row: Callable[[Any], dict[str, Any]]) -> None:
        self._items, self._as_row = items, as_row

    def __call__(self) -> Iterator[pa.Table]:
        items = iter(self._items)
        while part := list(itertools.islice(items, _ROWS)):
            yield convert.table_from_rows([self._as_row(item) for item in part])


class Indexed:
    """What has a length and items by their number, as an iterable."""

    def __init__(self, items: Any) -> None:
        self._items = items

    def __iter__(self) -> Iterator[Any]:
        return (self._items[index] for index in range(len(self._items)))


def item_row(item: Any) -> dict[str, Any]:
    """The item in a column `item`."""
    return {"item": item}


def as_given(item: Any) -> dict[str, Any]:
    """The item, which is a row already."""
    return dict(item)


__all__ = ["Indexed", "IterableDatasource", "as_given", "item_row"]
