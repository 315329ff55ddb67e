"""Rows scaled to length 1."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from skate.data.preprocessor import SerializablePreprocessorBase, output_names

if TYPE_CHECKING:
    import pandas

_NORMS = {
    "l1": lambda values: np.abs(values).sum(axis=1),
    "l2": lambda values: np.sqrt((values**2).sum(axis=1)),
    "max": lambda values: np.abs(values).max(axis=1),
}


class Normalizer(SerializablePreprocessorBase):
    """Divides the columns of each row by their common length.

    Args:
        columns: The columns.
        norm: What the length is: `"l1"`, `"l2"` or `"max"`.
        output_columns: Their names in the result; default: the same.

    Raises:
        ValueError: there is no such norm.
    """

    columns: list[str]
    norm: str
    output_columns: list[str]

    _is_fittable = False

    def __init__(
        self, columns: list[str], norm: str = "l2", *, output_columns: list[str] | None = None
    ) -> None:
        if norm not in _NORMS:
            raise ValueError(f"Norm {norm} is not supported. Supported values are: {list(_NORMS)}")
        self.columns = columns
        self.norm = norm
        self.output_columns = output_names(columns, output_columns)

    def _transform_pandas(self, df: pandas.DataFrame) -> pandas.DataFrame:
        values = df[self.columns].to_numpy(dtype=float)
        lengths = _NORMS[self.norm](values)
        with np.errstate(invalid="ignore", divide="ignore"):  # a row of zeros has no direction: NaN
            scaled = values / lengths[:, None]
        for place, out in enumerate(self.output_columns):
            df[out] = scaled[:, place]
        return df


__all__ = ["Normalizer"]
