"""Texts as vectors of how often each token is in them."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

from skate.data.preprocessor import Preprocessor, SerializablePreprocessorBase, output_names
from skate.data.preprocessors.tokenizer import simple_split_tokenizer
from skate.data.preprocessors.utils import simple_hash

if TYPE_CHECKING:
    from collections.abc import Callable

    import pandas

    from skate.data.dataset import Dataset


class _Vectorizer(SerializablePreprocessorBase):
    columns: list[str]
    output_columns: list[str]
    tokenization_fn: Callable[[str], list[str]]

    def _vector(self, tokens: list[str], column: str) -> list[int]:
        raise NotImplementedError

    def _transform_pandas(self, df: pandas.DataFrame) -> pandas.DataFrame:
        made = {
            out: [self._vector(self.tokenization_fn(text), column) for text in df[column]]
            for column, out in zip(self.columns, self.output_columns, strict=True)
        }
        for out, vectors in made.items():
            df[out] = vectors
        return df


class CountVectorizer(_Vectorizer):
    """Counts the tokens of a vocabulary that is learnt, the most frequent first.

    Args:
        columns: The columns of text.
        tokenization_fn: Makes tokens of a text; default: splits at spaces.
        max_features: How many tokens to keep.
        output_columns: Their names in the result; default: the same.
    """

    columns: list[str]
    tokenization_fn: Callable[[str], list[str]]
    max_features: int | None
    output_columns: list[str]

    def __init__(
        self,
        columns: list[str],
        tokenization_fn: Callable[[str], list[str]] | None = None,
        max_features: int | None = None,
        *,
        output_columns: list[str] | None = None,
    ) -> None:
        self.columns = columns
        self.tokenization_fn = tokenization_fn or simple_split_tokenizer
        self.max_features = max_features
        self.output_columns = output_names(columns, output_columns)

    def _fit(self, ds: Dataset) -> Preprocessor:
        counts: dict[str, Counter[str]] = {column: Counter() for column in self.columns}
        for table in ds.select_columns(self.columns)._tables():
            for column in self.columns:
                for text in table.column(column).to_pylist():
                    counts[column].update(self.tokenization_fn(text))
        self.stats_ = {
            f"token_counts({column})": Counter(dict(found.most_common(self.max_features)))
            for column, found in counts.items()
        }
        return self

    def _vector(self, tokens: list[str], column: str) -> list[int]:
        found = Counter(tokens)
        return [found[token] for token in self.stats_[f"token_counts({column})"]]


class HashingVectorizer(_Vectorizer):
    """Counts tokens in places that their hashes choose: nothing is learnt, and places may be shared.

    Args:
        columns: The columns of text.
        num_features: The size of the vectors.
        tokenization_fn: Makes tokens of a text; default: splits at spaces.
        output_columns: Their names in the result; default: the same.
    """

    columns: list[str]
    num_features: int
    tokenization_fn: Callable[[str], list[str]]
    output_columns: list[str]

    _is_fittable = False

    def __init__(
        self,
        columns: list[str],
        num_features: int,
        tokenization_fn: Callable[[str], list[str]] | None = None,
        *,
        output_columns: list[str] | None = None,
    ) -> None:
        self.columns = columns
        self.num_features = num_features
        self.tokenization_fn = tokenization_fn or simple_split_tokenizer
        self.output_columns = output_names(columns, output_columns)

    def _vector(self, tokens: list[str], column: str) -> list[int]:
        vector: list[Any] = [0] * self.num_features
        for token in tokens:
            vector[simple_hash(token, self.num_features)] += 1
        return vector


__all__ = ["CountVectorizer", "HashingVectorizer"]
