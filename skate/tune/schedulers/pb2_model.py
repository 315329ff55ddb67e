"""What PB2 expects of parameters: a Gaussian process over time, from how much trials got better with which parameters.

Old observations count less: the covariance of two points falls with the time between them (Bogunovic et al., 2016). The
length scale and the rate of forgetting are those of a small grid that make the observations most likely.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from typing import Any

__all__ = [
    "Observations",
    "suggest",
]

_LENGTHS = (0.1, 0.2, 0.5, 1.0, 2.0)
_FORGETTING = (0.0, 0.05, 0.2, 0.5)
_NOISE = 0.05
_CANDIDATES = 1000


@dataclass
class Observations:
    """What has been seen.

    Args:
        times: When, from 0 to 1.
        points: With which parameters, each from 0 to 1; a row an observation.
        gains: How much better the metric became.
    """

    times: Any
    points: Any
    gains: Any


def suggest(seen: Observations, running: Any, seed: Any = None) -> Any:
    """The parameters that promise most, in the light of what runs already.

    Args:
        seen: What has been seen.
        running: Parameters that other trials run with now; a row a trial.
        seed: For NumPy's generator.

    Returns:
        Parameters from 0 to 1.
    """
    import numpy as np

    random = np.random.default_rng(seed)
    gains = np.asarray(seen.gains, float)
    spread = gains.std()
    gains = (gains - gains.mean()) / (spread if spread > 0 else 1.0)
    times, points = np.asarray(seen.times, float), np.asarray(seen.points, float)
    length, forgetting = max(
        itertools.product(_LENGTHS, _FORGETTING),
        key=lambda pair: _log_likelihood(times, points, gains, *pair),
    )
    best = points[np.argmax(gains)]
    near = np.clip(best + random.normal(0, 0.1, (_CANDIDATES // 2, points.shape[1])), 0, 1)
    anywhere = random.random((_CANDIDATES // 2, points.shape[1]))
    candidates = np.vstack([near, anywhere])
    now = np.ones(len(candidates))
    mean, _ = _predict(times, points, gains, now, candidates, length, forgetting)
    # What runs already makes the model surer there, whatever it will turn out to be.
    if len(running):
        all_times = np.concatenate([times, np.ones(len(running))])
        all_points = np.vstack([points, running])
    else:
        all_times, all_points = times, points
    _, deviation = _predict(
        all_times, all_points, np.zeros(len(all_times)), now, candidates, length, forgetting
    )
    kappa = np.sqrt(0.2 * points.shape[1] * np.log(2 * (len(gains) + 1)))
    return candidates[np.argmax(mean + kappa * deviation)]


def _covariance(times_a: Any, a: Any, times_b: Any, b: Any, length: float, forgetting: float) -> Any:
    import numpy as np

    squared = ((a[:, None, :] - b[None, :, :]) ** 2).sum(-1)
    apart = np.abs(times_a[:, None] - times_b[None, :])
    return np.exp(-squared / (2 * length**2)) * (1 - forgetting) ** (apart * 5)


def _log_likelihood(times: Any, points: Any, gains: Any, length: float, forgetting: float) -> float:
    import numpy as np

    covariance = _covariance(times, points, times, points, length, forgetting) + _NOISE * np.eye(len(gains))
    _, log_determinant = np.linalg.slogdet(covariance)
    return float(-0.5 * gains @ np.linalg.solve(covariance, gains) - 0.5 * log_determinant)


def _predict(
    times: Any, points: Any, gains: Any, new_times: Any, new_points: Any, length: float, forgetting: float
) -> tuple[Any, Any]:
    import numpy as np

    covariance = _covariance(times, points, times, points, length, forgetting) + _NOISE * np.eye(len(times))
    across = _covariance(new_times, new_points, times, points, length, forgetting)
    solved = np.linalg.solve(covariance, across.T)
    variance = np.clip(1 - (across * solved.T).sum(1), 1e-9, None)
    return solved.T @ gains, np.sqrt(variance)
