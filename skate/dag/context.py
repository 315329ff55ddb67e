"""Defaults of compiled graphs, from the environment or set by the program."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import TypeVar

_N = TypeVar("_N", int, float)


def _default(name: str, kind: type[_N], otherwise: _N) -> _N:
    """The value of `RAY_CGRAPH_<name>`.

    Raises:
        ValueError: it is set to something that is no number.
    """
    text = os.environ.get(f"RAY_CGRAPH_{name}")
    if text is None:
        return otherwise
    try:
        return kind(text)
    except ValueError:
        raise ValueError(
            f"RAY_CGRAPH_{name}={text!r} in the environment: a number is needed, such as {otherwise}."
        ) from None


@dataclass
class DAGContext:
    """What compiled graphs use where `experimental_compile` was not told otherwise. Times in seconds.

    Attributes:
        submit_timeout: How long `execute` waits at most to hand its arguments over.
        get_timeout: How long `get` waits at most for a result.
        teardown_timeout: How long `teardown` waits at most for the actors.
        read_iteration_timeout: Accepted for Ray's programs: nothing polls.
        buffer_size_bytes: What each writer's shared memory begins with; it grows when needed.
        max_inflight_executions: How many executions may have begun and not ended.
        max_buffered_results: How many results that nobody has taken are kept.
        overlap_gpu_communication: Accepted for Ray's programs.

    Example:
        >>> from skate.dag import DAGContext
        >>> DAGContext.get_current().max_inflight_executions
        10
    """

    submit_timeout: float = _default("submit_timeout", float, 10.0)
    get_timeout: float = _default("get_timeout", float, 10.0)
    teardown_timeout: float = _default("teardown_timeout", float, 30.0)
    read_iteration_timeout: float = _default("read_iteration_timeout_s", float, 0.1)
    buffer_size_bytes: int = _default("buffer_size_bytes", int, 1_000_000)
    max_inflight_executions: int = _default("max_inflight_executions", int, 10)
    max_buffered_results: int = _default("max_buffered_results", int, 1000)
    overlap_gpu_communication: bool = bool(_default("overlap_gpu_communication", int, 0))

    @staticmethod
    def get_current() -> DAGContext:
        """The context of this process, which programs may change."""
        return _current


_current = DAGContext()

__all__ = ["DAGContext"]
