"""MLflow: each trial a run."""

from __future__ import annotations

from skate.air.integrations.mlflow import MLflowLoggerCallback

__all__ = ["MLflowLoggerCallback"]
