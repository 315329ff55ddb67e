"""The command line of the benchmarks."""

from __future__ import annotations

import argparse
import importlib
import json
import os
import platform
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmarks.compare import compare
from benchmarks.peers import ALWAYS, PEERS, PeerError, distributions, peer_python, versions_of
from benchmarks.rows import OURS, Failure, Row
from benchmarks.runner import PLAIN, Plan, RowResult, progress_to_stderr, run
from benchmarks.session import CPUS
from benchmarks.table import as_json, failed, render

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["main"]

SUITES = ("core", "tune", "train", "serve", "data")
_RESULTS = Path(__file__).resolve().parent / "results"


def main(argv: Sequence[str]) -> int:
    """Run a command; 0 if every bar that was judged is cleared, 1 if not, 2 if the command is wrong."""
    parser = _parser()
    options = parser.parse_args(argv)
    if options.command == "compare":
        print(compare(options.before, options.after, options.system))
        return 0
    rows = _select(parser, _rows(options.command), options.only)
    if options.list:
        print("\n".join(f"{row.name:28}{row.title}" for row in rows))
        return 0
    if options.alone and options.peer:
        parser.error("--alone runs no peer, --peer asks for one: give one of the two")
    return _run_suite(options, rows)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    for suite in SUITES:
        _add_suite(commands.add_parser(suite, help=f"run the {suite} suite against its bars"))
    comparing = commands.add_parser("compare", help="two saved runs side by side")
    comparing.add_argument("before", type=Path)
    comparing.add_argument("after", type=Path)
    comparing.add_argument("--system", default=OURS, help="whose figures to compare (default: %(default)s)")
    return parser


def _add_suite(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add(
        "--peer",
        action="append",
        default=[],
        choices=PEERS,
        help=f"a peer to run, beside {' and '.join(ALWAYS)}",
    )
    add("--alone", action="store_true", help="run no peer at all")
    add(
        "--only",
        action="append",
        default=[],
        metavar="NAME",
        help="a row, or an area such as tasks; repeatable",
    )
    add(
        "--rounds",
        type=_positive,
        help="processes a measurement, systems taking turns (default: 3; quick: 1)",
    )
    add("--quick", action="store_true", help="little work, one round: to see that all runs, not for figures")
    add("--json", type=Path, metavar="FILE", help="where to save (default: a new file in benchmarks/results)")
    add(
        "--peer-python",
        action="append",
        default=[],
        type=_named_path,
        metavar="NAME=PATH",
        help="a peer's interpreter (default: in $SKATE_BENCH_PEERS or .peers, made on demand)",
    )
    add("--timeout", type=float, default=600.0, help="seconds a measurement may take (default: %(default)g)")
    add("--rows", type=_positive, metavar="N", help="rows of the data suite's files (default: 20 million)")
    add("--list", action="store_true", help="print the rows and stop")


def _positive(text: str) -> int:
    value = int(text)
    if value < 1:
        raise argparse.ArgumentTypeError(f"{value} rounds measure nothing: give 1 or more")
    return value


def _named_path(text: str) -> tuple[str, Path]:
    name, equals, path = text.partition("=")
    if not equals or name not in PEERS:
        raise argparse.ArgumentTypeError(f"{text!r} is not NAME=PATH with NAME one of {', '.join(PEERS)}")
    return name, Path(path)


def _rows(suite: str) -> tuple[Row, ...]:
    rows: tuple[Row, ...] = importlib.import_module(f"benchmarks.{suite}.bars").ROWS
    return rows


def _select(parser: argparse.ArgumentParser, rows: Sequence[Row], only: Sequence[str]) -> list[Row]:
    for name in only:
        if not any(_matches(row, name) for row in rows):
            parser.error(f"--only {name}: no such row or area; --list prints them")
    return [row for row in rows if not only or any(_matches(row, name) for name in only)]


def _matches(row: Row, name: str) -> bool:
    return row.name == name or row.name.partition(".")[0] == name


def _run_suite(options: argparse.Namespace, rows: Sequence[Row]) -> int:
    peers = [] if options.alone else [peer for peer in PEERS if peer in ALWAYS or peer in options.peer]
    chosen = dict(options.peer_python)
    systems: dict[str, Path | Failure] = {OURS: Path(sys.executable)}
    for peer in peers:
        try:
            systems[peer] = peer_python(peer, chosen)
        except PeerError as error:
            systems[peer] = Failure(str(error))
    systems[PLAIN] = Path(sys.executable)
    rounds = options.rounds or (1 if options.quick else 3)
    if options.rows:
        os.environ["SKATE_BENCH_ROWS"] = str(options.rows)
    prepare = getattr(importlib.import_module(f"benchmarks.{options.command}"), "prepare", None)
    if prepare is not None:
        prepare(options.quick)
    about = _about(systems, rounds, options.quick)
    plan = Plan(options.command, rows, systems, rounds, options.quick, options.timeout)
    results = run(plan, progress_to_stderr)
    print(_heading(about))
    print(render(results))
    print(f"saved: {_save(options, about, results)}")
    return 1 if failed(results) else 0


def _about(systems: dict[str, Path | Failure], rounds: int, quick: bool) -> dict[str, Any]:
    return {
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "machine": f"{platform.system()} {platform.release()} {platform.machine()}",
        "cpus": os.cpu_count(),
        "workers": CPUS,
        "load": os.getloadavg()[0],
        "rounds": rounds,
        "quick": quick,
        "versions": {
            name: versions_of(python, distributions(name) or ("numpy", "psutil"))
            for name, python in systems.items()
            if isinstance(python, Path)
        },
    }


def _heading(about: dict[str, Any]) -> str:
    quick = "; QUICK: too little work for figures that mean something" if about["quick"] else ""
    return (
        f"{about['date']}  {about['machine']}, {about['cpus']} cores, {about['workers']} workers each, "
        f"load {about['load']:.1f} at the start, {about['rounds']} rounds{quick}\n"
    )


def _save(options: argparse.Namespace, about: dict[str, Any], results: Sequence[RowResult]) -> Path:
    path: Path | None = options.json
    if path is None:
        stamp = datetime.now(UTC).strftime("%Y%m%d-%H%M%S")
        path = _RESULTS / f"{options.command}-{stamp}.json"
        _RESULTS.mkdir(exist_ok=True)
    path.write_text(json.dumps({"about": about, "rows": as_json(results)}, indent=1) + "\n")
    return path
