"""Missing values filled in."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

from skate.data import aggregate as ag
from skate.data import convert
from skate.data.preprocessor import Preprocessor, SerializablePreprocessorBase, output_names

if TYPE_CHECKING:
    import pandas

    from skate.data.dataset import Dataset

_STRATEGIES = ["mean", "most_frequent", "constant"]


class SimpleImputer(SerializablePreprocessorBase):
    """Fills in nulls and NaN.

    Args:
        columns: The columns.
        strategy: `"mean"`, `"most_frequent"` or `"constant"`.
        fill_value: What to fill in, for `"constant"`.
        output_columns: Their names in the result; default: the same.

    Raises:
        ValueError: there is no such strategy, or the constant is missing.
    """

    columns: list[str]
    strategy: str
    fill_value: Any
    output_columns: list[str]

    def __init__(
        self,
        columns: list[str],
        strategy: str = "mean",
        fill_value: Any = None,
        *,
        output_columns: list[str] | None = None,
    ) -> None:
        if strategy not in _STRATEGIES:
            raise ValueError(f"Strategy {strategy} is not supported. Supported values are: {_STRATEGIES}")
        if strategy == "constant" and fill_value is None:
            raise ValueError('`fill_value` must be set when using "constant" strategy.')
        self.columns = columns
        self.strategy = strategy
        self.fill_value = fill_value
        self.output_columns = output_names(columns, output_columns)

    @property
    def _is_fittable(self) -> bool:  # type: ignore[override]
        return self.strategy != "constant"

    def _fit(self, ds: Dataset) -> Preprocessor:
        if self.strategy == "mean":
            nan_free = ds.map_batches(_without_nan, batch_format="pyarrow")
            self.stats_ = nan_free.aggregate(*(ag.Mean(column) for column in self.columns))
            return self
        counts: dict[str, Counter[Any]] = {column: Counter() for column in self.columns}
        for table in ds.select_columns(self.columns)._tables():
            for column in self.columns:
                values = convert.column_to_list(table.column(column))
                counts[column].update(v for v in values if v is not None and v == v)
        self.stats_ = {
            f"most_frequent({column})": (found.most_common(1)[0][0] if found else None)
            for column, found in counts.items()
        }
        return self

    def _value(self, column: str) -> Any:
        if self.strategy == "constant":
            return self.fill_value
        value = self.stats_[f"{self.strategy}({column})"]
        if value is None:
            raise ValueError(
                f"Column {column} has no fill value. Check the data used to fit the SimpleImputer: all of it is missing."
            )
        return value

    def _transform_pandas(self, df: pandas.DataFrame) -> pandas.DataFrame:
        filled = {}
        for column, out in zip(self.columns, self.output_columns, strict=True):
            value = self._value(column)
            series = df.get(column)
            if series is None:
                filled[out] = value
                continue
            if series.dtype.name == "category" and value not in series.cat.categories:
                series = series.cat.add_categories([value])
            filled[out] = series.fillna(value)
        for out, column_values in filled.items():
            df[out] = column_values
        return df


def _without_nan(table: Any) -> Any:
    import pyarrow as pa
    import pyarrow.compute as pc

    columns = [
        pc.if_else(pc.is_nan(column), None, column) if pa.types.is_floating(column.type) else column
        for column in table.columns
    ]
    return pa.table(columns, names=table.column_names)


__all__ = ["SimpleImputer"]
