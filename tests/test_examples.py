"""Every example runs as a program, on a sample, and says what it is there to say."""

from __future__ import annotations

import re
import socket

import pytest

from tests.support import REPO, run_python

_EXAMPLES = REPO / "examples"
_STAGES = [
    "features by carrier",
    "features by airport",
    "bootstrap and running statistics",
    "regression tree",
]


@pytest.fixture(scope="module")
def flights() -> str:
    """What the flights study prints for a sample."""
    finished = run_python(
        _EXAMPLES / "flights.py", "--rows", "6000", "--sims", "60", "--cpus", "2", timeout=50
    )
    assert finished.returncode == 0, finished.stdout + finished.stderr
    assert finished.stderr == ""
    return finished.stdout


@pytest.mark.parametrize("stage", _STAGES)
def test_the_flights_study_agrees_with_serial_python(flights: str, stage: str) -> None:
    row = next(line for line in flights.splitlines() if line.startswith(f"{stage} "))
    assert re.search(r"\d+\.\d+ s +\d+\.\d+ s +\d+\.\d+x +equal$", row), row


def test_the_flights_study_shows_its_progress(flights: str) -> None:
    assert "16 of 16 done" in flights
    assert "60 simulations heard of" in flights
    assert re.search(r"[1-9]\d* tasks started each other", flights)


@pytest.mark.timeout(150)
@pytest.mark.slow
def test_the_delay_model_is_tuned() -> None:
    finished = run_python(_EXAMPLES / "tune_delays.py", "--rows", "3000", "--trials", "3", timeout=120)
    assert finished.returncode == 0, finished.stdout + finished.stderr
    assert re.search(r"3 trials in \d+\.\d s: ASHA spent \d+ of 81 rounds", finished.stdout)
    errors = [float(line.split()[-1]) for line in finished.stdout.splitlines()[-3:]]
    assert errors[2] < errors[0]  # better than a guess


@pytest.mark.timeout(180)
@pytest.mark.slow
def test_a_served_delay_model_answers_in_batches() -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])
    arguments = ("--rows", "3000", "--questions", "64", "--port", port)
    finished = run_python(_EXAMPLES / "serve_delays.py", *arguments, timeout=150)
    assert finished.returncode == 0, finished.stdout + finished.stderr
    assert "64 questions of 16 clients, each answer the model's own" in finished.stdout
    assert re.search(r"in batches +\d+ a second, \d+\.\d in a batch", finished.stdout)


@pytest.mark.timeout(240)
@pytest.mark.slow
def test_flights_become_a_service() -> None:
    arguments = ("--rows", "4000", "--trials", "2", "--rounds", "10", "--questions", "64")
    finished = run_python(_EXAMPLES / "delays.py", *arguments, timeout=220)
    assert finished.returncode == 0, finished.stdout + finished.stderr
    table = finished.stdout[finished.stdout.index("\n\n") :]
    for stage in ("prepare", "tune", "train", "serve", "ask", "in all"):
        assert re.search(rf"^{stage} +\d+\.\d s", table, re.MULTILINE), table
    assert "64 questions of 16 clients" in table
    assert "Every answer is the model's own." in table


@pytest.mark.timeout(150)
def test_the_data_pipeline_agrees_with_duckdb() -> None:
    finished = run_python(_EXAMPLES / "flights_data.py", "--rows", "20000", timeout=120)
    assert finished.returncode == 0, finished.stdout + finished.stderr
    assert "data pipeline: answers equal" in finished.stdout
    assert "20,000 flights in" in finished.stdout


def test_every_example_is_tested_here() -> None:
    assert sorted(path.name for path in _EXAMPLES.glob("*.py")) == [
        "delays.py",
        "flights.py",
        "flights_data.py",
        "serve_delays.py",
        "train_delays.py",  # in tests/train/test_demo.py
        "tune_delays.py",
    ]
