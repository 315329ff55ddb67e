"""The benchmarks themselves: statistics, bars, the runner's honesty, and a quick run of a few rows."""

from __future__ import annotations

import json
import math
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from benchmarks.child import function_for
from benchmarks.cli import main
from benchmarks.compare import compare
from benchmarks.core.bars import ROWS
from benchmarks.data.bars import ROWS as DATA_ROWS
from benchmarks.peers import PEERS, PeerError, peer_python
from benchmarks.processes import alive
from benchmarks.raw import RawPair
from benchmarks.rows import (
    OURS,
    Against,
    AtMost,
    Failure,
    LikeFastest,
    Outcome,
    Row,
    Within,
    WithinBest,
    format_value,
    judge,
)
from benchmarks.runner import PLAIN, Plan, RowResult, run
from benchmarks.serve.bars import ROWS as SERVE_ROWS
from benchmarks.session import API_SYSTEMS
from benchmarks.stats import Figure, Round, quartiles, summarise
from benchmarks.table import as_json, failed, render
from benchmarks.train.bars import ROWS as TRAIN_ROWS
from benchmarks.tune.bars import ROWS as TUNE_ROWS

ROOT = Path(__file__).resolve().parent.parent
COST = Row("area.cost", "a cost", "area.cost", "seconds", "s", (Against("ray", 10), AtMost(0.2)))
RATE = Row("area.rate", "a rate", "area.rate", "rate", "B/s", (Within(0.8),), reference="plain copy")


def figure(*values: float, reference: tuple[float, ...] = ()) -> Figure:
    """Return the figure of one round."""
    return summarise([Round(values, reference)])


def verdicts(row: Row, **outcomes: Outcome) -> list[str]:
    """Return the verdicts on a row's bars."""
    return [judgement.verdict for judgement in judge(row, outcomes)]


# --- statistics ---


def test_median_is_of_the_rounds_medians_and_spread_of_all_samples() -> None:
    result = summarise([Round((1.0, 2.0, 9.0)), Round((4.0, 4.0, 4.0)), Round((5.0, 5.0, 5.0))])
    assert result.rounds == (2.0, 4.0, 5.0)
    assert result.median == 4.0
    assert (result.low, result.high) == (4.0, 5.0)
    assert result.samples == 9
    assert result.spread == pytest.approx(0.125)


def test_reference_is_paired_within_each_round() -> None:
    # The machine is three times slower in the second round; paired, the ratio is 2 in both.
    result = summarise([Round((2.0,), (1.0,)), Round((6.0,), (3.0,)), Round((4.0,), (2.0,))])
    assert result.times_reference == 2.0
    assert result.reference == 2.0


def test_no_reference_gives_none() -> None:
    assert figure(1.0).times_reference is None


@pytest.mark.parametrize("bad", [math.nan, math.inf, -1.0])
def test_impossible_samples_are_refused(bad: float) -> None:
    with pytest.raises(ValueError, match="sample"):
        figure(1.0, bad)
    with pytest.raises(ValueError, match="sample"):
        figure(1.0, reference=(bad,))


def test_no_samples_are_refused() -> None:
    with pytest.raises(ValueError, match="no values"):
        summarise([Round(())])


def test_quartiles_of_one_value() -> None:
    assert quartiles([3.0]) == (3.0, 3.0)


@pytest.mark.parametrize(
    ("unit", "value", "text"),
    [("s", 0.0, "0.00 ns"), ("s", 0.0999, "99.9 ms"), ("s", 12.0, "12.0 s"), ("B", 1e9, "1.00 GB")],
)
def test_format_value(unit: str, value: float, text: str) -> None:
    assert format_value(unit, value) == text  # type: ignore[arg-type]


# --- bars ---


def test_a_bar_is_cleared_exactly_at_its_number() -> None:
    assert verdicts(COST, skate=figure(0.2), ray=figure(2.0)) == ["pass", "pass"]
    assert verdicts(COST, skate=figure(0.2), ray=figure(1.99)) == ["FAIL", "pass"]
    assert verdicts(COST, skate=figure(0.201), ray=figure(2.5)) == ["pass", "FAIL"]


def test_a_rate_must_be_higher() -> None:
    against = Row("a.b", "", "a.b", "rate", "B/s", (Against("ray", 1),))
    assert verdicts(against, skate=figure(2e9), ray=figure(1e9)) == ["pass"]
    assert verdicts(against, skate=figure(1e9), ray=figure(2e9)) == ["FAIL"]
    assert verdicts(RATE, skate=figure(8.0, reference=(10.0,))) == ["pass"]
    assert verdicts(RATE, skate=figure(7.9, reference=(10.0,))) == ["FAIL"]


def test_a_cost_must_stay_within_its_reference() -> None:
    within = Row("a.b", "", "a.b", "seconds", "s", (Within(2.5),), reference="raw round trip")
    assert verdicts(within, skate=figure(2.5, reference=(1.0,))) == ["pass"]
    assert verdicts(within, skate=figure(2.6, reference=(1.0,))) == ["FAIL"]
    assert verdicts(within, skate=figure(1.0)) == ["FAIL"]  # no reference, no proof


def test_a_peer_that_was_not_asked_for_is_not_a_pass() -> None:
    assert verdicts(COST, skate=figure(0.1)) == ["not run", "pass"]


def test_the_best_peer_is_the_best_of_those_that_could_do_the_work() -> None:
    row = Row("a.b", "", "a.b", "seconds", "s", (WithinBest(1.25, ("polars", "duckdb")),))
    assert verdicts(row, skate=figure(1.2), polars=figure(1.0), duckdb=figure(3.0)) == ["pass"]
    assert verdicts(row, skate=figure(1.3), polars=figure(1.0), duckdb=figure(3.0)) == ["FAIL"]
    assert verdicts(row, skate=figure(3.1), polars=Failure("broken"), duckdb=figure(3.0)) == ["pass"]
    assert verdicts(row, skate=figure(1.0), polars=Failure("broken")) == ["FAIL"]
    assert verdicts(row, skate=figure(1.0), ray=figure(9.0)) == ["not run"]


def test_memory_is_held_against_the_peer_that_is_fastest() -> None:
    row = Row("a.memory", "", "a.b", "memory", "B", (LikeFastest("a.b", 1.25),))
    memory = {"skate": figure(120.0), "polars": figure(100.0), "duckdb": figure(10.0)}
    times = {"skate": figure(9.0), "polars": figure(1.0), "duckdb": figure(2.0)}
    assert [one.verdict for one in judge(row, memory, {"a.b": times})] == ["pass"]
    times["duckdb"] = figure(0.5)
    assert [one.verdict for one in judge(row, memory, {"a.b": times})] == ["FAIL"]
    assert [one.verdict for one in judge(row, memory)] == ["FAIL"]  # nobody was timed
    assert [one.verdict for one in judge(row, {"skate": figure(1.0)}, {"a.b": times})] == ["not run"]


def test_a_failure_on_either_side_fails_the_bar() -> None:
    assert verdicts(COST, skate=figure(0.1), ray=Failure("broken")) == ["FAIL", "pass"]
    assert verdicts(COST, skate=Failure("broken"), ray=figure(1.0)) == ["FAIL", "FAIL"]


def test_failed_is_about_ours_and_bars_only() -> None:
    plain = Row("a.b", "", "a.b", "seconds", "s")
    assert not failed([RowResult(plain, {OURS: figure(1.0), "dask": Failure("broken")})])
    assert failed([RowResult(plain, {OURS: Failure("broken")})])
    assert failed([RowResult(COST, {OURS: figure(9.0)})])


def test_every_row_has_its_code_and_sound_bars() -> None:
    assert len({row.name for row in ROWS}) == len(ROWS)
    suites = {"core": ROWS, "data": DATA_ROWS, "serve": SERVE_ROWS, "train": TRAIN_ROWS, "tune": TUNE_ROWS}
    for suite, row in [(suite, row) for suite, rows in suites.items() for row in rows]:
        assert function_for(suite, row.benchmark, OURS) is not None, row.name
        for bar in row.bars:
            if isinstance(bar, Against):
                assert bar.peer in PEERS, row.name
                assert not (row.ours_only and bar.peer in API_SYSTEMS), row.name
            if isinstance(bar, Within):
                assert row.reference, row.name
            if isinstance(bar, WithinBest):
                for peer in bar.peers:
                    assert peer in PEERS, row.name
            if isinstance(bar, LikeFastest):
                assert bar.row in {one.name for one in suites[suite]}, row.name


def test_code_of_other_systems_belongs_to_a_row() -> None:
    known = {row.benchmark.partition(".")[2] for row in ROWS}
    for system in ("pool", "joblib", "dask", PLAIN):
        module = sys.modules.get(f"benchmarks.core.on_{system}") or __import__(
            f"benchmarks.core.on_{system}", fromlist=["__all__"]
        )
        assert set(module.__all__) <= known, system


# --- table and comparison ---


def test_table_shows_ratio_error_and_verdict() -> None:
    results = [
        RowResult(COST, {OURS: figure(0.1), "ray": figure(2.0), "dask": Failure("Boom: no scheduler")}),
        RowResult(RATE, {OURS: figure(9.0, reference=(10.0,))}),
    ]
    text = render(results)
    assert "2.00 s (20x)" in text
    assert "error [1]" in text
    assert "[1] area.cost on dask: Boom: no scheduler" in text
    assert "10.0 B/s plain copy" in text
    assert "bars: 3 passed, 0 failed, 0 without their peer" in text


def test_compare_marks_changes_beyond_the_spread(tmp_path: Path) -> None:
    paths = []
    for name, value in (("before", 0.2), ("after", 0.1)):
        paths.append(tmp_path / name)
        paths[-1].write_text(json.dumps({"rows": as_json([RowResult(COST, {OURS: figure(value)})])}))
    line = compare(paths[0], paths[1]).splitlines()[1]
    assert line.split() == ["area.cost", "200", "ms", "100", "ms", "2.00x", "*"]


# --- peers ---


def test_an_interpreter_without_the_peer_is_refused_with_what_to_install() -> None:
    with pytest.raises(PeerError, match=r"lacks.*ray.*install ray\[serve\]=="):
        peer_python("ray", {"ray": Path(sys.executable)})


def test_an_interpreter_that_does_not_run_is_refused(tmp_path: Path) -> None:
    with pytest.raises(PeerError, match="does not run"):
        peer_python("dask", {"dask": tmp_path / "python"})


def test_the_pool_needs_no_environment() -> None:
    assert peer_python("pool", {}) == Path(sys.executable)


# --- the runner ---

TREE = next(row for row in ROWS if row.name == "tasks.tree")


def run_tree(system: str, python: Path | Failure, timeout: float = 50.0) -> Outcome:
    """Run the tree, quickly, on one system."""
    plan = Plan("core", [TREE], {system: python}, rounds=2, quick=True, timeout=timeout)
    (result,) = run(plan, tell=lambda line: None)
    return result.outcomes[system]


def script(path: Path, body: str) -> Path:
    """Write an executable that stands in for an interpreter."""
    path.write_text(f"#!/bin/sh\n{body}\n")
    path.chmod(0o700)
    return path


def test_a_measurement_runs_in_a_process_of_its_own_each_round() -> None:
    outcome = run_tree(PLAIN, Path(sys.executable))
    assert isinstance(outcome, Figure)
    assert len(outcome.rounds) == 2
    assert outcome.samples == 4
    assert outcome.median > 0


def test_the_last_words_of_a_failed_measurement_are_kept(tmp_path: Path) -> None:
    outcome = run_tree(OURS, script(tmp_path / "python", "echo 'ValueError: seven' >&2; exit 3"))
    assert outcome == Failure("exit status 3: ValueError: seven")


def test_a_measurement_without_figures_fails(tmp_path: Path) -> None:
    outcome = run_tree(OURS, script(tmp_path / "python", "true"))
    assert isinstance(outcome, Failure)
    assert "no figures" in outcome.error


def test_a_measurement_that_hangs_is_ended(tmp_path: Path) -> None:
    outcome = run_tree(OURS, script(tmp_path / "python", "exec sleep 600"), timeout=0.3)
    assert isinstance(outcome, Failure)
    assert "no result after 0.3 s" in outcome.error


def test_processes_that_ours_leaves_behind_are_ended_and_fail_the_measurement(tmp_path: Path) -> None:
    left = tmp_path / "left"
    body = f'sleep 600 & echo $! > {left}; echo \'{{"seconds": [[1.0], [], ""]}}\''
    outcome = run_tree(OURS, script(tmp_path / "python", body))
    assert isinstance(outcome, Failure)
    assert "processes left" in outcome.error
    pid = int(left.read_text())
    assert not psutil.pid_exists(pid) or not alive(psutil.Process(pid))


def test_a_peer_without_an_interpreter_fails_in_its_cell() -> None:
    assert run_tree("dask", Failure("pip failed")) == Failure("pip failed")


def test_raw_pair_answers() -> None:
    with RawPair() as raw:
        raw.round_trips(10)


# --- the command line ---


def test_list_prints_rows(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["core", "--list", "--only", "objects"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines] == [
        row.name for row in ROWS if row.name.startswith("objects.")
    ]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--only", "tasks.none"], "no such row or area"),
        (["--alone", "--peer", "ray"], "give one of the two"),
        (["--rounds", "0"], "measure nothing"),
        (["--peer-python", "ray"], "not NAME=PATH"),
    ],
)
def test_wrong_commands_say_what_is_wrong(
    words: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["core", *words])
    assert ended.value.code == 2
    assert message in capsys.readouterr().err


@pytest.mark.slow
def test_quick_run_of_ours_saves_every_row(tmp_path: Path) -> None:
    path = tmp_path / "run.json"
    command = [sys.executable, "-m", "benchmarks", "core", "--quick", "--alone", "--json", str(path)]
    only = ["tasks.round_trip", "startup.first_task", "startup.memory"]
    for name in only:
        command += ["--only", name]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=50, check=False)
    assert done.returncode in (0, 1), done.stderr  # bars may be missed on a busy machine
    saved = json.loads(path.read_text())
    assert saved["about"]["quick"] is True
    assert saved["about"]["versions"][OURS]["python"]
    rows = {row["name"]: row for row in saved["rows"]}
    assert set(rows) == set(only)
    for name in only:
        ours = rows[name]["systems"][OURS]
        assert "error" not in ours, ours
        assert 0 < ours["low"] <= ours["high"]
        assert ours["median"] > 0
        assert ours["samples"] >= 1
        assert rows[name]["bars"]
    assert rows["tasks.round_trip"]["systems"][OURS]["times_reference"] > 0
    assert "tasks.round_trip" in done.stdout
