"""Expressions that are no function of columns by name: whole rows, downloads, random numbers, row numbers."""

from __future__ import annotations

import uuid as _uuid
from dataclasses import dataclass, field
from typing import Any

import pyarrow as pa

from skate.data.datatype import DataType
from skate.data.expressions.tree import ColumnExpr, Expr


@dataclass(frozen=True, eq=False, repr=False)
class StarExpr(Expr):
    """All columns."""

    data_type: DataType = field(default_factory=lambda: DataType(object), init=False)

    def expand_projection(self, input_schema: pa.Schema | None) -> Any:
        """Each of the columns."""
        return [self] if input_schema is None else [ColumnExpr(name) for name in input_schema.names]

    def _label(self) -> Any:
        return "COL(*)"


@dataclass(frozen=True, eq=False, repr=False)
class UnnestExpr(Expr):
    """The fields of a struct, as columns."""

    data_type: DataType = field(default_factory=lambda: DataType(object), init=False)
    expr: Expr

    def children(self) -> Any:
        """The struct."""
        return [self.expr]

    def expand_projection(self, input_schema: pa.Schema | None) -> Any:
        """Each of the fields, if the schema tells them."""
        kind = None if input_schema is None else self.expr.get_type(input_schema)
        if kind is None or not pa.types.is_struct(kind):
            return [self]
        names = [kind.field(index).name for index in range(kind.num_fields)]
        return [self.expr.struct.field(name).alias(name) for name in names]

    def _label(self) -> Any:
        return "UNNEST"


@dataclass(frozen=True, eq=False, repr=False)
class DownloadExpr(Expr):
    """The bytes behind the addresses in a column."""

    data_type: DataType = field(default_factory=DataType.binary, init=False)
    uri_column_name: str
    filesystem: Any = None

    def _key(self) -> Any:
        return self.uri_column_name

    def _label(self) -> Any:
        return f"DOWNLOAD({self.uri_column_name!r})"


@dataclass(frozen=True, eq=False, repr=False)
class RandomExpr(Expr):
    """Random numbers from 0 up to 1."""

    data_type: DataType = field(default_factory=DataType.float64, init=False)
    seed: int | None = None
    reseed_after_execution: bool = True
    _instance_id: str = field(default_factory=lambda: _uuid.uuid4().hex)

    def _key(self) -> Any:
        return (self.seed, self.reseed_after_execution)

    def is_idempotent(self) -> bool:
        """No."""
        return False

    def _label(self) -> Any:
        return f"RANDOM(seed={self.seed})"


@dataclass(frozen=True, eq=False, repr=False)
class UUIDExpr(Expr):
    """A random identifier in each row."""

    data_type: DataType = field(default_factory=DataType.string, init=False)

    def is_idempotent(self) -> bool:
        """No."""
        return False

    def _label(self) -> Any:
        return "UUID()"


@dataclass(frozen=True, eq=False, repr=False)
class MonotonicallyIncreasingIdExpr(Expr):
    """A number in each row, that increases along the dataset and is never used twice."""

    data_type: DataType = field(default_factory=DataType.int64, init=False)
    _instance_id: str = field(default_factory=lambda: _uuid.uuid4().hex)

    def is_idempotent(self) -> bool:
        """No."""
        return False

    def _label(self) -> Any:
        return "MONOTONICALLY_INCREASING_ID()"


__all__ = [
    "DownloadExpr",
    "MonotonicallyIncreasingIdExpr",
    "RandomExpr",
    "StarExpr",
    "UUIDExpr",
    "UnnestExpr",
]
