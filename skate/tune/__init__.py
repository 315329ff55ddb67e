"""Searches: many trials of one function or class, of which the best is kept.

The map:

    tuner.py, tune.py      Tuner and run: where a search begins
    search/                what to try next: search spaces, and the algorithms that draw from them
    schedulers/            how long trials run
    stopper/               when it is enough
    trainable/             what a trial runs: a class that steps, or a function that reports
    experiment/            an experiment and its trials
    execution/             how trials are run: the state machine, the actors, the journal
    logger/, callback.py   what is written, and who is told
    reporting/, progress_reporter.py, experimental/output.py   what is shown
    analysis/, result_grid.py   a look back
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from skate.air._checkpoint import Checkpoint
    from skate.air.config import CheckpointConfig, FailureConfig, RunConfig, SyncConfig
    from skate.air.result import Result
    from skate.air.session import get_checkpoint, report
    from skate.tune.analysis.experiment_analysis import ExperimentAnalysis
    from skate.tune.analysis.explain import explain
    from skate.tune.callback import Callback
    from skate.tune.context import TuneContext, get_context
    from skate.tune.error import TuneError
    from skate.tune.execution.placement_groups import PlacementGroupFactory
    from skate.tune.experiment.experiment import Experiment
    from skate.tune.progress_reporter import CLIReporter, JupyterNotebookReporter, ProgressReporter
    from skate.tune.registry import register_env, register_trainable
    from skate.tune.result_grid import ResultGrid
    from skate.tune.schedulers import create_scheduler
    from skate.tune.search import create_searcher
    from skate.tune.search.sample import (
        choice,
        lograndint,
        loguniform,
        qlograndint,
        qloguniform,
        qrandint,
        qrandn,
        quniform,
        randint,
        randn,
        sample_from,
        uniform,
    )
    from skate.tune.search.variant_generator import grid_search
    from skate.tune.stopper.stopper import Stopper
    from skate.tune.trainable.trainable import Trainable
    from skate.tune.trainable.util import with_parameters, with_resources
    from skate.tune.tune import run, run_experiments
    from skate.tune.tune_config import ResumeConfig, TuneConfig
    from skate.tune.tuner import Tuner

# Loaded on first use: a trial's process needs a small part of all this, and starts the sooner.
_WHERE = {
    "CLIReporter": "skate.tune.progress_reporter",
    "Callback": "skate.tune.callback",
    "Checkpoint": "skate.air._checkpoint",
    "CheckpointConfig": "skate.air.config",
    "Experiment": "skate.tune.experiment.experiment",
    "ExperimentAnalysis": "skate.tune.analysis.experiment_analysis",
    "FailureConfig": "skate.air.config",
    "JupyterNotebookReporter": "skate.tune.progress_reporter",
    "PlacementGroupFactory": "skate.tune.execution.placement_groups",
    "ProgressReporter": "skate.tune.progress_reporter",
    "Result": "skate.air.result",
    "ResultGrid": "skate.tune.result_grid",
    "ResumeConfig": "skate.tune.tune_config",
    "RunConfig": "skate.air.config",
    "Stopper": "skate.tune.stopper.stopper",
    "SyncConfig": "skate.air.config",
    "Trainable": "skate.tune.trainable.trainable",
    "TuneConfig": "skate.tune.tune_config",
    "TuneContext": "skate.tune.context",
    "TuneError": "skate.tune.error",
    "Tuner": "skate.tune.tuner",
    "choice": "skate.tune.search.sample",
    "create_scheduler": "skate.tune.schedulers",
    "create_searcher": "skate.tune.search",
    "explain": "skate.tune.analysis.explain",
    "get_checkpoint": "skate.air.session",
    "get_context": "skate.tune.context",
    "grid_search": "skate.tune.search.variant_generator",
    "lograndint": "skate.tune.search.sample",
    "loguniform": "skate.tune.search.sample",
    "qlograndint": "skate.tune.search.sample",
    "qloguniform": "skate.tune.search.sample",
    "qrandint": "skate.tune.search.sample",
    "qrandn": "skate.tune.search.sample",
    "quniform": "skate.tune.search.sample",
    "randint": "skate.tune.search.sample",
    "randn": "skate.tune.search.sample",
    "register_env": "skate.tune.registry",
    "register_trainable": "skate.tune.registry",
    "report": "skate.air.session",
    "run": "skate.tune.tune",
    "run_experiments": "skate.tune.tune",
    "sample_from": "skate.tune.search.sample",
    "uniform": "skate.tune.search.sample",
    "with_parameters": "skate.tune.trainable.util",
    "with_resources": "skate.tune.trainable.util",
}
_MODULES = (
    "analysis", "callback", "context", "error", "execution", "experiment", "experimental", "impl", "integration", "logger",
    "progress_reporter", "registry", "result", "result_grid", "schedulers", "search", "stopper", "trainable", "tune",
    "tune_config", "tuner", "utils",
)  # fmt: skip

__all__ = [
    "CLIReporter",
    "Callback",
    "Checkpoint",
    "CheckpointConfig",
    "Experiment",
    "ExperimentAnalysis",
    "FailureConfig",
    "JupyterNotebookReporter",
    "PlacementGroupFactory",
    "ProgressReporter",
    "Result",
    "ResultGrid",
    "ResumeConfig",
    "RunConfig",
    "Stopper",
    "SyncConfig",
    "Trainable",
    "TuneConfig",
    "TuneContext",
    "TuneError",
    "Tuner",
    "choice",
    "create_scheduler",
    "create_searcher",
    "explain",
    "get_checkpoint",
    "get_context",
    "grid_search",
    "lograndint",
    "loguniform",
    "qlograndint",
    "qloguniform",
    "qrandint",
    "qrandn",
    "quniform",
    "randint",
    "randn",
    "register_env",
    "register_trainable",
    "report",
    "run",
    "run_experiments",
    "sample_from",
    "uniform",
    "with_parameters",
    "with_resources",
]


def __getattr__(name: str) -> Any:
    import importlib

    if name in _WHERE:
        value = getattr(importlib.import_module(_WHERE[name]), name)
        globals()[name] = value
        return value
    if name in _MODULES:
        return importlib.import_module(f"skate.tune.{name}")
    raise AttributeError(f"module 'skate.tune' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)
