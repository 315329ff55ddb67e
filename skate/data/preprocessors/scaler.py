"""Scalers: numbers moved and stretched to a common range."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from skate.data import aggregate as ag
from skate.data.preprocessor import Preprocessor, SerializablePreprocessorBase, output_names

if TYPE_CHECKING:
    import pandas

    from skate.data.dataset import Dataset


class _Scaler(SerializablePreprocessorBase):
    columns: list[str]
    output_columns: list[str]

    def __init__(self, columns: list[str], output_columns: list[str] | None = None) -> None:
        self.columns = columns
        self.output_columns = output_names(columns, output_columns)

    def _aggregations(self, column: str) -> list[ag.AggregateFn]:
        raise NotImplementedError

    def _scale(self, column: Any, name: str) -> Any:
        raise NotImplementedError

    def _fit(self, ds: Dataset) -> Preprocessor:
        aggs = [agg for column in self.columns for agg in self._aggregations(column)]
        self.stats_ = ds.aggregate(*aggs)
        return self

    def _transform_pandas(self, df: pandas.DataFrame) -> pandas.DataFrame:
        scaled = {
            out: self._scale(df[name], name)
            for name, out in zip(self.columns, self.output_columns, strict=True)
        }
        for out, column in scaled.items():
            df[out] = column
        return df


class StandardScaler(_Scaler):
    """To mean 0 and deviation 1; a column that is constant becomes 0.

    Args:
        columns: The columns.
        output_columns: Their names in the result; default: the same.
    """

    _gives_tables = True

    def _aggregations(self, column: str) -> list[ag.AggregateFn]:
        return [ag.Mean(column), ag.Std(column, ddof=0)]

    def _scale(self, column: Any, name: str) -> Any:
        mean, deviation = self.stats_[f"mean({name})"], self.stats_[f"std({name})"]
        if mean is None or deviation is None:
            return column.astype("float64") * float("nan")
        return (column - mean) / (deviation or 1)


class MinMaxScaler(_Scaler):
    """To the range from 0 to 1; a column that is constant becomes 0.

    Args:
        columns: The columns.
        output_columns: Their names in the result; default: the same.
    """

    def _aggregations(self, column: str) -> list[ag.AggregateFn]:
        return [ag.Min(column), ag.Max(column)]

    def _scale(self, column: Any, name: str) -> Any:
        low, high = self.stats_[f"min({name})"], self.stats_[f"max({name})"]
        if low is None:
            return column.astype("float64") * float("nan")
        return (column - low) / ((high - low) or 1)


class MaxAbsScaler(_Scaler):
    """By the greatest absolute value: to the range from -1 to 1, with 0 where it was.

    Args:
        columns: The columns.
        output_columns: Their names in the result; default: the same.
    """

    def _aggregations(self, column: str) -> list[ag.AggregateFn]:
        return [ag.AbsMax(column)]

    def _scale(self, column: Any, name: str) -> Any:
        return column / (self.stats_[f"abs_max({name})"] or 1)


class RobustScaler(_Scaler):
    """To median 0 and a distance of 1 between two quantiles: outliers count for little.

    Args:
        columns: The columns.
        quantile_range: The two quantiles.
        output_columns: Their names in the result; default: the same.
        quantile_precision: Accepted for Ray's programs: quantiles are exact.
    """

    DEFAULT_QUANTILE_PRECISION = 800
    columns: list[str]
    quantile_range: tuple[float, float]
    output_columns: list[str]
    quantile_precision: int

    def __init__(
        self,
        columns: list[str],
        quantile_range: tuple[float, float] = (0.25, 0.75),
        output_columns: list[str] | None = None,
        quantile_precision: int = DEFAULT_QUANTILE_PRECISION,
    ) -> None:
        self.columns = columns
        self.quantile_range = quantile_range
        self.output_columns = output_names(columns, output_columns)
        self.quantile_precision = quantile_precision

    def _aggregations(self, column: str) -> list[ag.AggregateFn]:
        low, high = self.quantile_range
        named = (("low_quantile", low), ("median", 0.5), ("high_quantile", high))
        return [ag.Quantile(column, q, alias_name=f"{name}({column})") for name, q in named]

    def _scale(self, column: Any, name: str) -> Any:
        low, median, high = (
            self.stats_[f"{kind}({name})"] for kind in ("low_quantile", "median", "high_quantile")
        )
        if median is None:
            return column.astype("float64") * float("nan")
        return (column - median) / ((high - low) or 1)


__all__ = ["MaxAbsScaler", "MinMaxScaler", "RobustScaler", "StandardScaler"]
