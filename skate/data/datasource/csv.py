"""CSV files."""

from __future__ import annotations

import csv as standard_csv
import io
import re
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from pyarrow import csv

from skate.data.datasource import bad_rows
from skate.data.datasource.bad_rows import BadRow
from skate.data.datasource.file_based_datasource import FileBasedDatasource
from skate.data.datasource.file_datasink import BlockBasedFileDatasink

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from skate.data.block import BlockAccessor

_BLOCK_BYTES = 16 << 20  # the types of columns are judged by the first block: the larger, the better
_CONVERSION = re.compile(
    r"In CSV column #(\d+): .*CSV conversion error to ([^:]+): (?:invalid value '(.*)')?", re.DOTALL
)


class CSVDatasource(FileBasedDatasource):
    """CSV files.

    Args:
        paths: As for all files.
        arrow_csv_args: `read_options`, `parse_options` and `convert_options` of `pyarrow.csv`.
        on_bad_rows: What to do with rows that have too many or too few values, or values of another type than their
            column: `"error"`, `"skip"`, or `"collect"`, which adds a column `_bad_row` that tells what they are.
        options: As for all files.

    Raises:
        ValueError: a row is bad, and the policy is `"error"`; the message names file, line and column.
    """

    factor = 2.0

    def __init__(
        self,
        paths: Any,
        arrow_csv_args: dict[str, Any] | None = None,
        on_bad_rows: str = "error",
        **options: Any,
    ) -> None:
        super().__init__(paths, **options)
        args = dict(arrow_csv_args or {})
        self._read = args.pop("read_options", None)
        self._parse = args.pop("parse_options", None)
        self._convert = args.pop("convert_options", None)
        self._more = args
        self._policy = bad_rows.check_policy(on_bad_rows)

    def _options(self) -> tuple[csv.ReadOptions, csv.ParseOptions, csv.ConvertOptions]:
        read = self._read or csv.ReadOptions(use_threads=False, block_size=_BLOCK_BYTES)
        return read, self._parse or csv.ParseOptions(), self._convert or csv.ConvertOptions()

    def _read_stream(self, f: Any, path: str) -> Iterator[pa.Table]:
        read, parse, convert = self._options()
        if self._policy != "error":
            yield from _Tolerant(self, path, read, parse, convert).blocks(f)
            return
        try:
            reader = csv.open_csv(f, read, parse, convert, **self._more)
            for index, field in enumerate(reader.schema):
                if _is_undecoded(field, convert.column_types):
                    raise pa.ArrowInvalid(
                        f"In CSV column #{index}: CSV conversion error to string: invalid text"
                    )
            yield from _tables(reader)
        except (pa.ArrowInvalid, UnicodeDecodeError) as error:
            raise ValueError(self._explained(path, error)) from error

    def _again(self, path: str) -> Any:
        """The file, opened once more."""
        return self._open_input_source(self._filesystem, path, **(self._open_args or {}))

    def _explained(self, path: str, error: Exception) -> str:
        """The error with the line and the column that it is about."""
        read, parse, _ = self._options()
        found = _CONVERSION.search(str(error))
        with self._again(path) as f:
            try:
                where = _locate(_Records(f, read, parse), found)
            except standard_csv.Error:  # it takes no value as long as Arrow does
                where = ""
        text = f"Failed to read CSV file: {path}{where}: {error}".rstrip()
        if found and found.group(2) == "string":
            step = "Give its encoding, as read_options=pyarrow.csv.ReadOptions(encoding='latin-1')."
        elif found:
            step = (
                "Give the column's type, as convert_options=pyarrow.csv.ConvertOptions(column_types={...})."
            )
        else:
            step = "Give parse_options of pyarrow.csv, if the file has another delimiter or quotes."
        return f"{text}. {step} on_bad_rows='skip' or 'collect' reads the rest."


def _tables(reader: Any) -> Iterator[pa.Table]:
    for batch in reader:
        table = pa.Table.from_batches([batch], schema=reader.schema)
        if table.num_columns:
            yield table


class _Records:
    """The records of a file one by one, with the lines that they begin on. It is for telling where an error is."""

    def __init__(self, f: Any, read: csv.ReadOptions, parse: csv.ParseOptions) -> None:
        text = io.TextIOWrapper(
            io.BytesIO(f.read()), encoding=_python_encoding(read.encoding), errors="replace", newline=""
        )
        self._kept: list[str] = []
        self._reader = standard_csv.reader(
            self._lines(text),
            delimiter=parse.delimiter,
            quotechar=parse.quote_char or None,
            quoting=standard_csv.QUOTE_MINIMAL if parse.quote_char else standard_csv.QUOTE_NONE,
            doublequote=parse.double_quote,
            escapechar=parse.escape_char or None,
        )
        self._empty_too = not parse.ignore_empty_lines
        for _ in range(read.skip_rows):
            next(text, None)
        self._skipped = read.skip_rows
        self.names: list[str] = list(read.column_names or ())
        if not self.names and not read.autogenerate_column_names:
            self.names = next(self._reader, [])
            self._kept.clear()
        for _ in range(read.skip_rows_after_names):
            next(self._reader, None)
            self._kept.clear()

    def _lines(self, text: io.TextIOWrapper) -> Iterator[str]:
        for line in text:
            self._kept.append(line)
            yield line

    def __iter__(self) -> Iterator[tuple[int, list[str], str]]:
        """Line, values and text of each record."""
        before = self._reader.line_num
        for values in self._reader:
            line, before = before + 1 + self._skipped, self._reader.line_num
            text = "".join(self._kept).rstrip("\r\n")
            self._kept.clear()
            if values or self._empty_too:
                yield line, values, text


def _python_encoding(name: str) -> str:
    return "utf-8-sig" if name.lower().replace("-", "").replace("_", "") == "utf8" else name


def _locate(records: _Records, conversion: re.Match[str] | None) -> str:
    if conversion is not None:
        index, value = int(conversion.group(1)), conversion.group(3)
        for line, values, _ in records:
            if index < len(values) and (
                values[index] == value if value is not None else "\ufffd" in values[index]
            ):
                name = records.names[index] if index < len(records.names) else f"f{index}"
                return f": line {line}, column {name!r}"
        return ""
    for line, values, _ in records:
        if len(values) != len(records.names or values):
            return f": line {line}"
        records.names = records.names or values
    return ""


class _Tolerant:
    """Reads all rows that can be read. Columns come in as bytes, and are converted here, where one value may fail alone.

    The file is opened up to three times: for the types, by the first block; for the rows; and, if bad ones are
    collected, to find their lines.
    """

    def __init__(
        self,
        source: CSVDatasource,
        path: str,
        read: csv.ReadOptions,
        parse: csv.ParseOptions,
        convert: csv.ConvertOptions,
    ) -> None:
        self._source, self._path = source, path
        self._read, self._parse, self._convert = read, parse, convert
        self._collects = source._policy == "collect"
        self._ragged = 0
        self._unconverted: dict[
            int, tuple[str, str]
        ] = {}  # rows among those of the right length: column and type
        self._rows = 0

    def blocks(self, f: Any) -> Iterator[pa.Table]:
        """The good rows and, if they are collected, a last block of the bad ones."""
        schema = self._schema()
        if schema is None:
            return
        parse = self._parsing(self._count)
        as_bytes = csv.ConvertOptions(
            check_utf8=False,
            column_types={field.name: pa.binary() for field in schema},
            include_columns=self._convert.include_columns,
            include_missing_columns=self._convert.include_missing_columns,
        )
        for table in _tables(csv.open_csv(f, self._read, parse, as_bytes)):
            good = self._converted(table, schema)
            self._rows += table.num_rows
            yield bad_rows.with_mark(good) if self._collects else good
        bad = self._ragged + len(self._unconverted)
        if bad and self._collects:
            with self._source._again(self._path) as again:
                try:
                    found = list(self._found(_Records(again, self._read, self._parse)))
                except standard_csv.Error as error:
                    raise ValueError(
                        f"Failed to collect the bad rows of CSV file: {self._path}: {error}. on_bad_rows='skip' reads the rest."
                    ) from error
            yield bad_rows.as_table(found, schema)
        elif bad:
            bad_rows.note_skipped(self._path, bad)

    def _count(self, row: Any) -> str:
        self._ragged += 1
        return "skip"

    def _parsing(self, handler: Callable[[Any], str]) -> csv.ParseOptions:
        given = self._parse
        return csv.ParseOptions(
            delimiter=given.delimiter,
            quote_char=given.quote_char,
            double_quote=given.double_quote,
            escape_char=given.escape_char,
            newlines_in_values=given.newlines_in_values,
            ignore_empty_lines=given.ignore_empty_lines,
            invalid_row_handler=handler,
        )

    def _schema(self) -> pa.Schema | None:
        """The columns, with the types that the first block has."""
        given = dict(self._convert.column_types or {})
        options = csv.ConvertOptions(
            null_values=self._convert.null_values,
            strings_can_be_null=self._convert.strings_can_be_null,
            include_columns=self._convert.include_columns,
            include_missing_columns=self._convert.include_missing_columns,
            timestamp_parsers=self._convert.timestamp_parsers,
        )
        parse = self._parsing(lambda row: "skip")
        try:
            with (
                self._source._again(self._path) as f,
                csv.open_csv(f, self._read, parse, options) as reader,
            ):
                found = reader.schema
        except pa.ArrowInvalid as error:
            if "Empty CSV file" in str(error):
                return None
            raise
        return pa.schema(
            [
                (
                    field.name,
                    given.get(field.name) or (pa.string() if _is_undecoded(field, given) else field.type),
                )
                for field in found
            ]
        )

    def _converted(self, table: pa.Table, schema: pa.Schema) -> pa.Table:
        keep = np.ones(table.num_rows, bool)
        columns = []
        for field in schema:
            column, failed = self._column(table.column(field.name).combine_chunks(), field.type)
            columns.append(column)
            for index in failed:
                if keep[index]:
                    self._unconverted[self._rows + index] = (field.name, str(field.type))
                keep[index] = False
        made = pa.table(columns, schema=schema)
        return made if keep.all() else made.filter(pa.array(keep))

    def _column(self, column: Any, kind: pa.DataType) -> tuple[pa.Array, list[int]]:
        """The column in its type, and the rows that can't be: they are null."""
        failed: list[int] = []

        def convert(start: int, end: int) -> list[pa.Array]:
            try:
                return [self._cast(column.slice(start, end - start), kind)]
            except pa.ArrowInvalid:
                if end - start == 1:
                    failed.append(start)
                    return [pa.nulls(1, kind)]
                middle = (start + end) // 2
                return [*convert(start, middle), *convert(middle, end)]

        parts = convert(0, len(column)) if len(column) else [pa.nulls(0, kind)]
        return pa.concat_arrays(parts), failed

    def _cast(self, column: Any, kind: pa.DataType) -> pa.Array:
        text = column.cast(pa.string())
        options = self._convert
        if pa.types.is_string(kind) or pa.types.is_large_string(kind):
            if not options.strings_can_be_null:
                return text.cast(kind)
        else:
            text = pc.utf8_trim_whitespace(text)
        nulls = pc.is_in(text, pa.array(options.null_values, pa.string()))
        return pc.if_else(nulls, None, text).cast(kind)

    def _found(self, records: _Records) -> Iterator[BadRow]:
        """The bad rows with their lines."""
        good = 0
        for line, values, text in records:
            if len(values) != len(records.names or values):
                reason = f"Expected {len(records.names)} columns, got {len(values)}"
                yield BadRow(self._path, line, None, text, reason)
                continue
            if good in self._unconverted:
                column, kind = self._unconverted[good]
                yield BadRow(self._path, line, column, text, f"not {kind}")
            good += 1


def _is_undecoded(field: pa.Field, asked: Any) -> bool:
    """Whether a column is of bytes because they are no text, and not because that was asked for."""
    return bool(pa.types.is_binary(field.type)) and field.name not in (asked or {})


class CSVDatasink(BlockBasedFileDatasink):
    """Writes CSV files.

    Args:
        path: The folder.
        arrow_csv_args_fn: Called in each task for further options.
        arrow_csv_args: Options of `pyarrow.csv.write_csv`.
        options: As for all file sinks.
    """

    def __init__(
        self,
        path: str,
        *,
        arrow_csv_args_fn: Callable[[], dict[str, Any]] | None = None,
        arrow_csv_args: dict[str, Any] | None = None,
        **options: Any,
    ) -> None:
        super().__init__(path, file_format="csv", **options)
        self._args_fn, self._args = arrow_csv_args_fn, dict(arrow_csv_args or {})

    def write_block_to_file(self, block: BlockAccessor, file: Any) -> None:
        """Write a block with a line of names at its head."""
        args = {**self._args, **(self._args_fn() if self._args_fn else {})}
        csv.write_csv(block.to_arrow(), file, args.pop("write_options", None), **args)


__all__ = ["CSVDatasink", "CSVDatasource"]
