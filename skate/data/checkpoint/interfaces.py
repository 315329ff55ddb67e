"""What a checkpoint of a write is: `CheckpointConfig`, its backends and its errors."""

from __future__ import annotations

import enum
import os
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pyarrow.fs as pafs

    from skate.data.checkpoint.checkpoint_filter import CheckpointFilter, CheckpointManager
    from skate.data.datasource.partitioning import PathPartitionFilter

_CLOUD = ("s3", "gcs", "abfs")


class InvalidCheckpointingConfig(Exception):
    """A `CheckpointConfig` that can't be used."""


class InvalidCheckpointingOperators(Exception):
    """A plan that can't be checkpointed."""


class CheckpointBackend(enum.Enum):
    """Where checkpoints are kept: on an object store, or on a file system."""

    CLOUD_OBJECT_STORAGE = "CLOUD_OBJECT_STORAGE"
    FILE_STORAGE = "FILE_STORAGE"


class CheckpointConfig:
    """Makes writes go on where an earlier run of the same program was interrupted.

    Rows that have been written are noted by their identifiers, a file for each file of the output. When the same dataset is
    written again, rows that are noted are left out right after they are read. `DataContext.checkpoint_config` takes it.

    A plan over blocks that were not read, or with a limit, is written without a checkpoint, with a warning. A sink whose rows
    appear only when all tasks have ended (Lance, Iceberg, Delta) is refused with `InvalidCheckpointingOperators`.

    Args:
        id_column: The column that identifies a row. It must be there when rows are read, and still when they are written.
        checkpoint_path: The folder of the notes, or its address, that every machine of the cluster can reach; default:
            `ray_data_checkpoint` in the folder that the environment variable `RAY_DATA_CHECKPOINT_PATH_BUCKET` names.
        delete_checkpoint_on_success: Whether the notes are deleted when the write has succeeded.
        override_filesystem: An Arrow file system for the notes; None finds one by the address.
        override_backend: Which kind of storage it is; None goes by the file system.
        write_num_threads: Accepted for Ray's programs: a task notes its rows itself.
        checkpoint_path_partition_filter: Chooses the notes to read.
        checkpoint_filter_cls: A subclass of `CheckpointFilter` that leaves rows out.
        checkpoint_manager_cls: A subclass of `CheckpointManager` that reads the notes.

    Raises:
        InvalidCheckpointingConfig: a value that can't be used.

    Example:
        >>> import os, tempfile, skate.data
        >>> from skate.data.checkpoint import CheckpointConfig
        >>> context = skate.data.DataContext.get_current()
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     context.checkpoint_config = CheckpointConfig(
        ...         "id", f"{folder}/notes", delete_checkpoint_on_success=False
        ...     )
        ...     skate.data.range(3).write_parquet(f"{folder}/first")
        ...     skate.data.range(5).write_parquet(f"{folder}/rest")
        ...     context.checkpoint_config = None
        ...     skate.data.read_parquet(f"{folder}/rest").take_all()
        [{'id': 3}, {'id': 4}]
    """

    DEFAULT_CHECKPOINT_PATH_BUCKET_ENV_VAR = "RAY_DATA_CHECKPOINT_PATH_BUCKET"
    DEFAULT_CHECKPOINT_PATH_DIR = "ray_data_checkpoint"
    CHECKPOINT_ACTOR_POOL_MIN_SIZE = 1
    CHECKPOINT_ACTOR_POOL_MAX_SIZE = 10
    CHECKPOINT_ACTOR_MEMORY_BYTES = 1 << 30

    def __init__(
        self,
        id_column: str | None = None,
        checkpoint_path: str | None = None,
        *,
        delete_checkpoint_on_success: bool = True,
        override_filesystem: pafs.FileSystem | None = None,
        override_backend: CheckpointBackend | None = None,
        write_num_threads: int = 3,
        checkpoint_path_partition_filter: PathPartitionFilter | None = None,
        checkpoint_filter_cls: type[CheckpointFilter] | None = None,
        checkpoint_manager_cls: type[CheckpointManager] | None = None,
    ) -> None:
        from skate.data.checkpoint.checkpoint_filter import CheckpointFilter, CheckpointManager

        if not isinstance(id_column, str) or not id_column:
            raise InvalidCheckpointingConfig(
                f"Checkpoint ID column must be a non-empty string, but got {id_column}"
            )
        _check_class("checkpoint_filter_cls", checkpoint_filter_cls, CheckpointFilter)
        _check_class("checkpoint_manager_cls", checkpoint_manager_cls, CheckpointManager)
        self.id_column = id_column
        self.checkpoint_path = checkpoint_path or self._get_default_checkpoint_path()
        self.backend, self.filesystem = _storage(self.checkpoint_path, override_filesystem, override_backend)
        self.delete_checkpoint_on_success = delete_checkpoint_on_success
        self.write_num_threads = write_num_threads
        self.checkpoint_path_partition_filter = checkpoint_path_partition_filter
        self.checkpoint_filter_cls = checkpoint_filter_cls
        self.checkpoint_manager_cls = checkpoint_manager_cls
        self.checkpoint_actor_pool_min_size = self.CHECKPOINT_ACTOR_POOL_MIN_SIZE
        self.checkpoint_actor_pool_max_size = self.CHECKPOINT_ACTOR_POOL_MAX_SIZE
        self.checkpoint_actor_memory_bytes = self.CHECKPOINT_ACTOR_MEMORY_BYTES

    def _get_default_checkpoint_path(self) -> str:
        bucket = os.environ.get(self.DEFAULT_CHECKPOINT_PATH_BUCKET_ENV_VAR)
        if bucket is None:
            raise InvalidCheckpointingConfig(
                f"`{self.DEFAULT_CHECKPOINT_PATH_BUCKET_ENV_VAR}` env var is not set, please explicitly set "
                "`CheckpointConfig.checkpoint_path`."
            )
        return f"{bucket}/{self.DEFAULT_CHECKPOINT_PATH_DIR}"


def _check_class(name: str, given: Any, base: type) -> None:
    if given is not None and not (isinstance(given, type) and issubclass(given, base)):
        raise InvalidCheckpointingConfig(f"`{name}` must be a subclass of `{base.__name__}`, but got {given}")


def _storage(
    path: str, filesystem: pafs.FileSystem | None, backend: CheckpointBackend | None
) -> tuple[CheckpointBackend, pafs.FileSystem]:
    """The kind of storage behind a path, and its file system."""
    import pyarrow.fs as pafs

    from skate.data.datasource.files import resolve_paths

    try:
        if filesystem is not None and not isinstance(filesystem, pafs.FileSystem):
            raise TypeError(
                f"override_filesystem must be an instance of `pyarrow.fs.FileSystem`, but got {type(filesystem)}"
            )
        if backend is not None and not isinstance(backend, CheckpointBackend):
            raise TypeError(
                f"override_backend must be an instance of `CheckpointBackend`, but got {type(backend)}"
            )
        found = resolve_paths(path, filesystem)[1]
    except Exception as error:
        raise InvalidCheckpointingConfig(f"Invalid checkpoint path: {path}. {error}") from error
    if backend is None:
        cloud = found.type_name in _CLOUD
        backend = CheckpointBackend.CLOUD_OBJECT_STORAGE if cloud else CheckpointBackend.FILE_STORAGE
    return backend, found


__all__ = [
    "CheckpointBackend",
    "CheckpointConfig",
    "InvalidCheckpointingConfig",
    "InvalidCheckpointingOperators",
]
