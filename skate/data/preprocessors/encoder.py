"""Encoders: categories as numbers or as vectors."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

import numpy as np

from skate.data import convert
from skate.data.preprocessor import Preprocessor, SerializablePreprocessorBase, output_names

if TYPE_CHECKING:
    import pandas

    from skate.data.dataset import Dataset


def _is_list(value: Any) -> bool:
    return isinstance(value, (list, tuple, np.ndarray))


def _count(ds: Dataset, columns: list[str], in_lists: bool) -> dict[str, Counter[Any]]:
    """How often each value is there; of lists, each item, or each list as a whole.

    Raises:
        ValueError: there is a null among them.
    """
    counts: dict[str, Counter[Any]] = {column: Counter() for column in columns}
    for table in ds.select_columns(columns)._tables():
        for column in columns:
            for value in convert.column_to_list(table.column(column)):
                if value is None or (value != value and not _is_list(value)):
                    raise ValueError(
                        "Unable to fit column because it contains null values. Consider imputing missing values first. "
                        f"The column is {column!r}."
                    )
                if _is_list(value):
                    counts[column].update(value if in_lists else [tuple(value)])
                else:
                    counts[column][value] += 1
    return counts


def _numbered(counts: Counter[Any], most: int | None = None) -> dict[Any, int]:
    values = [value for value, _ in counts.most_common(most)] if most is not None else list(counts)
    return {value: number for number, value in enumerate(sorted(values))}


class _CategoryEncoder(SerializablePreprocessorBase):
    columns: list[str]
    output_columns: list[str]
    _in_lists = True

    def _most(self, column: str) -> int | None:
        return None

    def _fit(self, ds: Dataset) -> Preprocessor:
        known = ds.columns()
        for name in self.columns:
            if known is not None and name not in known:
                raise ValueError(
                    f"You specified the column '{name}', but there's no such column in the dataset. The dataset has columns: {known}"
                )
        counts = _count(ds, self.columns, self._in_lists)
        self.stats_ = {
            f"unique_values({column})": _numbered(counts[column], self._most(column))
            for column in self.columns
        }
        return self

    def _encode(self, value: Any, numbers: dict[Any, int]) -> Any:
        raise NotImplementedError

    def _transform_pandas(self, df: pandas.DataFrame) -> pandas.DataFrame:
        import pandas

        holes = [name for name in self.columns if df[name].isna().any()]
        if holes:
            raise ValueError(
                f"Unable to transform columns {holes} because they contain null values. Consider imputing missing values first."
            )
        encoded = {}
        for column, out in zip(self.columns, self.output_columns, strict=True):
            numbers = self.stats_[f"unique_values({column})"]
            encoded[out] = pandas.Series(
                [self._encode(value, numbers) for value in df[column]], index=df.index
            )
        for out, series in encoded.items():
            df[out] = series
        return df


class OrdinalEncoder(_CategoryEncoder):
    """Categories as whole numbers, in their own order; unknown ones are null.

    Args:
        columns: The columns.
        encode_lists: Whether the items of lists are encoded, and not the lists as a whole.
        output_columns: Their names in the result; default: the same.
    """

    columns: list[str]
    encode_lists: bool
    output_columns: list[str]

    _gives_tables = True

    def __init__(
        self, columns: list[str], *, encode_lists: bool = True, output_columns: list[str] | None = None
    ) -> None:
        self.columns = columns
        self.encode_lists = encode_lists
        self.output_columns = output_names(columns, output_columns)

    @property
    def _in_lists(self) -> bool:  # type: ignore[override]
        return self.encode_lists

    def _encode(self, value: Any, numbers: dict[Any, int]) -> Any:
        if not _is_list(value):
            return numbers.get(value)
        if not self.encode_lists:
            return numbers.get(tuple(value))
        return np.array([numbers.get(item, -1) for item in value], dtype=np.int64)


class OneHotEncoder(_CategoryEncoder):
    """Categories as vectors with a 1 in the category's place; unknown ones as vectors of 0.

    Args:
        columns: The columns.
        max_categories: For some columns, how many of the most frequent categories to keep.
        output_columns: Their names in the result; default: the same.
    """

    columns: list[str]
    max_categories: dict[str, int]
    output_columns: list[str]

    _in_lists = False
    _gives_tables = True

    def __init__(
        self,
        columns: list[str],
        *,
        max_categories: dict[str, int] | None = None,
        output_columns: list[str] | None = None,
    ) -> None:
        self.columns = columns
        self.max_categories = max_categories or {}
        self.output_columns = output_names(columns, output_columns)

    def _most(self, column: str) -> int | None:
        return self.max_categories.get(column)

    def _fit(self, ds: Dataset) -> Preprocessor:
        for name in self.max_categories:
            if name not in self.columns:
                raise ValueError(
                    f"You set `max_categories` for {name}, which is not present in {self.columns}."
                )
        return super()._fit(ds)

    def _encode(self, value: Any, numbers: dict[Any, int]) -> Any:
        vector = np.zeros(len(numbers), dtype=np.uint8)
        place = self.safe_get(value, numbers)
        if place >= 0:
            vector[place] = 1
        return vector

    def safe_get(self, v: Any, stats: dict[Any, int]) -> int:
        """The place of a category among those found; -1 for an unknown one.

        Args:
            v: The category; lists are looked up as tuples.
            stats: Places by category.
        """
        return stats.get(tuple(v) if _is_list(v) else v, -1)


class MultiHotEncoder(OneHotEncoder):
    """Lists of categories as vectors of how often each is in the list.

    Args:
        columns: The columns.
        max_categories: For some columns, how many of the most frequent categories to keep.
        output_columns: Their names in the result; default: the same.
    """

    _in_lists = True
    _gives_tables = False

    def _encode(self, value: Any, numbers: dict[Any, int]) -> Any:
        vector = np.zeros(len(numbers), dtype=np.int64)
        for item in value if _is_list(value) else [value]:
            if item in numbers:
                vector[numbers[item]] += 1
        return vector


class LabelEncoder(_CategoryEncoder):
    """A column of labels as whole numbers, and back.

    Args:
        label_column: The column.
        output_column: Its name in the result; default: the same.
    """

    label_column: str
    output_column: str

    def __init__(self, label_column: str, *, output_column: str | None = None) -> None:
        self.label_column = label_column
        self.output_column = output_column or label_column

    @property
    def columns(self) -> list[str]:  # type: ignore[override]
        """The column, in a list."""
        return [self.label_column]

    @property
    def output_columns(self) -> list[str]:  # type: ignore[override]
        """The column of the result, in a list."""
        return [self.output_column]

    def _encode(self, value: Any, numbers: dict[Any, int]) -> Any:
        return numbers.get(value)

    def inverse_transform(self, ds: Dataset) -> Dataset:
        """The labels that the numbers stand for.

        Args:
            ds: A dataset with numbers in the output column.

        Raises:
            PreprocessorNotFittedException: it has to be fitted first.
        """
        self._require_fitted("`fit` must be called before `inverse_transform`.")
        labels = {
            number: label for label, number in self.stats_[f"unique_values({self.label_column})"].items()
        }
        return ds.map_batches(_Inverse(self.output_column, self.label_column, labels), batch_format="pandas")


class _Inverse:
    def __init__(self, source: str, target: str, labels: dict[int, Any]) -> None:
        self._source, self._target, self._labels = source, target, labels

    def __call__(self, frame: Any) -> Any:
        frame = frame.copy(deep=False)
        frame[self._target] = [self._labels[int(number)] for number in frame[self._source]]
        return frame


class Categorizer(SerializablePreprocessorBase):
    """Columns as pandas categories.

    Args:
        columns: The columns.
        dtypes: For some columns, their categories; those of the others are learnt.
        output_columns: Their names in the result; default: the same.
    """

    columns: list[str]
    dtypes: dict[str, pandas.CategoricalDtype]
    output_columns: list[str]

    def __init__(
        self,
        columns: list[str],
        dtypes: dict[str, pandas.CategoricalDtype] | None = None,
        output_columns: list[str] | None = None,
    ) -> None:
        self.columns = columns
        self.dtypes = dtypes or {}
        self.output_columns = output_names(columns, output_columns)

    def _fit(self, ds: Dataset) -> Preprocessor:
        import pandas

        self.stats_ = dict(self.dtypes)
        for column in self.columns:
            if column not in self.stats_:
                values = sorted(ds.unique(column, ignore_nulls=True))
                self.stats_[column] = pandas.CategoricalDtype(values)
        return self

    def _transform_pandas(self, df: pandas.DataFrame) -> pandas.DataFrame:
        made = {
            out: df[column].astype(self.stats_[column])
            for column, out in zip(self.columns, self.output_columns, strict=True)
        }
        for out, series in made.items():
            df[out] = series
        return df


__all__ = ["Categorizer", "LabelEncoder", "MultiHotEncoder", "OneHotEncoder", "OrdinalEncoder"]
