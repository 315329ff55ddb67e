from __future__ import annotations

import contextvars
import threading
from pathlib import Path
from typing import Any

import pytest

from skate import tune
from skate.air import session as air_session
from skate.tune.trainable import wrap_function

outer = contextvars.ContextVar("outer", default=0)
inner = contextvars.ContextVar("inner", default=0)


def test_a_function_runs_from_report_to_report() -> None:
    seen = []

    def train(config: dict[str, Any]) -> Any:
        for step in range(2):
            seen.append(step)
            tune.report({"step": step})
        return {"step": "last"}

    trainable = wrap_function(train)({})
    assert trainable.train()["step"] == 0 and seen == [0] and air_session.get_session() is None
    assert trainable.train()["step"] == 1
    last = trainable.train()
    assert last["step"] == "last" and last["done"] and last["training_iteration"] == 3
    with pytest.raises(RuntimeError, match="no further step"):
        trainable.train()


def test_its_end_without_a_result_is_marked() -> None:
    trainable = wrap_function(lambda config: tune.report({"a": 1}))({})
    assert trainable.train()["a"] == 1
    assert {"__duplicate__", "done"} <= set(trainable.train())


def test_context_variables_are_the_callers() -> None:
    def train(config: dict[str, Any]) -> None:
        inner.set(7)
        while True:
            tune.report({"outer": outer.get(), "inner": inner.get()})

    trainable = wrap_function(train)({})
    for value in (1, 2):
        token = outer.set(value)
        result = trainable.train()
        outer.reset(token)
        assert (result["outer"], result["inner"]) == (value, 7) and inner.get() == 0
    trainable.stop()


def test_it_is_unwound_when_it_is_stopped_or_reset(tmp_path: Path) -> None:
    ended = []

    def train(config: dict[str, Any]) -> None:
        try:
            while True:
                tune.report({"x": config["x"]})
        finally:
            ended.append(config["x"])

    trainable = wrap_function(train)({"x": 1})
    trainable.train()
    assert trainable.reset({"x": 2}) and ended == [1]
    assert trainable.train()["x"] == 2 and trainable.iteration == 1
    trainable.stop()
    assert ended == [1, 2]


def test_an_error_comes_as_it_is() -> None:
    def train(config: dict[str, Any]) -> None:
        tune.report({"a": 1})
        raise KeyError("mine")

    trainable = wrap_function(train)({})
    trainable.train()
    with pytest.raises(KeyError, match="mine"):
        trainable.train()


def test_what_is_reported_is_checked() -> None:
    def bad(config: dict[str, Any]) -> None:
        tune.report(config["metrics"], checkpoint=config["checkpoint"])

    for config, words in (
        ({"metrics": [1], "checkpoint": None}, "dictionary of metrics"),
        ({"metrics": {}, "checkpoint": "path"}, "takes a Checkpoint"),
    ):
        with pytest.raises(TypeError, match=words):
            wrap_function(bad)(config).train()
    with pytest.raises(ValueError, match="Invalid return or yield value"):
        wrap_function(lambda config: "text")({}).train()


def test_another_thread_can_not_report() -> None:
    caught: list[BaseException] = []

    def train(config: dict[str, Any]) -> None:
        def elsewhere() -> None:
            try:
                tune.report({"a": 1})
            except RuntimeError as error:
                caught.append(error)

        thread = threading.Thread(target=elsewhere)
        thread.start()
        thread.join()

    wrap_function(train)({}).train()
    assert len(caught) == 1 and "another thread" in str(caught[0])


def test_going_on_from_a_checkpoint(tmp_path: Path) -> None:
    (tmp_path / "step").write_text("5")

    def train(config: dict[str, Any]) -> None:
        checkpoint = tune.get_checkpoint()
        assert checkpoint is not None
        with checkpoint.as_directory() as directory:
            tune.report({"from": Path(directory, "step").read_text()})

    trainable = wrap_function(train)({})
    trainable.restore(tune.Checkpoint(tmp_path))
    assert trainable.train()["from"] == "5"
    saved = trainable.save()
    assert saved.checkpoint == tune.Checkpoint(tmp_path)
