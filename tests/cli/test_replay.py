"""Failed tasks are kept, bounded, and run again on the same inputs."""

from __future__ import annotations

import json
import os
import stat
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import skate
from skate.cli import main
from skate.core import recording
from tests.leaks import guard

_PROGRAM = """
import sys
import skate

skate.init(num_cpus=2, engine=sys.argv[1], record="errors")

@skate.remote
def double(x):
    return 2 * x

@skate.remote(max_retries=0)
def fails(numbers, refs, *, word):
    numbers.append(0)
    found = sum(skate.get(refs)) + skate.get(double.remote(1))
    raise ValueError(f"{len(numbers)} {found} {word}")

ref = fails.remote([7, 7], [skate.put(5), double.remote(4)], word=skate.put("same"))
try:
    skate.get(ref)
except ValueError as error:
    print(ref.task_id().hex())
"""


@pytest.fixture(params=("inline", "local"))
def failed(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """The id of a task that failed in a program that has ended."""
    monkeypatch.setenv("SKATE_RECORD_DIR", str(tmp_path / "kept"))
    program = tmp_path / "program.py"
    program.write_text(_PROGRAM)
    done = subprocess.run(
        [sys.executable, program, request.param], check=False, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def replay(*arguments: str, keys: str = "") -> subprocess.CompletedProcess[str]:
    """`skate replay` in a process of its own, with what is typed into it."""
    command = [sys.executable, "-m", "skate", "replay", *arguments]
    return subprocess.run(command, check=False, capture_output=True, text=True, input=keys, timeout=60)


def test_a_failed_task_runs_again_on_the_same_inputs(failed: str) -> None:
    rows = json.loads(replay("--format", "json").stdout)
    assert [(row["task_id"], row["name"], row["error"]) for row in rows] == [
        (failed, "fails", "ValueError: 3 15 same")
    ]
    again = replay(failed, "--no-debugger")
    assert again.returncode == 1
    # The list that it changed was given to it as it had been.
    assert again.stderr.endswith("ValueError: 3 15 same\n")
    assert "replay.py" not in again.stderr
    assert replay("last", "--no-debugger").returncode == 1


def test_under_the_debugger(failed: str) -> None:
    session = replay(failed, keys="p numbers\nc\np found\nq\n")
    assert session.returncode == 1
    assert "numbers.append(0)" in session.stdout and "[7, 7]" in session.stdout
    assert "(Pdb) 15" in session.stdout


def test_records_are_their_users_alone(failed: str) -> None:
    (record,) = recording.entries(recording.folder())
    assert stat.S_IMODE(os.stat(record.path).st_mode) == 0o600
    assert stat.S_IMODE(os.stat(recording.folder()).st_mode) == 0o700


def test_an_id_that_there_is_none_of(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["replay", "--dir", str(tmp_path)]) == 0
    assert "no failed task is kept" in capsys.readouterr().out
    assert main(["replay", "abc", "--dir", str(tmp_path)]) == 2
    assert "'abc'" in capsys.readouterr().err


def test_records_are_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(recording, "FILES", 3)
    for number in range(5):
        path = recording.save(
            str(tmp_path), f"{number:048x}", "f", abs, (number,), {}, ValueError("x"), skate.get
        )
        os.utime(path, (number, number))
    recording.save(str(tmp_path), f"{9:048x}", "f", abs, (9,), {}, ValueError("x"), skate.get)
    kept = {int(record.task_id, 16) for record in recording.entries(str(tmp_path))}
    assert len(kept) == 3 and 9 in kept
    monkeypatch.setattr(recording, "BYTES", 1000)
    with pytest.raises(ValueError, match="may take 1,000"):
        recording.save(str(tmp_path), "a", "f", abs, ("x" * 2000,), {}, ValueError("x"), skate.get)


def test_record_takes_errors_or_nothing() -> None:
    with pytest.raises(ValueError, match="record='all'"):
        skate.init(record="all")
    with pytest.raises(ValueError, match="dask engine keeps no failed tasks"):
        skate.init(record="errors", engine="dask")


@pytest.fixture(autouse=True)
def _no_session() -> Iterator[None]:
    with guard.window():
        yield
        skate.shutdown()
