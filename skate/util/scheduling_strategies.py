"""Where a task or an actor should run, for `options(scheduling_strategy=…)`."""

from __future__ import annotations

from collections.abc import Mapping
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
        soft: Whether another will do when that one is gone, or can never have what is asked for.
        _spill_on_unavailable: With `soft`: whether another will do when that one has no room now.
        _fail_on_unavailable: Whether to fail at once when that one has no room now.

    Raises:
        ValueError: that is no id of a node, `_spill_on_unavailable` without `soft`, or `_fail_on_unavailable` with it.

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
        if _spill_on_unavailable and not soft:
            raise ValueError(
                "_spill_on_unavailable cannot be set when soft is False. Please set soft to True to use _spill_on_unavailable."
            )
        if _fail_on_unavailable and soft:
            raise ValueError(
                "_fail_on_unavailable cannot be set when soft is True. Please set soft to False to use _fail_on_unavailable."
            )
        self.node_id = node_id if isinstance(node_id, str) else node_id.hex()
        if len(self.node_id) != 56 or set(self.node_id.lower()) - set("0123456789abcdef"):
            raise ValueError(
                f"Invalid node_id {self.node_id!r}. Node ID must be a valid hex string. skate.nodes() lists the nodes and their ids."
            )
        self.soft = soft
        self._spill_on_unavailable = _spill_on_unavailable
        self._fail_on_unavailable = _fail_on_unavailable


class _LabelOperator:
    def __init__(self, *values: str) -> None:
        for position, value in enumerate(values):
            if not isinstance(value, str):
                raise ValueError(
                    f"Type of value in position {position} for the {type(self).__name__} operator must be str "
                    f'(e.g. {type(self).__name__}("value1", "value2")) but got {value!r} of type {type(value)}.'
                )
        self.values = list(values)


class _OfValues(_LabelOperator):
    def __init__(self, *values: str) -> None:
        if not values:
            raise ValueError(
                f"The variadic parameter of the {type(self).__name__} operator must be a non-empty tuple: e.g. "
                f'{type(self).__name__}("value1", "value2").'
            )
        super().__init__(*values)


class In(_OfValues):
    """The label has one of these values.

    Raises:
        ValueError: there is none, or one is no string.
    """


class NotIn(_OfValues):
    """The label has none of these values.

    Raises:
        ValueError: there is none, or one is no string.
    """


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

    Raises:
        ValueError: both are empty, or one has something else than such operators.
    """

    def __init__(self, hard: dict[str, Any] | None, *, soft: dict[str, Any] | None = None) -> None:
        self.hard = {} if hard is None else _checked(hard, "hard")
        self.soft = {} if soft is None else _checked(soft, "soft")
        if not self.hard and not self.soft:
            raise ValueError(
                "The `hard` and `soft` parameter of NodeLabelSchedulingStrategy cannot both be empty."
            )


def _checked(given: Any, name: str) -> dict[str, Any]:
    if not isinstance(given, Mapping):
        raise ValueError(
            f'The {name} parameter must be a map (e.g. {{"key1": In("value1")}}) but got type {type(given)}.'
        )
    for label, operator in given.items():
        if not isinstance(label, str):
            raise ValueError(
                f'The map key of the {name} parameter must be of type str (e.g. {{"key1": In("value1")}}) but got {label!r} of type '
                f"{type(label)}."
            )
        if not isinstance(operator, _LabelOperator):
            raise ValueError(
                f"The map value for key {label} of the {name} parameter must be one of the `In`, `NotIn`, `Exists` or `DoesNotExist` "
                f'operator (e.g. {{"key1": In("value1")}}) but got {operator!r} of type {type(operator)}.'
            )
    return dict(given)


__all__ = [
    "DoesNotExist",
    "Exists",
    "In",
    "NodeAffinitySchedulingStrategy",
    "NodeLabelSchedulingStrategy",
    "NotIn",
    "PlacementGroupSchedulingStrategy",
]
