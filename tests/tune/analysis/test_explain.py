"""What is said and drawn about a search that has been done."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import pytest

from skate import tune
from skate.tune import ExperimentAnalysis, ResultGrid
from skate.tune.analysis.explain import observe
from skate.tune.analysis.plot import KINDS
from tests.support import run_python
from tests.tune.simulation import simulate

SPACE = {
    "x": tune.uniform(-1, 1),
    "deep": {"lr": tune.loguniform(1e-5, 1)},
    "kind": tune.choice(["good", "bad"]),
    "same": 3,
}


def loss(config: dict[str, Any], i: int) -> Any:
    if config["x"] > 0.9:
        return math.nan
    return (
        config["x"] ** 2 + (0.2 if config["kind"] == "bad" else 0) + 1e-4 * math.log10(config["deep"]["lr"])
    )


@pytest.fixture
def grid(tmp_path: Path) -> ResultGrid:
    controller, _ = simulate(
        tmp_path, loss, SPACE, mode="min", num_samples=80, stop={"training_iteration": 1}
    )
    trials = controller.get_trials()
    analysis = ExperimentAnalysis(
        tmp_path / "pretend", trials=trials, default_metric="score", default_mode="min"
    )
    return ResultGrid(analysis)


def test_what_mattered_is_said(grid: ResultGrid) -> None:
    found = tune.explain(grid)
    shares = found.importances
    assert set(shares) == {"x", "deep/lr", "kind"} and sum(shares.values()) == pytest.approx(1)
    assert next(iter(shares)) == "x" and shares["kind"] > shares["deep/lr"]
    by_name = {each.name: each for each in found.parameters}
    assert by_name["kind"].good[0] == "good" and set(by_name["kind"].tried) == {"good", "bad"}
    assert by_name["deep/lr"].kind == "log"
    assert -0.5 < by_name["x"].good[0] < by_name["x"].good[1] < 0.5
    text = str(found).splitlines()
    assert "score (min) over" in text[0] and " x: the best fifth have" in text[1]
    frame = found.to_dataframe()
    assert list(frame["name"]) == [each.name for each in found.parameters]


def test_the_other_way_round(grid: ResultGrid) -> None:
    found = tune.explain(grid, mode="max")
    assert {each.name: each for each in found.parameters}["kind"].good[0] == "bad"
    assert found.best == max(observe(grid).values)


def test_what_can_not_be_explained_says_why(grid: ResultGrid, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="no trial has reported a number for the metric 'nosuch'"):
        tune.explain(grid, metric="nosuch")
    with pytest.raises(ValueError, match="name a metric"):
        tune.explain(grid, mode="best")
    with pytest.raises(ValueError, match="none of \\['history'"):
        grid.plot("cake")
    few, _ = simulate(tmp_path / "few", loss, {"x": tune.uniform(0, 0.5), "kind": "a", "deep": {"lr": 1}},
                      mode="min", num_samples=2, stop={"training_iteration": 1})  # fmt: skip
    found = tune.explain(
        ResultGrid(ExperimentAnalysis(tmp_path, trials=few.get_trials())), metric="score", mode="min"
    )
    assert found.importances == {} and "  ?    x" in str(found)


def test_a_plot_is_plain_data(grid: ResultGrid, tmp_path: Path) -> None:
    for kind in (None, *KINDS):
        plot = grid.plot(kind)
        spec = plot._repr_mimebundle_()["application/vnd.vegalite.v5+json"]
        assert json.loads(json.dumps(spec)) == spec and "NaN" not in json.dumps(spec)
        assert "save" in repr(plot)
    plot = grid.plot("slices")
    plot.save(tmp_path / "plot.json")
    assert json.loads((tmp_path / "plot.json").read_text()) == plot.spec
    with pytest.raises(ValueError, match=r"none of .html"):
        plot.save(tmp_path / "plot.pdf")


@pytest.mark.timeout(200)
@pytest.mark.slow
def test_every_plot_is_a_picture_and_a_page_that_needs_no_network(grid: ResultGrid, tmp_path: Path) -> None:
    # In a process of its own: what renders stays for as long as its process does.
    (tmp_path / "specs.json").write_text(json.dumps([grid.plot(kind).spec for kind in (None, *KINDS)]))
    program = tmp_path / "renders.py"
    program.write_text(
        "import json, pathlib\n"
        "from skate.tune.analysis.plot import Plot\n"
        f"place = pathlib.Path({str(tmp_path)!r})\n"
        "for number, spec in enumerate(json.loads((place / 'specs.json').read_text())):\n"
        "    Plot(spec).save(place / f'{number}.png')\n"
        "Plot(spec).save(place / 'plot.svg')\n"
        "Plot(spec).save(place / 'plot.html')\n"
    )
    finished = run_python(program, timeout=180)
    assert finished.returncode == 0, finished.stdout + finished.stderr
    for number in range(1 + len(KINDS)):
        picture = (tmp_path / f"{number}.png").read_bytes()
        assert picture.startswith(b"\x89PNG") and len(picture) > 5_000
    assert "<svg" in (tmp_path / "plot.svg").read_text()
    page = (tmp_path / "plot.html").read_text()
    assert "vegaEmbed" in page and 'src="http' not in page
