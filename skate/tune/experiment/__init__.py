"""An experiment and its trials."""

from __future__ import annotations

from skate.tune.experiment.experiment import Experiment
from skate.tune.experiment.trial import Trial

__all__ = ["Experiment", "Trial"]
