"""What workers of a run exchange outside of their framework: small values, and waiting for one another."""

from __future__ import annotations

from skate.train.collective.collectives import barrier, broadcast_from_rank_zero

__all__ = [
    "barrier",
    "broadcast_from_rank_zero",
]
