from __future__ import annotations

import threading

import pytest

from skate.tune import utils


def test_nested_and_flat() -> None:
    nested = {"a": {"b": 1, "c": {"d": 2}}, "e": [1], "f": {}}
    flat = {"e": [1], "f": {}, "a/b": 1, "a/c/d": 2}
    assert utils.flatten_dict(nested) == flat and list(utils.flatten_dict(nested)) == list(flat)
    assert utils.unflatten_dict(flat) == nested
    assert utils.flatten_dict({"a": [1, {"b": 2}]}, flatten_list=True) == {"a/0": 1, "a/1/b": 2}
    with pytest.raises(ValueError, match="delimiter"):
        utils.flatten_dict({"a/b": 1}, prevent_delimiter=True)
    with pytest.raises(TypeError, match="has a value of its own"):
        utils.unflatten_dict({"a": 1, "a/b": 2})


def test_a_value_by_its_path() -> None:
    nested = {"a": {"b": 1}, "x/y": 2, "l": [3]}
    found = [utils.unflattened_lookup(path, nested) for path in ("a/b", "x/y", "l/0")]
    assert found == [1, 2, 3]
    assert utils.unflattened_lookup("a/z", nested, default=None) is None
    with pytest.raises(KeyError, match="z"):
        utils.unflattened_lookup("a/z", nested)


def test_merging() -> None:
    first = {"a": {"b": 1}, "c": 2}
    assert utils.merge_dicts(first, {"a": {"d": 3}}) == {"a": {"b": 1, "d": 3}, "c": 2}
    assert first == {"a": {"b": 1}, "c": 2}
    with pytest.raises(Exception, match="Unknown config parameter `z`"):
        utils.deep_update(dict(first), {"z": 1})
    new_type = utils.deep_update(
        {"e": {"type": "x", "n": 1}}, {"e": {"type": "y"}}, override_all_if_type_changes=["e"]
    )
    assert new_type == {"e": {"type": "y"}}


def test_why_a_trainable_can_not_be_pickled() -> None:
    lock = threading.Lock()

    def trainable(config: object) -> object:
        return lock

    assert utils.diagnose_serialization(len) is True
    assert utils.diagnose_serialization(trainable) is not True
