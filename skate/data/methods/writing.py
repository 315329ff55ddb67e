"""Methods of `Dataset` that write it to files."""

from __future__ import annotations

import uuid
from typing import TYPE_CHECKING, Any

from skate.data.catalog import CatalogAccessMode, ReaderFormat
from skate.data.datasource.csv import CSVDatasink
from skate.data.datasource.image import ImageDatasink
from skate.data.datasource.json import JSONDatasink
from skate.data.datasource.numpy import NumpyDatasink
from skate.data.datasource.orc import ORCDatasink
from skate.data.datasource.parquet_datasink import ParquetDatasink
from skate.data.datasource.tfrecords import TFRecordDatasink
from skate.data.datasource.webdataset import WebDatasetDatasink
from skate.data.methods.base import SinkMethods, writer
from skate.data.options import SaveMode

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from skate.data.datasource.filename_provider import FilenameProvider


def _file_arguments(given: Mapping[str, Any]) -> dict[str, Any]:
    """Of a writer's arguments, those that `FileDatasink` takes."""
    names = ("filesystem", "try_create_dir", "filename_provider", "mode")
    chosen = {name: given[name] for name in names}
    if "min_rows_per_file" in given:
        chosen["min_rows_per_file"] = _least_rows(given)
    return {
        **chosen,
        "open_stream_args": given["arrow_open_stream_args"],
        "dataset_uuid": uuid.uuid4().hex[:12],
    }


def _least_rows(given: Mapping[str, Any]) -> int | None:
    """The least number of rows of a file, which has an old name too.

    Raises:
        ValueError: both are given, or a number is not positive.
    """
    least, old = given["min_rows_per_file"], given.get("num_rows_per_file")
    if least is not None and old is not None:
        raise ValueError(
            "Cannot specify both `num_rows_per_file` and `min_rows_per_file`. Use `min_rows_per_file` as "
            "`num_rows_per_file` is deprecated."
        )
    for name in ("min_rows_per_file", "max_rows_per_file", "num_rows_per_file"):
        if given.get(name) is not None and given[name] <= 0:
            raise ValueError(f"{name} must be a positive integer, got {given[name]}.")
    chosen: int | None = old if least is None else least
    return chosen


class FileWritingMethods(SinkMethods):
    """Files, in folders of this machine or of a store."""

    @writer
    def write_parquet(
        self,
        path: str,
        *,
        partition_cols: list[str] | None = None,
        filesystem: Any = None,
        catalog: Any = None,
        try_create_dir: bool = True,
        arrow_open_stream_args: dict[str, Any] | None = None,
        filename_provider: FilenameProvider | None = None,
        arrow_parquet_args_fn: Callable[[], dict[str, Any]] | None = None,
        min_rows_per_file: int | None = None,
        max_rows_per_file: int | None = None,
        min_bytes_per_file: int | None = None,
        ray_remote_args: dict[str, Any] | None = None,
        concurrency: int | None = None,
        num_rows_per_file: int | None = None,
        mode: SaveMode = SaveMode.APPEND,
        **arrow_parquet_args: Any,
    ) -> None:
        """Write Parquet files.

        Args:
            partition_cols: Columns whose values become folders, as `name=value`.
            catalog: Resolves `path` as the name of a table.
            arrow_parquet_args_fn: Called in each task for further options.
            max_rows_per_file: The greatest number of rows of a file.
            min_bytes_per_file: The least number of bytes in memory of a file.
            arrow_parquet_args: Options of `pyarrow.parquet.write_table`.

        Raises:
            ValueError: the numbers of rows contradict each other.

        Example:
            >>> import skate.data, tempfile
            >>> with tempfile.TemporaryDirectory() as folder:
            ...     skate.data.range(3).write_parquet(folder)
            ...     skate.data.read_parquet(folder).count()
            3
        """
        given = locals()
        least = _least_rows(given)
        if least is not None and max_rows_per_file is not None and least > max_rows_per_file:
            raise ValueError(
                f"min_rows_per_file ({least}) cannot be greater than max_rows_per_file ({max_rows_per_file})."
            )
        if catalog is not None:
            found = catalog.resolve(path, reader=ReaderFormat.PARQUET, mode=CatalogAccessMode.WRITE)
            path, given["filesystem"] = found.path, found.filesystem or filesystem
        sink = ParquetDatasink(
            path,
            partition_cols=partition_cols,
            arrow_parquet_args_fn=arrow_parquet_args_fn,
            arrow_parquet_args=arrow_parquet_args,
            max_rows_per_file=max_rows_per_file,
            min_bytes_per_file=min_bytes_per_file,
            **_file_arguments(given),
        )
        self._write_to(sink, given)

    @writer
    def write_csv(
        self,
        path: str,
        *,
        filesystem: Any = None,
        try_create_dir: bool = True,
        arrow_open_stream_args: dict[str, Any] | None = None,
        filename_provider: FilenameProvider | None = None,
        arrow_csv_args_fn: Callable[[], dict[str, Any]] | None = None,
        min_rows_per_file: int | None = None,
        ray_remote_args: dict[str, Any] | None = None,
        concurrency: int | None = None,
        num_rows_per_file: int | None = None,
        mode: SaveMode = SaveMode.APPEND,
        **arrow_csv_args: Any,
    ) -> None:
        """Write CSV files, one for each block.

        Args:
            arrow_csv_args_fn: Called in each task for further options.
            arrow_csv_args: Further options of the format.
        """
        given = locals()
        sink = CSVDatasink(
            path,
            arrow_csv_args_fn=arrow_csv_args_fn,
            arrow_csv_args=arrow_csv_args,
            **_file_arguments(given),
        )
        self._write_to(sink, given)

    @writer
    def write_json(
        self,
        path: str,
        *,
        filesystem: Any = None,
        try_create_dir: bool = True,
        arrow_open_stream_args: dict[str, Any] | None = None,
        filename_provider: FilenameProvider | None = None,
        pandas_json_args_fn: Callable[[], dict[str, Any]] | None = None,
        min_rows_per_file: int | None = None,
        ray_remote_args: dict[str, Any] | None = None,
        concurrency: int | None = None,
        num_rows_per_file: int | None = None,
        mode: SaveMode = SaveMode.APPEND,
        **pandas_json_args: Any,
    ) -> None:
        """Write JSON files, an object a line, one for each block.

        Args:
            pandas_json_args_fn: Called in each task for further options.
            pandas_json_args: Further options of the format.
        """
        given = locals()
        sink = JSONDatasink(
            path,
            pandas_json_args_fn=pandas_json_args_fn,
            pandas_json_args=pandas_json_args,
            **_file_arguments(given),
        )
        self._write_to(sink, given)

    @writer
    def write_orc(
        self,
        path: str,
        *,
        filesystem: Any = None,
        try_create_dir: bool = True,
        arrow_open_stream_args: dict[str, Any] | None = None,
        filename_provider: FilenameProvider | None = None,
        arrow_orc_args_fn: Callable[[], dict[str, Any]] | None = None,
        min_rows_per_file: int | None = None,
        ray_remote_args: dict[str, Any] | None = None,
        concurrency: int | None = None,
        mode: SaveMode = SaveMode.APPEND,
        **arrow_orc_args: Any,
    ) -> None:
        """Write ORC files, one for each block.

        Args:
            arrow_orc_args_fn: Called in each task for further options.
            arrow_orc_args: Further options of the format.
        """
        given = locals()
        sink = ORCDatasink(
            path,
            arrow_orc_args_fn=arrow_orc_args_fn,
            arrow_orc_args=arrow_orc_args,
            **_file_arguments(given),
        )
        self._write_to(sink, given)

    @writer
    def write_numpy(
        self,
        path: str,
        *,
        column: str,
        filesystem: Any = None,
        try_create_dir: bool = True,
        arrow_open_stream_args: dict[str, Any] | None = None,
        filename_provider: FilenameProvider | None = None,
        min_rows_per_file: int | None = None,
        ray_remote_args: dict[str, Any] | None = None,
        concurrency: int | None = None,
        num_rows_per_file: int | None = None,
        mode: SaveMode = SaveMode.APPEND,
    ) -> None:
        """Write a column to NumPy files, one for each block.

        Args:
            column: The column.
        """
        given = locals()
        sink = NumpyDatasink(
            path,
            column,
            **_file_arguments(given),
        )
        self._write_to(sink, given)

    @writer
    def write_images(
        self,
        path: str,
        column: str,
        file_format: str = "png",
        *,
        filesystem: Any = None,
        try_create_dir: bool = True,
        arrow_open_stream_args: dict[str, Any] | None = None,
        filename_provider: FilenameProvider | None = None,
        ray_remote_args: dict[str, Any] | None = None,
        concurrency: int | None = None,
        mode: SaveMode = SaveMode.APPEND,
    ) -> None:
        """Write a column of images to files, one for each row.

        Args:
            column: The column.
            file_format: The format, as Pillow names it.
        """
        given = locals()
        sink = ImageDatasink(
            path,
            column,
            file_format,
            **_file_arguments(given),
        )
        self._write_to(sink, given)

    @writer
    def write_webdataset(
        self,
        path: str,
        *,
        filesystem: Any = None,
        try_create_dir: bool = True,
        arrow_open_stream_args: dict[str, Any] | None = None,
        filename_provider: FilenameProvider | None = None,
        min_rows_per_file: int | None = None,
        ray_remote_args: dict[str, Any] | None = None,
        encoder: Any = True,
        concurrency: int | None = None,
        num_rows_per_file: int | None = None,
        mode: SaveMode = SaveMode.APPEND,
    ) -> None:
        """Write WebDataset archives, one for each block: a file for each column of each row.

        Args:
            encoder: True encodes by endings; functions, or a list of them, encode otherwise.
        """
        given = locals()
        sink = WebDatasetDatasink(
            path,
            encoder=encoder,
            **_file_arguments(given),
        )
        self._write_to(sink, given)

    @writer
    def write_tfrecords(
        self,
        path: str,
        *,
        tf_schema: Any = None,
        filesystem: Any = None,
        try_create_dir: bool = True,
        arrow_open_stream_args: dict[str, Any] | None = None,
        filename_provider: FilenameProvider | None = None,
        min_rows_per_file: int | None = None,
        ray_remote_args: dict[str, Any] | None = None,
        concurrency: int | None = None,
        num_rows_per_file: int | None = None,
        mode: SaveMode = SaveMode.APPEND,
    ) -> None:
        """Write TFRecord files of `tf.train.Example` messages, one for each block. TensorFlow is not needed.

        Args:
            tf_schema: Accepted for Ray's programs: the values tell their types.
        """
        given = locals()
        sink = TFRecordDatasink(
            path,
            **_file_arguments(given),
        )
        self._write_to(sink, given)


__all__ = ["FileWritingMethods"]
