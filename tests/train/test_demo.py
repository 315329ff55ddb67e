"""The example that trains a model of delays."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.support import REPO, run_python

pytest.importorskip("xgboost")


@pytest.mark.timeout(120)
@pytest.mark.slow
def test_it_saves_a_model_for_serving(tmp_path: Path) -> None:
    out = tmp_path / "model"
    arguments = ("--rows", "3000", "--rounds", "5", "--out", out)
    finished = run_python(REPO / "examples" / "train_delays.py", *arguments, timeout=100)
    assert finished.returncode == 0, finished.stdout + finished.stderr
    assert "3,000 flights, 5 trees on 2 workers" in finished.stdout

    import xgboost

    facts = json.loads((out / "features.json").read_text())
    booster = xgboost.Booster(model_file=str(out / facts["model"]))
    assert booster.feature_names == facts["features"] and 1 <= booster.num_boosted_rounds() <= 5
