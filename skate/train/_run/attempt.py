"""One attempt at a run: listening to its workers until all have returned, or the attempt has to end."""

from __future__ import annotations

import os
import pickle
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

import cloudpickle

import skate
from skate.train._run.hangs import HangWatch
from skate.train._run.preemption import PreemptionWatch
from skate.train._run.rounds import Arrival, LateWatch, Rounds, RoundsDiffer
from skate.train.v2._internal.exceptions import BroadcastCollectiveTimeoutError
from skate.train.v2.api.exceptions import NCCLHangError, PreemptionError, WorkerGroupError
from skate.train.v2.api.report_config import CheckpointConsistencyMode
from skate.util.drain import draining_nodes

if TYPE_CHECKING:
    from skate.train._run.checkpoints import KeptCheckpoints, Report
    from skate.train._run.group import WorkerGroup
    from skate.train._run.scaling import GrowthWatch
    from skate.train._run.validation import Validations
    from skate.train.v2.api.preemption import PreemptionInfo

__all__ = [
    "Attempt",
    "Listener",
    "Outgrown",
    "Preempted",
    "WorkersFailed",
]

_GRACE = 0.2
"""Seconds in which other workers that fail for the same reason are heard, too."""
_LOOK_EVERY = 5.0
_STORAGE_LOOK = 0.02
"""Seconds between two looks at whether slow storage is ready; so long may a worker wait for it, whoever it belongs to."""
_HANG_PATIENCE = 20.0
_HANG_WARNING = 60.0
_LATE_WARNING = 60.0


class WorkersFailed(Exception):
    """Workers have failed.

    Args:
        failures: What each has raised, and its traceback, by rank.
        hang: Whether they waited for one another without end.
    """

    def __init__(self, failures: dict[int, tuple[Exception, str]], hang: bool = False) -> None:
        super().__init__()
        self.failures = failures
        self.hang = hang

    def as_error(self) -> WorkerGroupError:
        """The error that programs see."""
        ranks_of: dict[str, list[str]] = {}  # ranks that fail alike are named together
        for rank, (_, text) in sorted(self.failures.items()):
            ranks_of.setdefault(text, []).append(str(rank))
        texts = [f"[Rank {','.join(ranks)} Error Snippet]:\n{text}" for text, ranks in ranks_of.items()]
        message = "\n\n".join(texts)
        kind = NCCLHangError if self.hang else WorkerGroupError
        return kind(message, {rank: error for rank, (error, _) in sorted(self.failures.items())})


class Preempted(Exception):
    """Hosts were taken away, with notice.

    Args:
        info: Which, and when.
        failures: What each worker that has failed meanwhile has raised, by rank.
        overdue: Whether workers still ran when the time had come.
    """

    def __init__(self, info: PreemptionInfo, failures: dict[int, Exception], overdue: bool) -> None:
        super().__init__()
        self.info, self.failures, self.overdue = info, failures, overdue

    def as_error(self) -> PreemptionError:
        """The error that programs see."""
        return PreemptionError(self.info, drain_timed_out=self.overdue)


class Outgrown(Exception):
    """There is room for a larger group."""


class Listener(Protocol):
    """What an attempt tells."""

    def reported(self, report: Report) -> None:
        """A report is complete, and its checkpoint kept."""

    def returned(self, value: Any) -> None:
        """Rank 0 has returned."""

    def room(self) -> int:
        """How many more workers there is room for, up to the largest number."""

    def warn(self, text: str) -> None:
        """Something may be wrong."""

    def noticed(self, info: PreemptionInfo) -> None:
        """Hosts of the group will be taken away."""


@dataclass
class _Question:
    rank: int
    mode: CheckpointConsistencyMode
    deadline: float | None


class Attempt:
    """Listens to the workers of one group.

    Args:
        listener: Who is told.
        group: The workers.
        kept: The run's checkpoints.
        validations: The run's validations, which go on meanwhile.
        growth: When to replace the group by a larger one; None: never.
        preemption: Looks for hosts that will be taken away; default: none of this group's ever are.
        relaxes: Whether workers report without those that went with such a host.
    """

    def __init__(
        self,
        listener: Listener,
        group: WorkerGroup,
        kept: KeptCheckpoints,
        validations: Validations,
        growth: GrowthWatch | None = None,
        *,
        preemption: PreemptionWatch | None = None,
        relaxes: bool = False,
    ) -> None:
        self._listener, self._group = listener, group
        self._kept, self._validations = kept, validations
        self._growth, self._relaxes = growth, relaxes
        self._preemption = preemption or PreemptionWatch({}, time.monotonic())
        self._rounds = Rounds(len(group))
        limit = os.environ.get("RAY_TRAIN_COLLECTIVE_TIMEOUT_S", "None")
        self._late = LateWatch(
            None if limit == "None" else float(limit),
            float(os.environ.get("RAY_TRAIN_COLLECTIVE_WARN_INTERVAL_S", _LATE_WARNING)),
        )
        self._failures: dict[int, tuple[Exception, str]] = {}
        self._pending: dict[Any, int] = {}
        self._looks: list[Any] = []
        self._unseen: list[Any] = []  # looks that have not come yet
        self._awaiting: dict[str | None, list[int]] = {}  # who waits until a checkpoint is whole
        self._questions: list[_Question] = []
        self._hangs = HangWatch(
            float(os.environ.get("SKATE_TRAIN_HANG_S", _HANG_PATIENCE)),
            float(os.environ.get("SKATE_TRAIN_HANG_WARNING_S", _HANG_WARNING)),
        )
        self._look_every = min(_LOOK_EVERY, float(os.environ.get("SKATE_TRAIN_HANG_S", _HANG_PATIENCE)) / 2)

    def drive(self) -> None:
        """Return when every rank's training function has.

        Raises:
            WorkersFailed: some have failed.
            Preempted: their hosts have been taken away, or are about to be.
            Outgrown: there is room for a larger group.
        """
        for rank in range(len(self._group)):
            self._listen(rank)
        next_look = time.monotonic() + self._look_every
        give_up: float | None = None
        overdue = False
        while self._pending:
            self._answer()
            times = [next_look, give_up, self._validations.deadline, self._preemption.next_look]
            times += [self._preemption.deadline, self._late.next_look]
            if self._growth is not None:
                times.append(self._growth.next_look)
            times += [question.deadline for question in self._questions]
            if self._kept.busy:
                times.append(time.monotonic() + _STORAGE_LOOK)
            timeout = max(0.0, min(each for each in times if each is not None) - time.monotonic())
            waits_for = [*self._pending, *self._validations.refs, *self._unseen]
            ready, _ = skate.wait(waits_for, num_returns=1, timeout=timeout)
            for ref in ready:
                if ref in self._pending:
                    self._hangs.forget()
                    next_look = time.monotonic() + self._look_every
                    self._hear(self._pending.pop(ref), ref)
                elif ref in self._unseen:  # one that never comes keeps nothing else waiting
                    self._unseen.remove(ref)
                    if not self._unseen:
                        self._compare()
                else:
                    self._validations.ended(ref)
            self._validations.expire()
            if self._kept.busy:
                self._announce()
            now = time.monotonic()
            if self._failures and give_up is None and not self._goes_on():
                give_up = now + _GRACE
            if give_up is not None and now >= give_up:
                break
            if now >= self._preemption.next_look:
                self._look_for_notice(now)
            if self._preemption.deadline is not None and now >= self._preemption.deadline:
                overdue = True
                break
            self._look_for_the_late(now)
            if now >= next_look:
                next_look = now + self._look_every
                if not self._looks:
                    self._looks = [member.actor.look.remote() for member in self._group.members]
                    self._unseen = list(self._looks)
            if self._growth is not None and now >= self._growth.next_look and not self._failures:
                if self._growth.look(self._listener.room(), now):
                    self._announce(patience_s=None)
                    raise Outgrown
        self._announce(patience_s=None)
        info = self._preemption.info
        if info is not None and (self._was_preempted() or (self._pending and not self._failures)):
            raise Preempted(info, {rank: error for rank, (error, _) in self._failures.items()}, overdue)
        if self._failures:
            raise WorkersFailed(self._failures)

    def _look_for_the_late(self, now: float) -> None:
        self._late.see(bool(self._rounds.waiting), now)
        due = self._late.look(now)
        if due is None:
            return
        missing, waited = self._rounds.missing, self._late.waited(now)
        if due == "warn":
            rank, arrival = next(iter(self._rounds.waiting.items()))
            self._listener.warn(
                f"rank {', '.join(map(str, missing))} has not called {arrival.kind}() for {waited:.0f} s, in which rank {rank} "
                f"waits at {arrival.where}"
            )
            return
        assert self._late.timeout_s is not None
        error = BroadcastCollectiveTimeoutError(waited, missing, self._late.timeout_s)
        for rank in self._rounds.give_up():
            self._reply(rank, error)
        self._late.see(False, now)

    def _look_for_notice(self, now: float) -> None:
        if self._preemption.look(draining_nodes(gone=True), now, time.time()):
            assert self._preemption.info is not None
            self._listener.noticed(self._preemption.info)

    def _was_preempted(self) -> bool:
        """Whether a worker was lost with a host of which there was notice."""
        lost = skate.exceptions.RayActorError
        return any(
            isinstance(error, lost) and self._preemption.is_hit(rank)
            for rank, (error, _) in self._failures.items()
        )

    def _goes_on(self) -> bool:
        """Whether the workers that are left may still save something, though others were lost with their host."""
        return self._was_preempted() and (self._may_relax() or self._kept.pending)

    def _may_relax(self) -> bool:
        return self._relaxes and not self._preemption.is_hit(0)  # what rank 0 reports stands for all

    def _listen(self, rank: int) -> None:
        self._pending[self._group.members[rank].actor.exchange.remote()] = rank

    def _compare(self) -> None:
        refs, self._looks = self._looks, []
        try:
            looks = skate.get(refs)
        except skate.exceptions.RayActorError:
            return  # the worker's own messages tell of its end
        error, warning = self._hangs.look(looks, time.monotonic())
        if warning is not None:
            self._listener.warn(warning)
        if error is not None:
            text = f"the workers wait for one another without end: {error}."
            stuck = [rank for rank, look in enumerate(looks) if look.state == "collective"]
            self._failures.update({rank: (TimeoutError(text), text) for rank in stuck})
            self._announce(patience_s=None)
            raise WorkersFailed(self._failures, hang=True)

    def _hear(self, rank: int, ref: Any) -> None:
        try:
            messages = skate.get(ref)
        except skate.exceptions.RayActorError as error:
            self._look_for_notice(time.monotonic())
            self._failures[rank] = (error, f"{type(error).__name__}: {error}")
            if self._preemption.is_hit(rank):
                self._preemption.gone(time.monotonic())
            if self._may_relax() and self._preemption.is_hit(rank):
                arrivals = self._rounds.leave(rank)
                if arrivals is not None:
                    self._complete(arrivals)
            return
        ended = False
        try:
            for kind, *rest in messages:
                ended = kind in ("failed", "ended")
                self._take(rank, kind, rest)
        except RoundsDiffer as error:
            self._failures.update({at: (error, str(error)) for at in error.ranks})
            return
        if not ended:
            self._listen(rank)

    def _take(self, rank: int, kind: str, rest: list[Any]) -> None:
        if kind == "arrive":
            arrivals = self._rounds.arrive(rank, rest[0])
            if arrivals is not None:
                self._complete(arrivals)
        elif kind == "uploaded":
            name, checkpoint, waits = rest
            if waits:
                self._awaiting.setdefault(name, []).append(rank)
            self._kept.uploaded(name, checkpoint)
            self._announce()
        elif kind == "given_up":
            self._kept.given_up(rest[0])
            self._announce()
        elif kind == "ask":
            mode, timeout = rest
            self._questions.append(_Question(rank, mode, timeout and time.monotonic() + timeout))
        elif kind == "failed":
            self._failures[rank] = (pickle.loads(rest[0]), rest[1])
        else:
            if rank == 0:
                self._listener.returned(pickle.loads(rest[0]))
            self._rounds.end(rank)

    def _complete(self, arrivals: list[Arrival]) -> None:
        self._late.see(False, time.monotonic())
        kind = arrivals[0].kind
        answer: Any = None
        if kind == "report":
            answer = self._kept.report([arrival.value for arrival in arrivals])
        elif kind == "broadcast_from_rank_zero":
            answer = arrivals[0].value
        elif kind == "get_preemption_info":
            answer = self._preemption.info
        for rank in self._rounds.there:
            self._reply(rank, answer)
        self._announce()

    def _announce(self, patience_s: float | None = _STORAGE_LOOK) -> None:
        kept = False
        for report in self._kept.take_committed(patience_s):
            for rank in self._awaiting.pop(report.name, ()):
                self._reply(rank, None)
            self._listener.reported(report)
            kept = kept or report.result is not None
        if kept and self._growth is not None and self._growth.at_next_checkpoint and not self._failures:
            raise Outgrown

    def _answer(self) -> None:
        now = time.monotonic()
        for question in list(self._questions):
            waits = self._kept.pending or (
                question.mode is CheckpointConsistencyMode.VALIDATED and self._validations.refs
            )
            if not waits or (question.deadline is not None and now >= question.deadline):
                self._questions.remove(question)
                self._reply(question.rank, cloudpickle.dumps(self._kept.listed()))

    def _reply(self, rank: int, answer: Any) -> None:
        self._group.members[rank].actor.reply.remote(answer)
