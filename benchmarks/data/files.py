"""The files of the suite, and the answers to its jobs.

They are made once, by the interpreter that runs the benchmarks, in the folder that the environment variable
``SKATE_BENCH_DATA`` names, or in ``.bench-data`` beside this package. ``SKATE_BENCH_ROWS`` (the flag ``--rows``) says how
many rows; measured processes, whose interpreters may lack what makes the files, only read them.
"""

from __future__ import annotations

import json
import math
import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

__all__ = ["ROWS", "SMALL_ROWS", "TABLES", "Files", "files", "prepare", "small_files", "tpch_folder"]

ROWS = "SKATE_BENCH_ROWS"
DEFAULT_ROWS = 20_000_000
QUICK_ROWS = 200_000
SMALL_ROWS = 20_000
KEYS = 10_000
PARTS = 16
TABLES = ("customer", "lineitem", "nation", "orders", "part", "partsupp", "region", "supplier")


@dataclass(frozen=True, slots=True)
class Files:
    """A set of files.

    Attributes:
        folder: Where its parts are.
        names: A table of a row for each key, to be joined.
        answers: What the jobs must find.
    """

    folder: str
    names: str
    answers: dict[str, float]

    @property
    def parts(self) -> list[str]:
        """The paths of the parts."""
        return sorted(str(path) for path in Path(self.folder).glob("part-*.parquet"))


def _root() -> Path:
    named = os.environ.get("SKATE_BENCH_DATA")
    return Path(named) if named else Path(__file__).resolve().parent.parent.parent / ".bench-data"


def _rows(quick: bool) -> int:
    return int(os.environ.get(ROWS) or (QUICK_ROWS if quick else DEFAULT_ROWS))


def _open(folder: Path) -> Files:
    answers = json.loads((folder / "answers.json").read_text())
    return Files(str(folder / "parts"), str(folder / "names.parquet"), answers)


def files(quick: bool) -> Files:
    """The large set."""
    return _open(_root() / f"rows-{_rows(quick)}")


def small_files() -> Files:
    """The small set."""
    return _open(_root() / f"rows-{SMALL_ROWS}")


def _scale(quick: bool) -> str:
    return "0.01" if quick else "1"


def tpch_folder(quick: bool) -> Path:
    """The tables of TPC-H."""
    return _root() / f"tpch-{_scale(quick)}"


def prepare(quick: bool) -> None:
    """Make what is missing.

    Raises:
        RuntimeError: ``tpchgen-cli`` is missing or fails.

    """
    root = _root()
    if not root.exists():
        root.mkdir(parents=True)
        (root / ".gitignore").write_text("*\n")
    for rows in (SMALL_ROWS, _rows(quick)):
        folder = root / f"rows-{rows}"
        if not (folder / "answers.json").exists():
            print(f"making {rows:,} rows in {folder}", file=sys.stderr, flush=True)
            shutil.rmtree(folder, ignore_errors=True)
            _make(folder, rows)
    tables = tpch_folder(quick)
    if not all((tables / f"{name}.parquet").exists() for name in TABLES):
        _make_tpch(tables, _scale(quick))


def _make_tpch(folder: Path, scale: str) -> None:
    program = shutil.which(
        "tpchgen-cli", path=f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    )
    if program is None:
        raise RuntimeError("tpchgen-cli makes the tables of TPC-H: pip install tpchgen-cli")
    print(f"making the tables of TPC-H in {folder}", file=sys.stderr, flush=True)
    command = [program, "parquet", "-s", scale, "--overwrite", "--output-dir", str(folder)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"{' '.join(command)} failed: {done.stderr.strip()}")


def _make(folder: Path, rows: int) -> None:
    import numpy as np
    import pyarrow as pa
    import pyarrow.parquet as pq

    parts = folder / "parts"
    parts.mkdir(parents=True)
    texts = pa.array([f"text-{number:02d}" for number in range(100)])
    weights = np.random.default_rng(1).random(KEYS)
    names = {"k": np.arange(KEYS), "name": [f"key {n}" for n in range(KEYS)], "weight": weights}
    pq.write_table(pa.table(names), folder / "names.parquet")
    sums, counts = np.zeros(KEYS), np.zeros(KEYS)
    b_sums = np.zeros(KEYS)
    moments = np.zeros(0, dtype=np.int64)
    found: dict[str, Any] = dict.fromkeys(("rows", "a", "kept", "kept_y", "weight", "root"), 0.0)
    found.update(least=math.inf, most=-math.inf)
    for number in range(PARTS):
        rng = np.random.default_rng([2, number])
        size = rows * (number + 1) // PARTS - rows * number // PARTS
        k, a, b = rng.integers(0, KEYS, size), rng.random(size), rng.normal(size=size)
        columns = {
            "k": k, "s": texts.take(pa.array(rng.integers(0, 100, size))), "a": a, "b": b,
            "c": rng.random(size) * 100,
            "t": pa.array(1_700_000_000_000_000 + rng.integers(0, 10**12, size), pa.timestamp("us")),
        }  # fmt: skip
        moments = np.concatenate([moments, columns["t"].cast(pa.int64()).to_numpy()])
        pq.write_table(pa.table(columns), parts / f"part-{number:02d}.parquet")
        sums += np.bincount(k, a, KEYS)
        b_sums += np.bincount(k, b, KEYS)
        counts += np.bincount(k, minlength=KEYS)
        kept = a > 0.5
        found["rows"] += size
        found["a"] += a.sum()
        found["kept"] += kept.sum()
        found["kept_y"] += (b[kept] * 2).sum()
        found["weight"] += weights[k].sum()
        found["root"] += (np.sqrt(a) + b).sum()
        found["least"], found["most"] = min(found["least"], a.min()), max(found["most"], a.max())
    there = counts > 0
    each = np.unique(moments, return_counts=True)[1]
    found["moments"], found["pairs"] = len(each), (each**2).sum()
    found["groups"] = there.sum()
    found["means"] = (b_sums[there] / counts[there]).sum()
    answers = {name: float(value) for name, value in found.items()}
    (folder / "answers.json").write_text(json.dumps(answers))
