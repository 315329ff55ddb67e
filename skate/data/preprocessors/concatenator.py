"""Columns as one column of vectors."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from skate.data.preprocessor import SerializablePreprocessorBase

if TYPE_CHECKING:
    import pandas


class Concatenator(SerializablePreprocessorBase):
    """Makes one column of vectors of several, which it takes away.

    Args:
        columns: The columns.
        output_column_name: The column of vectors.
        dtype: The type of their elements; default: one that holds all.
        raise_if_missing: Whether a column that is not there is an error.
        flatten: Whether columns of vectors are joined, item by item.
    """

    output_column_name: str
    columns: list[str]
    dtype: Any
    raise_if_missing: bool
    flatten: bool

    _is_fittable = False

    def __init__(
        self,
        columns: list[str],
        output_column_name: str = "concat_out",
        dtype: Any = None,
        raise_if_missing: bool = False,
        flatten: bool = False,
    ) -> None:
        self.output_column_name = output_column_name
        self.columns = columns
        self.dtype = dtype
        self.raise_if_missing = raise_if_missing
        self.flatten = flatten

    def _shown_fields(self) -> list[str]:
        plain = {
            "output_column_name": "concat_out",
            "dtype": None,
            "raise_if_missing": False,
            "flatten": False,
        }
        names = ["output_column_name", "columns", "dtype", "raise_if_missing", "flatten"]
        return [name for name in names if name not in plain or getattr(self, name) != plain[name]]

    def __repr__(self) -> str:
        shown = ", ".join(f"{name}={getattr(self, name)}" for name in self._shown_fields())
        return f"Concatenator({shown})"

    def get_output_columns(self) -> list[str]:
        """The column of vectors."""
        return [self.output_column_name]

    def _transform_pandas(self, df: pandas.DataFrame) -> pandas.DataFrame:
        missing = [column for column in self.columns if column not in df]
        if missing and self.raise_if_missing:
            raise ValueError(
                f"Missing columns specified in '{self.columns}': {missing}; there are {list(df.columns)}."
            )
        present = [column for column in self.columns if column in df]
        if self.flatten:
            rows = [
                np.concatenate([np.atleast_1d(np.asarray(value)).ravel() for value in row])
                for row in zip(*(df[column] for column in present), strict=True)
            ]
            matrix = np.stack(rows) if rows else np.empty((0, len(present)))
        else:
            matrix = df[present].to_numpy(
                dtype=None if self.dtype is None else self.dtype, na_value=_hole(df, present)
            )
        if self.dtype is not None:
            matrix = matrix.astype(self.dtype)
        df = df.drop(columns=list(dict.fromkeys(present)))
        df[self.output_column_name] = list(matrix)
        return df


def _hole(df: pandas.DataFrame, columns: list[str]) -> Any:
    """NaN, if there is a null to be written so."""
    import pandas

    if df[columns].isna().to_numpy().any():
        return np.nan
    return pandas.api.extensions.no_default


__all__ = ["Concatenator"]
