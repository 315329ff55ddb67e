"""The environments of the client libraries: made once, and again when what they hold changes.

They lie in `.clients` at the root of the repository, or where the environment variable SKATE_CLIENTS says. Ray is in none of them:
a library that requires it is installed without its dependencies, which are then named here.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

from tests.support import REPO


class Client(NamedTuple):
    """A library: what to install with its dependencies, and what without."""

    with_dependencies: tuple[str, ...]
    without: tuple[str, ...] = ()


CLIENTS = {
    "modin": Client(
        # Of these, polars and pyarrow are for skate.data, which modin imports.
        (
            "pandas==2.3.3",
            "psutil>=5.8",
            "fsspec",
            "packaging",
            "typing-extensions",
            "polars>=2.1",
            "pyarrow>=18",
        ),
        ("modin==0.37.1",),
    ),
    "scikit_learn": Client(("scikit-learn==1.9.1", "joblib==1.6.0")),
    "hiclass": Client(("scikit-learn==1.9.1", "networkx", "requests"), ("hiclass==5.0.8",)),
    "prefect": Client(("prefect==3.9.1",), ("prefect-ray==0.6.0",)),
    "pydvl": Client(("pyDVL==0.10.0",)),
    "flaml": Client(("flaml[automl]==2.7.0", "numpy", "optuna", "pandas", "pyarrow")),
    "lightgbm_ray": Client(
        (
            "lightgbm==4.7.0",
            "xgboost==3.2.0",
            "scikit-learn==1.9.1",
            "pandas",
            "pyarrow",
            "wrapt",
            "packaging",
            "fsspec",
        ),
        ("lightgbm-ray==0.1.9", "xgboost-ray==0.1.19"),
    ),
}
_DATA = ("numpy", "pandas==2.3.3", "polars>=2.1", "pyarrow>=18", "fsspec")
CLIENTS |= {
    "lance_ray": Client(
        (*_DATA, "pylance==14.0.2", "lance-namespace", "packaging", "more_itertools"), ("lance-ray==0.5.0",)
    ),
    "fugue": Client((*_DATA, "fugue==0.9.7", "duckdb>=1.2")),
    "clickhouse": Client((*_DATA, "chdb==4.4.0", "clickhouse-connect==1.12.0")),
    "snowflake": Client((*_DATA, "snowflake-connector-python[pandas]<5", "fakesnow==0.12.1")),
    "delta_sharing": Client((*_DATA, "delta-sharing==1.4.2")),
    "lightning": Client(("torch==2.13.0", "lightning==2.6.6", *_DATA)),
    "transformers": Client(("torch==2.13.0", "transformers==5.24.0", "accelerate==1.15.0", *_DATA)),
    "accelerate": Client(("torch==2.13.0", "accelerate==1.15.0", *_DATA)),
    "deepspeed": Client(("torch==2.13.0", "deepspeed==0.19.8", "setuptools", *_DATA)),
    "transformers_search": Client(("torch==2.13.0", "transformers==5.24.0", "accelerate==1.15.0", *_DATA)),
    "tensorflow": Client(("tensorflow-cpu==2.21.0", *_DATA)),
    "jax": Client(("jax==0.10.2", *_DATA)),
    "conversions": Client(
        ("daft==0.7.26", "jax==0.10.2", "pyspark==4.3.0", "tensorflow-cpu==2.21.0", *_DATA), ()
    ),
    "zarr": Client((*_DATA, "zarr==2.18.7", "numcodecs<0.16")),
}
_TESTS_NEED = ("hypothesis", "numpy", "optuna", "pandas", "psutil", "pyarrow", "pytest", "pytest-timeout")
SEARCHERS = {
    "ax": Client((*_TESTS_NEED, "ax-platform==1.3.1")),
    "bayesopt": Client((*_TESTS_NEED, "bayesian-optimization==3.4.0")),
    "bohb": Client((*_TESTS_NEED, "hpbandster==0.7.4", "ConfigSpace==1.2.2")),
    "hyperopt": Client((*_TESTS_NEED, "hyperopt==0.3.0")),
    "nevergrad": Client((*_TESTS_NEED, "nevergrad==1.0.12")),
    "optuna": Client((*_TESTS_NEED, "optuna==5.0.0")),
    "smac": Client((*_TESTS_NEED, "smac==2.4.1")),
    "zoopt": Client((*_TESTS_NEED, "zoopt==0.4.2")),
}
"""Search libraries that Skate Tune has adapters for, each in its newest release.

HEBO is not among them yet: 0.3.6 installs only beside the NumPy of its time, and has not been run.
"""

_SKATE_NEEDS = ("cloudpickle>=3.0", "greenlet>=3.1")


def python_of(name: str) -> Path:
    """The interpreter of a client's environment, which is made if it is missing or holds something else.

    Raises:
        RuntimeError: it can't be made; the message has the last lines of what failed.
    """
    client = CLIENTS.get(name) or SEARCHERS[name]
    where = Path(os.environ.get("SKATE_CLIENTS") or REPO / ".clients") / name
    stamp = where / "holds.txt"
    holds = f"{sys.version}\n{client}\n{_SKATE_NEEDS}\n"
    python = where / "bin" / "python"
    if not stamp.exists() or stamp.read_text() != holds:
        shutil.rmtree(where, ignore_errors=True)
        _run(sys.executable, "-m", "venv", str(where))
        install = (str(python), "-m", "pip", "--disable-pip-version-check", "install", "--quiet")
        _run(*install, *_SKATE_NEEDS, *client.with_dependencies)
        if client.without:
            _run(*install, "--no-deps", *client.without)
        stamp.write_text(holds)
    return python


def _run(*command: str) -> None:
    done = subprocess.run(command, capture_output=True, text=True, timeout=500, check=False)
    if done.returncode:
        raise RuntimeError(f"{' '.join(command)} failed:\n{done.stdout[-1000:]}{done.stderr[-3000:]}")
