"""Datasets: `Dataset`, its `Schema`, and `MaterializedDataset`."""

from __future__ import annotations

import copy
import logging
import uuid
from typing import TYPE_CHECKING, Any

import cloudpickle

from skate.data.context import DataContext
from skate.data.datatype import DataType
from skate.data.display import describe_plan, describe_table, schema_text
from skate.data.execution.executor import Execution
from skate.data.methods.columns import ColumnMethods
from skate.data.methods.consuming import ConsumingMethods
from skate.data.methods.mapping import MapMethods
from skate.data.methods.relational import RelationalMethods
from skate.data.methods.splitting import SplittingMethods
from skate.data.methods.summarising import SummarisingMethods
from skate.data.methods.writing import FileWritingMethods
from skate.data.methods.writing_stores import StoreWritingMethods
from skate.data.plan import logical as lg

if TYPE_CHECKING:
    from collections.abc import Iterator

    import pyarrow as pa

    from skate.data.execution.bundle import Bundle


_log = logging.getLogger("skate.data")


class Schema:
    """Names and types of a dataset's columns.

    Args:
        base_schema: The Arrow schema.
        data_context: Accepted for Ray's programs.

    Attributes:
        base_schema: The Arrow schema.

    Example:
        >>> import skate.data
        >>> schema = skate.data.range(1).schema()
        >>> schema.names, schema.types
        (['id'], [DataType(int64)])
    """

    def __init__(self, base_schema: Any, *, data_context: DataContext | None = None) -> None:
        self.base_schema: Any = base_schema.base_schema if isinstance(base_schema, Schema) else base_schema

    @property
    def names(self) -> list[str]:
        """Names of the columns."""
        return list(self.base_schema.names)

    @property
    def types(self) -> list[pa.DataType]:
        """Arrow types of the columns."""
        return list(self.base_schema.types)

    def __len__(self) -> int:
        return len(self.base_schema.names)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Schema) and bool(self.base_schema.equals(other.base_schema))

    def __repr__(self) -> str:
        return schema_text(self.names, self.types)


class Dataset(
    MapMethods,
    ColumnMethods,
    RelationalMethods,
    SplittingMethods,
    ConsumingMethods,
    FileWritingMethods,
    StoreWritingMethods,
    SummarisingMethods,
):
    """Rows in blocks, computed when they are asked for.

    Functions like `skate.data.range` and `skate.data.read_parquet` make datasets, methods like `map` and `sort` make
    others of them, and methods like `take_all` and `write_parquet` run them.

    Args:
        logical_plan: What to compute.
        context: Settings; default: the current ones.
        name: A name, for users.

    Example:
        >>> import skate.data
        >>> skate.data.range(1000).map(lambda row: {"id": row["id"] + 1}).sum("id")
        500500
    """

    def __init__(
        self, logical_plan: lg.Operator, context: DataContext | None = None, name: str | None = None
    ) -> None:
        self._plan = logical_plan
        self._context = context if context is not None else DataContext.get_current().copy()
        self._name = name
        self._id = uuid.uuid4().hex
        self._last: Execution | None = None
        self._runs = 0
        self._cached: tuple[Bundle, ...] | None = None

    def _with(self, plan: lg.Operator) -> Dataset:
        if self._cached is not None:
            kept = lg.InputData((), self._cached)
            plan = plan.with_inputs([kept if child is self._plan else child for child in plan.inputs])
        return Dataset(plan, self._context)

    def _execute(
        self, whole: bool = False, epoch: int | None = None, seed: int | None = None
    ) -> Iterator[Bundle]:
        if self._cached is not None:
            yield from self._cached
            return
        epoch = self._runs if epoch is None else epoch
        self._runs = epoch + 1
        self._context._execution_idx = epoch
        with DataContext.current(self._context):
            self._last = Execution(self._plan, epoch, seed)
            stream = self._last.whole() if whole else self._last.bundles()
        while True:
            with DataContext.current(self._context):
                bundle = next(stream, None)
            if bundle is None:
                self._tell()
                return
            yield bundle

    def _tell(self) -> None:
        """Log or keep the statistics of a run that has ended, where the settings say so."""
        from skate.data import stats

        context = self._context
        if context.enable_auto_log_stats:
            _log.info("%s", stats.stats_text(self._last))
        if context.enable_stats_summary_collection:
            stats.remember(stats.summary(self._last, self._name))

    @property
    def context(self) -> DataContext:
        """The settings that it runs with."""
        return self._context

    @property
    def name(self) -> str | None:
        """Its name, if it has one."""
        return self._name

    def set_name(self, name: str | None) -> None:
        """Give it a name, shown where it is described."""
        self._name = name

    def get_dataset_id(self) -> str:
        """An identifier of its own."""
        return f"{self._name or 'dataset'}_{self._id}"

    @staticmethod
    def copy(ds: Dataset, _deep_copy: bool = False, _as: type | None = None) -> Dataset:
        """A dataset that computes the same."""
        kind = _as or type(ds)
        plan = copy.deepcopy(ds._plan) if _deep_copy else ds._plan
        made: Dataset = kind(plan, ds._context, ds._name)
        return made

    # Lineage

    def has_serializable_lineage(self) -> bool:
        """Whether it can be rebuilt elsewhere: whether it comes from files or ranges, and not from objects here."""
        return not any(isinstance(op, lg.InputData) for op in lg.walk(self._plan))

    def serialize_lineage(self) -> bytes:
        """How it is computed, as bytes, to be rebuilt in another session.

        Raises:
            ValueError: it comes from objects of this session.

        Example:
            >>> import skate.data
            >>> lineage = skate.data.range(2).serialize_lineage()
            >>> skate.data.Dataset.deserialize_lineage(lineage).take_all()
            [{'id': 0}, {'id': 1}]
        """
        if not self.has_serializable_lineage():
            raise ValueError(
                "Lineage-based serialization is not supported for this stream, which means that it cannot be used as a "
                "tunable hyperparameter: it is made of objects of this session. Make it by reading files."
            )
        return bytes(cloudpickle.dumps((self._plan, self._context, self._name)))

    @staticmethod
    def deserialize_lineage(serialized_ds: bytes) -> Dataset:
        """A dataset from what `serialize_lineage` gave."""
        plan, context, name = cloudpickle.loads(serialized_ds)
        return Dataset(plan, context, name)

    def __reduce__(self) -> tuple[Any, ...]:
        return _rebuild, (type(self), self._plan, self._context, self._name, self._cached)

    def __iter__(self) -> Any:
        raise TypeError(
            "`Dataset` objects aren't iterable. To iterate records, call `ds.iter_rows()` or `ds.iter_batches()`. For "
            "more information, read https://docs.ray.io/en/latest/data/iterating-over-data.html: the API is the same."
        )

    def __len__(self) -> int:
        raise AttributeError(
            "Use `ds.count()` to compute the length of a distributed Dataset. This may be an expensive operation."
        )

    def __bool__(self) -> bool:
        return True  # not by its length, which takes a run

    def __repr__(self) -> str:
        return describe_plan(self)

    def _repr_html_(self) -> str:
        from html import escape

        return f"<pre>{escape(repr(self))}</pre>"

    __str__ = __repr__


def _rebuild(kind: Any, plan: Any, context: Any, name: Any, cached: Any) -> Dataset:
    made: Dataset = kind(plan, context, name)
    made._cached = cached
    return made


class MaterializedDataset(Dataset):
    """A dataset whose blocks are there already."""

    def num_blocks(self) -> int:
        """How many blocks there are."""
        plan = self._plan
        return len(plan.bundles) if isinstance(plan, lg.InputData) else 0

    def materialize(self) -> MaterializedDataset:
        """Itself: its blocks are there."""
        return self

    def __repr__(self) -> str:
        return describe_table(self)

    __str__ = __repr__


__all__ = ["DataType", "Dataset", "MaterializedDataset", "Schema"]
