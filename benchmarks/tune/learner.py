"""What schedulers are compared on: a small network that learns handwritten digits, an epoch a report.

Three parameters decide about it, each over orders of magnitude. It goes on from a checkpoint with other parameters, as
population-based training needs, and what it does depends on nothing but these.
"""

from __future__ import annotations

import functools
import math
import pickle
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

from skate import tune

__all__ = ["EPOCHS", "SPACE", "learn"]

EPOCHS = 27
"""The epochs of a whole training."""

SPACE = {"lr": (1e-4, 10.0), "friction": (1e-3, 1.0), "decay": (1e-6, 1e-1)}
"""The least and the greatest value of each parameter."""

_HIDDEN, _BATCH, _TRAINED_ON = 32, 32, 1200
_DIVERGED = 1e3


@functools.cache
def _digits() -> tuple[Any, Any]:
    from sklearn.datasets import load_digits

    pixels, labels = load_digits(return_X_y=True)
    return pixels / 16.0, labels


class _Network:
    """One hidden layer, trained by gradient descent with momentum."""

    def __init__(self) -> None:
        draw = np.random.default_rng(0)
        shapes: tuple[tuple[int, ...], ...] = ((64, _HIDDEN), (_HIDDEN,), (_HIDDEN, 10), (10,))
        self.weights = [draw.normal(0, 0.1, shape) if len(shape) > 1 else np.zeros(shape) for shape in shapes]
        self.speed = [np.zeros(shape) for shape in shapes]
        self.epoch = 0

    def train(self, lr: float, friction: float, decay: float) -> float:
        """Do an epoch; returns the loss on digits that it has not seen."""
        pixels, labels = _digits()
        order = np.random.default_rng(self.epoch).permutation(_TRAINED_ON)
        self.epoch += 1
        with np.errstate(all="ignore"):  # some parameters make it diverge
            for start in range(0, _TRAINED_ON, _BATCH):
                batch = order[start : start + _BATCH]
                for number, slope in enumerate(self._slopes(pixels[batch], labels[batch])):
                    shrinking = decay * self.weights[number] if number in (0, 2) else 0.0
                    self.speed[number] = (1 - friction) * self.speed[number] - lr * (slope + shrinking)
                    self.weights[number] = self.weights[number] + self.speed[number]
            _, logits = self._forward(pixels[_TRAINED_ON:])
            loss = float(-_log_softmax(logits)[np.arange(len(logits)), labels[_TRAINED_ON:]].mean())
        return loss if math.isfinite(loss) else _DIVERGED

    def _forward(self, pixels: Any) -> tuple[Any, Any]:
        hidden = np.maximum(pixels @ self.weights[0] + self.weights[1], 0)
        return hidden, hidden @ self.weights[2] + self.weights[3]

    def _slopes(self, pixels: Any, labels: Any) -> tuple[Any, ...]:
        hidden, logits = self._forward(pixels)
        wrong = np.exp(_log_softmax(logits))
        wrong[np.arange(len(labels)), labels] -= 1
        wrong /= len(labels)
        below = (wrong @ self.weights[2].T) * (hidden > 0)
        return pixels.T @ below, below.sum(0), hidden.T @ wrong, wrong.sum(0)


def _log_softmax(logits: Any) -> Any:
    shifted = logits - logits.max(1, keepdims=True)
    return shifted - np.log(np.exp(shifted).sum(1, keepdims=True))


def learn(config: dict[str, Any]) -> None:
    """Learn the digits: an epoch a report, each with a checkpoint."""
    checkpoint, network = tune.get_checkpoint(), _Network()
    if checkpoint is not None:
        with checkpoint.as_directory() as place:
            network = pickle.loads(Path(place, "network").read_bytes())
    while network.epoch < EPOCHS:
        loss = network.train(**config)
        with tempfile.TemporaryDirectory() as place:
            Path(place, "network").write_bytes(pickle.dumps(network))
            tune.report({"loss": loss}, checkpoint=tune.Checkpoint.from_directory(place))
