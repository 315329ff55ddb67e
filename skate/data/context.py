"""Settings of Skate Data: `DataContext`."""

from __future__ import annotations

import contextlib
import copy
import enum
import os
import threading
import warnings
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from skate.data.connector_settings import (
    AutoscalingConfig,
    DeltaConfig,
    FixedShapeTensorFormat,
    IcebergConfig,
    IssueDetectorsConfiguration,
    LanceConfig,
)
from skate.data.execution_options import ExecutionOptions, ExecutionResources

if TYPE_CHECKING:
    from collections.abc import Iterator

    from skate.data.checkpoint.interfaces import CheckpointConfig

DEFAULT_TARGET_MAX_BLOCK_SIZE = 128 << 20
DEFAULT_TARGET_MIN_BLOCK_SIZE = 1 << 20
DEFAULT_READ_OP_MIN_NUM_BLOCKS = 200
WARN_PREFIX = "⚠️ "
OK_PREFIX = "✔️ "
_TRANSIENT_IO_ERRORS = (
    "AWS Error INTERNAL_FAILURE",
    "AWS Error NETWORK_CONNECTION",
    "AWS Error SLOW_DOWN",
    "AWS Error UNKNOWN (HTTP status 503)",
    "AWS Error SERVICE_UNAVAILABLE",
)


def _flag(name: str, default: bool) -> Any:
    """A field whose default an environment variable can set: `1` or `true`."""
    return field(
        default_factory=lambda: os.environ.get(name, str(int(default))).strip().lower() in ("1", "true")
    )


_OTHER_NAMES = {
    "hash_shuffle_compression": "shuffle_compression",
    "use_external_hash_shuffle": "use_disk_based_hash_shuffle",
    "log_internal_stack_trace_to_stdout": "log_internal_stack_trace",
}
"""Settings by the names that they had before."""


def _tell_other_name(name: str) -> None:
    warnings.warn(
        f"`{name}` is deprecated, please configure `{_OTHER_NAMES[name]}` instead.",
        DeprecationWarning,
        stacklevel=3,
    )


class ShuffleStrategy(str, enum.Enum):  # noqa: UP042 - prints as Ray's does
    """Accepted for Ray's programs: the native engine chooses how rows change places."""

    SORT_SHUFFLE_PULL_BASED = "sort_shuffle_pull_based"
    SORT_SHUFFLE_PUSH_BASED = "sort_shuffle_push_based"
    HASH_SHUFFLE = "hash_shuffle"
    SHUFFLE_V2 = "shuffle_v2"
    GPU_SHUFFLE = "gpu_shuffle"
    HASH_SHUFFLE_V2 = "shuffle_v2"  # noqa: PIE796 - an alias, as Ray has it


@dataclass
class DataContext:
    """Settings of datasets that are made from now on. A dataset keeps those that held when it was made.

    Functions of users see them in tasks and actors too. Those that are not listed here are accepted for Ray's programs, and have
    no effect.

    Attributes:
        target_max_block_size: Blocks are cut to about this many bytes; None leaves them whole.
        target_min_block_size: Small inputs are not cut to less, in bytes.
        read_op_min_num_blocks: Files are read into at least so many blocks, if that makes them no smaller than the
            least size.
        default_hash_shuffle_parallelism: Blocks of a `repartition` by keys, where it does not say.
        execution_options: Limits of an execution: `resource_limits.object_store_memory` bounds what tasks have under way.
        enable_progress_bars: Whether a terminal shows a line for each stage; the environment variable
            `RAY_DATA_DISABLE_PROGRESS_BARS=1` turns them off.
        enable_operator_progress_bars: Whether stages have lines of their own; they have no other.
        enable_progress_bar_name_truncation: Whether names of more than 100 characters are shortened there.
        udf_timeout_s: Seconds that one call of a user's function may take, for a row or a batch; None for any time. Work under
            a limit runs in tasks or actors always.
        retried_map_errors: Which errors of a user's function make it be called again: True for all, or a list of texts or
            regular expressions to be found in the message.
        max_map_retries: How often, for each task.
        max_errored_blocks: So many blocks may fail, and are left out with a warning; a negative number for any.
        actor_task_retry_on_errors: The same as `retried_map_errors`, for actors: True, or a list of types.
        actor_init_retry_on_errors: Whether a class whose constructor fails is instantiated again in the same actor.
        actor_init_max_retries: How often; -1 for ever.
        max_consecutive_actor_init_deaths: So many actors in a row may die while they start, and are replaced; -1 for any.
        wait_for_min_actors_s: Seconds in which the least number of actors must have started; -1 does not wait.
        max_tasks_in_flight_per_actor: Calls that an actor may have waiting or running; None for twice what it runs at a time.
        autoscaling_config: When pools of actors grow.
        execution_no_progress_timeout_s: Seconds without a block of a stage, after which an execution fails; -1 for ever.
        raise_original_map_exception: Raise what a user's function raised, and not a `UserCodeException`.
        retried_io_errors: Texts in messages of errors of reading and writing that make it be tried again.
        enable_arrow_backed_pandas_conversion: Whether data that did not come from pandas goes to it in Arrow's types.
        enable_auto_log_stats: Whether statistics are logged after each run.
        checkpoint_config: A `CheckpointConfig`, or a dict of its arguments, that makes writes go on after an interruption.
        enable_stats_summary_collection: Whether `list_stats_summaries` remembers each run.

    Example:
        >>> from skate.data import DataContext
        >>> DataContext.get_current().target_max_block_size
        134217728
    """

    target_max_block_size: int | None = DEFAULT_TARGET_MAX_BLOCK_SIZE
    target_min_block_size: int = DEFAULT_TARGET_MIN_BLOCK_SIZE
    streaming_read_buffer_size: int = 32 << 20
    enable_pandas_block: bool = True
    actor_prefetcher_enabled: bool = False
    autoscaling_config: AutoscalingConfig = field(default_factory=AutoscalingConfig)
    use_push_based_shuffle: bool = False
    shuffle_strategy: ShuffleStrategy = ShuffleStrategy.SHUFFLE_V2
    pipeline_push_based_shuffle_reduce_tasks: bool = True
    default_hash_shuffle_parallelism: int = 200
    shuffle_compression: str = "zstd"
    hash_shuffle_reduce_batch_size: int = 16
    hash_shuffle_reduce_get_timeout_s: float = 1800.0
    shuffle_input_batch_bytes: int = 1 << 30
    max_hash_shuffle_aggregators: int | None = None
    min_hash_shuffle_aggregator_wait_time_in_s: int = 300
    hash_shuffle_aggregator_health_warning_interval_s: int = 30
    max_hash_shuffle_finalization_batch_size: int | None = None
    join_operator_actor_num_cpus_override: float | None = None
    hash_shuffle_operator_actor_num_cpus_override: float | None = None
    hash_aggregate_operator_actor_num_cpus_override: float | None = None
    use_disk_based_hash_shuffle: bool = False
    gpu_shuffle_num_actors: int | None = None
    gpu_shuffle_rmm_pool_size: int | str | None = None
    gpu_shuffle_spill_memory_limit: int | str | None = "auto"
    gpu_shuffle_setup_timeout_s: float = 120.0
    scheduling_strategy: Any = "SPREAD"
    scheduling_strategy_large_args: Any = "DEFAULT"
    large_args_threshold: int = 50 << 20
    use_polars: bool = False
    use_polars_sort: bool = False
    use_legacy_dataset_ids: bool = False
    decoding_size_estimation: bool = True
    min_parallelism: int = 200
    read_op_min_num_blocks: int = DEFAULT_READ_OP_MIN_NUM_BLOCKS
    use_datasource_v2: bool = True
    enable_tensor_extension_casting: bool = True
    use_arrow_tensor_v2: bool = True
    arrow_fixed_shape_tensor_format: FixedShapeTensorFormat = FixedShapeTensorFormat.V2
    enable_fallback_to_arrow_object_ext_type: bool | None = None
    enable_auto_log_stats: bool = False
    verbose_stats_logs: bool = False
    accurate_map_phase_timing: bool = False
    per_stage_map_timing: bool = False
    trace_allocations: bool = False
    execution_options: ExecutionOptions = field(default_factory=ExecutionOptions)
    use_ray_tqdm: bool = True
    enable_progress_bars: bool = field(
        default_factory=lambda: os.environ.get("RAY_DATA_DISABLE_PROGRESS_BARS", "0").strip() in ("", "0")
    )
    enable_operator_progress_bars: bool = True
    enable_progress_bar_name_truncation: bool = _flag("RAY_DATA_ENABLE_PROGRESS_BAR_NAME_TRUNCATION", True)
    enable_rich_progress_bars: bool = False
    enable_get_object_locations_for_metrics: bool = False
    write_file_retry_on_errors: Any = _TRANSIENT_IO_ERRORS[:4]
    warn_on_driver_memory_usage_bytes: int = 2 << 30
    udf_timeout_s: float | None = None
    actor_task_retry_on_errors: bool | list[Any] = False
    actor_init_retry_on_errors: bool = False
    actor_init_max_retries: int = 3
    max_consecutive_actor_init_deaths: int = 0
    retried_map_errors: bool | list[str] = False
    max_map_retries: int = 0
    op_resource_reservation_enabled: bool = True
    op_resource_reservation_ratio: float = 0.5
    object_store_reservation_overshoot_ratio: float | None = None
    object_store_memory_pressure_fraction: float | None = None
    max_errored_blocks: int = 0
    execution_no_progress_timeout_s: float = 1800
    output_backpressure_guard_release_interval_s: float | None = None
    downstream_capacity_backpressure_ratio: float | None = 2.0
    enable_dynamic_output_queue_size_backpressure: bool = False
    enable_lineage_reconstruction_resource_accounting: bool = True
    log_internal_stack_trace: bool = False
    raise_original_map_exception: bool = _flag("RAY_DATA_RAISE_ORIGINAL_MAP_EXCEPTION", False)
    print_on_execution_start: bool = True
    s3_try_create_dir: bool = False
    wait_for_min_actors_s: int = -1
    max_tasks_in_flight_per_actor: int | None = None
    retried_io_errors: Any = field(default_factory=lambda: list(_TRANSIENT_IO_ERRORS))
    lance_config: LanceConfig = field(default_factory=LanceConfig)
    iceberg_config: IcebergConfig = field(default_factory=IcebergConfig)
    delta_config: DeltaConfig = field(default_factory=DeltaConfig)
    enable_per_node_metrics: bool = False
    enable_stats_summary_collection: bool = _flag("RAY_DATA_ENABLE_STATS_SUMMARY_COLLECTION", False)
    override_object_store_memory_limit_fraction: float | None = None
    memory_usage_poll_interval_s: float | None = 1
    dataset_logger_id: str | None = None
    issue_detectors_config: IssueDetectorsConfiguration = field(default_factory=IssueDetectorsConfiguration)
    isolate_read_workers: bool = False
    enforce_schemas: bool = False
    pandas_block_ignore_metadata: bool = False
    enable_arrow_backed_pandas_conversion: bool = _flag(
        "RAY_DATA_ENABLE_ARROW_BACKED_PANDAS_CONVERSION", True
    )
    batch_to_block_arrow_format: bool = True
    custom_execution_callback_classes: list[Any] = field(default_factory=list)
    default_map_logical_memory_enabled: bool = False
    checkpoint_config: CheckpointConfig | None = None
    _kv_configs: dict[str, Any] = field(default_factory=dict, repr=False)
    _execution_idx: int = field(default=0, repr=False, compare=False)

    def __setattr__(self, name: str, value: Any) -> None:
        if name == "shuffle_strategy":
            value = ShuffleStrategy(value)
        elif name == "checkpoint_config" and value is not None:
            value = _checkpoint_config(value)
        elif name == "target_shuffle_max_block_size":
            warnings.warn(
                "`target_shuffle_max_block_size` is deprecated! Configure `target_max_block_size` instead.",
                DeprecationWarning,
                stacklevel=2,
            )
            self.target_max_block_size = value
        elif name in _OTHER_NAMES:
            _tell_other_name(name)
            name = _OTHER_NAMES[name]
        super().__setattr__(name, value)

    def __getattr__(self, name: str) -> Any:
        if name in _OTHER_NAMES:
            return getattr(self, _OTHER_NAMES[name])
        raise AttributeError(f"DataContext has no setting {name!r}.")

    @property
    def enable_ray_data_reconstruction(self) -> bool:
        """False: lost blocks are rebuilt by the tasks that made them, which the session sees to."""
        return False

    @property
    def hash_shuffle_compression(self) -> str:
        """`shuffle_compression`, by the name that it had before."""
        _tell_other_name("hash_shuffle_compression")
        return self.shuffle_compression

    @property
    def use_external_hash_shuffle(self) -> bool:
        """`use_disk_based_hash_shuffle`, by the name that it had before."""
        _tell_other_name("use_external_hash_shuffle")
        return self.use_disk_based_hash_shuffle

    @staticmethod
    def get_current() -> DataContext:
        """The settings that hold here, made at the first call."""
        scoped: DataContext | None = getattr(_local, "context", None)
        if scoped is not None:
            return scoped
        global _current
        if _current is None:
            _current = DataContext()
        return _current

    @staticmethod
    def _set_current(context: DataContext | None) -> DataContext | None:
        global _current
        before, _current = _current, context
        return before

    @staticmethod
    @contextlib.contextmanager
    def current(context: DataContext) -> Iterator[DataContext]:
        """Make a context the current one of this thread, inside a `with` block."""
        before = getattr(_local, "context", None)
        _local.context = context
        try:
            yield context
        finally:
            _local.context = before

    def get_config(self, key: str, default: Any = None) -> Any:
        """A setting that `set_config` made."""
        return self._kv_configs.get(key, default)

    def set_config(self, key: str, value: Any) -> None:
        """Keep a value for a user's own code that has the context."""
        self._kv_configs[key] = value

    def remove_config(self, key: str) -> None:
        """Forget a setting that `set_config` made."""
        self._kv_configs.pop(key, None)

    def copy(self) -> DataContext:
        """A context of the same settings."""
        return copy.deepcopy(self)

    def set_dataset_logger_id(self, dataset_id: str) -> None:
        """Accepted for Ray's programs."""
        self.dataset_logger_id = dataset_id


def _checkpoint_config(value: Any) -> CheckpointConfig:
    """A `CheckpointConfig` from one, or from its arguments.

    Raises:
        TypeError: it is neither.
    """
    from skate.data.checkpoint.interfaces import CheckpointConfig

    if isinstance(value, dict):
        return CheckpointConfig(**value)
    if not isinstance(value, CheckpointConfig):
        raise TypeError("checkpoint_config must be a CheckpointConfig instance, a dict, or None.")
    return value


DatasetContext = DataContext
_local = threading.local()
_current: DataContext | None = None


__all__ = [
    "DEFAULT_READ_OP_MIN_NUM_BLOCKS",
    "DEFAULT_TARGET_MAX_BLOCK_SIZE",
    "DEFAULT_TARGET_MIN_BLOCK_SIZE",
    "OK_PREFIX",
    "WARN_PREFIX",
    "AutoscalingConfig",
    "DataContext",
    "DatasetContext",
    "DeltaConfig",
    "ExecutionOptions",
    "ExecutionResources",
    "FixedShapeTensorFormat",
    "IcebergConfig",
    "LanceConfig",
    "ShuffleStrategy",
]
