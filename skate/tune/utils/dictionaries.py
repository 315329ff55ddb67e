"""Nested dictionaries, and the same with paths for keys."""

from __future__ import annotations

import copy
from collections.abc import Iterable, Mapping
from typing import Any

__all__ = [
    "deep_update",
    "flatten_dict",
    "merge_dicts",
    "unflatten_dict",
    "unflattened_lookup",
]


def flatten_dict(
    dt: Mapping[Any, Any], delimiter: str = "/", prevent_delimiter: bool = False, flatten_list: bool = False
) -> dict[Any, Any]:
    """Make keys of paths: `{"a": {"b": 1}}` becomes `{"a/b": 1}`.

    Args:
        dt: The nested dictionary.
        delimiter: What stands between the keys of a path.
        prevent_delimiter: Refuse keys that hold the delimiter.
        flatten_list: Treat lists as dictionaries by index.

    Returns:
        A new dictionary; of an empty dictionary nothing is left.

    Raises:
        ValueError: a key holds the delimiter, and `prevent_delimiter` is set.
    """
    flat: dict[Any, Any] = {}
    nested: list[tuple[str, Any]] = []
    for key, value in dt.items():
        if prevent_delimiter and isinstance(key, str) and delimiter in key:
            raise ValueError(
                f"Found delimiter `{delimiter}` in key when trying to flatten: {key!r}. Please avoid using the "
                "delimiter in your specification."
            )
        if _has_children(value, flatten_list):
            nested.append((key, value))
        else:
            flat[key] = value
    # Plain keys come first, then what was nested: the order of columns in a table of results.
    for key, value in nested:
        children = value if isinstance(value, Mapping) else dict(enumerate(value))
        below = flatten_dict(children, delimiter, prevent_delimiter, flatten_list)
        flat.update({f"{key}{delimiter}{name}": child for name, child in below.items()})
    return flat


def _has_children(value: Any, flatten_list: bool) -> bool:
    return isinstance(value, Mapping) or (flatten_list and isinstance(value, list))


def unflatten_dict(dt: Mapping[str, Any], delimiter: str = "/") -> dict[str, Any]:
    """The reverse of `flatten_dict`: `{"a/b": 1}` becomes `{"a": {"b": 1}}`.

    Args:
        dt: The flat dictionary.
        delimiter: What stands between the keys of a path.

    Returns:
        A new dictionary.

    Raises:
        TypeError: a key leads through a value that is no dictionary.
    """
    nested: dict[str, Any] = {}
    for key, value in dt.items():
        place: Any = nested
        *parents, last = key.split(delimiter) if isinstance(key, str) else [key]
        for parent in parents:
            place = place.setdefault(parent, {})
            if not isinstance(place, dict):
                raise TypeError(
                    f"Cannot unflatten dict due the key {key!r} having a parent key {parent!r}, which value is not of type "
                    f"{dict} (got {type(place)}). Change the key names to resolve the conflict."
                )
        place[last] = value
    return nested


def unflattened_lookup(flat_key: str, lookup: Mapping[str, Any], delimiter: str = "/", **kwargs: Any) -> Any:
    """A value by its path.

    Args:
        flat_key: The path, such as "a/b".
        lookup: The nested dictionary.
        delimiter: What stands between the keys of the path.
        **kwargs: `default`: what to return if there is no such value.

    Returns:
        The value.

    Raises:
        KeyError: there is no such value, and no default.
    """
    if flat_key in lookup:
        return lookup[flat_key]
    value: Any = lookup
    for key in flat_key.split(delimiter):
        if isinstance(value, Mapping) and key in value:
            value = value[key]
        elif isinstance(value, list) and key.isdigit() and int(key) < len(value):
            value = value[int(key)]
        elif "default" in kwargs:
            return kwargs["default"]
        else:
            raise KeyError(f"{flat_key!r}: there is no {key!r}")
    return value


def merge_dicts(d1: Mapping[str, Any], d2: Mapping[str, Any]) -> dict[str, Any]:
    """A copy of `d1` with `d2` merged in, at every depth.

    Args:
        d1: The first.
        d2: The second, which wins.

    Returns:
        A new dictionary.
    """
    merged = copy.deepcopy(dict(d1))
    deep_update(merged, d2, new_keys_allowed=True)
    return merged


def deep_update(
    original: dict[str, Any],
    new_dict: Mapping[str, Any],
    new_keys_allowed: bool = False,
    allow_new_subkey_list: Iterable[str] | None = None,
    override_all_if_type_changes: Iterable[str] | None = None,
    override_all_key_list: Iterable[str] | None = None,
) -> dict[str, Any]:
    """Merge a dictionary into another, at every depth.

    Args:
        original: The one that is changed.
        new_dict: The one that is merged in, and wins.
        new_keys_allowed: Whether keys may be new.
        allow_new_subkey_list: Keys under which keys may be new in any case.
        override_all_if_type_changes: Keys whose values are replaced whole if their "type" differs.
        override_all_key_list: Keys whose values are replaced whole.

    Returns:
        `original`.

    Raises:
        Exception: a key is new, and must not be.
    """
    below_new = set(allow_new_subkey_list or ())
    replace_if_type = set(override_all_if_type_changes or ())
    replace = set(override_all_key_list or ())
    for key, value in new_dict.items():
        if key not in original and not new_keys_allowed:
            known = sorted(map(str, original))
            raise Exception(f"Unknown config parameter `{key}`: these are known: {known}.")
        present = original.get(key)
        if (
            not (isinstance(present, dict) and isinstance(value, Mapping))
            or key in replace
            or (key in replace_if_type and "type" in value and value["type"] != present.get("type"))
        ):
            original[key] = value
        else:
            deep_update(present, value, new_keys_allowed=new_keys_allowed or key in below_new)
    return original
