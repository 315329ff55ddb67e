"""The state machine of a search: what has happened goes in, what is to be done comes out.

It holds the trials and asks four parties: the search algorithm for new trials, the scheduler for how long they run, the
stopper for when it is enough, and the executor to run them. It has no clock, process or thread of its own, so a test
can drive it with an executor that only pretends.

A trial's way:

    PENDING ──start──► RUNNING ──done, stopped──► TERMINATED
       ▲                │  ▲ │
       │   failed, may  │  │ └──failed for good──► ERROR
       └── try again ───┘  │
                    PAUSED─┘
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from skate.tune import result as _keys
from skate.tune.error import TuneError
from skate.tune.execution.executor import Event, Executor, Kind
from skate.tune.experiment.trial import Trial
from skate.tune.registry import is_function_trainable
from skate.tune.schedulers.trial_scheduler import TrialScheduler
from skate.tune.utils.dictionaries import flatten_dict

if TYPE_CHECKING:
    from skate.air.checkpoint_manager import TrainingResult
    from skate.tune.callback import CallbackList
    from skate.tune.execution.experiment_state import ExperimentJournal
    from skate.tune.search.search_algorithm import SearchAlgorithm
    from skate.tune.stopper import Stopper

__all__ = [
    "TuneController",
]

_LONGEST_WAIT_S = 0.5
_PATIENCE_S = 30.0


class TuneController:
    """Runs a search, step by step.

    Args:
        search_alg: Where trials come from.
        scheduler: Decides how long they run.
        executor: Runs them.
        stopper: Decides when it is enough.
        callbacks: Told of what happens.
        journal: Where it is written down.
        fail_fast: True: the first failure ends the search; "raise": and is raised.
        max_pending: How many trials are made before there is room for them.
        trials: Those of an experiment that is restored.
        clock: Seconds, from any beginning.
    """

    def __init__(
        self,
        *,
        search_alg: SearchAlgorithm,
        scheduler: TrialScheduler,
        executor: Executor,
        stopper: Stopper,
        callbacks: CallbackList,
        journal: ExperimentJournal,
        fail_fast: bool | str = False,
        max_pending: int = 1,
        trials: list[Trial] | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._search_alg = search_alg
        self._scheduler = scheduler
        self._executor = executor
        self._stopper = stopper
        self._callbacks = callbacks
        self._journal = journal
        self._fail_fast = fail_fast
        self._max_pending = max_pending
        self._clock = clock
        self._trials: list[Trial] = []
        self._live: dict[str, Trial] = {}
        self._startable: dict[str, Trial] = {}
        self._after_save: dict[str, Callable[[], None]] = {}
        self._events: list[Event] = []
        """What has happened, and is still to be handled."""
        self._dropped: list[tuple[Trial, TrainingResult]] = []
        self._iteration = 0
        self._metric_seen = False
        self._stopped = False
        self._stuck_since: float | None = None
        for trial in trials or []:
            self._take_in(trial, new=False)

    # -- what others may ask -----------------------------

    @property
    def search_alg(self) -> SearchAlgorithm:
        """Where trials come from."""
        return self._search_alg

    @property
    def scheduler_alg(self) -> TrialScheduler:
        """What decides how long they run."""
        return self._scheduler

    @property
    def iteration(self) -> int:
        """How many steps there have been."""
        return self._iteration

    def get_trials(self) -> list[Trial]:
        """All trials, in the order in which they were made."""
        return self._trials

    def get_live_trials(self) -> set[Trial]:
        """Those that have not ended."""
        return set(self._live.values())

    def get_trial(self, trial_id: str) -> Trial | None:
        """The trial with an id, or None."""
        return next((trial for trial in self._trials if trial.trial_id == trial_id), None)

    def get_startable_trials(self) -> list[Trial]:
        """Those that are pending or paused, and can start."""
        return [trial for trial in self._startable.values() if trial.trial_id not in self._after_save]

    def has_resources_for_trial(self, trial: Trial) -> bool:
        """Whether there is room for a trial."""
        return trial.trial_id not in self._after_save and self._executor.has_room(
            trial.placement_group_factory
        )

    @property
    def _resource_updater(self) -> _Totals:
        """What there is, as functions that allocate resources ask for it."""
        return _Totals(self._executor.used()[1])

    def resources(self) -> tuple[dict[str, float], dict[str, float]]:
        """What trials hold, and what there is."""
        return self._executor.used()

    def is_finished(self) -> bool:
        """Whether there is nothing left to do."""
        return not self._live and (self._stopped or self._search_alg.is_finished())

    # -- steps -------------------------------------------

    def step(self) -> None:
        """Start what there is room for, and deal with what has happened."""
        self._iteration += 1
        self._callbacks.call("on_step_begin", iteration=self._iteration, trials=self._trials)
        started = False
        if not self._stopped:
            added = self._add_trials()
            started = self._start_trials() or added
        self._events = self._executor.wait(_LONGEST_WAIT_S)
        happened = bool(self._events)
        while self._events:
            event = self._events.pop(0)
            if event.trial.trial_id in self._live:  # not one that was stopped by what came before
                self._handle(event)
        if not self._stopped and self._stopper.stop_all():
            self.request_stop()
        self._notice_being_stuck(happened or started)
        self._callbacks.call("on_step_end", iteration=self._iteration, trials=self._trials)

    def request_stop(self) -> None:
        """End the search: no trial starts any more, and those that run are stopped."""
        self._stopped = True
        self._search_alg.set_finished()
        for trial in list(self._live.values()):
            self.stop_trial(trial)

    def _add_trials(self) -> bool:
        added = False
        while self._count_pending() < self._max_pending and not self._search_alg.is_finished():
            trial = self._search_alg.next_trial()
            if trial is None:
                break
            self._take_in(trial, new=True)
            added = True
        return added

    def _count_pending(self) -> int:
        return sum(1 for trial in self._startable.values() if trial.status == Trial.PENDING)

    def add_trial(self, trial: Trial) -> None:
        """Take in a trial that was made elsewhere."""
        self._take_in(trial, new=True)

    def _take_in(self, trial: Trial, new: bool) -> None:
        self._trials.append(trial)
        if trial.is_finished():
            return
        self._live[trial.trial_id] = trial
        self._startable[trial.trial_id] = trial
        self._scheduler.on_trial_add(self, trial)
        if new:
            self._journal.add(trial)

    def _start_trials(self) -> bool:
        started = False
        while self._startable:
            trial = self._scheduler.choose_trial_to_run(self)
            if trial is None or not self.has_resources_for_trial(trial):
                return started
            self._start(trial)
            started = True
        return started

    def _start(self, trial: Trial) -> None:
        del self._startable[trial.trial_id]
        trial.set_status(Trial.RUNNING)
        trial.init_local_path()
        self._tell("on_trial_start", trial)
        if trial.has_checkpoint():
            self._tell("on_trial_restore", trial)
        self._executor.start(trial)

    def _notice_being_stuck(self, moved: bool) -> None:
        """Raise when nothing runs, nothing can start, and nobody could change that."""
        running = len(self._live) > len(self._startable)
        if moved or running or self.is_finished():
            self._stuck_since = None
            return
        for trial in self._startable.values():
            missing = self._executor.missing(trial.placement_group_factory)
            if missing:
                _, total = self._executor.used()
                raise TuneError(
                    f"the trial {trial} asks for {trial.placement_group_factory.required_resources}, but all there is are "
                    f"{_readable(total)}: ask for less, or start the session with more. {self._resource_help(trial)}".strip()
                )
        now = self._clock()
        self._stuck_since = self._stuck_since if self._stuck_since is not None else now
        if now - self._stuck_since > _PATIENCE_S:
            raise TuneError(
                f"no trial runs, and for {_PATIENCE_S:g} s the search algorithm ({type(self._search_alg).__name__}) has "
                f"suggested none and the scheduler ({type(self._scheduler).__name__}) has started none of "
                f"{list(self._startable.values())}. One of them waits for what will not come."
            )
        time.sleep(0.01)  # a searcher may have nothing to suggest for a moment

    def _resource_help(self, trial: Trial) -> str:
        cls = trial.get_trainable_cls()
        return str(cls.resource_help(trial.config)) if cls is not None else ""

    # -- what has happened -------------------------------

    def _handle(self, event: Event) -> None:
        trial = event.trial
        if event.error is not None:
            self._on_failure(trial, event.error)
        elif event.kind == Kind.RESULT:
            result, saved = event.value
            # A restore goes on after the checkpoint: it is written down only when the result that came with it has been.
            if saved is not None:
                self._register(trial, saved)
            self._on_result(trial, result)
            self._delete_dropped()
        elif event.kind == Kind.SAVED:
            self._on_saved(trial, event.value)
            then = self._after_save.pop(trial.trial_id, None)
            if then is not None:
                then()
        elif event.kind == Kind.EXPORTED:
            self._finish(trial)

    def _on_result(self, trial: Trial, result: dict[str, Any]) -> None:
        duplicate = result.pop(_keys.RESULT_DUPLICATE, False)
        trial.pid, trial.node_ip = result.get(_keys.PID), result.get(_keys.NODE_IP)
        if duplicate:
            result = _end_of(trial, result)
        flat = flatten_dict(result)
        if not duplicate and not self._has_metrics(trial, flat):
            return
        done = trial.should_stop(flat) or (not duplicate and self._stopper(trial.trial_id, result))
        decision = TrialScheduler.STOP
        if not done:
            decision = self._scheduler.on_trial_result(self, trial, flat)
        if decision == TrialScheduler.STOP:
            result[_keys.DONE] = flat[_keys.DONE] = True
        elif not duplicate:
            self._search_alg.on_trial_result(trial.trial_id, flat)
        if duplicate:
            trial.set_last_result(result)
        else:
            self._tell("on_trial_result", trial, result=dict(result))
            trial.update_last_result(result)
        self._journal.update(trial)
        if done:
            self._scheduler.on_trial_complete(self, trial, flat)
        if trial.status == Trial.RUNNING:  # the scheduler may have seen to it
            self._act(trial, decision, flat)

    def _act(self, trial: Trial, decision: str, flat: dict[str, Any]) -> None:
        save = self._saves_itself(trial) and trial.should_checkpoint()
        if decision == TrialScheduler.CONTINUE:
            if save:
                self._executor.save(trial)
            self._executor.train(trial)
        elif decision == TrialScheduler.PAUSE:
            self.pause_trial(trial)
        elif decision == TrialScheduler.STOP:
            self._search_alg.on_trial_complete(trial.trial_id, result=flat)
            if save:
                self._after_save[trial.trial_id] = lambda: self._export_or_finish(trial)
                self._executor.save(trial)
            else:
                self._export_or_finish(trial)

    def _saves_itself(self, trial: Trial) -> bool:
        """Whether it is saved from outside: a class is, a function reports its checkpoints."""
        return not is_function_trainable(trial.trainable_name)

    def _export_or_finish(self, trial: Trial) -> None:
        if trial.export_formats:
            self._executor.export(trial)
        else:
            self._finish(trial)

    def _finish(self, trial: Trial) -> None:
        self._executor.stop(trial)
        self._end(trial, Trial.TERMINATED)
        self._tell("on_trial_complete", trial)

    def _end(self, trial: Trial, status: str) -> None:
        trial.set_status(status)
        self._live.pop(trial.trial_id, None)
        self._startable.pop(trial.trial_id, None)
        self._after_save.pop(trial.trial_id, None)
        self._journal.update(trial)

    def _on_saved(self, trial: Trial, saved: TrainingResult) -> None:
        self._register(trial, saved)
        self._journal.update(trial)  # before files go: a restore must not look for them
        self._delete_dropped()

    def _register(self, trial: Trial, saved: TrainingResult) -> None:
        if saved.checkpoint is None:
            return
        self._dropped += [(trial, each) for each in trial.on_checkpoint(saved)]
        self._tell("on_checkpoint", trial, checkpoint=saved.checkpoint)
        self._tell("on_trial_save", trial)

    def _delete_dropped(self) -> None:
        """Delete checkpoints that are no longer kept, unless another trial is about to go on from one."""
        if not self._dropped:
            return
        needed = [
            trial.start_checkpoint.checkpoint for trial in self._live.values() if trial.start_checkpoint
        ]
        left = []
        for trial, each in self._dropped:
            if each.checkpoint in needed:
                left.append((trial, each))
            elif each.checkpoint is not None and trial.storage is not None:
                trial.storage.store.delete(each.checkpoint.path)
        self._dropped = left

    def _on_failure(self, trial: Trial, error: Exception) -> None:
        self._executor.stop(trial, failed=True)
        self._after_save.pop(trial.trial_id, None)
        trial.handle_error(error)
        if self._fail_fast == "raise":
            self._end(trial, Trial.ERROR)
            raise error
        if not self._fail_fast and trial.should_recover():
            trial.set_status(Trial.PENDING)
            self._startable[trial.trial_id] = trial
            self._journal.update(trial)
            self._tell("on_trial_recover", trial)
            return
        self._end(trial, Trial.ERROR)
        self._scheduler.on_trial_error(self, trial)
        self._search_alg.on_trial_complete(trial.trial_id, error=True)
        self._tell("on_trial_error", trial)
        if self._fail_fast:
            self.request_stop()

    def _has_metrics(self, trial: Trial, flat: dict[str, Any]) -> bool:
        """Whether a result has the metrics that the search goes by; a trial whose results lack them fails."""
        if os.environ.get("TUNE_DISABLE_STRICT_METRIC_CHECKING", "0") == "1":
            return True
        missing = []
        for who in (self._search_alg, self._scheduler):
            wanted = who.metric if isinstance(who.metric, list | tuple) else [who.metric]
            missing += [(name, who) for name in wanted if name is not None and name not in flat]
        if not missing:
            self._metric_seen = True
            return True
        names = ", ".join(sorted({f"`{name}`" for name, _ in missing}))
        hidden = {*_keys.AUTO_RESULT_KEYS, *_keys.DEBUG_METRICS, _keys.DONE, _keys.SHOULD_CHECKPOINT}
        own = sorted(name for name in flat if name not in hidden and not name.startswith("config/"))
        error = TuneError(
            f"Trial {trial} returned a result which did not include the specified metric(s) {names} that "
            f"`{type(missing[0][1]).__name__}` expects. It reported {own}. Report the metric, or name one of these in "
            "TuneConfig(metric=…); the environment variable TUNE_DISABLE_STRICT_METRIC_CHECKING=1 leaves this unchecked."
        )
        if not self._metric_seen:  # no trial ever has: it is misspelt, and going on would be for nothing
            raise error
        self._on_failure(trial, error)
        return False

    # -- what schedulers may do --------------------------

    def stop_trial(self, trial: Trial) -> None:
        """End a trial, whatever it does."""
        if trial.is_finished():
            return
        if trial.trial_id in self._after_save:
            self._finish_save(trial)
            if trial.is_finished():
                return
        if trial.status in (Trial.PENDING, Trial.PAUSED):
            self._scheduler.on_trial_remove(self, trial)
        last = flatten_dict(trial.last_result) if trial.has_reported_at_least_once else None
        self._search_alg.on_trial_complete(trial.trial_id, result=last)
        self._finish(trial)

    def pause_trial(self, trial: Trial, should_checkpoint: bool = True) -> None:
        """Let a trial wait until the scheduler chooses it again.

        Args:
            trial: A trial that runs, and is not in the middle of an iteration.
            should_checkpoint: Whether it is saved first. If not, it goes on from its last checkpoint.
        """
        trial.set_status(Trial.PAUSED)
        self._startable[trial.trial_id] = trial
        if should_checkpoint and self._saves_itself(trial):
            trial.start_checkpoint = None  # it goes on from what is saved now
            self._after_save[trial.trial_id] = lambda: self._executor.stop(trial)
            self._executor.save(trial)
        else:
            self._executor.stop(trial)
        self._journal.update(trial)

    def save_trial(self, trial: Trial) -> TrainingResult | None:
        """The state of a trial as it is now.

        Args:
            trial: A trial that is not in the middle of an iteration.

        Returns:
            A checkpoint: of a class a new one, of a function the newest that it has reported; None if there is none, or if
            saving failed, and so the trial.
        """
        failures = trial.num_failures
        if trial.trial_id in self._after_save:  # it is being saved, to be paused
            self._finish_save(trial)
        elif self._saves_itself(trial) and trial.status == Trial.RUNNING:
            self._save_at_once(trial, self._executor.save_now)
        return trial.latest_checkpoint_result if trial.num_failures == failures else None

    def _finish_save(self, trial: Trial) -> None:
        """Handle a save that has been asked for, before what else has happened."""
        for event in self._events:
            if event.trial is trial and event.kind == Kind.SAVED:
                self._events = [other for other in self._events if other is not event]
                self._handle(event)
                return
        self._save_at_once(trial, self._executor.finish_save)

    def _save_at_once(self, trial: Trial, save: Callable[[Trial], TrainingResult]) -> None:
        try:
            event = Event(trial, Kind.SAVED, save(trial))
        except Exception as error:  # noqa: BLE001 - whatever the trial raised is what happened to it
            event = Event(trial, Kind.SAVED, error=error)
        self._handle(event)

    def _tell(self, method: str, trial: Trial, **info: Any) -> None:
        self._callbacks.call(method, iteration=self._iteration, trials=self._trials, trial=trial, **info)


class _Totals:
    """How much there is in all."""

    def __init__(self, total: dict[str, float]) -> None:
        self._total = total

    def get_num_cpus(self) -> float:
        """CPUs."""
        return self._total.get("CPU", 0.0)

    def get_num_gpus(self) -> float:
        """GPUs."""
        return self._total.get("GPU", 0.0)


def _end_of(trial: Trial, result: dict[str, Any]) -> dict[str, Any]:
    """The last result of a function that ended without a new one."""
    if trial.has_reported_at_least_once:
        return {**trial.last_result, _keys.DONE: True}
    known = {key: value for key, value in result.items() if key in _keys.DEBUG_METRICS}
    return {**known, _keys.DONE: True}


def _readable(resources: dict[str, float]) -> dict[str, float]:
    return {name: amount for name, amount in resources.items() if "memory" not in name and ":" not in name}
