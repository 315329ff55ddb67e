"""A wait that lasts is spoken of once."""

from __future__ import annotations

import logging
import os
import re
import time
from pathlib import Path

import skate


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

    def emit(self, record: logging.LogRecord) -> None:
        self.said.append(record.getMessage())
        self.path.touch()


def test_who_waits_where_and_for_what(tmp_path: Path) -> None:
    path = tmp_path / "go on"
    release = Release(path)
    logger = logging.getLogger("skate")
    with skate.init(engine="dask", num_cpus=1, _system_config={"wait_warning_seconds": 0.2}):
        logger.addHandler(release)
        try:
            assert skate.get(waits_for.remote(path)) == "done"
        finally:
            logger.removeHandler(release)
    [text] = release.said
    assert text.startswith(
        f"the program (pid {os.getpid()}) has waited for 0.2 s for a result, at {__file__}:"
    )
    assert re.search(r"in test_who_waits_where_and_for_what: waits_for (runs|waits) ", text)
