"""Two drivers never write one experiment."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import pytest

from skate import tune
from skate.tune import TuneError
from skate.tune.experiment.lock import DriverLock
from skate.tune.experiment.storage import ExperimentStorage
from tests.support import run_python


def remote(name: str) -> ExperimentStorage:
    storage = ExperimentStorage(f"memory://{name}", "run")
    storage.make()
    return storage


def test_a_second_driver_is_refused_until_the_first_has_ended(tmp_path: Path) -> None:
    storage = ExperimentStorage(str(tmp_path), "run")
    storage.make()
    first, second = DriverLock(storage), DriverLock(storage)
    first.take()
    with pytest.raises(TuneError, match=r"another driver \(process \d+ on .*\) works on the experiment"):
        second.take()
    first.release()
    second.take()
    second.release()
    second.release()


def test_a_search_in_a_directory_that_is_written(tmp_path: Path, session: None) -> None:
    def inner(config: dict[str, Any]) -> None:
        tune.run(lambda config: None, name="run", storage_path=str(tmp_path), verbose=0)

    config = tune.RunConfig(name="run", storage_path=str(tmp_path), verbose=0)
    result = tune.Tuner(inner, run_config=config).fit()[0]
    assert isinstance(result.error, TuneError) and "another driver" in str(result.error)
    assert tune.Tuner(lambda config: {"a": 1}, run_config=config).fit().num_errors == 0


def test_a_driver_that_died_holds_nothing(tmp_path: Path) -> None:
    program = tmp_path / "dies.py"
    program.write_text(
        "import os\n"
        "from skate.tune.experiment.lock import DriverLock\n"
        "from skate.tune.experiment.storage import ExperimentStorage\n"
        f"storage = ExperimentStorage({str(tmp_path)!r}, 'run')\n"
        "storage.make()\n"
        "DriverLock(storage).take()\n"
        "os._exit(0)\n"
    )
    assert run_python(program).returncode == 0
    lock = DriverLock(ExperimentStorage(str(tmp_path), "run"))
    lock.take()
    lock.release()


def test_on_other_storage_a_file_says_who_writes() -> None:
    storage = remote("lock-one")
    first, second = DriverLock(storage), DriverLock(storage)
    first.take()
    first.renew()
    with pytest.raises(TuneError, match="another driver"):
        second.take()
    first.release()
    second.take()
    second.release()


@pytest.mark.parametrize(
    ("change", "counts"),
    [
        ({"started": "1"}, False),  # another process has the id now
        ({"host": "elsewhere"}, True),
        ({"host": "elsewhere", "renewed": 0}, False),
        ({"boot": "before", "renewed": 0}, False),
    ],
)
def test_who_does_not_live_any_more_does_not_count(change: dict[str, Any], counts: bool) -> None:
    storage = remote(f"lock-{time.monotonic_ns()}")
    path = f"{storage.path}/.driver.json"
    DriverLock(storage).take()
    storage.store.write(path, json.dumps({**json.loads(storage.store.read(path)), **change}).encode())
    if counts:
        with pytest.raises(TuneError, match="on elsewhere"):
            DriverLock(storage).take()
    else:
        DriverLock(storage).take()
