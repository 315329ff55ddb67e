"""Methods of `Dataset` that write it."""

from __future__ import annotations

import uuid
from typing import TYPE_CHECKING, Any

from skate.data.datasource.file_sinks import (
    CSVDatasink,
    ImageDatasink,
    JSONDatasink,
    NumpyDatasink,
    ORCDatasink,
    ParquetDatasink,
)
from skate.data.datasource.sql import SQLDatasink
from skate.data.datasource.tfrecords import TFRecordDatasink
from skate.data.datasource.webdataset import WebDatasetDatasink
from skate.data.execution.strategies import resolve
from skate.data.methods.base import DatasetBase
from skate.data.options import SaveMode
from skate.data.plan import logical as lg

if TYPE_CHECKING:
    from collections.abc import Callable

    from skate.data.datasource.datasink import Datasink
    from skate.data.datasource.filename_provider import FilenameProvider


class WritingMethods(DatasetBase):
    """Files and other stores."""

    def _write_id(self) -> str:
        return uuid.uuid4().hex[:12]

    def write_datasink(
        self,
        datasink: Datasink[Any],
        *,
        ray_remote_args: dict[str, Any] | None = None,
        concurrency: int | None = None,
    ) -> None:
        """Write to a sink.

        Args:
            datasink: The sink.
            ray_remote_args: Options of the tasks that write.
            concurrency: How many tasks write at a time.
        """
        where = resolve(None, None, concurrency, dict(ray_remote_args or {}), None)
        written = self._with(lg.Write((self._plan,), datasink, where))
        for _ in written._execute():
            pass
        self._last = written._last

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
            path: The folder, or its address.
            partition_cols: Columns whose values become folders, as `name=value`.
            filesystem: An Arrow or fsspec file system; None finds one by the address.
            catalog: Resolves `path` as the name of a table.
            try_create_dir: Whether to make the folder.
            arrow_open_stream_args: Arguments of the file system's `open_output_stream`.
            filename_provider: Names the files.
            arrow_parquet_args_fn: Called in each task for further options.
            min_rows_per_file: The least number of rows of a file.
            max_rows_per_file: The greatest.
            min_bytes_per_file: Accepted for Ray's programs.
            ray_remote_args: Options of the tasks that write.
            concurrency: How many tasks write at a time.
            num_rows_per_file: The old name of `min_rows_per_file`.
            mode: What to do where something is already.
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
        least = min_rows_per_file or num_rows_per_file
        if least is not None and max_rows_per_file is not None and least > max_rows_per_file:
            raise ValueError(
                f"min_rows_per_file ({least}) cannot be greater than max_rows_per_file ({max_rows_per_file})."
            )
        if catalog is not None:
            from skate.data.catalog import CatalogAccessMode, ReaderFormat

            found = catalog.resolve(path, reader=ReaderFormat.PARQUET, mode=CatalogAccessMode.WRITE)
            path, filesystem = found.path, found.filesystem or filesystem
        sink = ParquetDatasink(
            path,
            partition_cols=partition_cols,
            arrow_parquet_args_fn=arrow_parquet_args_fn,
            arrow_parquet_args=arrow_parquet_args,
            min_rows_per_file=least,
            max_rows_per_file=max_rows_per_file,
            filesystem=filesystem,
            try_create_dir=try_create_dir,
            open_stream_args=arrow_open_stream_args,
            filename_provider=filename_provider,
            dataset_uuid=self._write_id(),
            mode=mode,
        )
        self.write_datasink(sink, ray_remote_args=ray_remote_args, concurrency=concurrency)

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
            path: The folder, or its address.
            filesystem: An Arrow or fsspec file system; None finds one by the address.
            try_create_dir: Whether to make the folder.
            arrow_open_stream_args: Arguments of the file system's `open_output_stream`.
            filename_provider: Names the files.
            arrow_csv_args_fn: Called in each task for further options.
            min_rows_per_file: The least number of rows of a file.
            ray_remote_args: Options of the tasks that write.
            concurrency: How many tasks write at a time.
            num_rows_per_file: The old name of `min_rows_per_file`.
            mode: What to do where something is already.
            arrow_csv_args: Further options of the format.
        """
        sink = CSVDatasink(
            path,
            arrow_csv_args_fn=arrow_csv_args_fn,
            arrow_csv_args=arrow_csv_args,
            min_rows_per_file=min_rows_per_file or num_rows_per_file,
            filesystem=filesystem,
            try_create_dir=try_create_dir,
            open_stream_args=arrow_open_stream_args,
            filename_provider=filename_provider,
            dataset_uuid=self._write_id(),
            mode=mode,
        )
        self.write_datasink(sink, ray_remote_args=ray_remote_args, concurrency=concurrency)

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
            path: The folder, or its address.
            filesystem: An Arrow or fsspec file system; None finds one by the address.
            try_create_dir: Whether to make the folder.
            arrow_open_stream_args: Arguments of the file system's `open_output_stream`.
            filename_provider: Names the files.
            pandas_json_args_fn: Called in each task for further options.
            min_rows_per_file: The least number of rows of a file.
            ray_remote_args: Options of the tasks that write.
            concurrency: How many tasks write at a time.
            num_rows_per_file: The old name of `min_rows_per_file`.
            mode: What to do where something is already.
            pandas_json_args: Further options of the format.
        """
        sink = JSONDatasink(
            path,
            pandas_json_args_fn=pandas_json_args_fn,
            pandas_json_args=pandas_json_args,
            min_rows_per_file=min_rows_per_file or num_rows_per_file,
            filesystem=filesystem,
            try_create_dir=try_create_dir,
            open_stream_args=arrow_open_stream_args,
            filename_provider=filename_provider,
            dataset_uuid=self._write_id(),
            mode=mode,
        )
        self.write_datasink(sink, ray_remote_args=ray_remote_args, concurrency=concurrency)

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
            path: The folder, or its address.
            filesystem: An Arrow or fsspec file system; None finds one by the address.
            try_create_dir: Whether to make the folder.
            arrow_open_stream_args: Arguments of the file system's `open_output_stream`.
            filename_provider: Names the files.
            arrow_orc_args_fn: Called in each task for further options.
            min_rows_per_file: The least number of rows of a file.
            ray_remote_args: Options of the tasks that write.
            concurrency: How many tasks write at a time.

            mode: What to do where something is already.
            arrow_orc_args: Further options of the format.
        """
        sink = ORCDatasink(
            path,
            arrow_orc_args_fn=arrow_orc_args_fn,
            arrow_orc_args=arrow_orc_args,
            min_rows_per_file=min_rows_per_file,
            filesystem=filesystem,
            try_create_dir=try_create_dir,
            open_stream_args=arrow_open_stream_args,
            filename_provider=filename_provider,
            dataset_uuid=self._write_id(),
            mode=mode,
        )
        self.write_datasink(sink, ray_remote_args=ray_remote_args, concurrency=concurrency)

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
            path: The folder, or its address.
            column: The column.
            filesystem: An Arrow or fsspec file system; None finds one by the address.
            try_create_dir: Whether to make the folder.
            arrow_open_stream_args: Arguments of the file system's `open_output_stream`.
            filename_provider: Names the files.
            min_rows_per_file: The least number of rows of a file.
            ray_remote_args: Options of the tasks that write.
            concurrency: How many tasks write at a time.
            num_rows_per_file: The old name of `min_rows_per_file`.
            mode: What to do where something is already.
        """
        sink = NumpyDatasink(
            path,
            column,
            min_rows_per_file=min_rows_per_file or num_rows_per_file,
            filesystem=filesystem,
            try_create_dir=try_create_dir,
            open_stream_args=arrow_open_stream_args,
            filename_provider=filename_provider,
            dataset_uuid=self._write_id(),
            mode=mode,
        )
        self.write_datasink(sink, ray_remote_args=ray_remote_args, concurrency=concurrency)

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
            path: The folder, or its address.
            column: The column.
            file_format: The format, as Pillow names it.
            filesystem: An Arrow or fsspec file system; None finds one by the address.
            try_create_dir: Whether to make the folder.
            arrow_open_stream_args: Arguments of the file system's `open_output_stream`.
            filename_provider: Names the files.
            ray_remote_args: Options of the tasks that write.
            concurrency: How many tasks write at a time.
            mode: What to do where something is already.
        """
        sink = ImageDatasink(
            path,
            column,
            file_format,
            filesystem=filesystem,
            try_create_dir=try_create_dir,
            open_stream_args=arrow_open_stream_args,
            filename_provider=filename_provider,
            dataset_uuid=self._write_id(),
            mode=mode,
        )
        self.write_datasink(sink, ray_remote_args=ray_remote_args, concurrency=concurrency)

    def write_sql(
        self,
        sql: str,
        connection_factory: Callable[[], Any],
        ray_remote_args: dict[str, Any] | None = None,
        concurrency: int | None = None,
    ) -> None:
        """Insert the rows into a database with a Python DB-API driver.

        Args:
            sql: An INSERT statement, with a placeholder for each column.
            connection_factory: Opens a connection; it is called in each task that writes.
            ray_remote_args: Options of the tasks that write.
            concurrency: How many tasks write at a time.
        """
        sink = SQLDatasink(sql, connection_factory)
        self.write_datasink(sink, ray_remote_args=ray_remote_args, concurrency=concurrency)

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
            path: The folder, or its address.
            filesystem: An Arrow or fsspec file system; None finds one by the address.
            try_create_dir: Whether to make the folder.
            arrow_open_stream_args: Arguments of the file system's `open_output_stream`.
            filename_provider: Names the files.
            min_rows_per_file: The least number of rows of a file.
            ray_remote_args: Options of the tasks that write.
            encoder: True encodes by endings; functions, or a list of them, encode otherwise.
            concurrency: How many tasks write at a time.
            num_rows_per_file: The old name of `min_rows_per_file`.
            mode: What to do where something is already.
        """
        sink = WebDatasetDatasink(
            path,
            encoder=encoder,
            min_rows_per_file=min_rows_per_file or num_rows_per_file,
            filesystem=filesystem,
            try_create_dir=try_create_dir,
            open_stream_args=arrow_open_stream_args,
            filename_provider=filename_provider,
            dataset_uuid=self._write_id(),
            mode=mode,
        )
        self.write_datasink(sink, ray_remote_args=ray_remote_args, concurrency=concurrency)

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
            path: The folder, or its address.
            tf_schema: Accepted for Ray's programs: the values tell their types.
            filesystem: An Arrow or fsspec file system; None finds one by the address.
            try_create_dir: Whether to make the folder.
            arrow_open_stream_args: Arguments of the file system's `open_output_stream`.
            filename_provider: Names the files.
            min_rows_per_file: The least number of rows of a file.
            ray_remote_args: Options of the tasks that write.
            concurrency: How many tasks write at a time.
            num_rows_per_file: The old name of `min_rows_per_file`.
            mode: What to do where something is already.
        """
        sink = TFRecordDatasink(
            path,
            min_rows_per_file=min_rows_per_file or num_rows_per_file,
            filesystem=filesystem,
            try_create_dir=try_create_dir,
            open_stream_args=arrow_open_stream_args,
            filename_provider=filename_provider,
            dataset_uuid=self._write_id(),
            mode=mode,
        )
        self.write_datasink(sink, ray_remote_args=ray_remote_args, concurrency=concurrency)


__all__ = ["WritingMethods"]
