"""What an execution may use, and how it behaves: `ExecutionResources` and `ExecutionOptions`."""

from __future__ import annotations

import math
import os
import warnings
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

_INFINITE = float("inf")
_NAMES = ("cpu", "gpu", "object_store_memory", "memory")


def _rounded(value: float | None, digits: int) -> float | None:
    return value if value is None or math.isinf(value) else round(value, digits)


def _amount(value: float) -> str:
    """Bytes as text: `1.5GiB`."""
    if math.isinf(value):
        return "inf"
    for unit, size in (("TiB", 1 << 40), ("GiB", 1 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10)):
        if value >= size:
            return f"{value / size:.1f}{unit}"
    return f"{value:.1f}B"


class ExecutionResources:
    """Amounts of what an execution uses, or may use.

    Args:
        cpu: CPUs, to five digits after the point.
        gpu: GPUs, to five digits after the point.
        object_store_memory: Bytes of blocks under way.
        memory: Bytes of memory that tasks ask for.

    Example:
        >>> from skate.data import ExecutionResources
        >>> ExecutionResources(cpu=1).add(ExecutionResources(cpu=0.5)).cpu
        1.5
    """

    __slots__ = tuple(f"_{name}" for name in _NAMES)

    def __init__(
        self,
        cpu: float | None = None,
        gpu: float | None = None,
        object_store_memory: float | None = None,
        memory: float | None = None,
    ) -> None:
        self._cpu = _rounded(cpu, 5)
        self._gpu = _rounded(gpu, 5)
        self._object_store_memory = _rounded(object_store_memory, 0)
        self._memory = _rounded(memory, 0)

    @property
    def cpu(self) -> float:
        """CPUs; 0 if not given."""
        return self._cpu or 0.0

    @property
    def gpu(self) -> float:
        """GPUs; 0 if not given."""
        return self._gpu or 0.0

    @property
    def object_store_memory(self) -> float:
        """Bytes of blocks under way; 0 if not given."""
        return self._object_store_memory or 0

    @property
    def memory(self) -> float:
        """Bytes of memory; 0 if not given."""
        return self._memory or 0

    @classmethod
    def zero(cls) -> ExecutionResources:
        """Nothing of anything."""
        return cls(0.0, 0.0, 0.0, 0.0)

    @classmethod
    def inf(cls) -> ExecutionResources:
        """No limit to anything."""
        return cls(_INFINITE, _INFINITE, _INFINITE, _INFINITE)

    @classmethod
    def for_limits(
        cls,
        cpu: float | None = None,
        gpu: float | None = None,
        object_store_memory: float | None = None,
        memory: float | None = None,
    ) -> ExecutionResources:
        """Limits; what is not given is unlimited."""
        given = (cpu, gpu, object_store_memory, memory)
        return cls(*(_INFINITE if value is None else value for value in given))

    @classmethod
    def from_resource_dict(cls, resource_dict: dict[str, float]) -> ExecutionResources:
        """From amounts by name: `CPU` or `num_cpus`, `GPU` or `num_gpus`, `object_store_memory`, `memory`."""
        found = resource_dict.get
        return cls(
            found("CPU") or found("num_cpus"),
            found("GPU") or found("num_gpus"),
            found("object_store_memory"),
            found("memory"),
        )

    def to_resource_dict(self) -> dict[str, float]:
        """The amounts by name."""
        return {
            "CPU": self.cpu,
            "GPU": self.gpu,
            "object_store_memory": self.object_store_memory,
            "memory": self.memory,
        }

    def _each(
        self, other: ExecutionResources, function: Callable[[float, float], float]
    ) -> ExecutionResources:
        return ExecutionResources(*(function(getattr(self, n), getattr(other, n)) for n in _NAMES))

    @classmethod
    def combine(cls, resources: Any, fn: Callable[[float, float], float]) -> ExecutionResources | None:
        """All of them folded into one, amount by amount; None of none."""
        folded: ExecutionResources | None = None
        for one in resources:
            folded = one if folded is None else folded._each(one, fn)
        return folded

    @classmethod
    def combine_sum(cls, resources: Any) -> ExecutionResources:
        """The sums of all."""
        return cls.combine(resources, lambda a, b: a + b) or cls.zero()

    def is_zero(self) -> bool:
        """Whether it is nothing of anything."""
        return all(getattr(self, name) == 0 for name in _NAMES)

    def is_non_negative(self) -> bool:
        """Whether no amount is below 0."""
        return all(getattr(self, name) >= 0 for name in _NAMES)

    def object_store_memory_str(self) -> str:
        """The bytes of blocks, for people."""
        return _amount(self.object_store_memory)

    def memory_str(self) -> str:
        """The bytes of memory, for people."""
        return _amount(self.memory)

    def copy(
        self,
        cpu: float | None = None,
        gpu: float | None = None,
        memory: float | None = None,
        object_store_memory: float | None = None,
    ) -> ExecutionResources:
        """The same amounts, but for those given."""
        return ExecutionResources(
            self._cpu if cpu is None else cpu,
            self._gpu if gpu is None else gpu,
            self._object_store_memory if object_store_memory is None else object_store_memory,
            self._memory if memory is None else memory,
        )

    def add(self, other: ExecutionResources) -> ExecutionResources:
        """The sums."""
        return self._each(other, lambda a, b: a + b)

    def subtract(self, other: ExecutionResources) -> ExecutionResources:
        """The differences."""
        return self._each(other, lambda a, b: a - b)

    def max(self, other: ExecutionResources) -> ExecutionResources:
        """The greater of each two."""
        return self._each(other, lambda a, b: a if a >= b else b)

    def min(self, other: ExecutionResources) -> ExecutionResources:
        """The lesser of each two."""
        return self._each(other, lambda a, b: a if a <= b else b)

    def scale(self, f: float) -> ExecutionResources:
        """Each amount times a factor.

        Raises:
            ValueError: the factor is negative.
        """
        if f < 0:
            raise ValueError(f"Scaling factor must be non-negative, got: {f}.")
        return ExecutionResources(
            *(0.0 if 0 in (f, getattr(self, n)) else getattr(self, n) * f for n in _NAMES)
        )

    def floordiv(self, other: ExecutionResources) -> ExecutionResources:
        """How often each amount of the other fits; infinitely often for 0."""
        return self._each(other, lambda a, b: _INFINITE if b == 0 or math.isinf(a) else math.floor(a / b))

    def satisfies_limit(self, limit: ExecutionResources, *, ignore_object_store_memory: bool = False) -> bool:
        """Whether no amount is above the limit.

        Args:
            limit: The limits.
            ignore_object_store_memory: True leaves blocks under way out.
        """
        names = [n for n in _NAMES if not (ignore_object_store_memory and n == "object_store_memory")]
        return all(getattr(self, name) <= getattr(limit, name) for name in names)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, ExecutionResources) and self.to_resource_dict() == other.to_resource_dict()

    def __hash__(self) -> int:
        return hash(tuple(self.to_resource_dict().values()))

    def __repr__(self) -> str:
        return (
            f"ExecutionResources(cpu={self.cpu}, gpu={self.gpu}, object_store_memory={self.object_store_memory_str()}, "
            f"memory={self.memory_str()})"
        )


class ExecutionOptions:
    """How an execution behaves.

    Args:
        resource_limits: The most that it may use; default: no limit. Skate keeps to `object_store_memory`, the bytes of
            blocks under way, and to `cpu`, the number of tasks at a time.
        exclude_resources: What it must leave to others; CPUs are.
        preserve_order: Accepted for Ray's programs: order is kept in any case.
        actor_locality_enabled: Accepted for Ray's programs.
        verbose_progress: Accepted for Ray's programs.
        label_selector: Labels of the machines that tasks and actors run on.
    """

    def __init__(
        self,
        resource_limits: ExecutionResources | None = None,
        exclude_resources: ExecutionResources | None = None,
        preserve_order: bool = False,
        actor_locality_enabled: bool = True,
        verbose_progress: bool | None = None,
        label_selector: dict[str, str] | None = None,
    ) -> None:
        self.resource_limits = resource_limits or ExecutionResources.for_limits()
        self.exclude_resources = exclude_resources or ExecutionResources.zero()
        self.preserve_order = preserve_order
        self.actor_locality_enabled = actor_locality_enabled
        if verbose_progress is None:
            verbose_progress = os.environ.get("RAY_DATA_VERBOSE_PROGRESS", "1") != "0"
        self.verbose_progress = verbose_progress
        self.label_selector = label_selector

    @property
    def resource_limits(self) -> ExecutionResources:
        """The most that it may use; what was not given is unlimited."""
        return self._resource_limits

    @resource_limits.setter
    def resource_limits(self, value: ExecutionResources) -> None:
        self._resource_limits = ExecutionResources.for_limits(
            value._cpu, value._gpu, value._object_store_memory, value._memory
        )

    @property
    def exclude_resources(self) -> ExecutionResources:
        """What is left to others."""
        return self._exclude_resources

    @exclude_resources.setter
    def exclude_resources(self, value: ExecutionResources) -> None:
        self._exclude_resources = value

    @property
    def actor_locality_enabled(self) -> bool:
        """As given; it has no effect."""
        return self._actor_locality_enabled

    @actor_locality_enabled.setter
    def actor_locality_enabled(self, value: bool) -> None:
        self._actor_locality_enabled = value

    def is_resource_limits_default(self) -> bool:
        """Whether nothing is limited."""
        return self._resource_limits == ExecutionResources.for_limits()

    @property
    def locality_with_output(self) -> bool:
        """False: tasks are not placed by where their results go."""
        return False

    @locality_with_output.setter
    def locality_with_output(self, value: Any) -> None:
        if value:
            warnings.warn(
                "`ExecutionOptions.locality_with_output` has no effect: leave it out.",
                DeprecationWarning,
                stacklevel=2,
            )

    def validate(self) -> None:
        """Check that nothing is both limited and excluded.

        Raises:
            ValueError: something is.
        """
        for name in ("cpu", "gpu", "object_store_memory"):
            if (
                not math.isinf(getattr(self.resource_limits, name))
                and getattr(self.exclude_resources, name) > 0
            ):
                raise ValueError(
                    f"resource_limits and exclude_resources cannot both be set for {name} resource: leave one out."
                )

    def _state(self) -> dict[str, Any]:
        return {
            "resource_limits": self.resource_limits,
            "exclude_resources": self.exclude_resources,
            "preserve_order": self.preserve_order,
            "actor_locality_enabled": self.actor_locality_enabled,
            "verbose_progress": self.verbose_progress,
            "label_selector": self.label_selector,
        }

    def __eq__(self, other: object) -> bool:
        return isinstance(other, ExecutionOptions) and self._state() == other._state()

    __hash__ = None  # type: ignore[assignment] # it can be changed

    def __repr__(self) -> str:
        return f"ExecutionOptions({', '.join(f'{name}={value}' for name, value in self._state().items())})"


__all__ = ["ExecutionOptions", "ExecutionResources"]
