"""Interpreters of the peers, in virtual environments of their own.

A peer's interpreter is, first of these: the one given with ``--peer-python NAME=PATH``; ``NAME/bin/python``
in the folder that the environment variable ``SKATE_BENCH_PEERS`` names; the same in ``.peers`` beside this
package. In the last two an environment that is missing, or lacks the peer, is made with ``python -m venv``
and ``pip``.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["ALWAYS", "PEERS", "REQUIREMENTS", "PeerError", "peer_python", "versions_of"]

PEERS = ("ray", "dask", "pool", "joblib", "polars", "duckdb", "daft", "pandas", "litserve", "bentoml")
"""Every peer, in the order of the table's columns. ``pool`` is ``concurrent.futures.ProcessPoolExecutor``."""

ALWAYS = ("pool", "joblib")
"""Peers that run unless told otherwise: they cost little to install and to run."""

_SHARED = ("numpy==2.4.6", "psutil==7.2.2")
_TUNE = ("pandas==3.1.1", "pyarrow==26.0.1", "fsspec==2026.9.0", "requests==2.34.2", "tensorboardX==2.6.5")
REQUIREMENTS: dict[str, tuple[str, ...]] = {
    "ray": ("ray[serve]==2.60.0", *_SHARED, *_TUNE),
    "dask": ("dask==2026.8.0", "distributed==2026.8.0", *_SHARED),
    "joblib": ("joblib==1.6.0", *_SHARED),
    "polars": ("polars==2.1.0", *_SHARED),
    "duckdb": ("duckdb==2.0.1", "pyarrow==26.0.1", *_SHARED),
    "daft": ("daft==0.7.26", *_SHARED),
    "litserve": ("litserve==0.2.19", *_SHARED),
    "bentoml": ("bentoml==1.4.40", *_SHARED),
    "pandas": ("pandas==3.1.1", "pyarrow==26.0.1", *_SHARED),
}
"""What each environment holds; a peer that is not here runs in the interpreter that runs the benchmarks."""

ROOT = Path(__file__).resolve().parent.parent
"""The folder that holds this package; measured processes find it by PYTHONPATH."""

_PROBE = """
import importlib.metadata as metadata, json, platform, sys
found = {"python": platform.python_version()}
for name in sys.argv[1:]:
    try:
        found[name] = metadata.version(name)
    except metadata.PackageNotFoundError:
        found[name] = None
print(json.dumps(found))
"""


class PeerError(Exception):
    """A peer's interpreter cannot be found or made."""


def peer_python(peer: str, chosen: Mapping[str, Path]) -> Path:
    """Return the interpreter that ``peer`` runs in, making its environment if that is missing.

    Args:
        peer: One of `PEERS`.
        chosen: Interpreters named on the command line, by peer.

    Raises:
        PeerError: The interpreter given does not have the peer, or the environment cannot be made.

    """
    if peer in chosen:
        _require(peer, chosen[peer])
        return chosen[peer]
    if peer not in REQUIREMENTS:
        return Path(sys.executable)
    return _managed(peer)


def versions_of(python: Path, names: tuple[str, ...]) -> dict[str, str | None]:
    """Return the versions of Python and of the distributions ``names`` in an interpreter; None if not there.

    Raises:
        PeerError: The interpreter does not run.

    """
    try:
        done = subprocess.run(
            [python, "-c", _PROBE, *names], capture_output=True, text=True, check=True, timeout=60
        )
    except (OSError, subprocess.SubprocessError) as error:
        raise PeerError(f"{python} does not run: {error}") from error
    found: dict[str, str | None] = json.loads(done.stdout)
    return found


def distributions(peer: str) -> tuple[str, ...]:
    """Return the names, without versions, of what a peer's environment must hold."""
    return tuple(re.split(r"[\[=]", requirement)[0] for requirement in REQUIREMENTS.get(peer, ()))


def _missing(peer: str, python: Path) -> list[str]:
    found = versions_of(python, distributions(peer))
    return [name for name, version in found.items() if version is None]


def _require(peer: str, python: Path) -> None:
    if missing := _missing(peer, python):
        raise PeerError(
            f"{python}, given for {peer}, lacks {', '.join(missing)}: "
            f"install {' '.join(REQUIREMENTS[peer])} there"
        )


def _managed(peer: str) -> Path:
    named = os.environ.get("SKATE_BENCH_PEERS")
    root = Path(named) if named else ROOT / ".peers"
    python = root / peer / "bin" / "python"
    if python.exists() and not _missing(peer, python):
        return python
    print(f"making an environment for {peer}: {' '.join(REQUIREMENTS[peer])}", file=sys.stderr, flush=True)
    root.mkdir(parents=True, exist_ok=True)
    if not named:
        (root / ".gitignore").write_text("*\n")
    steps = [
        [sys.executable, "-m", "venv", str(root / peer)],
        [str(python), "-m", "pip", "install", "--quiet", *REQUIREMENTS[peer]],
    ]
    for step in steps:
        done = subprocess.run(step, capture_output=True, text=True, check=False)
        if done.returncode:
            tail = (done.stderr or done.stdout).strip().splitlines()[-1:]
            raise PeerError(f"{' '.join(step)} failed with {done.returncode}: {' '.join(tail)}")
    return python
