"""Statistics of all columns at once: `Dataset.summary()` and `Dataset.describe()`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import pyarrow as pa

from skate.data import aggregate as ag

if TYPE_CHECKING:
    from collections.abc import Callable

    from skate.data.dataset import Dataset


@dataclass
class DatasetSummary:
    """Statistics of a dataset's columns.

    Attributes:
        dataset_schema: Its schema.
        columns: The columns that were summarised.
        values: For each column, names of statistics to values.
    """

    dataset_schema: pa.Schema
    columns: list[str]
    values: dict[str, dict[str, Any]]

    STATISTIC_COLUMN: ClassVar[str] = "statistic"

    def to_pandas(self) -> Any:
        """A row for each statistic, a column for each column."""
        import pandas

        names: dict[str, None] = {}
        for found in self.values.values():
            names.update(dict.fromkeys(found))
        rows = [
            {
                self.STATISTIC_COLUMN: name,
                **{column: self.values[column].get(name) for column in self.columns},
            }
            for name in names
        ]
        return pandas.DataFrame(rows, columns=[self.STATISTIC_COLUMN, *self.columns])

    def get_column_stats(self, column: str) -> Any:
        """The statistics of one column, as a DataFrame of names and values.

        Raises:
            ValueError: the column was not summarised.
        """
        import pandas

        if column not in self.values:
            raise ValueError(f"Column '{column}' not found in summary: it has {self.columns}.")
        found = self.values[column]
        return pandas.DataFrame({self.STATISTIC_COLUMN: list(found), "value": list(found.values())})

    def __repr__(self) -> str:
        return f"DatasetSummary(columns={self.columns})\n{self.to_pandas()}"


def _is_number(kind: pa.DataType) -> bool:
    return bool(pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_decimal(kind))


def _aggregations(name: str, kind: pa.DataType) -> dict[str, ag.AggregateFn]:
    found: dict[str, ag.AggregateFn] = {
        "count": ag.Count(name, ignore_nulls=True, alias_name=f"{name} :: count"),
        "missing_pct": ag.MissingValuePercentage(name, alias_name=f"{name} :: missing_pct"),
    }
    if _is_number(kind):
        found["mean"] = ag.Mean(name, alias_name=f"{name} :: mean")
        found["std"] = ag.Std(name, alias_name=f"{name} :: std")
    if _is_number(kind) or pa.types.is_temporal(kind) or pa.types.is_string(kind):
        found["min"] = ag.Min(name, alias_name=f"{name} :: min")
        found["max"] = ag.Max(name, alias_name=f"{name} :: max")
    if _is_number(kind):
        for label, q in (("25%", 0.25), ("50%", 0.5), ("75%", 0.75)):
            found[label] = ag.Quantile(name, q, alias_name=f"{name} :: {label}")
        found["zero_pct"] = ag.ZeroPercentage(name, alias_name=f"{name} :: zero_pct")
    return found


def summarise(
    dataset: Dataset,
    columns: list[str] | None,
    override: dict[Any, Callable[[str], list[Any]]] | None,
) -> DatasetSummary:
    """The statistics of these columns, computed in one run.

    Raises:
        ValueError: there is no such column.
    """
    schema = dataset.schema()
    if schema is None:
        return DatasetSummary(pa.schema([]), [], {})
    base: pa.Schema = schema.base_schema
    names = schema.names if columns is None else columns
    for name in names:
        if name not in base.names:
            raise ValueError(f"summary: no column {name!r}; the dataset has columns: {base.names}")
    plans: dict[str, dict[str, ag.AggregateFn]] = {}
    for name in names:
        kind = base.field(name).type
        replaced = next((make for key, make in (override or {}).items() if key._physical_dtype == kind), None)
        if replaced is None:
            plans[name] = _aggregations(name, kind)
        else:
            plans[name] = {agg.get_agg_name(): agg for agg in replaced(name)}
    results = dataset.aggregate(*(agg for plan in plans.values() for agg in plan.values())) if plans else {}
    values = {name: {label: results[agg.name] for label, agg in plan.items()} for name, plan in plans.items()}
    return DatasetSummary(base, list(names), values)


def describe(dataset: Dataset) -> Any:
    """The statistics of all columns as a DataFrame, whose index names them."""
    frame = summarise(dataset, None, None).to_pandas().set_index("statistic")
    frame.index.name = None
    return frame


__all__ = ["DatasetSummary", "describe", "summarise"]
