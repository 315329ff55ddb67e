"""Which GPUs a process may use: the n-th that a session counts is the n-th that CUDA_VISIBLE_DEVICES names where it was started."""

from __future__ import annotations

import os
from collections.abc import Sequence

VARIABLE = "CUDA_VISIBLE_DEVICES"


def visible() -> list[str] | None:
    """The devices that this process may use, as its environment names them; None if it does not restrict them."""
    value = os.environ.get(VARIABLE)
    if value is None:
        return None
    return [name.strip() for name in value.split(",") if name.strip() not in ("", "-1", "NoDevFiles")]


def count() -> int:
    """How many GPUs this process may use."""
    named = visible()
    if named is not None:
        return len(named)
    try:
        return len([name for name in os.listdir("/proc/driver/nvidia/gpus") if name])
    except OSError:
        return 0


def names(gpus: Sequence[int], named: list[str] | None) -> list[int] | list[str]:
    """What the GPUs of these numbers are called, in a session that was started with `named` devices visible.

    Example:
        >>> names([0, 1], ["4", "5", "7"]), names([0, 1], None)
        (['4', '5'], [0, 1])
    """
    if named is None or any(gpu >= len(named) for gpu in gpus):
        return list(gpus)
    return [named[gpu] for gpu in gpus]


def variable(gpus: Sequence[int], named: list[str] | None) -> str:
    """The value of CUDA_VISIBLE_DEVICES for who holds these GPUs."""
    return ",".join(map(str, names(gpus, named)))


class Exposure:
    """The devices that a worker's process shows to what runs in it."""

    def __init__(self) -> None:
        self._before = os.environ.get(VARIABLE)
        self.named = visible()

    def show(self, gpus: Sequence[int]) -> None:
        """Name these devices in the environment; for none, what was there before: who asks for no GPU is not kept from them."""
        if gpus:
            os.environ[VARIABLE] = variable(gpus, self.named)
        elif self._before is None:
            os.environ.pop(VARIABLE, None)
        else:
            os.environ[VARIABLE] = self._before
