"""Whether workers wait for one another without end: a rank in a collective operation that another will not join.

Decides only: what each rank does comes from outside, and so does the time.
"""

from __future__ import annotations

import os
import sys
import threading
from dataclasses import dataclass
from types import FrameType
from typing import Literal

__all__ = [
    "HangWatch",
    "Look",
    "look_at",
]

State = Literal["runs", "collective", "meeting", "ended"]

_STDLIB = os.path.dirname(os.path.abspath(threading.__file__))
_OWN = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
_IDLE = 0.2
"""A process that has used less than this share of a processor since the last look was waiting."""


@dataclass(frozen=True)
class Look:
    """What a rank does at one moment.

    Args:
        state: It runs, is inside a collective operation of PyTorch or its backward pass, waits for the other ranks in a
            call such as `report`, or has returned.
        where: File and line in the user's code.
        call: The function that it is in, such as "all_reduce".
        cpu_s: Seconds of processor time that its process has used.
    """

    state: State
    where: str = ""
    call: str = ""
    cpu_s: float = 0.0


def look_at(frame: FrameType | None, cpu_s: float) -> Look:
    """Describe what a training function does.

    Args:
        frame: The innermost frame of its thread; None: it has returned.
        cpu_s: Seconds of processor time that the process has used.
    """
    if frame is None:
        return Look("ended", cpu_s=cpu_s)
    state: State = "runs"
    call = ""
    each: FrameType | None = frame
    while each is not None:
        name = each.f_code.co_filename
        if _is_collective(name):
            state = "collective"
            if each.f_code.co_name != "wrapper":  # of the decorator by which PyTorch logs
                call = each.f_code.co_name.lstrip("_")
        elif name.startswith(_OWN):
            if each.f_code.co_name == "meet":
                state = "meeting"
            if state == "meeting":
                call = each.f_code.co_name  # in the end the one that the user has called
        elif not (name.startswith((_STDLIB, "<")) or "site-packages" in name):
            return Look(state, f"{name}:{each.f_lineno}", call or each.f_code.co_name, cpu_s)
        each = each.f_back
    return Look(state, f"{frame.f_code.co_filename}:{frame.f_lineno}", call, cpu_s)


def _is_collective(file: str) -> bool:
    return "/torch/distributed/" in file or file.endswith("/torch/autograd/graph.py")


class HangWatch:
    """Compares looks at all ranks, one after another.

    Args:
        patience_s: Seconds after which ranks that wait for one another, and do nothing else, are said to hang.
        warn_after_s: Seconds after which a rank that waits for one that is busy elsewhere is mentioned.
    """

    def __init__(self, patience_s: float, warn_after_s: float) -> None:
        self._patience, self._warn_after = patience_s, warn_after_s
        self._last: list[Look] = []
        self._since: list[float] = []
        self._at = 0.0
        self._warned = False

    def forget(self) -> None:
        """Something has come from the workers: they get on."""
        self._last = []
        self._warned = False

    def look(self, looks: list[Look], now: float) -> tuple[str | None, str | None]:
        """Take note of what all ranks do at a moment.

        Args:
            looks: What each does, in the order of ranks.
            now: The time in seconds.

        Returns:
            An error if they hang, else None; and a warning if it is time for one, else None.
        """
        if not self._last:
            self._since = [now] * len(looks)
        else:
            passed = max(now - self._at, 1e-6)
            for rank, (before, after) in enumerate(zip(self._last, looks, strict=True)):
                idle = after.state == "ended" or (after.cpu_s - before.cpu_s) / passed < _IDLE
                same = (before.state, before.where, before.call) == (after.state, after.where, after.call)
                if not (idle and same):
                    self._since[rank] = now
        self._last, self._at = looks, now
        stuck = [rank for rank, look in enumerate(looks) if look.state == "collective"]
        if not stuck:
            return None, None
        waited = now - max(self._since[rank] for rank in stuck)
        others = [rank for rank in range(len(looks)) if rank not in stuck]
        never = [rank for rank in others if looks[rank].state in ("ended", "meeting")]
        if others and never == others and now - max(self._since) >= self._patience:
            return self._said(looks, stuck, now), None
        if waited >= self._warn_after and not self._warned:
            self._warned = True
            return None, self._said(looks, stuck, now)
        return None, None

    def _said(self, looks: list[Look], stuck: list[int], now: float) -> str:
        parts = []
        for rank, look in enumerate(looks):
            if rank in stuck:
                parts.append(
                    f"rank {rank} has waited for {now - self._since[rank]:.0f} s in {look.call}() at {look.where}"
                )
            elif look.state == "ended":
                parts.append(f"rank {rank} has returned from the training function")
            elif look.state == "meeting":
                parts.append(f"rank {rank} waits for the others in {look.call}() at {look.where}")
            else:
                parts.append(f"rank {rank} is at {look.where}")
        return "; ".join(parts)


def frame_of(thread: threading.Thread) -> FrameType | None:
    """The innermost frame of a thread, or None if it has ended."""
    return sys._current_frames().get(thread.ident or 0) if thread.is_alive() else None
