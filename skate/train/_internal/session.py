"""The session of a training function, under the path from which xgboost_ray and lightgbm_ray import it."""

from __future__ import annotations

from skate.air.session import get_session

__all__ = ["get_session"]
