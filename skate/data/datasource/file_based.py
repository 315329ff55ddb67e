"""Reading files: the base class, and the formats that need no more than Arrow, NumPy or the standard library."""

from __future__ import annotations

import io
import json
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pyarrow as pa

from skate.data import convert
from skate.data.block import Block, BlockMetadata
from skate.data.datasource import files as fs
from skate.data.datasource.datasource import Datasource, ReadTask
from skate.data.datasource.partitioning import Partitioning, PathPartitionFilter, PathPartitionParser

_BLOCK_ROWS = 65_536


class FileMetadataProvider:
    """Accepted for Ray's programs: what is known of files is found when they are listed."""


class BaseFileMetadataProvider(FileMetadataProvider):
    """Lists files with their sizes."""

    def expand_paths(
        self,
        paths: list[str],
        filesystem: Any,
        partitioning: Partitioning | None = None,
        ignore_missing_paths: bool = False,
    ) -> Iterator[tuple[str, int]]:
        """The files behind paths, with their sizes in bytes."""
        raise NotImplementedError


class DefaultFileMetadataProvider(BaseFileMetadataProvider):
    """Lists files by asking their file system."""

    def expand_paths(
        self,
        paths: list[str],
        filesystem: Any,
        partitioning: Partitioning | None = None,
        ignore_missing_paths: bool = False,
    ) -> Iterator[tuple[str, int]]:
        """The files behind paths, with their sizes in bytes."""
        yield from fs.expand(paths, filesystem, None, ignore_missing_paths)


class FileBasedDatasource(Datasource):
    """Base of datasources that read files one by one. A subclass implements `_read_stream`.

    Args:
        paths: Files, folders or patterns: local paths or addresses.
        filesystem: An Arrow or fsspec file system; None finds one by the address.
        schema: Accepted for Ray's programs.
        open_stream_args: Arguments of the file system's `open_input_stream`.
        meta_provider: What lists the files.
        partition_filter: Which of them to read, by the values in their paths.
        partitioning: How to read values from paths, as columns.
        ignore_missing_paths: Whether paths with nothing at them are left out.
        shuffle: `"files"` or a `FileShuffleConfig`: read the files in random order.
        include_paths: Whether to add the path, as a column `path`.
        file_extensions: Endings of names; others are left out.

    Raises:
        FileNotFoundError: there is nothing at a path.
        ValueError: no file is left.
    """

    _WRITE_FILE_PER_ROW = False
    _FILE_EXTENSIONS: list[str] | None = None
    factor = 1.0  # the size in memory by that of the file, about

    def __init__(
        self,
        paths: Any,
        *,
        filesystem: Any = None,
        schema: Any = None,
        open_stream_args: dict[str, Any] | None = None,
        meta_provider: BaseFileMetadataProvider | None = None,
        partition_filter: PathPartitionFilter | None = None,
        partitioning: Partitioning | None = None,
        ignore_missing_paths: bool = False,
        shuffle: Any = None,
        include_paths: bool = False,
        file_extensions: list[str] | None = None,
    ) -> None:
        super().__init__()
        self._open_args = open_stream_args
        self._partitioning = partitioning
        self._include_paths = include_paths
        found, self._filesystem = fs.resolve_paths(paths, filesystem)
        if meta_provider is None or isinstance(meta_provider, DefaultFileMetadataProvider):
            files = fs.expand(found, self._filesystem, file_extensions, ignore_missing_paths)
        else:
            files = list(
                meta_provider.expand_paths(found, self._filesystem, partitioning, ignore_missing_paths)
            )
        if partition_filter is not None:
            chosen = set(partition_filter([path for path, _ in files]))
            files = [pair for pair in files if pair[0] in chosen]
        if not files and not ignore_missing_paths:
            raise ValueError(
                f"No input files found to read in {paths!r}. Please double check that 'partition_filter' and "
                "'file_extensions' are set properly, and that there are files."
            )
        if not files:
            raise ValueError(
                "None of the provided paths exist. The 'ignore_missing_paths' field is set to True."
            )
        self._files = fs.shuffled(files, shuffle)

    @property
    def files(self) -> tuple[str, ...]:
        """The files, in the order in which they are read."""
        return tuple(path for path, _ in self._files)

    def estimate_inmemory_data_size(self) -> int | None:
        """By the sizes of the files."""
        return int(self.factor * sum(size for _, size in self._files))

    def _read_stream(self, f: Any, path: str) -> Iterator[Block]:
        """The blocks of an open file."""
        raise NotImplementedError("Subclasses of FileBasedDatasource must implement _read_stream().")

    def _open_input_source(self, filesystem: Any, path: str, **open_args: Any) -> Any:
        return fs.open_input(filesystem, path, open_args)

    def resolve_compression(self, path: str, open_args: dict[str, Any]) -> str | None:
        """The compression of a file: as the arguments say, or as its name does."""
        if "compression" in open_args:
            return str(open_args["compression"])
        codec = pa.Codec.detect(path) if path.endswith((".gz", ".bz2", ".zst", ".lz4", ".br")) else None
        return None if codec is None else str(codec.name)

    def read_file(self, path: str) -> Iterator[pa.Table]:
        """The blocks of a file, with the columns that come from its path.

        Raises:
            OSError: it can't be read.
        """
        with self._open_input_source(self._filesystem, path, **(self._open_args or {})) as stream:
            for block in self._read_stream(stream, path):
                yield self.with_path_columns(convert.table_from_batch(block), path)

    def with_path_columns(self, table: pa.Table, path: str) -> pa.Table:
        """The table with the values in the path, and the path if that is asked for."""
        if self._partitioning is not None:
            for name, value in PathPartitionParser(self._partitioning)(path).items():
                if name not in table.column_names:
                    table = table.append_column(name, pa.array([value] * table.num_rows, _type_of(value)))
        if self._include_paths:
            column = pa.array([path] * table.num_rows, pa.string())
            table = table.append_column("path", column)
        return table

    def get_read_tasks(
        self, parallelism: int, per_task_row_limit: int | None = None, data_context: Any = None
    ) -> list[ReadTask]:
        """Parts of about one number of files."""
        parts = np.array_split(np.arange(len(self._files)), max(1, min(parallelism, len(self._files))))
        tasks = []
        for part in parts:
            chosen = [self._files[int(i)] for i in part]
            meta = BlockMetadata(
                self._rows_of(len(chosen)),
                int(self.factor * sum(size for _, size in chosen)),
                None,
                [path for path, _ in chosen],
            )
            tasks.append(ReadTask(_ReadFiles(self, [p for p, _ in chosen]), meta, None, per_task_row_limit))
        return tasks

    def _rows_of(self, files: int) -> int | None:
        return None


def _type_of(value: Any) -> pa.DataType:
    return {int: pa.int64(), float: pa.float64(), bool: pa.bool_()}.get(type(value), pa.string())


class _ReadFiles:
    def __init__(self, source: FileBasedDatasource, paths: list[str]) -> None:
        self._source, self._paths = source, paths

    def __call__(self) -> Iterator[pa.Table]:
        for path in self._paths:
            yield from self._source.read_file(path)


class CSVDatasource(FileBasedDatasource):
    """CSV files.

    Args:
        paths: As for all files.
        arrow_csv_args: `read_options`, `parse_options` and `convert_options` of `pyarrow.csv`.
        options: As for all files.
    """

    factor = 2.0

    def __init__(self, paths: Any, arrow_csv_args: dict[str, Any] | None = None, **options: Any) -> None:
        super().__init__(paths, **options)
        self._csv = dict(arrow_csv_args or {})

    def _read_stream(self, f: Any, path: str) -> Iterator[pa.Table]:
        from pyarrow import csv

        args = dict(self._csv)
        read_options = args.pop("read_options", None) or csv.ReadOptions(use_threads=False)
        parse_options = args.pop("parse_options", None) or csv.ParseOptions()
        try:
            reader = csv.open_csv(f, read_options=read_options, parse_options=parse_options, **args)
            for batch in reader:
                table = pa.Table.from_batches([batch], schema=reader.schema)
                if table.num_columns:
                    yield table
        except pa.ArrowInvalid as error:
            raise ValueError(
                f"Failed to read CSV file: {path}: {error} Pass `parse_options` or `convert_options` of pyarrow.csv, "
                "or read_options with another encoding, if that is what the file needs."
            ) from error


class JSONDatasource(FileBasedDatasource):
    """JSON files: an object a line, or one array of objects.

    Args:
        paths: As for all files.
        lines: Whether there is an object on each line.
        arrow_json_args: Options of `pyarrow.json`.
        options: As for all files.
    """

    factor = 2.0

    def __init__(
        self, paths: Any, lines: bool = False, arrow_json_args: dict[str, Any] | None = None, **options: Any
    ) -> None:
        super().__init__(paths, **options)
        self._lines = lines
        self._json = dict(arrow_json_args or {})

    def _read_stream(self, f: Any, path: str) -> Iterator[pa.Table]:
        data = bytes(f.read()).removeprefix(b"\xef\xbb\xbf")
        if not data.strip():
            return
        if data.lstrip()[:1] == b"[":
            yield from self._whole(data, path)
            return
        from pyarrow import json as arrow_json

        args = dict(self._json)
        options = args.pop("read_options", None) or arrow_json.ReadOptions(
            use_threads=False, block_size=max(1 << 20, min(len(data) + 1, 1 << 30))
        )
        try:
            table = arrow_json.read_json(io.BytesIO(data), read_options=options, **args)
        except pa.ArrowInvalid:
            yield from self._whole(data, path)
            return
        yield table

    def _whole(self, data: bytes, path: str) -> Iterator[pa.Table]:
        """By the standard library's parser, for what Arrow's does not read: arrays, mixed types, several lines."""
        try:
            text = data.decode()
            rows = json.loads(text)
        except json.JSONDecodeError:
            rows = [
                _parse_line(line, number, path)
                for number, line in enumerate(text.splitlines(), 1)
                if line.strip()
            ]
        except UnicodeDecodeError as error:
            raise ValueError(f"Failed to read JSON file: {path}: {error}: it must be in UTF-8.") from error
        if isinstance(rows, dict):
            rows = [rows]
        if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
            raise ValueError(
                f"Failed to read JSON file: {path}: it must hold objects, one on each line or all in one array."
            )
        for start in range(0, len(rows), _BLOCK_ROWS):
            yield convert.table_from_rows(rows[start : start + _BLOCK_ROWS])


def _parse_line(line: str, number: int, path: str) -> Any:
    try:
        return json.loads(line)
    except json.JSONDecodeError as error:
        raise ValueError(
            f"Failed to read JSON file: {path}: line {number}, column {error.colno}: {error.msg}: {line[:80]!r}"
        ) from error


class TextDatasource(FileBasedDatasource):
    """Text files, a row for each line.

    Args:
        paths: As for all files.
        drop_empty_lines: Whether to leave out empty lines.
        encoding: How characters are written.
        options: As for all files.
    """

    def __init__(
        self, paths: Any, *, drop_empty_lines: bool = True, encoding: str = "utf-8", **options: Any
    ) -> None:
        super().__init__(paths, **options)
        self._drop, self._encoding = drop_empty_lines, encoding

    def _read_stream(self, f: Any, path: str) -> Iterator[pa.Table]:
        try:
            text = bytes(f.read()).decode(self._encoding)
        except UnicodeDecodeError as error:
            raise ValueError(
                f"{path} is not text in {self._encoding}: {error}: give its encoding, as encoding='latin-1'."
            ) from error
        lines = [line.removesuffix("\r") for line in text.split("\n")]
        if lines and lines[-1] == "":
            lines.pop()
        if self._drop:
            lines = [line for line in lines if line.strip()]
        for start in range(0, len(lines), _BLOCK_ROWS * 4):
            yield pa.table({"text": pa.array(lines[start : start + _BLOCK_ROWS * 4], pa.string())})


class BinaryDatasource(FileBasedDatasource):
    """Any files, a row for each, with its bytes."""

    def _read_stream(self, f: Any, path: str) -> Iterator[pa.Table]:
        yield pa.table({"bytes": pa.array([bytes(f.read())], pa.binary())})

    def _rows_of(self, files: int) -> int | None:
        return files


class NumpyDatasource(FileBasedDatasource):
    """NumPy files: `.npy`.

    Args:
        paths: As for all files.
        numpy_load_args: Arguments of `numpy.load`.
        options: As for all files.
    """

    def __init__(self, paths: Any, numpy_load_args: dict[str, Any] | None = None, **options: Any) -> None:
        super().__init__(paths, **options)
        self._load = {"allow_pickle": False, **(numpy_load_args or {})}

    def _read_stream(self, f: Any, path: str) -> Iterator[pa.Table]:
        array = np.load(io.BytesIO(f.read()), **self._load)
        yield convert.table_from_columns({"data": np.atleast_1d(array)})


class ImageDatasource(FileBasedDatasource):
    """Images, decoded.

    Args:
        paths: As for all files.
        size: Height and width to resize to.
        mode: The mode to convert to, as Pillow names it.
        options: As for all files.

    Raises:
        ImportError: Pillow is missing.
    """

    factor = 10.0

    def __init__(
        self, paths: Any, size: tuple[int, int] | None = None, mode: str | None = None, **options: Any
    ) -> None:
        from skate.data.interop import require_module

        require_module("PIL.Image", "pillow")
        if size is not None and (len(size) != 2 or min(size) <= 0):
            raise ValueError(
                f"Expected `size` to contain two positive integers for height and width, got {size}."
            )
        super().__init__(paths, **options)
        self._size, self._mode = size, mode

    def _read_stream(self, f: Any, path: str) -> Iterator[pa.Table]:
        from PIL import Image, UnidentifiedImageError

        try:
            image: Any = Image.open(io.BytesIO(f.read()))
            if self._size is not None:
                image = image.resize((self._size[1], self._size[0]), resample=Image.Resampling.BILINEAR)
            if self._mode is not None:
                image = image.convert(self._mode)
            array = np.asarray(image)
        except UnidentifiedImageError as error:
            raise ValueError(f"PIL couldn't load image file at path '{path}'.") from error
        yield convert.table_from_columns({"image": array[np.newaxis, ...]})

    def _rows_of(self, files: int) -> int | None:
        return files


class ORCDatasource(FileBasedDatasource):
    """ORC files."""

    factor = 3.0

    def _read_stream(self, f: Any, path: str) -> Iterator[pa.Table]:
        from pyarrow import orc

        yield orc.ORCFile(pa.BufferReader(f.read())).read()


ReadFunction = Callable[[Any, str], Iterator[Block]]


__all__ = [
    "BaseFileMetadataProvider",
    "BinaryDatasource",
    "CSVDatasource",
    "DefaultFileMetadataProvider",
    "FileBasedDatasource",
    "FileMetadataProvider",
    "ImageDatasource",
    "JSONDatasource",
    "NumpyDatasource",
    "ORCDatasource",
    "ReadFunction",
    "TextDatasource",
]
