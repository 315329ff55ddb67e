"""JSON files: an object a line, or one array of objects."""

from __future__ import annotations

import io
import itertools
import json as standard_json
from typing import TYPE_CHECKING, Any

import pyarrow as pa
from pyarrow import json as arrow_json

from skate.data import convert
from skate.data.datasource import bad_rows
from skate.data.datasource.bad_rows import BadRow
from skate.data.datasource.file_based_datasource import FileBasedDatasource
from skate.data.datasource.file_datasink import BlockBasedFileDatasink

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from skate.data.block import BlockAccessor

_BLOCK_ROWS = 65_536
_CHUNK_BYTES = 16 << 20
_BOM = b"\xef\xbb\xbf"


class JSONDatasource(FileBasedDatasource):
    """JSON files.

    Args:
        paths: As for all files.
        lines: Whether there is an object on each line; otherwise the file's beginning tells.
        arrow_json_args: `read_options` and `parse_options` of `pyarrow.json`.
        on_bad_rows: What to do with lines that are no JSON objects: `"error"`, `"skip"`, or `"collect"`, which adds a
            column `_bad_row` that tells what they are.
        options: As for all files.

    Raises:
        ValueError: a line is bad, and the policy is `"error"`; the message names file, line and column.
    """

    factor = 2.0

    def __init__(
        self,
        paths: Any,
        lines: bool = False,
        arrow_json_args: dict[str, Any] | None = None,
        on_bad_rows: str = "error",
        **options: Any,
    ) -> None:
        super().__init__(paths, **options)
        self._lines = lines
        args = dict(arrow_json_args or {})
        self._read = args.pop("read_options", None)
        self._parse = args.pop("parse_options", None)
        self._more = args
        self._policy = bad_rows.check_policy(on_bad_rows)

    def _read_stream(self, f: Any, path: str) -> Iterator[pa.Table]:
        bad: list[BadRow] = []
        schema = pa.schema([])
        for table in self._tables(f, path, bad):
            schema = convert.unify_schemas([schema, table.schema])
            yield bad_rows.with_mark(table) if self._policy == "collect" else table
        if bad and self._policy == "collect":
            yield bad_rows.as_table(bad, schema)
        elif bad:
            bad_rows.note_skipped(path, len(bad))

    def _tables(self, f: Any, path: str, bad: list[BadRow]) -> Iterator[pa.Table]:
        pieces = _chunks(f)
        first = next(pieces, b"")
        if not self._lines and (first.lstrip()[:1] == b"[" or _starts_object(first)):
            data = first + b"".join(pieces)
            if data.lstrip()[:1] == b"[":
                yield from self._array(data, path, bad)
                return
            whole = _object(data)
            if whole is not None:
                yield convert.table_from_rows([whole])
                return
            first, pieces = data, iter(())
        line = 1
        for chunk in itertools.chain([first], pieces):
            if chunk.strip():
                try:
                    yield self._by_arrow(chunk)
                except pa.ArrowInvalid:
                    yield from self._by_line(chunk, line, path, bad)
            line += chunk.count(b"\n")

    def _by_arrow(self, chunk: bytes) -> pa.Table:
        read = self._read or arrow_json.ReadOptions(
            use_threads=False, block_size=max(1 << 16, len(chunk) + 1)
        )
        table = arrow_json.read_json(pa.BufferReader(chunk), read, self._parse, **self._more)
        if table.num_columns == 0:
            raise pa.ArrowInvalid("no columns")  # lines of {}: Arrow forgets how many they were
        return table

    def _array(self, data: bytes, path: str, bad: list[BadRow]) -> Iterator[pa.Table]:
        try:
            rows = standard_json.loads(data.decode())
        except standard_json.JSONDecodeError as error:
            if b"\n" in data.strip() and self._policy != "error":
                yield from self._by_line(data, 1, path, bad)
                return
            raise ValueError(
                f"Failed to read JSON file: {path}: line {error.lineno}, column {error.colno}: {error.msg}."
            ) from error
        except UnicodeDecodeError as error:
            line = data.count(b"\n", 0, error.start) + 1
            column = error.start - data.rfind(b"\n", 0, error.start)
            raise ValueError(
                f"Failed to read JSON file: {path}: line {line}, column {column}: {error}: it must be in UTF-8."
            ) from error
        good = []
        for number, row in enumerate(rows if isinstance(rows, list) else [rows], 1):
            if isinstance(row, dict):
                good.append(row)
            elif self._policy == "error":
                raise ValueError(
                    f"Failed to read JSON file: {path}: item {number} of the array is no object: {str(row)[:80]!r}: a "
                    "file must hold objects, one on each line or all in one array."
                )
            else:
                bad.append(BadRow(path, number, None, standard_json.dumps(row), "no object"))
        for start in range(0, len(good), _BLOCK_ROWS):
            yield convert.table_from_rows(good[start : start + _BLOCK_ROWS])

    def _by_line(self, chunk: bytes, first: int, path: str, bad: list[BadRow]) -> Iterator[pa.Table]:
        """By the standard library's parser, which takes what Arrow's does not: mixed types, and lines that are bad."""
        rows = []
        for number, line in enumerate(chunk.split(b"\n"), first):
            if not line.strip():
                continue
            row = _parsed(line, number, path)
            if isinstance(row, dict):
                rows.append(row)
                continue
            if self._policy == "error":
                raise ValueError(
                    f"Failed to read JSON file: {path}: line {number}, column {row.column}: {row.reason}: "
                    f"{row.text[:80]!r}: a file must hold objects, one on each line or all in one array. "
                    "on_bad_rows='skip' or 'collect' reads the rest."
                )
            bad.append(row)
        for start in range(0, len(rows), _BLOCK_ROWS):
            yield convert.table_from_rows(rows[start : start + _BLOCK_ROWS])


def _parsed(line: bytes, number: int, path: str) -> dict[str, Any] | BadRow:
    text = line.decode(errors="replace")
    try:
        line.decode()
        row = standard_json.loads(text)
    except UnicodeDecodeError as error:
        return BadRow(path, number, str(error.start + 1), text.strip(), f"{error}: it must be in UTF-8")
    except standard_json.JSONDecodeError as error:
        return BadRow(path, number, str(error.colno), text.strip(), error.msg)
    return row if isinstance(row, dict) else BadRow(path, number, "1", text.strip(), "no object")


def _starts_object(chunk: bytes) -> bool:
    """Whether the first line is a part of an object that goes on."""
    line = chunk.lstrip().partition(b"\n")[0]
    return line[:1] == b"{" and _object(line) is None


def _object(chunk: bytes) -> dict[str, Any] | None:
    try:
        whole = standard_json.loads(chunk)
    except ValueError:
        return None
    return whole if isinstance(whole, dict) else None


def _chunks(f: Any) -> Iterator[bytes]:
    """The file in pieces that end with a line."""
    rest = b""
    first = True
    while data := bytes(f.read(_CHUNK_BYTES)):
        if first:
            data, first = data.removeprefix(_BOM), False
        end = data.rfind(b"\n") + 1
        if end == 0:
            rest += data
            continue
        yield rest + data[:end]
        rest = data[end:]
    if rest:
        yield rest


class JSONDatasink(BlockBasedFileDatasink):
    """Writes JSON files, an object a line.

    Args:
        path: The folder.
        pandas_json_args_fn: Called in each task for further options.
        pandas_json_args: Options of `pandas.DataFrame.to_json`.
        options: As for all file sinks.
    """

    def __init__(
        self,
        path: str,
        *,
        pandas_json_args_fn: Callable[[], dict[str, Any]] | None = None,
        pandas_json_args: dict[str, Any] | None = None,
        **options: Any,
    ) -> None:
        super().__init__(path, file_format="json", **options)
        self._args_fn, self._args = pandas_json_args_fn, dict(pandas_json_args or {})

    def write_block_to_file(self, block: BlockAccessor, file: Any) -> None:
        """Write a block by way of pandas, whose options these are."""
        args = {**self._args, **(self._args_fn() if self._args_fn else {})}
        orient, lines = args.pop("orient", "records"), args.pop("lines", True)
        buffer = io.BytesIO()
        convert.table_to_pandas(block.to_arrow()).to_json(buffer, orient=orient, lines=lines, **args)
        file.write(buffer.getvalue())


__all__ = ["JSONDatasink", "JSONDatasource"]
