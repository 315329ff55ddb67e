"""Settings of single parts of Skate Data, as `DataContext` holds them: connectors, pools of actors, detectors."""

from __future__ import annotations

import enum
from dataclasses import dataclass, field
from typing import Any

_TRANSIENT = (
    "429", "503", "502", "500", "Too Many Requests", "Service Unavailable", "Internal Server Error", "Connection reset",
    "Connection refused", "Connection timed out", "Read timed out", "UNAVAILABLE", "DEADLINE_EXCEEDED",
)  # fmt: skip


class FixedShapeTensorFormat(enum.Enum):
    """Formats of columns of tensors of one shape. Accepted for Ray's programs as a setting: Skate makes columns of V2."""

    V1 = "v1"
    V2 = "v2"
    ARROW_NATIVE = "native"

    def to_type(self) -> type[Any]:
        """The class of the Arrow type."""
        import pyarrow

        from skate.data.extensions.tensor import ArrowTensorType, ArrowTensorTypeV2

        kinds: dict[str, type[Any]] = {
            "v1": ArrowTensorType,
            "v2": ArrowTensorTypeV2,
            "native": pyarrow.FixedShapeTensorType,
        }
        return kinds[self.value]


@dataclass
class AutoscalingConfig:
    """When pools of actors grow and shrink.

    Attributes:
        actor_pool_util_upscaling_threshold: A pool grows when there are more calls under way for each call that its actors
            can run at a time.
        actor_pool_util_downscaling_threshold: Accepted for Ray's programs: an idle actor goes when there is no more work.
        actor_pool_max_upscaling_delta: So many actors are added at a time, at most; None for one.
    """

    actor_pool_util_upscaling_threshold: float = 1.75
    actor_pool_util_downscaling_threshold: float = 0.5
    actor_pool_max_upscaling_delta: int | None = None


@dataclass
class LanceConfig:
    """Accepted for Ray's programs: Lance itself tries again.

    Attributes:
        read_fragments_errors_to_retry: Parts of messages.
        read_fragments_max_attempts: Attempts in all.
        read_fragments_retry_max_backoff_s: Seconds between two of them, at most.
        write_fragments_errors_to_retry: Parts of messages.
        write_fragments_max_attempts: Attempts in all.
        write_fragments_retry_max_backoff_s: Seconds between two of them, at most.
    """

    read_fragments_errors_to_retry: list[str] = field(default_factory=lambda: ["LanceError(IO)"])
    read_fragments_max_attempts: int = 10
    read_fragments_retry_max_backoff_s: int = 32
    write_fragments_errors_to_retry: list[str] = field(default_factory=lambda: ["LanceError(IO)"])
    write_fragments_max_attempts: int = 10
    write_fragments_retry_max_backoff_s: int = 32


@dataclass
class IcebergConfig:
    """Accepted for Ray's programs: the catalog and the store that `pyiceberg` uses have settings of their own for this.

    Attributes:
        write_file_max_attempts: Attempts to write a file, in all.
        write_file_retry_max_backoff_s: Seconds between two of them, at most.
        catalog_max_attempts: Attempts at a call of the catalog, in all.
        catalog_retry_max_backoff_s: Seconds between two of them, at most.
        catalog_retried_errors: Parts of messages.
        read_file_tasks_sequentially: Whether a task reads one file at a time.
    """

    write_file_max_attempts: int = 10
    write_file_retry_max_backoff_s: int = 32
    catalog_max_attempts: int = 5
    catalog_retry_max_backoff_s: int = 16
    catalog_retried_errors: list[str] = field(default_factory=lambda: list(_TRANSIENT))
    read_file_tasks_sequentially: bool = True


@dataclass
class DeltaConfig:
    """Accepted for Ray's programs: `deltalake` itself tries a commit again.

    Attributes:
        commit_max_attempts: Attempts in all.
        commit_retry_max_backoff_s: Seconds between two of them, at most.
        commit_retried_errors: Parts of messages.
        credential_refresh_enabled: Whether an error of authentication makes the credentials be asked for again.
    """

    commit_max_attempts: int = 5
    commit_retry_max_backoff_s: int = 16
    commit_retried_errors: list[str] = field(default_factory=lambda: list(_TRANSIENT))
    credential_refresh_enabled: bool = True


@dataclass
class IssueDetectorConfig:
    """Accepted for Ray's programs: what one detector looks for."""

    detection_time_interval_s: float = 30.0
    min_wait_time_s: float = 300.0
    op_task_stats_min_count: int = 10
    op_task_stats_std_factor: float = 10.0


@dataclass
class IssueDetectorsConfiguration:
    """Accepted for Ray's programs. A function that hangs is ended by `DataContext.udf_timeout_s`."""

    hanging_detector_config: IssueDetectorConfig = field(default_factory=IssueDetectorConfig)
    hash_shuffle_detector_config: IssueDetectorConfig = field(default_factory=IssueDetectorConfig)
    high_memory_detector_config: IssueDetectorConfig = field(default_factory=IssueDetectorConfig)
    detectors: list[Any] = field(default_factory=list)


__all__ = [
    "AutoscalingConfig",
    "DeltaConfig",
    "FixedShapeTensorFormat",
    "IcebergConfig",
    "IssueDetectorConfig",
    "IssueDetectorsConfiguration",
    "LanceConfig",
]
