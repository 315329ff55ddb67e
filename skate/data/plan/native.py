"""Native stages: relational work given to the embedded columnar engine, Polars, which uses all cores and the disk.

`NativeFrame` pairs the engine's lazy frame with the Arrow types that its columns must have at the end, since the
engine has fewer types than Arrow. Extension types (tensors, objects) pass through as what they are.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
from polars.io.plugins import register_io_source

from skate.data import convert
from skate.data.expressions import AliasExpr, ColumnExpr, Expr, StarExpr
from skate.data.plan import evaluate
from skate.data.plan.offsets import narrowed
from skate.data.plan.translate import polars_type, to_polars

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from skate.data.plan.logical import ParquetScan

SMALL_BYTES = 16 << 20  # below this, a frame is collected at once: streaming would cost more than it saves
_CHUNK_BYTES = 32 << 20
_PIECE_BYTES = 8 << 20  # that are read at a time where memory matters more than time
_FIRST_SHARE = 1 / 32


@dataclass(frozen=True)
class NativeFrame:
    """A computation of the native engine.

    Attributes:
        frame: The engine's own plan.
        schema: The columns that it gives, in Arrow's types.
        size_bytes: About the size of its input.
        is_ordered: Whether the order of its rows means something.
        is_once: Whether it can be computed only once, since its input is a stream.
        tables: The stream itself, as long as nothing is computed over it.
    """

    frame: pl.LazyFrame
    schema: pa.Schema
    size_bytes: int
    is_ordered: bool = True
    is_once: bool = False
    tables: Iterator[pa.Table] | None = None

    def then(self, frame: pl.LazyFrame, schema: pa.Schema | None = None, **changes: Any) -> NativeFrame:
        """A further computation over this one."""
        kept = self.schema if schema is None else schema
        return replace(self, frame=frame, schema=kept, tables=None, **changes)

    def select(self, names: Sequence[str]) -> NativeFrame:
        """Some of the columns."""
        return self.then(self.frame.select(list(names)), schema_of(self.schema, names))

    def first_rows(self, rows: int) -> pl.DataFrame:
        """About so many of the first rows, by which to judge the others; none of what can be computed only once."""
        if self.is_once:
            return self.empty().frame.collect()
        return self.frame.head(rows).collect(engine="streaming")

    def empty(self) -> NativeFrame:
        """No rows of the same columns."""
        return from_table(self.schema.empty_table())

    @property
    def _wanted(self) -> dict[str, pa.DataType]:
        return {field.name: field.type for field in self.schema}

    def finish(self, frame: pl.DataFrame) -> pa.Table:
        """A part of the result, as a block."""
        return convert.normalise(narrowed(frame.to_arrow()), self._wanted)

    def collect(self) -> pa.Table:
        """The whole result."""
        engine: Any = "in-memory" if self.size_bytes <= SMALL_BYTES else "streaming"
        return self.finish(self.frame.collect(engine=engine))

    def frames(self, most_bytes: int = _CHUNK_BYTES) -> Iterator[pl.DataFrame]:
        """The result in pieces of the engine's own, of about so many bytes at most, as they come. There may be none."""
        if self.size_bytes <= SMALL_BYTES:
            yield self.frame.collect(engine="in-memory")
            return
        width = max(1, sum(_width(field.type) for field in self.schema))
        rows = max(1024, min(most_bytes, _CHUNK_BYTES) // width)
        yield from self.frame.collect_batches(
            chunk_size=rows, maintain_order=self.is_ordered, engine="streaming"
        )

    def growing(self, most_bytes: int = _CHUNK_BYTES) -> Iterator[pa.Table]:
        """The result in pieces of which the first are small: by them a reader can judge how long the others will take."""
        share = _FIRST_SHARE
        for table in self.stream(most_bytes):
            start = 0
            while start < table.num_rows or start == 0:
                rows = max(1, int(table.num_rows * share))
                yield table.slice(start, rows) if share < 1 else table.slice(start)
                start = start + rows if share < 1 else max(1, table.num_rows)
                share = min(1.0, share * 2)

    def stream(self, most_bytes: int = _CHUNK_BYTES) -> Iterator[pa.Table]:
        """The result in pieces of about so many bytes at most, as they come; at least one."""
        seen = False
        if self.tables is not None:
            parts = (convert.align(table, self.schema) for table in self.tables)
        else:
            parts = (self.finish(frame) for frame in self.frames(most_bytes))
        for table in parts:
            if table.num_rows:
                seen = True
                yield table
        if not seen:
            yield self.schema.empty_table()


def _width(kind: pa.DataType) -> int:
    try:
        return max(1, int(kind.bit_width) // 8)
    except ValueError:
        return 24


def from_table(table: pa.Table) -> NativeFrame:
    """A table in memory, without a copy."""
    frame = pl.from_arrow(table)
    if not isinstance(frame, pl.DataFrame):
        raise TypeError(f"{type(table)} is no table.")
    return NativeFrame(frame.lazy(), table.schema, table.nbytes)


def from_frame(frame: pl.DataFrame, schema: pa.Schema) -> NativeFrame:
    """Rows in memory that the engine has made; the schema says what they are as blocks."""
    return NativeFrame(frame.lazy(), schema, int(frame.estimated_size()))


def schema_of(schema: pa.Schema, names: Sequence[str]) -> pa.Schema:
    """Some of the columns."""
    return pa.schema([schema.field(name) for name in names])


def from_stream(schema: pa.Schema, tables: Iterator[pa.Table], size_bytes: int) -> NativeFrame:
    """Tables that come one after the other, read once, as the engine asks for them."""
    frame = _read_as_asked(schema, lambda: tables)
    return NativeFrame(frame, schema, size_bytes, is_once=True, tables=tables)


def from_kept(schema: pa.Schema, tables: Callable[[], Iterator[pa.Table]], size_bytes: int) -> NativeFrame:
    """Tables that can be read again and again, from their beginning with each call."""
    return NativeFrame(_read_as_asked(schema, tables), schema, size_bytes)


def _read_as_asked(schema: pa.Schema, tables: Callable[[], Iterator[pa.Table]]) -> pl.LazyFrame:
    def source(
        with_columns: list[str] | None, predicate: pl.Expr | None, n_rows: int | None, batch_size: int | None
    ) -> Iterator[pl.DataFrame]:
        left = n_rows
        for table in tables():
            if table.num_rows == 0:
                continue
            frame = pl.from_arrow(convert.align(table, schema))
            if not isinstance(frame, pl.DataFrame):
                continue
            if with_columns is not None:
                frame = frame.select(with_columns)
            if left is not None:
                frame = frame.head(left)
                left -= frame.height
            yield frame if predicate is None else frame.filter(predicate)
            if left is not None and left <= 0:
                return

    empty = pl.from_arrow(schema.empty_table())
    if not isinstance(empty, pl.DataFrame):
        raise TypeError("a stream of tables needs a schema with columns.")
    return register_io_source(source, schema=empty.schema, validate_schema=False)


def scan(files: ParquetScan, sparing: bool = False) -> NativeFrame:
    """Parquet files, read by the engine.

    Args:
        files: The files.
        sparing: Whether memory matters more than time: one file is then read after the other, a few rows at a time, where
            the engine by itself reads several groups of rows at the same time, each as a whole.
    """
    if sparing:
        frame = _read_in_pieces(files)
    else:
        frame = pl.scan_parquet(
            list(files.paths), hive_partitioning=False, glob=False, low_memory=False, missing_columns="raise"
        )
    schema = files.schema
    if files.columns is not None:
        frame = frame.select(list(files.columns))
        schema = pa.schema([files.schema.field(name) for name in files.columns])
    return NativeFrame(frame, schema, files.size_bytes)


def _read_in_pieces(files: ParquetScan) -> pl.LazyFrame:
    rows = max(1024, _PIECE_BYTES // max(1, sum(_width(field.type) for field in files.schema)))

    def source(
        with_columns: list[str] | None, predicate: pl.Expr | None, n_rows: int | None, batch_size: int | None
    ) -> Iterator[pl.DataFrame]:
        left = n_rows
        for path in files.paths:
            with pq.ParquetFile(path, pre_buffer=False, buffer_size=1 << 20) as file:
                for batch in file.iter_batches(rows, columns=with_columns):
                    frame = pl.from_arrow(batch)
                    if not isinstance(frame, pl.DataFrame):
                        raise TypeError(f"{path}: {type(batch)} is no table.")
                    if left is not None:
                        frame = frame.head(left)
                        left -= frame.height
                    yield frame if predicate is None else frame.filter(predicate)
                    if left is not None and left <= 0:
                        return

    empty = pl.from_arrow(files.schema.empty_table())
    if not isinstance(empty, pl.DataFrame):
        raise TypeError(f"{files.paths}: there are no columns.")
    return register_io_source(source, schema=empty.schema, validate_schema=False)


def filtered(child: NativeFrame, predicate: Expr) -> NativeFrame | None:
    """The rows for which the predicate is true, or None if the engine can't tell."""
    translated = to_polars(predicate, child.schema)
    if translated is None:
        return None
    return child.then(child.frame.filter(translated))


def projected(child: NativeFrame, exprs: Sequence[Expr]) -> NativeFrame | None:
    """Columns computed from columns, or None if the engine can't compute them."""
    wanted: dict[str, pa.DataType] = {}
    translated = []
    for expr in evaluate.expand(exprs, child.schema):
        if isinstance(expr, StarExpr) or expr.name is None:
            return None
        inner = expr.expr if isinstance(expr, AliasExpr) else expr
        if isinstance(inner, ColumnExpr) and inner.name in child.schema.names:
            kind: pa.DataType | None = child.schema.field(inner.name).type
        else:
            kind = evaluate.result_type(inner, child.schema)
        column = to_polars(inner, child.schema)
        if column is None or kind is None:
            return None
        translated.append(column.alias(expr.name))
        wanted[expr.name] = kind
    if not translated or all(
        not evaluate.columns_of(expr) for expr in exprs if not isinstance(expr, StarExpr)
    ):
        if not any(isinstance(expr, StarExpr) for expr in exprs):
            return None  # constants alone do not tell the engine how many rows there are
    return child.then(child.frame.select(translated), pa.schema(list(wanted.items())))


def limited(child: NativeFrame, rows: int) -> NativeFrame:
    """The first rows."""
    return child.then(child.frame.head(rows))


def sorted_by(child: NativeFrame, keys: Sequence[str], descending: Sequence[bool]) -> NativeFrame:
    """The rows in order; equal ones as they came. Nulls come last, and NaN before them."""
    by: list[pl.Expr] = []
    down: list[bool] = []
    for key, is_down in zip(keys, descending, strict=True):
        kind = child.schema.field(key).type
        if is_down and pa.types.is_floating(kind):
            by.append(pl.col(key).is_nan())
            down.append(False)
        by.append(pl.col(key).cast(pl.String) if pa.types.is_dictionary(kind) else pl.col(key))
        down.append(is_down)
    frame = child.frame.sort(by, descending=down, nulls_last=True, maintain_order=True)
    return child.then(frame, is_ordered=True)


def grouped(child: NativeFrame, keys: Sequence[str], aggs: Sequence[tuple[str, pl.Expr]]) -> NativeFrame:
    """One row for each group, in order of the keys, or one row for all."""
    exprs = [expr.alias(name) for name, expr in aggs]
    if keys:
        frame = child.frame.group_by(list(keys)).agg(exprs).sort(list(keys), nulls_last=True)
    else:
        frame = child.frame.select(exprs)
    kinds = {key: child.schema.field(key).type for key in keys}
    computed = _types(frame)
    fields = [(name, kinds.get(name, computed[name])) for name in frame.collect_schema().names()]
    return child.then(frame, pa.schema(fields), is_ordered=True)


def _types(frame: pl.LazyFrame) -> dict[str, pa.DataType]:
    empty = pl.DataFrame(schema=frame.collect_schema()).to_arrow()
    return {field.name: convert.plain_type(field.type) for field in empty.schema}


def distinct(child: NativeFrame, keys: Sequence[str]) -> NativeFrame:
    """The different values of these columns, in the order they first appear."""
    frame = child.frame.select(list(keys)).unique(maintain_order=True)
    return child.then(frame, schema_of(child.schema, keys), is_ordered=True)


def hashed(child: NativeFrame, keys: Sequence[str], parts: int, name: str) -> NativeFrame:
    """The rows with a further column that tells to which of the parts each belongs."""
    part = bucket_of(keys, [None] * len(keys), parts)
    frame = child.frame.with_columns(part.alias(name))
    return child.then(frame, child.schema.append(pa.field(name, pa.int64())))


def bucket_of(keys: Sequence[str], kinds: Sequence[pa.DataType | None], parts: int) -> pl.Expr:
    """A number below `parts`, the same for rows that are equal in the keys after they were cast to these types."""
    columns = [
        pl.col(key) if kind is None else pl.col(key).cast(polars_type(kind))
        for key, kind in zip(keys, kinds, strict=True)
    ]
    named = [column.alias(f"k{index}") for index, column in enumerate(columns)]
    return (pl.struct(named).hash(seed=17) % parts).cast(pl.Int64)


def queried(children: Sequence[NativeFrame], names: Sequence[str], query: str) -> NativeFrame:
    """The answer to an SQL query over frames, by the names that it uses.

    Raises:
        ValueError: the engine does not understand the query.
    """
    frames = {name: child.frame for name, child in zip(names, children, strict=True)}
    try:
        frame = pl.SQLContext(frames=frames, eager=False).execute(query)
        types = _types(frame)
    except pl.exceptions.PolarsError as error:
        raise ValueError(f"sql({query!r}) over the tables {list(names)}: {error}") from error
    known = {field.name: field.type for child in reversed(children) for field in child.schema}
    fields = [
        (n, known[n] if convert.plain_type(known.get(n, pa.null())) == kind else kind)
        for n, kind in types.items()
    ]
    return NativeFrame(frame, pa.schema(fields), sum(child.size_bytes for child in children))


_HOW = {
    "inner": "inner",
    "left_outer": "left",
    "right_outer": "right",
    "full_outer": "full",
    "left_semi": "semi",
    "left_anti": "anti",
    "right_semi": "semi",
    "right_anti": "anti",
}


def joined(
    left: NativeFrame,
    right: NativeFrame,
    how: str,
    left_on: Sequence[str],
    right_on: Sequence[str],
    left_suffix: str | None,
    right_suffix: str | None,
) -> NativeFrame:
    """Rows of both, matched by columns. Nulls match nothing.

    Raises:
        ValueError: both have a column of one name, and there is no suffix to tell them apart.
    """
    size = left.size_bytes + right.size_bytes
    if how in ("right_semi", "right_anti"):
        left, right, left_on, right_on = right, left, right_on, left_on
    if how.endswith(("semi", "anti")):
        kinds = key_types(left.schema, left_on, right.schema, right_on)
        frame = _cast(left.frame, {}).join(
            _cast(right.frame, dict(zip(right_on, kinds, strict=True))),
            left_on=list(left_on),
            right_on=list(right_on),
            how=_HOW[how],  # type: ignore[arg-type]
            maintain_order="left",
        )
        return NativeFrame(frame, left.schema, size)
    left_names = _suffixed(
        left.schema, left_on, right.schema, right_on, left_suffix, "both", left_suffix, right_suffix
    )
    right_names = _suffixed(
        right.schema, right_on, left.schema, left_on, right_suffix, "both", left_suffix, right_suffix
    )
    kinds = key_types(left.schema, left_on, right.schema, right_on)
    keys = [f"__skate_key_{i}__" for i in range(len(left_on))]
    frame_left = _cast(left.frame, dict(zip(left_on, kinds, strict=True))).rename(left_names)
    frame_right = _cast(right.frame, dict(zip(right_on, kinds, strict=True))).rename(
        {**right_names, **dict(zip(right_on, keys, strict=True))}
    )
    frame = frame_left.join(
        frame_right,
        left_on=list(left_on),
        right_on=keys,
        how=_HOW[how],  # type: ignore[arg-type]
        coalesce=True,
    )
    types = {left_names.get(f.name, f.name): f.type for f in left.schema}
    types.update({right_names.get(f.name, f.name): f.type for f in right.schema if f.name not in right_on})
    own_left = [left_names.get(f.name, f.name) for f in left.schema]
    own_right = [right_names.get(f.name, f.name) for f in right.schema if f.name not in right_on]
    if how == "right_outer":
        frame = frame.rename(dict(zip(keys, right_on, strict=True)))
        order = [name for name in own_left if name not in left_on] + list(right_on) + own_right
        types.update({f.name: f.type for f in right.schema if f.name in right_on})
    else:
        order = own_left + own_right
    schema = pa.schema([(name, types[name]) for name in order])
    return NativeFrame(frame.select(order), schema, size, is_ordered=False)


def _suffixed(
    schema: pa.Schema,
    on: Sequence[str],
    other: pa.Schema,
    other_on: Sequence[str],
    suffix: str | None,
    _which: str,
    left_suffix: str | None,
    right_suffix: str | None,
) -> dict[str, str]:
    """New names of the columns that the other side has too, keys apart."""
    both = (set(schema.names) - set(on)) & (set(other.names) - set(other_on))
    if both and left_suffix is None and right_suffix is None:
        raise ValueError(
            f"Left and right columns suffixes cannot be both None (overlapping columns: {sorted(both)}): give "
            "left_suffix or right_suffix."
        )
    return {name: f"{name}{suffix or ''}" for name in schema.names if name in both and suffix}


def key_types(
    left: pa.Schema, left_on: Sequence[str], right: pa.Schema, right_on: Sequence[str]
) -> list[pa.DataType | None]:
    """For each pair of keys, the type to compare in; None if they are of one type."""
    kinds: list[pa.DataType | None] = []
    for a, b in zip(left_on, right_on, strict=True):
        one, two = left.field(a).type, right.field(b).type
        if one == two:
            kinds.append(None)
            continue
        kinds.append(
            convert.unify_schemas([pa.schema([("k", one)]), pa.schema([("k", two)])]).field("k").type
        )
    return kinds


def _cast(frame: pl.LazyFrame, kinds: Mapping[str, pa.DataType | None]) -> pl.LazyFrame:
    casts = [pl.col(name).cast(polars_type(kind)) for name, kind in kinds.items() if kind is not None]
    return frame.with_columns(casts) if casts else frame


__all__ = [
    "NativeFrame",
    "SMALL_BYTES",
    "bucket_of",
    "distinct",
    "filtered",
    "from_frame",
    "from_kept",
    "from_stream",
    "from_table",
    "grouped",
    "hashed",
    "joined",
    "key_types",
    "limited",
    "projected",
    "queried",
    "scan",
    "schema_of",
    "sorted_by",
]
