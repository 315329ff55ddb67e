"""What a notebook shows of a search."""

from __future__ import annotations

import sys
import types
from html.parser import HTMLParser
from pathlib import Path
from typing import TYPE_CHECKING, Any

from skate import tune
from skate.tune.reporting.notebook import best_so_far, draw_line
from tests.tune.simulation import simulate

if TYPE_CHECKING:
    import pytest


class Tags(HTMLParser):
    """Counts tags, and sees that they are closed in order."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.counts: dict[str, int] = {}
        self.open: list[str] = []
        self.feed(page)
        assert not self.open

    def handle_starttag(self, tag: str, attrs: Any) -> None:
        self.counts[tag] = self.counts.get(tag, 0) + 1
        if tag != "br":
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def trials_of(tmp_path: Path, scores: list[float]) -> Any:
    controller, _ = simulate(
        tmp_path,
        lambda config, i: scores[config["i"]],
        {"i": tune.grid_search(list(range(len(scores)))), "name": tune.choice(["<b>"])},
        stop={"training_iteration": 1},
    )
    return controller.get_trials()


def test_the_best_so_far(tmp_path: Path) -> None:
    trials = trials_of(tmp_path, [3.0, float("nan"), 1.0, 5.0, 4.0])
    assert best_so_far(trials, "score", "max") == [(1, 3.0), (3, 3.0), (4, 5.0), (5, 5.0)]
    assert best_so_far(trials, "score", "min") == [(1, 3.0), (3, 1.0), (4, 1.0), (5, 1.0)]
    assert best_so_far(trials, "nosuch", "min") == []


def test_a_line_needs_two_points() -> None:
    assert draw_line([(1, 2.0)], "loss") == ""
    drawn = draw_line([(1, 2.0), (3, 1.0)], "a < b")
    assert "best a &lt; b so far: 1" in drawn and Tags(drawn).counts["polyline"] == 1


def test_a_reporter_shows_a_table_and_a_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shown: list[str] = []
    module = types.ModuleType("IPython.display")
    module.HTML = lambda text: text
    module.clear_output = lambda wait: shown.clear()
    module.display = lambda text, display_id: shown.append(text)
    monkeypatch.setitem(sys.modules, "IPython.display", module)
    trials = trials_of(tmp_path, [1.0, 2.0, 3.0])
    reporter = tune.JupyterNotebookReporter(metric="score", mode="max", max_progress_rows=2)
    reporter.setup(start_time=0, total_samples=3)
    reporter.report(trials, False, "Logical resource usage: 1/2 CPUs")
    reporter.report(trials, True, "Logical resource usage: 0/2 CPUs")
    assert len(shown) == 1  # in place of the first
    tags = Tags(shown[0])
    assert tags.counts["table"] == 1 and tags.counts["tr"] == 1 + 2 and tags.counts["polyline"] == 1
    for piece in (
        "3/3 (3 TERMINATED)",
        "0/2 CPUs",
        "1 more trials not shown",
        "&lt;b&gt;",
        "best score so far: 3",
    ):
        assert piece in shown[0]
