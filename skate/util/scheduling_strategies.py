"""Where a task or an actor should run, for `options(scheduling_strategy=…)`."""

from __future__ import annotations

from typing import Any


class PlacementGroupSchedulingStrategy:
    """Run inside a placement group.

    Args:
        placement_group: The group.
        placement_group_bundle_index: Which of its bundles; -1 for any.
        placement_group_capture_child_tasks: Whether tasks made by the task run in the group too.
    """

    def __init__(
        self,
        placement_group: Any,
        placement_group_bundle_index: int = -1,
        placement_group_capture_child_tasks: bool | None = None,
    ) -> None:
        self.placement_group = placement_group
        self.placement_group_bundle_index = placement_group_bundle_index
        self.placement_group_capture_child_tasks = placement_group_capture_child_tasks


class NodeAffinitySchedulingStrategy:
    """Run on one node.

    Args:
        node_id: Its id, in hex.
        soft: Whether another will do when that one can't.

    Example:
        >>> import skate
        >>> from skate.util.scheduling_strategies import NodeAffinitySchedulingStrategy
        >>> with skate.init(num_cpus=1):
        ...     here = skate.get_runtime_context().get_node_id()
        >>> NodeAffinitySchedulingStrategy(here, soft=False).soft
        False
    """

    def __init__(
        self,
        node_id: str,
        soft: bool,
        _spill_on_unavailable: bool = False,
        _fail_on_unavailable: bool = False,
    ) -> None:
        self.node_id = node_id if isinstance(node_id, str) else node_id.hex()
        self.soft = soft
        self._spill_on_unavailable = _spill_on_unavailable
        self._fail_on_unavailable = _fail_on_unavailable


class _LabelOperator:
    def __init__(self, *values: str) -> None:
        for value in values:
            if not isinstance(value, str):
                raise ValueError(f"{type(self).__name__} takes strings, got {value!r}.")
        self.values = list(values)


class In(_LabelOperator):
    """The label has one of these values."""


class NotIn(_LabelOperator):
    """The label has none of these values."""


class Exists(_LabelOperator):
    """There is such a label."""

    def __init__(self) -> None:
        super().__init__()


class DoesNotExist(_LabelOperator):
    """There is no such label."""

    def __init__(self) -> None:
        super().__init__()


class NodeLabelSchedulingStrategy:
    """Run on a node with certain labels.

    Args:
        hard: What must hold, by label: In, NotIn, Exists or DoesNotExist.
        soft: What should hold if it can.
    """

    def __init__(self, hard: dict[str, Any], *, soft: dict[str, Any] | None = None) -> None:
        self.hard = dict(hard)
        self.soft = dict(soft or {})


__all__ = [
    "DoesNotExist",
    "Exists",
    "In",
    "NodeAffinitySchedulingStrategy",
    "NodeLabelSchedulingStrategy",
    "NotIn",
    "PlacementGroupSchedulingStrategy",
]
