"""Rows of CSV and JSON files that are not what the rest of the file is: refused, left out, or handed on beside the good ones."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any, NamedTuple

import pyarrow as pa

if TYPE_CHECKING:
    from collections.abc import Sequence

_POLICIES = ("error", "skip", "collect")
_COLUMN = "_bad_row"
_TYPE = pa.struct(
    [
        ("path", pa.string()),
        ("line", pa.int64()),
        ("column", pa.string()),
        ("text", pa.string()),
        ("reason", pa.string()),
    ]
)

_log = logging.getLogger(__name__)


class BadRow(NamedTuple):
    """A row that could not be read.

    Attributes:
        path: The file.
        line: The line that it begins on, from 1.
        column: The column that is wrong, by name or by its place on the line; None for the whole row.
        text: The row as it stands in the file.
        reason: What is wrong.
    """

    path: str
    line: int
    column: str | None
    text: str
    reason: str


def check_policy(on_bad_rows: str) -> str:
    """The policy, if it is one.

    Raises:
        ValueError: it is none.
    """
    if on_bad_rows not in _POLICIES:
        raise ValueError(f"on_bad_rows={on_bad_rows!r}: it must be one of {', '.join(map(repr, _POLICIES))}.")
    return on_bad_rows


def with_mark(table: pa.Table) -> pa.Table:
    """Good rows of a file whose bad ones are collected: the column of bad rows is null."""
    return table.append_column(_COLUMN, pa.nulls(table.num_rows, _TYPE))


def as_table(rows: Sequence[BadRow], schema: pa.Schema) -> pa.Table:
    """Bad rows: all columns are null but the one that tells what is wrong.

    Args:
        rows: The bad rows.
        schema: The columns of the good ones.
    """
    columns: dict[str, Any] = {field.name: pa.nulls(len(rows), field.type) for field in schema}
    columns[_COLUMN] = pa.array([row._asdict() for row in rows], _TYPE)
    return pa.table(columns)


def note_skipped(path: str, count: int) -> None:
    """Tell that rows were left out."""
    _log.warning(
        "%s: %d bad rows were left out; on_bad_rows='collect' keeps them, in the column %r.",
        path,
        count,
        _COLUMN,
    )


__all__ = ["BadRow", "as_table", "check_policy", "note_skipped", "with_mark"]
