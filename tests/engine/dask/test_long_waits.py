"""A wait that lasts is spoken of once."""

from __future__ import annotations

import logging
import os
import re
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import skate
from skate.engine.dask.engine import DaskEngine
from tests.leaks import guard


@pytest.fixture(scope="module", autouse=True)
def session() -> Iterator[None]:
    """A session in which every wait is soon a long one."""
    with (
        guard.window(),
        skate.init(engine="dask", num_cpus=1, _system_config={"wait_warning_seconds": 0.2}),
    ):
        yield


@skate.remote
def waits_for(path: Path) -> str:
    deadline = time.monotonic() + 60
    while not path.exists():
        assert time.monotonic() < deadline, f"nobody made {path}"
        time.sleep(0.01)
    return "done"


class Release(logging.Handler):
    """Lets the task go on once the wait for it has been spoken of."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.path = path
        self.said: list[str] = []
        self.spoken = threading.Event()

    def emit(self, record: logging.LogRecord) -> None:
        self.said.append(record.getMessage())
        self.path.touch()
        self.spoken.set()


@pytest.fixture
def release(tmp_path: Path) -> Iterator[Release]:
    handler = Release(tmp_path / "go on")
    logger = logging.getLogger("skate")
    logger.addHandler(handler)
    yield handler
    logger.removeHandler(handler)


def test_who_waits_where_and_for_what(release: Release) -> None:
    assert skate.get(waits_for.remote(release.path)) == "done"
    [text] = release.said
    assert text.startswith(
        f"the program (pid {os.getpid()}) has waited for 0.2 s for a result, at {__file__}:"
    )
    assert re.search(r"in test_who_waits_where_and_for_what: waits_for (runs|waits) ", text)


def test_a_time_out_is_kept_where_the_session_does_not_say_what_it_does(
    release: Release, monkeypatch: pytest.MonkeyPatch
) -> None:
    timed_out = threading.Event()

    def no_answer(*_args: Any) -> None:
        assert timed_out.wait(30), "the wait waits for the answer"
        raise ConnectionError("nobody answers")

    monkeypatch.setattr(DaskEngine, "state", no_answer)
    ref = waits_for.remote(release.path)
    with pytest.raises(skate.exceptions.GetTimeoutError):
        skate.get(ref, timeout=0.5)
    timed_out.set()
    assert release.spoken.wait(30)
    [text] = release.said
    assert (
        "in test_a_time_out_is_kept_where_the_session_does_not_say_what_it_does: the session does not say what"
        in text
    )
    assert "nobody answers" in text
    monkeypatch.undo()
    assert skate.get(ref) == "done"
