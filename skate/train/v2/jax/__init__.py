"""Training with JAX: `pip install jax`. Importing this imports JAX only where it is needed."""

from __future__ import annotations

from skate.train.v2.jax.config import JaxConfig
from skate.train.v2.jax.jax_trainer import JaxTrainer

__all__ = [
    "JaxConfig",
    "JaxTrainer",
]
