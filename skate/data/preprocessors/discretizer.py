"""Numbers as numbers of bins."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from skate.data import aggregate as ag
from skate.data.preprocessor import Preprocessor, SerializablePreprocessorBase, output_names

if TYPE_CHECKING:
    import pandas

    from skate.data.dataset import Dataset


class _Discretizer(SerializablePreprocessorBase):
    columns: list[str]
    bins: Any
    right: bool
    include_lowest: bool
    duplicates: str
    dtypes: dict[str, Any] | None
    output_columns: list[str]

    def __init__(
        self,
        columns: list[str],
        bins: Any,
        *,
        right: bool = True,
        include_lowest: bool = False,
        duplicates: str = "raise",
        dtypes: dict[str, Any] | None = None,
        output_columns: list[str] | None = None,
    ) -> None:
        self.columns = columns
        self.bins = bins
        self.right = right
        self.include_lowest = include_lowest
        self.duplicates = duplicates
        self.dtypes = dtypes
        self.output_columns = output_names(columns, output_columns)

    def _edges(self, column: str) -> Any:
        raise NotImplementedError

    def _require_bins(self) -> None:
        if isinstance(self.bins, dict) and (missing := set(self.columns) - set(self.bins)):
            raise ValueError(
                "If `bins` is a dictionary, all elements of `columns` must be present in it. There is nothing for "
                f"{sorted(missing)}."
            )

    def _transform_pandas(self, df: pandas.DataFrame) -> pandas.DataFrame:
        import pandas

        self._require_bins()
        cut_of: Any = pandas.cut
        made = {}
        for column, out in zip(self.columns, self.output_columns, strict=True):
            wanted = (self.dtypes or {}).get(column)
            labels: Any = wanted.categories if isinstance(wanted, pandas.CategoricalDtype) else False
            made_of: Any = cut_of(
                df[column].astype("float64"), self._edges(column), right=self.right, labels=labels,
                include_lowest=self.include_lowest, duplicates=self.duplicates,
                ordered=wanted.ordered if isinstance(wanted, pandas.CategoricalDtype) else True,
            )  # fmt: skip
            made[out] = made_of if wanted is None else made_of.astype(wanted)
        for out, series in made.items():
            df[out] = series
        return df


class CustomKBinsDiscretizer(_Discretizer):
    """Numbers as numbers of the bins that they fall into.

    Args:
        columns: The columns.
        bins: The edges of the bins, for all columns or for each.
        right: Whether a bin holds its right edge, rather than its left one.
        include_lowest: Whether the first bin holds its left edge too.
        duplicates: What to do about equal edges: `"raise"` or `"drop"`.
        dtypes: For some columns, the type of the result.
        output_columns: Their names in the result; default: the same.
    """

    _is_fittable = False

    def _edges(self, column: str) -> Any:
        return self.bins[column] if isinstance(self.bins, dict) else self.bins


class UniformKBinsDiscretizer(_Discretizer):
    """Numbers as numbers of the bins that they fall into, all of one width.

    Args:
        columns: The columns.
        bins: How many, for all columns or for each.
        right: Whether a bin holds its right edge, rather than its left one.
        include_lowest: Whether the first bin holds its left edge too.
        duplicates: What to do about equal edges: `"raise"` or `"drop"`.
        dtypes: For some columns, the type of the result.
        output_columns: Their names in the result; default: the same.
    """

    def _fit(self, ds: Dataset) -> Preprocessor:
        self._require_bins()
        for count in self.bins.values() if isinstance(self.bins, dict) else [self.bins]:
            if not isinstance(count, int):
                raise TypeError(f"`bins` must be an integer or a dict of integers, got {self.bins}")
        aggs = [kind(column) for column in self.columns for kind in (ag.Min, ag.Max)]
        found = ds.aggregate(*aggs)
        self.stats_ = {}
        for column in self.columns:
            count = self.bins[column] if isinstance(self.bins, dict) else self.bins
            low, high = found[f"min({column})"], found[f"max({column})"]
            if count < 1:
                raise ValueError(f"`bins` must be positive, got {count} for column {column!r}.")
            if low is None or low != low:
                raise ValueError(
                    f"Column {column} has no values to bin. Check the data used to fit the discretizer."
                )
            if np.isinf([low, high]).any():
                raise ValueError(
                    f"Cannot specify integer `bins` when input data contains infinity, as column {column!r} does."
                )
            self.stats_[column] = self._uniform(low, high, count)
        return self

    def _uniform(self, low: float, high: float, count: int) -> np.ndarray[Any, Any]:
        if low == high:
            margin = 0.001 * abs(low) if low else 0.001
            return np.linspace(low - margin, high + margin, count + 1)
        edges = np.linspace(low, high, count + 1)
        margin = (high - low) * 0.001  # so that the outermost values are inside
        if self.right:
            edges[0] -= margin
        else:
            edges[-1] += margin
        return edges

    def _edges(self, column: str) -> Any:
        return self.stats_[column]


__all__ = ["CustomKBinsDiscretizer", "UniformKBinsDiscretizer"]
