"""Settings of Skate Data: `DataContext`, and what an execution may use."""

from __future__ import annotations

import contextlib
import copy
import enum
import threading
from dataclasses import dataclass, field, fields
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator

DEFAULT_TARGET_MAX_BLOCK_SIZE = 128 << 20
DEFAULT_TARGET_MIN_BLOCK_SIZE = 1 << 20


@dataclass
class ExecutionResources:
    """Amounts of what an execution uses or may use; None leaves one open.

    Attributes:
        cpu: CPUs.
        gpu: GPUs.
        object_store_memory: Bytes of blocks under way.
        memory: Bytes of memory that tasks ask for.
    """

    cpu: float | None = None
    gpu: float | None = None
    object_store_memory: float | None = None
    memory: float | None = None

    @classmethod
    def zero(cls) -> ExecutionResources:
        """Nothing of anything."""
        return cls(0.0, 0.0, 0.0, 0.0)

    @classmethod
    def inf(cls) -> ExecutionResources:
        """No limit to anything."""
        infinite = float("inf")
        return cls(infinite, infinite, infinite, infinite)

    @classmethod
    def for_limits(
        cls,
        cpu: float | None = None,
        gpu: float | None = None,
        object_store_memory: float | None = None,
        memory: float | None = None,
    ) -> ExecutionResources:
        """Limits; what is not given is unlimited."""
        infinite = float("inf")
        given = (cpu, gpu, object_store_memory, memory)
        return cls(*(infinite if value is None else value for value in given))

    def copy(self) -> ExecutionResources:
        """The same amounts."""
        return copy.copy(self)

    def add(self, other: ExecutionResources) -> ExecutionResources:
        """The sums."""
        return ExecutionResources(
            **{f.name: (getattr(self, f.name) or 0) + (getattr(other, f.name) or 0) for f in fields(self)}
        )


@dataclass
class ExecutionOptions:
    """How an execution behaves.

    Attributes:
        resource_limits: The most that it may use.
        exclude_resources: What it must leave to others.
        locality_with_output: Accepted for Ray's programs: there is one machine.
        preserve_order: Accepted for Ray's programs: order is kept in any case.
        actor_locality_enabled: Accepted for Ray's programs.
        verbose_progress: Accepted for Ray's programs.
    """

    resource_limits: ExecutionResources = field(default_factory=ExecutionResources.inf)
    exclude_resources: ExecutionResources = field(default_factory=ExecutionResources.zero)
    locality_with_output: Any = False
    preserve_order: bool = False
    actor_locality_enabled: bool = True
    verbose_progress: bool = True
    label_selector: dict[str, str] | None = None


class ShuffleStrategy(str, enum.Enum):  # noqa: UP042 - prints as Ray's does
    """Accepted for Ray's programs: the native engine chooses how rows change places."""

    SORT_SHUFFLE_PULL_BASED = "sort_shuffle_pull_based"
    SORT_SHUFFLE_PUSH_BASED = "sort_shuffle_push_based"
    HASH_SHUFFLE = "hash_shuffle"
    GPU_SHUFFLE = "gpu_shuffle"
    SHUFFLE_V2 = "shuffle_v2"


@dataclass
class DataContext:
    """Settings of the thread's current context. Those that are not listed here are accepted for Ray's programs, and have no effect.

    Attributes:
        target_max_block_size: Blocks are cut to about this many bytes; None leaves them whole.
        target_min_block_size: Small inputs are not cut to less, in bytes.
        read_op_min_num_blocks: Files are read into at least so many blocks, if that makes them no smaller than the
            least size.
        default_hash_shuffle_parallelism: Blocks of a `repartition` by keys, where it does not say.
        execution_options: Limits of an execution: `resource_limits.object_store_memory` bounds what tasks have under way.
        raise_original_map_exception: Raise what a user's function raised, and not a `UserCodeException`.
        enable_arrow_backed_pandas_conversion: Whether data that did not come from pandas goes to it in Arrow's types.
    """

    target_max_block_size: int | None = DEFAULT_TARGET_MAX_BLOCK_SIZE
    target_min_block_size: int = DEFAULT_TARGET_MIN_BLOCK_SIZE
    streaming_read_buffer_size: int = 32 << 20
    enable_pandas_block: bool = True
    actor_prefetcher_enabled: bool = False
    use_push_based_shuffle: bool = False
    shuffle_strategy: ShuffleStrategy = ShuffleStrategy.SHUFFLE_V2
    pipeline_push_based_shuffle_reduce_tasks: bool = True
    default_hash_shuffle_parallelism: int = 200
    max_hash_shuffle_aggregators: int | None = None
    scheduling_strategy: Any = "SPREAD"
    scheduling_strategy_large_args: Any = "DEFAULT"
    large_args_threshold: int = 50 << 20
    use_polars: bool = False
    use_polars_sort: bool = False
    decoding_size_estimation: bool = True
    min_parallelism: int = 200
    read_op_min_num_blocks: int = 200
    enable_tensor_extension_casting: bool = True
    use_arrow_tensor_v2: bool = True
    enable_fallback_to_arrow_object_ext_type: bool | None = None
    enable_auto_log_stats: bool = False
    verbose_stats_logs: bool = False
    trace_allocations: bool = False
    execution_options: ExecutionOptions = field(default_factory=ExecutionOptions)
    use_ray_tqdm: bool = True
    enable_progress_bars: bool = True
    enable_operator_progress_bars: bool = True
    enable_progress_bar_name_truncation: bool = True
    enable_rich_progress_bars: bool = False
    enable_get_object_locations_for_metrics: bool = False
    write_file_retry_on_errors: Any = (
        "AWS Error INTERNAL_FAILURE",
        "AWS Error NETWORK_CONNECTION",
        "AWS Error SLOW_DOWN",
        "AWS Error UNKNOWN (HTTP status 503)",
    )
    warn_on_driver_memory_usage_bytes: int = 2 << 30
    actor_task_retry_on_errors: Any = False
    actor_init_retry_on_errors: bool = False
    actor_init_max_retries: int = 3
    retried_map_errors: Any = False
    max_map_retries: int = 0
    op_resource_reservation_enabled: bool = True
    op_resource_reservation_ratio: float = 0.5
    max_errored_blocks: int = 0
    log_internal_stack_trace: bool = False
    raise_original_map_exception: bool = False
    print_on_execution_start: bool = True
    s3_try_create_dir: bool = False
    wait_for_min_actors_s: int = -1
    max_tasks_in_flight_per_actor: int | None = None
    retried_io_errors: Any = field(
        default_factory=lambda: [
            "AWS Error INTERNAL_FAILURE",
            "AWS Error NETWORK_CONNECTION",
            "AWS Error SLOW_DOWN",
            "AWS Error UNKNOWN (HTTP status 503)",
        ]
    )
    enable_per_node_metrics: bool = False
    override_object_store_memory_limit_fraction: float | None = None
    memory_usage_poll_interval_s: float | None = 1
    dataset_logger_id: str | None = None
    enforce_schemas: bool = False
    pandas_block_ignore_metadata: bool = False
    enable_arrow_backed_pandas_conversion: bool = True
    batch_to_block_arrow_format: bool = True
    _kv_configs: dict[str, Any] = field(default_factory=dict, repr=False)

    @staticmethod
    def get_current() -> DataContext:
        """The context of this process, made at the first call.

        Example:
            >>> from skate.data import DataContext
            >>> DataContext.get_current().target_max_block_size
            134217728
        """
        scoped: DataContext | None = getattr(_local, "context", None)
        if scoped is not None:
            return scoped
        global _current
        if _current is None:
            _current = DataContext()
        return _current

    @staticmethod
    def _set_current(context: DataContext) -> None:
        global _current
        _current = context

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


DatasetContext = DataContext
_local = threading.local()
_current: DataContext | None = None


__all__ = [
    "DEFAULT_TARGET_MAX_BLOCK_SIZE",
    "DEFAULT_TARGET_MIN_BLOCK_SIZE",
    "DataContext",
    "DatasetContext",
    "ExecutionOptions",
    "ExecutionResources",
    "ShuffleStrategy",
]
