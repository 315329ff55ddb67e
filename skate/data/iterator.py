"""Iterators over datasets: rows, batches, and batches of tensors."""

from __future__ import annotations

import abc
from typing import TYPE_CHECKING, Any

from skate.data import convert
from skate.data.context import DataContext
from skate.data.execution.bundle import Bundle
from skate.data.execution.transforms import rebatch
from skate.data.iteration import Position, Reiterable, after, prefetched, shuffled

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    import pyarrow as pa

    from skate.data.dataset import Dataset, MaterializedDataset, Schema


class DataIterator(abc.ABC):
    """Goes over a dataset, once for each loop. A loop that has ended early can be gone on with elsewhere.

    Example:
        >>> import skate.data
        >>> iterator = skate.data.range(6).iterator()
        >>> for batch in iterator.iter_batches(batch_size=2):
        ...     break
        >>> another = skate.data.range(6).iterator()
        >>> another.load_state_dict(iterator.state_dict())
        >>> [batch["id"].tolist() for batch in another.iter_batches(batch_size=2)]
        [[2, 3], [4, 5]]
    """

    _position: Position
    _goes_on = False  # whether the next loop goes on where the position is, rather than begin a run

    @abc.abstractmethod
    def _tables(self, position: Position) -> Iterator[pa.Table]:
        """The blocks of the run that the position names. Sets its epoch and seed, where it is not this one that decides."""

    @abc.abstractmethod
    def schema(self) -> Schema | None:
        """Names and types of the columns."""

    @abc.abstractmethod
    def stats(self) -> str:
        """What the last run did."""

    def get_context(self) -> DataContext:
        """The settings."""
        return DataContext.get_current()

    def state_dict(self) -> dict[str, Any]:
        """How far the loops of this iterator have come, as plain values: the run, and the rows of it that were given out.

        The same batch size, buffer and dataset give the same rows again. Without seeds of their own, the order of what is
        shuffled is part of it.
        """
        return self._position.state()

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Let the next loop go on where another iterator was.

        Args:
            state_dict: What its `state_dict` has given.

        Raises:
            ValueError: it is nothing of that kind.
        """
        self._position = Position.of(state_dict)
        self._goes_on = True

    def _begin(self) -> Position:
        position = self._position
        if not self._goes_on and position.rows:
            position.end()  # the loop before ended early
        self._goes_on = False
        position.begin()
        return position

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
        if batch_size is not None and batch_size < 1:
            raise ValueError(f"batch_size must be a positive integer or None, got: {batch_size}.")
        if shuffle_rows is not None and shuffle_rows < 1:
            raise ValueError(
                f"local_shuffle_buffer_size must be a positive integer or None, got: {shuffle_rows}."
            )

        def made(position: Position, skip: int) -> Iterator[Any]:
            tables = self._tables(position)
            if shuffle_rows is not None:
                seed = position.seed if shuffle_seed is None else shuffle_seed
                tables = shuffled(tables, shuffle_rows, batch_size, seed)
            for table in rebatch(after(tables, skip), batch_size):
                if table.num_rows == 0 or (drop_last and batch_size and table.num_rows < batch_size):
                    continue
                batch = convert.table_to_batch(table, kind)
                yield (batch if finish is None else finish(batch)), table.num_rows

        def start() -> Iterator[Any]:
            position = self._begin()
            items = made(position, position.rows)
            if prefetch_batches > 0:
                items = prefetched(items, prefetch_batches)
            try:
                for batch, rows in items:
                    position.rows += rows
                    yield batch
                position.end()
            finally:
                items.close()  # type: ignore[attr-defined]

        return Reiterable(start)

    def iter_rows(self) -> Iterable[dict[str, Any]]:
        """The rows, as dicts."""

        def start() -> Iterator[dict[str, Any]]:
            position = self._begin()
            for table in after(self._tables(position), position.rows):
                for row in convert.iter_rows(table):
                    position.rows += 1
                    yield row
            position.end()

        return Reiterable(start)

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
            collate_fn: Makes arrays of a batch, or a dict of them, which become JAX's.
            drop_last: Whether to leave out a last batch that is smaller.
            local_shuffle_buffer_size: Rows from which the next is drawn at random.
            local_shuffle_seed: Makes that the same each time.
            synchronize_batches: Accepted for Ray's programs.
            paddings: A value, or one for each column, with which a last batch that is smaller is filled up.

        Raises:
            ImportError: JAX is missing.
        """
        from skate.data.collate_fn import jax_finisher

        kind, finish = jax_finisher(dtypes, paddings, collate_fn, batch_size)
        return self._iter(
            prefetch_batches,
            batch_size,
            kind,
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

        bundles = tuple(Bundle(table) for table in self._tables(self._begin()))
        self._position.end()
        return MaterializedDataset(lg.InputData((), bundles), self.get_context())


class DatasetIterator(DataIterator):
    """An iterator over a whole dataset."""

    def __init__(self, dataset: Dataset) -> None:
        self._dataset = dataset
        self._position = Position(epoch=dataset._runs)

    def _tables(self, position: Position) -> Iterator[pa.Table]:
        for bundle in self._dataset._execute(epoch=position.epoch, seed=position.seed):
            yield bundle.table

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


__all__ = ["DataIterator", "DatasetIterator"]
