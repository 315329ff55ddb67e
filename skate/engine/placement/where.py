"""What a task, an actor or a bundle asks of its place, as plain tuples: they are sent to the node, and are keys.

    (KIND, alternatives, …)
    (DEFAULT, alternatives)                              wherever there is room
    (SPREAD, alternatives)                               in turn on all machines
    (NODE, alternatives, node id, soft, spill, fail)     on that machine
    (GROUP, alternatives, group id, bundle, capture)     in a placement group; bundle -1 for any

`alternatives` are sets of conditions on a machine's labels, the preferred first; none for no condition. A condition is
(label, wanted, values): the label has one of `values` (any value, if None), or with `wanted` False has not.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from skate.core.options import ActorOptions, TaskOptions

DEFAULT = ""
SPREAD = "spread"
NODE = "node"
GROUP = "group"

Condition = tuple[str, bool, tuple[str, ...] | None]
Conditions = tuple[Condition, ...]
Where = tuple[Any, ...]

ANYWHERE: Where = (DEFAULT, ())


def conditions(selector: Mapping[str, str] | None) -> Conditions:
    """A label selector, whose conditions are a value, `!value`, `in(a, b)` or `!in(a, b)`.

    Example:
        >>> conditions({"zone": "!in(a, b)"})
        (('zone', False, ('a', 'b')),)
    """
    found: list[Condition] = []
    for label, text in (selector or {}).items():
        wanted = text.removeprefix("!")
        if wanted.startswith("in(") and wanted.endswith(")"):
            values = tuple(value.strip() for value in wanted[3:-1].split(","))
        else:
            values = (wanted,)
        found.append((label, not text.startswith("!"), values))
    return tuple(found)


def meets(labels: Mapping[str, str], wanted: Conditions) -> bool:
    """Whether a machine with these labels meets all conditions.

    Example:
        >>> meets({"zone": "a"}, conditions({"zone": "in(a, b)", "disk": "!slow"}))
        True
    """
    for label, positive, values in wanted:
        value = labels.get(label)
        has = value is not None if values is None else value in values
        if has != positive:
            return False
    return True


def where(options: TaskOptions | ActorOptions, captured: str | None) -> Where:
    """What the options of a task or an actor ask for.

    Args:
        options: The options.
        captured: The id of the placement group that the caller's own children join; None for none.
    """
    group, index, capture = group_of(options)
    alternatives = _alternatives(options)
    if group is not None:
        return (GROUP, alternatives, group.id.hex(), index, capture)
    strategy = options.scheduling_strategy
    if captured is not None and strategy is None and options.placement_group == "default":
        return (GROUP, alternatives, captured, -1, True)
    if strategy == "SPREAD":
        return (SPREAD, alternatives)
    kind = type(strategy).__name__
    given: Any = strategy
    if kind == "NodeAffinitySchedulingStrategy":
        spill, fail = given._spill_on_unavailable, given._fail_on_unavailable
        return (NODE, alternatives, given.node_id, given.soft, spill, fail)
    if kind == "NodeLabelSchedulingStrategy":
        hard = _operators(given.hard)
        soft = _operators(given.soft)
        return (DEFAULT, (hard + soft, hard) if soft else (hard,))
    return (DEFAULT, alternatives) if alternatives else ANYWHERE


def group_of(options: TaskOptions | ActorOptions) -> tuple[Any, int, bool]:
    """(group, bundle, whether children join) of what is to run in a placement group; the group is None otherwise.

    Raises:
        ValueError: a bundle index without a group, or one that the group does not have.
        TypeError: that is no placement group.
    """
    strategy: Any = options.scheduling_strategy
    if type(strategy).__name__ == "PlacementGroupSchedulingStrategy":
        group = strategy.placement_group
        index = strategy.placement_group_bundle_index
        capture = strategy.placement_group_capture_child_tasks
    else:
        group = options.placement_group
        index = options.placement_group_bundle_index
        capture = options.placement_group_capture_child_tasks
    if not (group is None or group == "default" or hasattr(group, "bundle_specs")):
        raise TypeError(
            f"placement_group={group!r}: a placement group is needed, as placement_group() returns it."
        )
    if group is None or group == "default" or group.is_empty:
        if index != -1:
            raise ValueError(
                f"If placement group is not set, the value of bundle index must be -1. Got {index}: name the group too."
            )
        return None, -1, False
    count = len(group.bundle_specs)
    if index < -1 or index >= count:
        raise ValueError(
            f"placement group bundle index {index} is invalid. Valid placement group indexes: 0-{count - 1}, or -1 for any."
        )
    return group, index, bool(capture)


def check_fits(demand: Mapping[str, float], bundles: Sequence[Mapping[str, float]], what: str) -> None:
    """Refuse what none of a group's bundles could ever hold.

    Raises:
        ValueError: it names the demand and the bundles.
    """
    for bundle in bundles:
        if all(bundle.get(name, 0) >= amount for name, amount in demand.items()):
            return
    raise ValueError(
        f"Cannot schedule {what} with the placement group because the resource request {dict(demand)} cannot fit into any bundles "
        f"for the placement group, {[dict(bundle) for bundle in bundles]}. Ask for less, or make a bundle larger."
    )


def _alternatives(options: TaskOptions | ActorOptions) -> tuple[Conditions, ...]:
    found = []
    if options.label_selector:
        found.append(conditions(options.label_selector))
    if options.fallback_strategy:
        found = found or [()]
        found += [conditions(each["label_selector"]) for each in options.fallback_strategy]
    return tuple(found)


def _operators(given: Mapping[str, Any]) -> Conditions:
    found: list[Condition] = []
    for label, operator in given.items():
        kind = type(operator).__name__
        values = tuple(operator.values) if kind in ("In", "NotIn") else None
        found.append((label, kind in ("In", "Exists"), values))
    return tuple(found)
