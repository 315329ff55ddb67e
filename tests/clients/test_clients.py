"""Libraries written for Ray run on Skate, and do on it what they do without it."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from tests.clients.environments import CLIENTS, SEARCHERS, python_of
from tests.support import REPO

_PROGRAMS = Path(__file__).parent / "programs"
_QUIET = {"PREFECT_LOGGING_LEVEL": "ERROR", "PREFECT_SERVER_ANALYTICS_ENABLED": "false", "DO_NOT_TRACK": "1"}

_QUICK = ("modin", "scikit_learn", "hiclass", "prefect", "pydvl", "lightgbm_ray", "lance_ray", "fugue")
"""Those whose environments are made and whose programs run in a few minutes altogether."""

pytestmark = pytest.mark.timeout(600)


@pytest.mark.parametrize(
    "name",
    [
        pytest.param(name, marks=pytest.mark.client if name in _QUICK else pytest.mark.heavy_client)
        for name in CLIENTS
    ],
)
def test_the_library_runs_unedited(name: str, tmp_path: Path) -> None:
    python = python_of(name)
    finished = subprocess.run(
        [python, "-m", "skate", "run", _PROGRAMS / f"run_{name}.py", tmp_path],
        cwd=tmp_path,
        env={**os.environ, **_QUIET, "PYTHONPATH": str(REPO), "PREFECT_HOME": str(tmp_path / "prefect")},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert finished.returncode == 0, finished.stdout + finished.stderr
    # A line of a worker may come after it.
    assert "ok" in finished.stdout.splitlines(), finished.stdout + finished.stderr


@pytest.mark.heavy_client
@pytest.mark.parametrize("name", ["lightning", "transformers", "tensorflow", "jax"])
def test_its_program_in_the_guide_runs(name: str, tmp_path: Path) -> None:
    page = (REPO / "docs" / "train" / "frameworks.md").read_text()
    _, begins, rest = page.partition(f"```python {name}\n")
    assert begins
    program = tmp_path / f"guide_{name}.py"
    program.write_text(rest.partition("```")[0])
    finished = subprocess.run(
        [python_of(name), program],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(REPO), "SKATE_RESULTS": str(tmp_path)},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert finished.returncode == 0, finished.stdout + finished.stderr


def test_every_client_is_on_the_page() -> None:
    page = (REPO / "docs" / "compatibility.md").read_text()
    section = page.partition("\n## Libraries that are run on Skate\n")[2].partition("\n## ")[0]
    for name in CLIENTS:
        assert f"| {name.replace('_', '-')} " in section


@pytest.mark.heavy_client
@pytest.mark.parametrize("name", SEARCHERS)
def test_the_adapter_of_a_search_library(name: str) -> None:
    adapters = REPO / "tests" / "tune" / "search" / "test_adapters.py"
    which = name if name == "bohb" else f"{name}search"
    finished = subprocess.run(
        [
            python_of(name),
            "-m",
            "pytest",
            "-q",
            adapters,
            "-k",
            which,
            "--timeout",
            "500",
            "-p",
            "no:cacheprovider",
        ],
        cwd=REPO,
        capture_output=True,
        text=True,
        timeout=580,
        check=False,
    )
    assert finished.returncode == 0, finished.stdout + finished.stderr
    assert " passed" in finished.stdout and "skipped" not in finished.stdout
