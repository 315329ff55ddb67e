"""The hashing trick: any number of tokens in a vector of fixed size."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from skate.data.preprocessor import SerializablePreprocessorBase
from skate.data.preprocessors.utils import simple_hash

if TYPE_CHECKING:
    import pandas


class FeatureHasher(SerializablePreprocessorBase):
    """Makes vectors of columns of counts: each column's name is hashed to a place, where its values are added.

    Args:
        columns: The columns, one for each token.
        num_features: The size of the vectors.
        output_column: The column of vectors.
    """

    columns: list[str]
    num_features: int
    output_column: str

    _is_fittable = False

    def __init__(self, columns: list[str], num_features: int, output_column: str) -> None:
        self.columns = columns
        self.num_features = num_features
        self.output_column = output_column

    def get_output_columns(self) -> list[str]:
        """The column of vectors."""
        return [self.output_column]

    def _transform_pandas(self, df: pandas.DataFrame) -> pandas.DataFrame:
        matrix: np.ndarray[Any, Any] = np.zeros((len(df), self.num_features))
        for column in self.columns:
            matrix[:, simple_hash(column, self.num_features)] += df[column].to_numpy(dtype=float)
        df[self.output_column] = list(matrix)
        return df


__all__ = ["FeatureHasher"]
