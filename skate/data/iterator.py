"""Iterators over datasets: rows, batches, and batches of tensors."""

from __future__ import annotations

import abc
import queue
import threading
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from skate.data import convert
from skate.data.context import DataContext
from skate.data.execution.bundle import Bundle
from skate.data.execution.transforms import rebatch

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from skate.data.dataset import Dataset, MaterializedDataset, Schema


class _Reiterable:
    """What iteration methods return: each `iter()` of it runs the dataset again."""

    def __init__(self, start: Callable[[], Iterator[Any]]) -> None:
        self._start = start
        self._current: Iterator[Any] | None = None

    def __iter__(self) -> Iterator[Any]:
        self._current = self._start()
        return self._current

    def __next__(self) -> Any:
        if self._current is None:
            self._current = self._start()
        return next(self._current)


class DataIterator(abc.ABC):
    """Goes over a dataset, once for each loop."""

    @abc.abstractmethod
    def _tables(self) -> Iterator[pa.Table]:
        """The blocks, of one more run."""

    @abc.abstractmethod
    def schema(self) -> Schema | None:
        """Names and types of the columns."""

    @abc.abstractmethod
    def stats(self) -> str:
        """What the last run did."""

    def get_context(self) -> DataContext:
        """The settings."""
        return DataContext.get_current()

    def _iter(
        self,
        prefetch_batches: int,
        batch_size: int | None,
        batch_format: str | None,
        drop_last: bool,
        shuffle_rows: int | None,
        shuffle_seed: int | None,
        finish: Callable[[Any], Any] | None = None,
    ) -> Iterable[Any]:
        kind = convert.resolve_batch_format(batch_format)
        if shuffle_rows is not None and batch_size is not None and shuffle_rows < batch_size:
            raise ValueError(
                f"local_shuffle_buffer_size ({shuffle_rows}) must be at least the batch size ({batch_size})."
            )
        if batch_size is not None and batch_size < 1:
            raise ValueError(f"batch_size must be a positive integer or None, got: {batch_size}.")

        def start() -> Iterator[Any]:
            tables = self._tables()
            if shuffle_rows is not None:
                tables = _shuffled(tables, shuffle_rows, batch_size, shuffle_seed)
            for table in rebatch(tables, batch_size):
                if table.num_rows == 0 or (drop_last and batch_size and table.num_rows < batch_size):
                    continue
                batch = convert.table_to_batch(table, kind)
                yield batch if finish is None else finish(batch)

        if prefetch_batches > 0 and finish is not None:
            return _Reiterable(lambda: prefetched(start, prefetch_batches))
        return _Reiterable(start)

    def iter_rows(self) -> Iterable[dict[str, Any]]:
        """The rows, as dicts."""

        def start() -> Iterator[dict[str, Any]]:
            for table in self._tables():
                yield from convert.iter_rows(table)

        return _Reiterable(start)

    def iter_batches(
        self,
        *,
        prefetch_batches: int = 1,
        batch_size: int | None = 256,
        batch_format: str | None = "default",
        drop_last: bool = False,
        local_shuffle_buffer_size: int | None = None,
        local_shuffle_seed: int | None = None,
    ) -> Iterable[Any]:
        """The rows in batches: see `Dataset.iter_batches`."""
        return self._iter(
            prefetch_batches,
            batch_size,
            batch_format,
            drop_last,
            local_shuffle_buffer_size,
            local_shuffle_seed,
        )

    def iter_torch_batches(
        self,
        *,
        prefetch_batches: int = 1,
        batch_size: int | None = 256,
        dtypes: Any = None,
        device: Any = "auto",
        collate_fn: Any = None,
        drop_last: bool = False,
        local_shuffle_buffer_size: int | None = None,
        local_shuffle_seed: int | None = None,
        pin_memory: bool = False,
    ) -> Iterable[Any]:
        """The rows in batches of torch tensors, by name.

        Args:
            prefetch_batches: Batches that are made ready beforehand.
            batch_size: Rows of a batch; None for whole blocks.
            dtypes: The type of all tensors, or one for each column.
            device: Where to put them; `"auto"` for the trainer's device, or the CPU.
            collate_fn: Makes what is yielded of a batch, in place of tensors.
            drop_last: Whether to leave out a last batch that is smaller.
            local_shuffle_buffer_size: Rows from which the next is drawn at random.
            local_shuffle_seed: Makes that the same each time.
            pin_memory: Whether to pin the memory, for faster copies to a GPU.

        Raises:
            ImportError: torch is missing.
            ValueError: both `collate_fn` and `dtypes` are given.
        """
        from skate.data.collate_fn import torch_finisher

        if collate_fn is not None and dtypes is not None:
            raise ValueError(
                "collate_fn cannot be used with dtypes: the function decides what a batch becomes."
            )
        kind, finish = torch_finisher(dtypes, device, collate_fn, pin_memory)
        return self._iter(
            prefetch_batches,
            batch_size,
            kind,
            drop_last,
            local_shuffle_buffer_size,
            local_shuffle_seed,
            finish,
        )

    def iter_tf_batches(
        self,
        *,
        prefetch_batches: int = 1,
        batch_size: int | None = 256,
        dtypes: Any = None,
        drop_last: bool = False,
        local_shuffle_buffer_size: int | None = None,
        local_shuffle_seed: int | None = None,
    ) -> Iterable[Any]:
        """The rows in batches of TensorFlow tensors, by name.

        Args:
            prefetch_batches: Batches that are made ready beforehand.
            batch_size: Rows of a batch; None for whole blocks.
            dtypes: The type of all tensors, or one for each column.
            drop_last: Whether to leave out a last batch that is smaller.
            local_shuffle_buffer_size: Rows from which the next is drawn at random.
            local_shuffle_seed: Makes that the same each time.

        Raises:
            ImportError: TensorFlow is missing.
        """
        from skate.data.collate_fn import tf_finisher

        finish = tf_finisher(dtypes)
        return self._iter(
            prefetch_batches,
            batch_size,
            "numpy",
            drop_last,
            local_shuffle_buffer_size,
            local_shuffle_seed,
            finish,
        )

    def iter_jax_batches(
        self,
        *,
        prefetch_batches: int = 1,
        batch_size: int = 256,
        dtypes: Any = None,
        collate_fn: Any = None,
        drop_last: bool = False,
        local_shuffle_buffer_size: int | None = None,
        local_shuffle_seed: int | None = None,
        synchronize_batches: bool = False,
        paddings: Any = None,
    ) -> Iterable[Any]:
        """The rows in batches of JAX arrays, by name.

        Args:
            prefetch_batches: Batches that are made ready beforehand.
            batch_size: Rows of a batch.
            dtypes: The type of all arrays, or one for each column.
            collate_fn: Makes what is yielded of a batch, in place of arrays.
            drop_last: Whether to leave out a last batch that is smaller.
            local_shuffle_buffer_size: Rows from which the next is drawn at random.
            local_shuffle_seed: Makes that the same each time.
            synchronize_batches: Accepted for Ray's programs.
            paddings: A value, or one for each column, that fills up rows of different lengths.

        Raises:
            ImportError: JAX is missing.
        """
        from skate.data.collate_fn import jax_finisher

        finish = collate_fn or jax_finisher(dtypes, paddings)
        return self._iter(
            prefetch_batches,
            batch_size,
            "numpy",
            drop_last,
            local_shuffle_buffer_size,
            local_shuffle_seed,
            finish,
        )

    def to_torch(
        self,
        *,
        label_column: str | None = None,
        feature_columns: Any = None,
        label_column_dtype: Any = None,
        feature_column_dtypes: Any = None,
        batch_size: int = 1,
        prefetch_batches: int = 1,
        drop_last: bool = False,
        local_shuffle_buffer_size: int | None = None,
        local_shuffle_seed: int | None = None,
        unsqueeze_label_tensor: bool = True,
        unsqueeze_feature_tensors: bool = True,
    ) -> Any:
        """A torch `IterableDataset` of pairs of features and label: see `skate.data.torch_dataset.to_torch`."""
        from skate.data.torch_dataset import to_torch

        return to_torch(
            self,
            label_column=label_column,
            feature_columns=feature_columns,
            label_column_dtype=label_column_dtype,
            feature_column_dtypes=feature_column_dtypes,
            batch_size=batch_size,
            prefetch_batches=prefetch_batches,
            drop_last=drop_last,
            local_shuffle_buffer_size=local_shuffle_buffer_size,
            local_shuffle_seed=local_shuffle_seed,
            unsqueeze_label_tensor=unsqueeze_label_tensor,
            unsqueeze_feature_tensors=unsqueeze_feature_tensors,
        )

    def to_tf(
        self,
        feature_columns: str | list[str],
        label_columns: str | list[str],
        *,
        additional_columns: str | list[str] | None = None,
        prefetch_batches: int = 1,
        batch_size: int = 1,
        drop_last: bool = False,
        local_shuffle_buffer_size: int | None = None,
        local_shuffle_seed: int | None = None,
        feature_type_spec: Any = None,
        label_type_spec: Any = None,
        additional_type_spec: Any = None,
    ) -> Any:
        """A `tf.data.Dataset` of pairs of features and labels: see `skate.data.tf_dataset.to_tf`."""
        from skate.data.tf_dataset import to_tf

        return to_tf(
            self,
            feature_columns,
            label_columns,
            additional_columns=additional_columns,
            prefetch_batches=prefetch_batches,
            batch_size=batch_size,
            drop_last=drop_last,
            local_shuffle_buffer_size=local_shuffle_buffer_size,
            local_shuffle_seed=local_shuffle_seed,
            feature_type_spec=feature_type_spec,
            label_type_spec=label_type_spec,
            additional_type_spec=additional_type_spec,
        )

    def materialize(self) -> MaterializedDataset:
        """Run it, and keep the blocks."""
        from skate.data.dataset import MaterializedDataset
        from skate.data.plan import logical as lg

        bundles = tuple(Bundle(table) for table in self._tables())
        return MaterializedDataset(lg.InputData((), bundles), self.get_context())


class DatasetIterator(DataIterator):
    """An iterator over a whole dataset."""

    def __init__(self, dataset: Dataset) -> None:
        self._dataset = dataset

    def _tables(self) -> Iterator[pa.Table]:
        return self._dataset._tables()

    def schema(self) -> Schema | None:
        """Names and types of the columns."""
        return self._dataset.schema()

    def stats(self) -> str:
        """What the last run did."""
        return self._dataset.stats()

    def get_context(self) -> DataContext:
        """The settings."""
        return self._dataset.context

    def materialize(self) -> MaterializedDataset:
        """Run it, and keep the blocks."""
        return self._dataset.materialize()

    def __repr__(self) -> str:
        return f"DataIterator({self._dataset!r})"


def _shuffled(
    tables: Iterator[pa.Table], rows: int, batch_size: int | None, seed: int | None
) -> Iterator[pa.Table]:
    """The rows in an order that is random within a buffer: batches are drawn from it while it is full."""
    rng = np.random.default_rng(seed)
    held: list[pa.Table] = []
    count = 0
    size = batch_size or 1024
    for table in tables:
        if table.num_rows == 0:
            continue
        held.append(table)
        count += table.num_rows
        if count >= rows + size:
            whole = convert.concat(held)
            whole = whole.take(pa.array(rng.permutation(whole.num_rows)))
            while whole.num_rows - size >= rows:
                yield whole.slice(0, size)
                whole = whole.slice(size)
            held, count = [whole], whole.num_rows
    if held:
        whole = convert.concat(held)
        yield whole.take(pa.array(rng.permutation(whole.num_rows)))


_END = object()


def prefetched(start: Callable[[], Iterator[Any]], ahead: int) -> Iterator[Any]:
    """The items, of which a thread makes some beforehand. The thread ends with the loop."""
    ready: queue.Queue[Any] = queue.Queue(maxsize=ahead)
    stop = threading.Event()

    def put(item: Any) -> bool:
        while not stop.is_set():
            try:
                ready.put(item, timeout=0.1)
            except queue.Full:
                continue
            return True
        return False

    def work() -> None:
        source = start()
        try:
            for item in source:
                if not put((item, None)):
                    return
            put((_END, None))
        except BaseException as error:  # noqa: BLE001 - it is raised where the items are read
            put((_END, error))
        finally:
            source.close()  # type: ignore[attr-defined]

    thread = threading.Thread(target=work, name="skate-data-prefetch", daemon=True)
    thread.start()
    try:
        while True:
            item, error = ready.get()
            if error is not None:
                raise error
            if item is _END:
                return
            yield item
    finally:
        stop.set()
        thread.join()


__all__ = ["DataIterator", "DatasetIterator", "prefetched"]
