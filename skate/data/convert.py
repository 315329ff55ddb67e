"""Between Arrow tables and what users' functions take and give: rows, NumPy, pandas and Polars batches."""

from __future__ import annotations

import collections.abc
import operator
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from skate.data.extensions.objects import ArrowPythonObjectArray, ArrowPythonObjectType, object_to_pylist
from skate.data.extensions.tensor import (
    ArrowTensorArray,
    is_tensor_type,
    tensor_to_numpy,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

VALID_BATCH_FORMATS = ["pandas", "pyarrow", "numpy", "cudf", None]
_FORMATS = {"default": "numpy", None: "pyarrow"}


def resolve_batch_format(batch_format: str | None) -> str:
    """The format that a `batch_format` argument stands for.

    Raises:
        ValueError: there is no such format.
    """
    resolved = _FORMATS.get(batch_format, batch_format)
    if resolved not in ("numpy", "pandas", "pyarrow", "polars"):
        raise ValueError(
            f"The given batch format {batch_format} isn't allowed (must be one of {VALID_BATCH_FORMATS})."
        )
    return str(resolved)


def column_from_values(values: Any, name: str = "") -> pa.Array | pa.ChunkedArray:
    """An Arrow column from a sequence: of its natural type, of tensors, or of pickled objects.

    Args:
        values: An array, a list, a pandas Series or an Arrow column.
        name: The column's, for errors.
    """
    if isinstance(values, (pa.Array, pa.ChunkedArray)):
        return values
    if isinstance(values, np.ndarray):
        if values.ndim > 1 and values.dtype != object:
            return ArrowTensorArray.from_numpy(values, name)
        if values.ndim == 0:
            values = values.reshape(1)
        if values.dtype != object:
            return _from_plain_array(values)
        if values.ndim > 1:
            return ArrowPythonObjectArray.from_objects(list(values))
    module = type(values).__module__.partition(".")[0]
    if module == "pandas":
        return _from_series(values, name)
    if module in ("torch", "tensorflow", "jax", "jaxlib"):
        return column_from_values(np.asarray(values), name)
    if module == "polars":
        return normalise_column(values.to_arrow())
    return _from_list(list(values), name)


def _from_plain_array(values: np.ndarray[Any, Any]) -> pa.Array:
    if values.dtype.kind == "M" and np.datetime_data(values.dtype)[0] in ("M", "Y", "W", "D", "h", "m"):
        values = values.astype("datetime64[s]")
    if not values.flags["C_CONTIGUOUS"]:
        values = np.ascontiguousarray(values)
    if not values.dtype.isnative:
        values = values.astype(values.dtype.newbyteorder("="))
    try:
        return pa.array(values)
    except (pa.ArrowNotImplementedError, pa.ArrowInvalid):  # complex numbers, records …
        return ArrowPythonObjectArray.from_objects(values.tolist())


def _from_series(series: Any, name: str) -> pa.Array | pa.ChunkedArray:
    if series.dtype == object:
        return _from_list(list(series), name, pandas=True)
    column = pa.array(series, from_pandas=True)
    return normalise_column(column)


def _from_list(values: list[Any], name: str, pandas: bool = False) -> pa.Array:
    sample = next((item for item in values if item is not None), None)
    if sample is not None and _is_tensor(sample):
        try:
            rows = _as_arrays(values)
            if rows.dtype != object and rows.ndim == 1:
                return _from_plain_array(rows)  # tensors without dimensions are numbers
            return ArrowTensorArray.from_numpy(rows, name)
        except (ValueError, TypeError, pa.ArrowInvalid, pa.ArrowNotImplementedError):
            return ArrowPythonObjectArray.from_objects(values)
    try:
        column = pa.array(values, from_pandas=pandas)
    except (
        pa.ArrowInvalid,
        pa.ArrowTypeError,
        pa.ArrowNotImplementedError,
        OverflowError,
        TypeError,
        AttributeError,
    ):
        return ArrowPythonObjectArray.from_objects(values)
    return column


def _is_tensor(value: Any) -> bool:
    if isinstance(value, np.ndarray):
        return True
    return type(value).__module__.partition(".")[0] in ("torch", "tensorflow", "jax", "jaxlib") and hasattr(
        value, "__array__"
    )


def _as_arrays(values: list[Any]) -> Any:
    rows = [None if item is None else np.asarray(item) for item in values]
    if rows and rows[0] is not None and rows[0].ndim == 0:
        return np.array(rows)
    out = np.empty(len(rows), dtype=object)
    for index, row in enumerate(rows):
        out[index] = row
    return out


def table_from_columns(columns: Mapping[str, Any]) -> pa.Table:
    """A table from a batch: names to sequences of one length.

    Raises:
        ValueError: the lengths differ.
    """
    arrays = {str(name): column_from_values(values, str(name)) for name, values in columns.items()}
    sizes = {name: len(array) for name, array in arrays.items()}
    if len(set(sizes.values())) > 1:
        raise ValueError(
            f"The columns of a batch must have the same length, and these have: {sizes}. "
            "Return an array with one item a row for each column."
        )
    return pa.table(arrays) if arrays else pa.table({})


def table_from_rows(rows: Sequence[Mapping[str, Any]]) -> pa.Table:
    """A table from dicts. A key that a row lacks is null there; columns stand in the order they appear."""
    if not rows:
        return pa.table({})
    names = list(rows[0])
    try:
        if set(map(len, rows)) == {len(names)}:
            return table_from_columns({name: list(map(operator.itemgetter(name), rows)) for name in names})
    except KeyError:
        pass  # rows of one length and different names: the general way is below
    union: dict[str, None] = {}
    for row in rows:
        union.update(dict.fromkeys(row))
    return table_from_columns({name: [row.get(name) for row in rows] for name in union})


def table_from_pandas(frame: Any, preserve_index: bool = False) -> pa.Table:
    """A table from a DataFrame.

    Args:
        frame: The DataFrame.
        preserve_index: Keep an index that is more than the rows' numbers, as a column.
    """
    arrays: dict[str, Any] = {}
    if preserve_index and type(frame.index).__name__ != "RangeIndex":
        frame = frame.reset_index(names=frame.index.names if any(frame.index.names) else "__index_level_0__")
    for position, name in enumerate(frame.columns):
        arrays[str(name)] = _from_series(frame.iloc[:, position], str(name))
    if not arrays:
        return pa.table({})
    return pa.table(arrays, metadata=None if _is_arrow_backed(frame) else _FROM_PANDAS)


def _is_arrow_backed(frame: Any) -> bool:
    return any(type(kind).__name__ == "ArrowDtype" for kind in frame.dtypes)


def is_batch(value: Any) -> bool:
    """Whether a value is of a type that a batch function may return."""
    return isinstance(value, (collections.abc.Mapping, pa.Table, pa.RecordBatch)) or _is_frame(value)


def _is_frame(value: Any) -> bool:
    return type(value).__name__ in ("DataFrame", "LazyFrame") and (
        type(value).__module__.partition(".")[0] in ("pandas", "polars", "modin")
    )


def table_from_batch(batch: Any) -> pa.Table:
    """A table from what a batch function returned.

    Raises:
        ValueError: it is no batch, or its columns differ in length.
    """
    if isinstance(batch, pa.Table):
        return batch
    if isinstance(batch, pa.RecordBatch):
        return pa.Table.from_batches([batch])
    if isinstance(batch, collections.abc.Mapping):
        for name, values in batch.items():
            if isinstance(values, (str, bytes)) or not hasattr(values, "__len__"):
                raise ValueError(
                    f"Error validating {_shown(batch)}: The `fn` you passed to `map_batches` returned a "
                    f"`dict`, and the value of {name!r} is of type {type(values)}. `map_batches` expects "
                    "all values to be `list` or `np.ndarray` type, with an item for each row: for one row, "
                    "return a list of one item."
                )
        return table_from_columns(batch)
    if _is_frame(batch):
        if type(batch).__module__.startswith("polars"):
            frame = batch.collect() if hasattr(batch, "collect") else batch
            return normalise(frame.to_arrow())
        return table_from_pandas(batch)
    if isinstance(batch, list):
        raise ValueError(
            f"Error validating {_shown(batch)}: Returning a list of objects from `map_batches` is not allowed in Skate, as in Ray. "
            "Name it: return `{'results': objects}` instead of just `objects`."
        )
    raise ValueError(
        "The `fn` you passed to `map_batches` returned a value of type "
        f"{type(batch)}. This isn't allowed -- `map_batches` expects `fn` to return a `pandas.DataFrame`, "
        "`pyarrow.Table`, `numpy.ndarray`, or `dict[str, numpy.ndarray]`: return one of them."
    )


def _shown(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 200 else text[:200] + " …"


def table_to_batch(table: pa.Table, batch_format: str, copy: bool = False) -> Any:
    """A table in the format that a batch function asked for.

    Args:
        table: The batch's rows.
        batch_format: As `resolve_batch_format` gives it.
        copy: Whether the function may write into the arrays.
    """
    if batch_format == "numpy":
        batch = {name: column_to_numpy(table.column(name)) for name in table.column_names}
        if copy:
            batch = {name: values.copy() for name, values in batch.items()}
        return batch
    if batch_format == "pandas":
        return table_to_pandas(table, copy)
    if batch_format == "polars":
        import polars

        return polars.from_arrow(table)
    return table


def column_to_numpy(column: pa.ChunkedArray) -> np.ndarray[Any, Any]:
    """A column as an array: a view if Arrow allows it, of objects where NumPy has no type."""
    kind = column.type
    if is_tensor_type(kind):
        return tensor_to_numpy(column)
    if isinstance(kind, ArrowPythonObjectType):
        items = object_to_pylist(column)
        out = np.empty(len(items), dtype=object)
        out[:] = items
        return out
    if column.num_chunks == 1:
        values: np.ndarray[Any, Any] = column.chunk(0).to_numpy(zero_copy_only=False)
    else:
        values = column.to_numpy()
    return values


def table_to_pandas(table: pa.Table, copy: bool = False) -> Any:
    """A table as a DataFrame; tensors and objects are columns of objects.

    Args:
        table: The table.
        copy: Whether the arrays must be writable.
    """
    import pandas

    from skate.data.context import DataContext

    special = {
        name: column_to_numpy(table.column(name))
        for name in table.column_names
        if isinstance(table.schema.field(name).type, pa.BaseExtensionType)
    }
    is_plain = _is_from_pandas(table) or not DataContext.get_current().enable_arrow_backed_pandas_conversion
    mapper = None if is_plain else _arrow_backed
    table = table.replace_schema_metadata(None)
    if not special:
        return table.to_pandas(types_mapper=mapper, split_blocks=not copy)
    plain = [name for name in table.column_names if name not in special]
    frame = table.select(plain).to_pandas(types_mapper=mapper)
    columns = {
        name: _special_column(special[name], table.column(name)) if name in special else frame[name]
        for name in table.column_names
    }
    return pandas.DataFrame(columns)


def _special_column(values: np.ndarray[Any, Any], column: pa.ChunkedArray) -> Any:
    """Tensors or objects as a pandas column: of objects, or of pandas' own type of tensors if the settings say so."""
    import pandas

    from skate.data.context import DataContext

    if is_tensor_type(column.type) and not DataContext.get_current().enable_tensor_extension_casting:
        from skate.data.extensions.pandas_tensor import TensorArray

        return pandas.Series(TensorArray(values))
    return pandas.Series(list(values), dtype=object)


# What came from pandas goes back to it in pandas' own types; other data in Arrow's, which lose nothing.
_FROM_PANDAS = {b"skate.pandas": b"1"}


def _is_from_pandas(table: pa.Table) -> bool:
    return b"skate.pandas" in (table.schema.metadata or {})


def _arrow_backed(kind: pa.DataType) -> Any:
    import pandas

    return None if pa.types.is_dictionary(kind) else pandas.ArrowDtype(kind)


def iter_rows(table: pa.Table) -> Iterator[dict[str, Any]]:
    """The rows of a table, as dicts of Python values; a tensor is an array."""
    names = table.column_names
    if not names:
        return iter([{} for _ in range(table.num_rows)])
    columns = [column_to_list(table.column(index)) for index in range(len(names))]
    if len(names) == 1:
        name = names[0]
        return ({name: value} for value in columns[0])
    return (dict(zip(names, values, strict=True)) for values in zip(*columns, strict=True))


def column_to_list(column: pa.ChunkedArray) -> list[Any]:
    """The items of a column, as Python values; tensors as arrays."""
    kind = column.type
    if is_tensor_type(kind):
        return list(tensor_to_numpy(column))
    if isinstance(kind, ArrowPythonObjectType):
        return object_to_pylist(column)
    if column.null_count == 0 and (pa.types.is_integer(kind) or pa.types.is_floating(kind)):
        values: list[Any] = column.to_numpy().tolist()
        return values
    return list(column.to_pylist())


def normalise(table: pa.Table, wanted: Mapping[str, pa.DataType] | None = None) -> pa.Table:
    """A table in the types that Skate uses for all blocks, after it has come from the native engine.

    Args:
        table: What the engine gave.
        wanted: Types of columns that the engine only passed through.
    """
    columns = []
    changed = False
    for index, field in enumerate(table.schema):
        target = (wanted or {}).get(field.name) or plain_type(field.type)
        column = table.column(index)
        if target != field.type:
            column = cast_column(column, target)
            changed = True
        columns.append(column)
    return pa.table(columns, names=table.column_names) if changed else table


def normalise_column(column: pa.Array | pa.ChunkedArray) -> pa.Array | pa.ChunkedArray:
    """A column in the type that Skate uses for its kind."""
    target = plain_type(column.type)
    return column if target == column.type else cast_column(column, target)


def cast_column(column: Any, target: pa.DataType) -> Any:
    """A column in another type; extension types are exchanged by way of their storage."""
    if column.type == target:
        return column
    if pa.types.is_string(target) and pa.types.is_large_string(column.type) and column.nbytes >= 2**31 - 1:
        return column  # offsets of 32 bits cannot reach so far
    if isinstance(target, pa.BaseExtensionType):
        return pc.cast(column, target.storage_type).cast(target)
    stored = _storage_of(target)
    return column.cast(target) if stored == target else column.cast(stored).cast(target)


def _storage_of(kind: pa.DataType) -> pa.DataType:
    """The type without the extension types within it."""
    if isinstance(kind, pa.BaseExtensionType):
        return _storage_of(kind.storage_type)
    if pa.types.is_struct(kind):
        return pa.struct([field.with_type(_storage_of(field.type)) for field in kind])
    if pa.types.is_list(kind):
        return pa.list_(kind.value_field.with_type(_storage_of(kind.value_type)))
    return kind


def plain_type(kind: pa.DataType) -> pa.DataType:
    """The type with 32-bit offsets and without views that stands for the same values."""
    if isinstance(kind, pa.BaseExtensionType):
        return kind
    if pa.types.is_large_string(kind) or kind == pa.string_view():
        return pa.string()
    if pa.types.is_large_binary(kind) or kind == pa.binary_view():
        return pa.binary()
    if pa.types.is_large_list(kind) or pa.types.is_list(kind):
        return pa.list_(plain_type(kind.value_type))
    if pa.types.is_struct(kind):
        return pa.struct(
            [
                pa.field(f.name, plain_type(f.type), f.nullable)
                for f in (kind.field(i) for i in range(kind.num_fields))
            ]
        )
    if pa.types.is_map(kind):
        return pa.map_(plain_type(kind.key_type), plain_type(kind.item_type))
    if pa.types.is_dictionary(kind):
        return pa.dictionary(kind.index_type, plain_type(kind.value_type), kind.ordered)
    return kind


def concat(tables: Iterable[pa.Table]) -> pa.Table:
    """The rows of all tables, columns matched by name.

    Columns that a table lacks are null. Types are promoted to one that holds both; where Arrow knows none, the
    column becomes one of Python objects. Tensors of different shapes become a variable-shaped column.
    """
    parts = [table for table in tables if table.num_columns]
    if not parts:
        return pa.table({})
    filled = [table for table in parts if table.num_rows] or parts[:1]
    if len(filled) == 1:
        return filled[0]
    first = filled[0].schema
    if all(table.schema.equals(first) for table in filled[1:]):
        return pa.concat_tables(filled)
    schema = unify_schemas([table.schema for table in filled])
    return pa.concat_tables([align(table, schema) for table in filled])


def unify_schemas(schemas: Sequence[pa.Schema]) -> pa.Schema:
    """One schema that holds the rows of all: columns in the order they appear, types promoted."""
    types: dict[str, pa.DataType] = {}
    for schema in schemas:
        for field in schema:
            known = types.get(field.name)
            types[field.name] = field.type if known is None else _common(known, field.type)
    return pa.schema(list(types.items()))


def _common(left: pa.DataType, right: pa.DataType) -> pa.DataType:
    if left == right or pa.types.is_null(right):
        return left
    if pa.types.is_null(left):
        return right
    if is_tensor_type(left) and is_tensor_type(right):
        from skate.data.extensions.tensor import ArrowVariableShapedTensorType

        if len(left.shape) != len(right.shape):
            return ArrowPythonObjectType()
        scalar = _common(_scalar(left), _scalar(right))
        return ArrowVariableShapedTensorType(scalar, len(left.shape))
    try:
        merged = pa.unify_schemas(
            [pa.schema([("c", left)]), pa.schema([("c", right)])], promote_options="permissive"
        )
    except (pa.ArrowTypeError, pa.ArrowInvalid):
        return ArrowPythonObjectType()
    return merged.field("c").type


def _scalar(kind: Any) -> pa.DataType:
    return kind.value_type if isinstance(kind, pa.FixedShapeTensorType) else kind.scalar_type


def align(table: pa.Table, schema: pa.Schema) -> pa.Table:
    """The table's rows under another schema, which `unify_schemas` made from its own and others."""
    names = set(table.column_names)
    columns = []
    for field in schema:
        if field.name not in names:
            columns.append(pa.nulls(table.num_rows, field.type))
            continue
        column = table.column(field.name)
        columns.append(column if column.type == field.type else _promote(column, field.type))
    return pa.table(columns, schema=schema)


def _promote(column: pa.ChunkedArray, target: pa.DataType) -> Any:
    if pa.types.is_null(column.type):
        return pa.nulls(len(column), target)
    if isinstance(target, ArrowPythonObjectType):
        return ArrowPythonObjectArray.from_objects(column_to_list(column))
    if is_tensor_type(target):
        from skate.data.extensions.tensor import ArrowVariableShapedTensorArray

        rows = ArrowVariableShapedTensorArray.from_numpy(list(tensor_to_numpy(column)))
        return rows if rows.type == target else cast_column(rows, target)
    return cast_column(column, target)


__all__ = [
    "VALID_BATCH_FORMATS",
    "align",
    "cast_column",
    "column_from_values",
    "column_to_list",
    "column_to_numpy",
    "concat",
    "is_batch",
    "iter_rows",
    "normalise",
    "normalise_column",
    "plain_type",
    "resolve_batch_format",
    "table_from_batch",
    "table_from_columns",
    "table_from_pandas",
    "table_from_rows",
    "table_to_batch",
    "table_to_pandas",
    "unify_schemas",
]
