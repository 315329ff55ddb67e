"""One function per kind of option value: it checks what the user gave and returns what the field holds.

All take the option's name and the value. All raise `TypeError` for a type that the option does not take, and
`ValueError` for a value out of range, with the name, the value and the rule.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from math import isfinite
from reprlib import repr as short
from typing import Any

from skate.core.environment import check_runtime_env

_NONE = type(None)
PRECISION = 0.0001  # the smallest part of a resource that can be held


def _wrong(name: str, value: object, rule: str) -> ValueError:
    return ValueError(f"{name}={short(value)} is not allowed: {rule}.")


def _wrong_type(name: str, value: object, rule: str, *types: type) -> TypeError:
    """The error for a value that is of none of `types`."""
    wanted = types if len(types) > 1 else types[0]
    return TypeError(
        f"The type of keyword '{name}' must be {wanted}, but received type {type(value)}: {name}={short(value)}; {rule}."
    )


def amount(name: str, value: Any, resource: str | None = None) -> float | None:
    """A quantity of a resource, which has the option's name unless it is given."""
    if value is None:
        return None
    if not isinstance(value, (int, float)):
        raise _wrong_type(name, value, "it must be a number or None", float, int, _NONE)
    if not isfinite(value) or value < 0:
        rule = (
            "it must be finite"
            if not isfinite(value)
            else f"The quantity of resource {resource or name} cannot be negative"
        )
        raise _wrong(name, value, rule)
    if 0 < value < PRECISION:
        rule = f"The precision of the fractional quantity of resource {resource or name} cannot go beyond {PRECISION}"
        raise _wrong(name, value, rule)
    return round(float(value), 4)


def gpus(name: str, value: Any) -> float | None:
    """A quantity of a resource whose units are devices: shared in parts, or held whole."""
    checked = amount(name, value)
    if checked is not None and value > 1 and value != int(value):
        rule = "GPU resource quantities >1 must be whole numbers, since a fraction means a share of one GPU"
        raise _wrong(name, value, rule)
    return checked


def resources(name: str, value: Any) -> dict[str, float] | None:
    """Custom resources by name."""
    if value is None:
        return None
    if not isinstance(value, Mapping):
        raise _wrong_type(
            name, value, 'it must be a dict of quantities by name, such as {"license": 1}', dict, _NONE
        )
    own = ("CPU", "GPU", "memory", "object_store_memory")
    checked: dict[str, float] = {}
    for key, quantity in value.items():
        if not isinstance(key, str):
            raise _wrong_type(f"{name} key", key, "names of resources are strings", str)
        if key in own:
            if key in ("CPU", "GPU"):
                rule = "Use the 'num_cpus' and 'num_gpus' keyword instead of 'CPU' and 'GPU' in 'resources' keyword"
            else:
                rule = f"Use the '{key}' keyword instead of '{key}' in 'resources' keyword"
            raise _wrong(name, value, rule)
        each = amount(f"{name}[{key!r}]", quantity, key)
        if each is None:
            raise _wrong_type(f"{name}[{key!r}]", quantity, "it must be a number", float, int)
        checked[key] = each
    return checked


def _whole(name: str, value: Any) -> int:
    if not isinstance(value, int):
        raise _wrong_type(name, value, "it must be a whole number or None", int, _NONE)
    return int(value)


def count_or(default: int) -> Callable[[str, Any], int]:
    """A rule for a number that is 0 or more; None means `default`."""

    def rule(name: str, value: Any) -> int:
        if value is None:
            return default
        if _whole(name, value) < 0:
            raise _wrong(name, value, f"The keyword '{name}' only accepts None, 0 or a positive integer")
        return int(value)

    return rule


def retries(default: int | None) -> Callable[[str, Any], int | None]:
    """A rule for a number of repetitions, where -1 means without end; None means `default`."""

    def rule(name: str, value: Any) -> int | None:
        if value is None:
            return default
        if _whole(name, value) < -1:
            rule = f"The keyword '{name}' only accepts None, 0, -1 or a positive integer, where -1 represents infinity"
            raise _wrong(name, value, rule)
        return int(value)

    return rule


def whole_bytes(name: str, value: Any) -> float | None:
    """A number of bytes."""
    if value is None:
        return None
    if _whole(name, value) < 0:
        raise _wrong(name, value, "it must be 0 or more")
    return float(value)


def concurrency(name: str, value: Any) -> int | None:
    """How many calls may run at once; 0, like None, leaves it to the kind of actor."""
    return count_or(0)(name, value) or None


def pending_calls(name: str, value: Any) -> int | None:
    """How many calls may wait; 0, like None and -1, is no limit."""
    return retries(-1)(name, value) or -1


def not_for_tasks(name: str, value: Any) -> None:
    """An option that tasks know by name only."""
    whole_bytes(name, None if isinstance(value, int) else value)
    if value is not None:
        rule = f"Setting '{name}' is not implemented for tasks: only actors can hold it, leave it out"
        raise _wrong(name, value, rule)


def num_returns(name: str, value: Any) -> int | str | None:
    """How many refs a call gives."""
    if value is None or value in ("dynamic", "streaming"):
        return value  # type: ignore[no-any-return]
    if not isinstance(value, int):
        rule = 'it must be a whole number, "dynamic", "streaming" or None'
        raise _wrong_type(name, value, rule, int, str, _NONE)
    if value < 0:
        rule = f"The keyword '{name}' only accepts None, a non-negative integer, 'streaming' (for generators), or 'dynamic'"
        raise _wrong(name, value, rule)
    return int(value)


def retry_exceptions(name: str, value: Any) -> bool | tuple[type[BaseException], ...]:
    """After which exceptions to run again."""
    rule = "retry_exceptions must be either a boolean or a list of exceptions"
    if isinstance(value, bool):
        return value
    if not isinstance(value, (list, tuple)):
        raise _wrong_type(name, value, rule, bool, list, tuple)
    if not all(isinstance(each, type) and issubclass(each, BaseException) for each in value):
        raise _wrong(name, value, rule)
    return tuple(value)


def retry_exceptions_or_none(name: str, value: Any) -> bool | tuple[type[BaseException], ...] | None:
    """As `retry_exceptions`, or None."""
    return None if value is None else retry_exceptions(name, value)


def text_or_none(name: str, value: Any) -> str | None:
    """A string."""
    if value is not None and not isinstance(value, str):
        raise _wrong_type(name, value, "it must be a string or None", str, _NONE)
    return value


def non_empty_text_or_none(name: str, value: Any) -> str | None:
    """A string with something in it."""
    if text_or_none(name, value) == "":
        rule = "Actor name cannot be an empty string" if name == "name" else '"" is not a valid namespace'
        raise _wrong(name, value, f"{rule}; None means not given")
    return value  # type: ignore[no-any-return]


def flag(name: str, value: Any) -> bool:
    """True or False."""
    if not isinstance(value, bool):
        raise _wrong_type(name, value, "it must be True or False", bool)
    return value


def flag_or_none(name: str, value: Any) -> bool | None:
    """True, False or None."""
    if value is not None and not isinstance(value, bool):
        raise _wrong_type(name, value, "it must be True, False or None", bool, _NONE)
    return value


def lifetime(name: str, value: Any) -> str | None:
    """How long an actor lives."""
    if text_or_none(name, value) not in (None, "detached", "non_detached"):
        raise _wrong(
            name, value, "actor `lifetime` argument must be one of 'detached', 'non_detached' and 'None'"
        )
    return value  # type: ignore[no-any-return]


def concurrency_groups(name: str, value: Any) -> dict[str, int] | None:
    """Limits by group; also in the older form [{"name": ..., "max_concurrency": ...}]."""
    if value is None:
        return None
    rule = 'it must be a dict of limits by group, such as {"io": 2}'
    if isinstance(value, list):
        if not all(isinstance(each, Mapping) and set(each) == {"name", "max_concurrency"} for each in value):
            raise _wrong(name, value, f"{rule}, or a list of dicts with name and max_concurrency")
        value = {each["name"]: each["max_concurrency"] for each in value}
    if not isinstance(value, Mapping):
        raise _wrong_type(name, value, rule, list, dict, _NONE)
    for group, limit in value.items():
        if not isinstance(group, str) or not isinstance(limit, int):
            raise _wrong_type(f"{name}[{group!r}]", limit, rule, int)
        if limit < 1:
            raise _wrong(f"{name}[{group!r}]", limit, "at least 1 call must be able to run")
    return dict(value)


def scheduling_strategy(name: str, value: Any) -> object:
    """Where to prefer to run."""
    if value is None or value in ("DEFAULT", "SPREAD"):
        return value
    rule = 'it must be None, "DEFAULT", "SPREAD" or an object of util.scheduling_strategies'
    if isinstance(value, str):
        raise ValueError(f"Invalid scheduling_strategy value {value}: {rule}.")
    # Those classes are a library's, which this layer may not import: they are known by their names.
    if not type(value).__name__.endswith("SchedulingStrategy"):
        raise _wrong_type(name, value, rule, str, _NONE)
    return value


def placement_group(name: str, value: Any) -> object:
    """The placement group to run in."""
    if isinstance(value, str) and value != "default":
        raise _wrong(name, value, 'it must be a placement group, "default" or None')
    if not (value is None or isinstance(value, str) or hasattr(value, "bundle_specs")):
        raise _wrong_type(name, value, 'it must be a placement group, "default" or None', str, _NONE)
    return value


def bundle_index(name: str, value: Any) -> int:
    """A position in a placement group; all below 0 mean any."""
    if not isinstance(value, int):
        raise _wrong_type(name, value, "it must be a whole number", int)
    return max(int(value), -1)


def runtime_env(name: str, value: Any) -> dict[str, Any] | None:
    """What to set up in the worker."""
    if value is None:
        return None
    if not isinstance(value, Mapping):
        raise _wrong_type(name, value, 'it must be a dict such as {"env_vars": {"A": "1"}}', dict, _NONE)
    check_runtime_env(value)
    return dict(value)


def strings(name: str, value: Any) -> dict[str, str]:
    """A dict of strings."""
    if not isinstance(value, Mapping):
        raise _wrong_type(name, value, "it must be a dict of strings", dict, _NONE)
    for key, each in value.items():
        if not isinstance(key, str) or not isinstance(each, str):
            raise _wrong_type(f"{name}[{key!r}]", each, "names and values must be strings", str)
    return dict(value)


def labels(name: str, value: Any) -> dict[str, str] | None:
    """Labels of the work itself."""
    return None if value is None else strings(name, value)


def ignored_mapping(name: str, value: Any) -> None:
    """A note of other tools: checked for its type and not used."""
    if value is not None and not isinstance(value, Mapping):
        raise _wrong_type(name, value, "it must be a dict or None", dict, _NONE)


def label_selector(name: str, value: Any) -> dict[str, str] | None:
    """Labels that the machine must have."""
    if value is None:
        return None
    checked = strings(name, value)
    for key, wanted in checked.items():
        prefix, slash, plain = key.rpartition("/")
        if not _is_label(plain) or (slash and not all(_is_label(part) for part in prefix.split("."))):
            raise ValueError(
                f"Invalid label key name `{key}` in {name}: {_LABEL_RULE}, with a domain and '/' before it if need be."
            )
        choices = wanted.removeprefix("!")
        if choices.startswith("in(") and choices.endswith(")"):
            options = [each.strip() for each in choices[3:-1].split(",")]
        else:
            options = [choices]
        if not all(_is_label(each) for each in options):
            raise ValueError(
                f'Invalid label selector value `{wanted}` in {name}[{key!r}]: it must be "a", "!a", "in(a,b)" or "!in(a,b)", '
                f"where {_LABEL_RULE}."
            )
    return checked


_LABEL_RULE = "a label has 1 to 63 letters, digits, '-', '_' and '.', the first and last a letter or digit"


def _is_label(text: str) -> bool:
    inner = text.replace("-", "a").replace("_", "a").replace(".", "a")
    return (
        0 < len(text) < 64
        and inner.isascii()
        and inner.isalnum()
        and text[0].isalnum()
        and text[-1].isalnum()
    )


def fallback_strategy(name: str, value: Any) -> tuple[dict[str, Any], ...] | None:
    """Label selectors to try in turn."""
    if value is None:
        return None
    if not isinstance(value, list):
        raise _wrong_type(
            name, value, 'it must be a list such as [{"label_selector": {"zone": "b"}}]', list, _NONE
        )
    checked = []
    for each in value:
        if not isinstance(each, Mapping) or set(each) != {"label_selector"}:
            others = (
                [option for option in each if option != "label_selector"] if isinstance(each, Mapping) else []
            )
            if others:
                raise ValueError(
                    f"Unsupported option found: {others[0]!r} in {name}. Only ['label_selector'] is currently supported."
                )
            raise _wrong(name, each, "each entry must be a dict with label_selector and nothing else")
        checked.append({"label_selector": label_selector(f"{name} label_selector", each["label_selector"])})
    return tuple(checked)


def backpressure(name: str, value: Any) -> int | None:
    """How far a generator may be ahead of its reader; -1, like None, is no limit."""
    if value is None:
        return None
    if _whole(name, value) < -1 or value == 0:
        raise _wrong(name, value, "it must be 1 or more, or -1 for no limit; 1 means one object at a time")
    return None if value == -1 else int(value)


def objects_per_yield(name: str, value: Any) -> None:
    """How many objects one `yield` gives; here always one."""
    if value is not None and _whole(name, value) != 1:
        raise _wrong(
            name, value, "each yield gives one object; yield a tuple to give several values together"
        )


def tensor_transport(name: str, value: Any) -> None:
    """How tensors travel; here always through the object store."""
    if text_or_none(name, value) is not None and value.lower() not in ("object_store", "auto"):
        raise _wrong(name, value, 'the only transport here is "object_store"')
