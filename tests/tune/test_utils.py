from __future__ import annotations

import io
import threading
from pathlib import Path
from typing import Any

import pytest

from skate import tune
from skate.tune import utils
from skate.tune.callback import CallbackList
from skate.tune.experiment.trial import ExportFormat
from skate.tune.utils.util import Tee, retry_fn, validate_warmstart


def test_nested_and_flat() -> None:
    nested = {"a": {"b": 1, "c": {"d": 2}}, "e": [1], "f": {}}
    flat = {"e": [1], "a/b": 1, "a/c/d": 2}
    assert utils.flatten_dict(nested) == flat and list(utils.flatten_dict(nested)) == list(flat)
    assert utils.unflatten_dict(flat) == {"a": {"b": 1, "c": {"d": 2}}, "e": [1]}
    assert utils.flatten_dict({"a": [1, {"b": 2}]}, flatten_list=True) == {"a/0": 1, "a/1/b": 2}
    with pytest.raises(ValueError, match="delimiter"):
        utils.flatten_dict({"a/b": 1}, prevent_delimiter=True)
    with pytest.raises(TypeError, match="Cannot unflatten dict due the key"):
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


def test_points_that_a_search_begins_with_are_checked() -> None:
    validate_warmstart(["a"], [{"a": 1}], [0.5])
    with pytest.raises(TypeError, match="expected to be a list"):
        validate_warmstart(["a"], {"a": 1}, [])  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="Dim of point"):
        validate_warmstart(["a"], [{"a": 1, "b": 2}], [])
    with pytest.raises(ValueError, match="Dim of evaluated_rewards"):
        validate_warmstart(["a"], [{"a": 1}], [1, 2])


def test_a_function_is_tried_again() -> None:
    tries: list[int] = []

    def fails_twice() -> None:
        tries.append(1)
        if len(tries) < 3:
            raise OSError("no")

    assert retry_fn(fails_twice, OSError, num_retries=3, sleep_time=0)
    assert not retry_fn(lambda: 1 / 0, ZeroDivisionError, num_retries=2, sleep_time=0)


def test_two_streams_in_one() -> None:
    one, other = io.StringIO(), io.StringIO()
    tee = Tee(one, other)
    tee.write("hello")
    tee.flush()
    assert one.getvalue() == other.getvalue() == "hello" and not tee.isatty()


def test_names_of_export_formats() -> None:
    names = [" Model", "onnx"]
    ExportFormat.validate(names)
    assert names == ["model", "onnx"]
    with pytest.raises(tune.TuneError, match="Unsupported import/export format: pdf"):
        ExportFormat.validate(["pdf"])


def test_states_of_callbacks_are_saved(tmp_path: Path) -> None:
    class Counts(tune.Callback):
        def __init__(self) -> None:
            self.number = 0

        def get_state(self) -> dict[str, Any]:
            return {"number": self.number}

        def set_state(self, state: dict[str, Any]) -> None:
            self.number = state["number"]

    first, second = Counts(), Counts()
    first.number = 7
    assert not CallbackList([second]).can_restore(str(tmp_path))
    CallbackList([first]).save_to_dir(str(tmp_path))
    CallbackList([second]).restore_from_dir(str(tmp_path))
    assert second.number == 7
    with pytest.raises(RuntimeError, match="Unable to find checkpoint"):
        CallbackList([second]).restore_from_dir(str(tmp_path / "nosuch"))


def test_a_slow_block_is_told_of(caplog: pytest.LogCaptureFixture) -> None:
    with utils.warn_if_slow("walk", threshold=1e-9) as block:
        threading.Event().wait(0.001)
    with utils.warn_if_slow("run", threshold=1e-9, disable=True) as quiet:
        threading.Event().wait(0.001)
    assert block.too_slow and not quiet.too_slow
    assert "`walk`" in caplog.text and "`run`" not in caplog.text
    assert utils.warn_if_slow("x").threshold == utils.warn_if_slow.DEFAULT_THRESHOLD
