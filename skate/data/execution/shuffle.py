"""Rows in random order, in two passes over memory that the caches hold.

Each row goes to a random bucket, and then each bucket is put in random order: every order of all rows is equally likely.
Rows move in small pieces both times, which a single random permutation of a large table would not; and buckets that do
not fit into memory wait on the disk.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import polars as pl

from skate.data.execution.memory import budget
from skate.data.execution.spill import Buckets

if TYPE_CHECKING:
    from collections.abc import Iterator

_PIECE_ROWS = 131_072  # rows that are dealt out at a time
_BUCKET_BYTES = 4 << 20
_MOST_BUCKETS = 256
_BLOCK_BYTES = 32 << 20


def shuffled(frames: Iterator[pl.DataFrame], size_bytes: int, seed: int) -> Iterator[pl.DataFrame]:
    """The rows of all frames in an order that depends on the seed and on their places alone.

    Args:
        frames: The rows.
        size_bytes: About their size; it decides how many buckets there are, and thereby the order.
        seed: Makes the order.
    """
    count = max(1, min(_MOST_BUCKETS, size_bytes // _BUCKET_BYTES))
    buckets = Buckets(count, budget())
    try:
        for number, piece in enumerate(_pieces(frames)):
            if count == 1:
                buckets.add(0, piece)
            else:
                rng = np.random.default_rng([seed, 0, number])
                buckets.deal(piece, rng.integers(0, count, piece.height, dtype=np.uint16))
        held: list[pl.DataFrame] = []
        size = 0
        for index in range(count):
            spool = buckets[index]
            if not spool.rows:
                continue
            size += spool.size
            held.append(_mixed(list(spool), np.random.default_rng([seed, 1, index])))
            spool.close()
            if size >= min(_BLOCK_BYTES, budget() // 8):
                yield pl.concat(held)
                held, size = [], 0
        if held:
            yield pl.concat(held)
    finally:
        buckets.close()


def _mixed(frames: list[pl.DataFrame], rng: np.random.Generator) -> pl.DataFrame:
    whole = pl.concat(frames, rechunk=True) if len(frames) > 1 else frames[0]
    return whole[rng.permutation(whole.height)]


def _pieces(frames: Iterator[pl.DataFrame]) -> Iterator[pl.DataFrame]:
    """The rows in frames of one length, however they came, so that the same rows are dealt out the same way."""
    held: list[pl.DataFrame] = []
    rows = 0
    for frame in frames:
        start = 0
        while frame.height - start + rows >= _PIECE_ROWS:
            part = frame.slice(start, _PIECE_ROWS - rows)
            start += part.height
            yield pl.concat([*held, part], rechunk=True) if held else part
            held, rows = [], 0
        if frame.height > start:
            held.append(frame.slice(start))
            rows += frame.height - start
    if held:
        yield pl.concat(held, rechunk=True)


__all__ = ["shuffled"]
