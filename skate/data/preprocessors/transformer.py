"""Power transforms, which make skewed numbers more even."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from skate.data.preprocessor import SerializablePreprocessorBase, output_names

if TYPE_CHECKING:
    import pandas


class PowerTransformer(SerializablePreprocessorBase):
    """The transform of Yeo and Johnson, or of Box and Cox.

    Args:
        columns: The columns.
        power: The power, called λ in the papers.
        method: `"yeo-johnson"`, or `"box-cox"` for positive numbers.
        output_columns: Their names in the result; default: the same.

    Raises:
        ValueError: there is no such method.
    """

    columns: list[str]
    power: float
    method: str
    output_columns: list[str]

    _is_fittable = False

    def __init__(
        self,
        columns: list[str],
        power: float,
        method: str = "yeo-johnson",
        *,
        output_columns: list[str] | None = None,
    ) -> None:
        if method not in ("yeo-johnson", "box-cox"):
            raise ValueError(
                f"Method {method} is not supported. Supported values are: ['yeo-johnson', 'box-cox']"
            )
        self.columns = columns
        self.power = power
        self.method = method
        self.output_columns = output_names(columns, output_columns)

    def _transform_pandas(self, df: pandas.DataFrame) -> pandas.DataFrame:
        change = _yeo_johnson if self.method == "yeo-johnson" else _box_cox
        made = {
            out: change(df[c].to_numpy(dtype=float), self.power)
            for c, out in zip(self.columns, self.output_columns, strict=True)
        }
        for out, values in made.items():
            df[out] = values
        return df


def _yeo_johnson(values: np.ndarray[Any, Any], power: float) -> np.ndarray[Any, Any]:
    result = np.array(values, dtype=float)
    positive, negative = values >= 0, values < 0
    up = values[positive]
    result[positive] = np.log(up + 1) if power == 0 else ((up + 1) ** power - 1) / power
    down = -values[negative] + 1
    result[negative] = -np.log(down) if power == 2 else -(down ** (2 - power) - 1) / (2 - power)
    return result


def _box_cox(values: np.ndarray[Any, Any], power: float) -> np.ndarray[Any, Any]:
    return np.log(values) if power == 0 else (values**power - 1) / power


__all__ = ["PowerTransformer"]
