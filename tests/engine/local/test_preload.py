"""Modules that `init(preload=…)` names are imported once, before workers are forked."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING

import skate
from tests.support import wait_until

if TYPE_CHECKING:
    from pathlib import Path

    import pytest


def test_workers_share_what_was_imported_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "records_its_import.py").write_text("import os\nPID = os.getpid()\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    skate.init(num_cpus=2, preload=["records_its_import"])

    @skate.remote(num_cpus=1)
    def look() -> tuple[int, int]:
        """This process, and the one that has imported the module."""
        (tmp_path / f"here-{os.getpid()}").touch()
        wait_until(lambda: len(list(tmp_path.glob("here-*"))) == 2, 30, "the other worker")
        return os.getpid(), sys.modules["records_its_import"].PID

    (one, first), (other, second) = skate.get([look.remote(), look.remote()], timeout=40)
    assert one != other
    assert first == second
    assert first not in (one, other, os.getpid())
    assert "records_its_import" not in sys.modules, "the driver has not imported it"
