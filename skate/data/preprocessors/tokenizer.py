"""Texts as lists of tokens."""

from __future__ import annotations

from typing import TYPE_CHECKING

from skate.data.preprocessor import SerializablePreprocessorBase, output_names

if TYPE_CHECKING:
    from collections.abc import Callable

    import pandas


def simple_split_tokenizer(value: str) -> list[str]:
    """The parts between single spaces."""
    return value.split(" ")


class Tokenizer(SerializablePreprocessorBase):
    """Splits texts into tokens.

    Args:
        columns: The columns of text.
        tokenization_fn: Makes tokens of a text; default: splits at spaces.
        output_columns: Their names in the result; default: the same.
    """

    columns: list[str]
    tokenization_fn: Callable[[str], list[str]]
    output_columns: list[str]

    _is_fittable = False

    def __init__(
        self,
        columns: list[str],
        tokenization_fn: Callable[[str], list[str]] | None = None,
        output_columns: list[str] | None = None,
    ) -> None:
        self.columns = columns
        self.tokenization_fn = tokenization_fn or simple_split_tokenizer
        self.output_columns = output_names(columns, output_columns)

    def _transform_pandas(self, df: pandas.DataFrame) -> pandas.DataFrame:
        made = {
            out: [self.tokenization_fn(text) for text in df[column]]
            for column, out in zip(self.columns, self.output_columns, strict=True)
        }
        for out, tokens in made.items():
            df[out] = tokens
        return df


__all__ = ["Tokenizer", "simple_split_tokenizer"]
