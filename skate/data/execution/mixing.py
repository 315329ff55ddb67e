"""Blocks of several datasets in turn, by weight."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

    from skate.data.execution.bundle import Bundle


def mixed(streams: list[Iterator[Bundle]], weights: list[float], stop: str) -> Iterator[Bundle]:
    """Blocks of all streams, the next from that which is furthest behind its share of the rows.

    Args:
        streams: The datasets.
        weights: Their shares.
        stop: `stop_on_shortest` ends with the first stream that ends; otherwise all are read to their ends.
    """
    live = dict(enumerate(streams))
    given = [0.0] * len(streams)
    while live:
        index = min(live, key=lambda i: (given[i] / weights[i] if weights[i] else float("inf"), i))
        bundle = next(live[index], None)
        if bundle is None:
            if stop.startswith("stop_on_shortest"):
                return
            del live[index]
            continue
        given[index] += bundle.rows
        yield bundle


__all__ = ["mixed"]
