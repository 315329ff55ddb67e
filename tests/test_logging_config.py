"""`LoggingConfig`: the driver and its workers log alike, with the ids of the task that logs."""

from __future__ import annotations

import json
from typing import Any

import pytest

import skate
from tests.support import run_python

_PROGRAM = """
import logging, skate
skate.init(num_cpus=1, logging_config=skate.LoggingConfig(**SETTINGS))

@skate.remote
def task():
    logging.getLogger("lib").warning("in a task", extra={"step": 3})
    logging.info("not shown")

@skate.remote
class Actor:
    def method(self):
        logging.error("in an actor")

logging.warning("in the driver %d", 1)
skate.get(task.remote())
skate.get(Actor.options(name="worker-a").remote().method.remote())
try:
    1 / 0
except ZeroDivisionError:
    logging.exception("failed")
skate.shutdown()
logging.warning("after the end")
"""


def _logged(settings: dict[str, Any]) -> list[str]:
    finished = run_python("-c", _PROGRAM.replace("SETTINGS", repr(settings)))
    assert finished.returncode == 0, finished.stderr
    return finished.stderr.splitlines()


def test_json_gives_an_object_a_line() -> None:
    lines = _logged({"encoding": "JSON", "log_level": "WARNING", "additional_log_standard_attrs": ["name"]})
    records = {}
    for line in lines:
        record = json.loads(line[line.index("{") :])
        records[record["message"]] = record
    assert set(records) == {"in the driver 1", "in a task", "in an actor", "failed", "after the end"}
    driver, task, actor = (records[name] for name in ("in the driver 1", "in a task", "in an actor"))
    assert driver["levelname"] == "WARNING" and driver["name"] == "root" and driver["lineno"] > 0
    assert driver["job_id"] == task["job_id"] and "task_id" not in driver
    assert task["name"] == "lib" and task["step"] == 3 and task["task_name"] == "task"
    assert task["process"] != driver["process"] and task["worker_id"] != driver["worker_id"]
    assert actor["actor_name"] == "worker-a" and actor["actor_id"]
    assert "ZeroDivisionError" in records["failed"]["exc_text"]
    assert "job_id" not in records["after the end"]


def test_text_gives_a_line_for_people() -> None:
    lines = _logged({"log_level": "ERROR"})
    (line,) = (line for line in lines if "in an actor" in line)
    assert "ERROR <string>:13 -- in an actor job_id=" in line
    assert "actor_name=worker-a" in line
    assert any(line.startswith("ZeroDivisionError") for line in lines)
    assert not any("in the driver" in line for line in lines)


def test_settings_that_are_not_known_are_refused() -> None:
    with pytest.raises(ValueError, match="Invalid encoding type: XML"):
        skate.LoggingConfig(encoding="XML")
    with pytest.raises(ValueError, match="Unknown python logging standard attribute: colour"):
        skate.LoggingConfig(additional_log_standard_attrs=["colour"])
    with pytest.raises(TypeError, match="LoggingConfig is needed, got a dict"):
        skate.init(logging_config={"encoding": "JSON"})


def test_it_goes_through_a_dictionary() -> None:
    config = skate.LoggingConfig(encoding="JSON", log_level="DEBUG")
    assert skate.LoggingConfig.from_dict(config.to_dict()) == config
