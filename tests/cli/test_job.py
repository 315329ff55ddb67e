"""`skate job …` on a standing session, as in a shell."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support import REPO


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder to work in, with a registry of sessions of its own."""
    runtime = tmp_path / "runtime"
    runtime.mkdir(mode=0o700)
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(runtime))
    monkeypatch.setenv("PYTHONPATH", str(REPO))
    for name in ("SKATE_ADDRESS", "RAY_ADDRESS", "RAY_API_SERVER_ADDRESS", "SKATE_ENGINE"):
        monkeypatch.delenv(name, raising=False)
    return tmp_path


def skate(*arguments: str, code: int = 0) -> str:
    done = subprocess.run(
        [sys.executable, "-m", "skate", *arguments], capture_output=True, text=True, timeout=50, check=False
    )
    assert done.returncode == code, done.stdout + done.stderr
    return done.stdout + done.stderr


@pytest.fixture
def session(folder: Path) -> Iterator[str]:
    """The name of a standing session."""
    yield skate("start", "--num-cpus", "1").split()[1]
    skate("stop")


def test_a_job_from_the_command_line(session: str, folder: Path) -> None:
    (folder / "work").mkdir()
    (folder / "work" / "program.py").write_text(
        "import sys, skate\nskate.init()\n"
        "print(sys.argv[1], skate.get(skate.remote(lambda: 6 * 7).remote()), skate.get_runtime_context().get_session_name())\n"
    )
    said = skate(
        "job",
        "submit",
        "--submission-id",
        "mine",
        "--working-dir",
        str(folder / "work"),
        "--",
        "python",
        "program.py",
        "two words",
    )
    assert f"two words 42 {session}" in said
    assert "Job 'mine' submitted successfully." in said and "Job 'mine' succeeded." in said
    assert "SUCCEEDED" in skate("job", "status", "mine")
    assert "two words 42" in skate("job", "logs", "mine")
    (row,) = [
        row for row in json.loads(skate("job", "list", "--format", "json")) if row["submission_id"] == "mine"
    ]
    assert row["status"] == "SUCCEEDED"
    assert "mine" in skate("job", "list")
    assert "had ended already" in skate("job", "stop", "mine")
    skate("job", "delete", "mine")
    assert "does not exist" in skate("job", "status", "mine", code=1)


def test_a_job_that_fails_and_one_that_is_stopped(session: str) -> None:
    assert session
    assert "failed" in skate("job", "submit", "--", "exit 4", code=1)
    skate(
        "job",
        "submit",
        "--no-wait",
        "--submission-id",
        "long",
        "--address",
        "http://127.0.0.1:8265",
        "--",
        "sleep 1000",
    )
    assert "was stopped" in skate("job", "stop", "long")
    assert "STOPPED" in skate("job", "status", "long")


def test_without_a_session(folder: Path) -> None:
    assert folder.exists()
    said = skate("job", "submit", "--", "true", code=1)
    assert "Failed to connect" in said and "skate start" in said


def test_bad_arguments(folder: Path) -> None:
    assert folder.exists()
    assert "COMMAND" in skate("job", "submit", code=2)
