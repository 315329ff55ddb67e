"""Gives trials more or less to hold while the search goes on."""

from __future__ import annotations

import math
from collections.abc import Callable
from copy import deepcopy
from typing import TYPE_CHECKING, Any

from skate.air.result import look_up
from skate.tune.execution.placement_groups import PlacementGroupFactory, resource_dict_to_pg_factory
from skate.tune.schedulers.trial_scheduler import FIFOScheduler, TrialScheduler

if TYPE_CHECKING:
    from skate.tune.execution.tune_controller import TuneController
    from skate.tune.experiment.trial import Trial

__all__ = [
    "Allocation",
    "DistributeResources",
    "DistributeResourcesToTopJob",
    "ResourceChangingScheduler",
]


class DistributeResources:
    """Gives every trial an equal share of what there is, never less than it began with.

    Args:
        add_bundles: Whether a trial is given more bundles rather than larger ones.
        increase_by: By what a trial's share grows; default: by what it began with.
        increase_by_times: How often a share grows at most; -1: as often as there is room.
        reserve_resources: What is left for others.

    Example:
        >>> share = DistributeResources(reserve_resources={"CPU": 1})
    """

    def __init__(
        self,
        add_bundles: bool = False,
        increase_by: dict[str, float] | None = None,
        increase_by_times: int = -1,
        reserve_resources: dict[str, float] | None = None,
    ) -> None:
        self.add_bundles = add_bundles
        self.increase_by = increase_by or {}
        self.increase_by_times = increase_by_times
        self.reserve_resources = reserve_resources or {}

    def __call__(
        self,
        tune_controller: TuneController,
        trial: Trial,
        result: dict[str, Any],
        scheduler: ResourceChangingScheduler,
    ) -> PlacementGroupFactory | None:
        """What a trial is to hold from now on; None: what it holds.

        Args:
            tune_controller: What runs the trials.
            trial: The trial.
            result: Its newest result.
            scheduler: The scheduler that asks.
        """
        base = scheduler.base_trial_resources or PlacementGroupFactory([{"CPU": 1}])
        if result.get("training_iteration", 0) < 1:
            return None
        step = self.increase_by or base.bundles[0]
        times = self._times(tune_controller, trial, base, step)
        if self.increase_by_times >= 0:
            times = min(times, self.increase_by_times)
        wanted = self._grown(base, step, max(0, times))
        return None if wanted == trial.placement_group_factory else wanted

    def _times(
        self,
        tune_controller: TuneController,
        trial: Trial,
        base: PlacementGroupFactory,
        step: dict[str, float],
    ) -> int:
        """How often this trial's share may grow: as often as every other's."""
        live = max(1, len(tune_controller.get_live_trials()))
        return self._room(tune_controller, base, step, live) // live

    def _room(
        self, tune_controller: TuneController, base: PlacementGroupFactory, step: dict[str, float], live: int
    ) -> int:
        """How many times `step` there is beyond what all trials began with."""
        _, total = tune_controller.resources()
        needed = base.required_resources
        room = math.inf
        for name, amount in step.items():
            if amount > 0:
                free = (
                    total.get(name, 0.0)
                    - self.reserve_resources.get(name, 0.0)
                    - needed.get(name, 0.0) * live
                )
                room = min(room, math.floor(free / amount + 1e-9))
        return max(0, int(room)) if math.isfinite(room) else 0

    def _grown(
        self, base: PlacementGroupFactory, step: dict[str, float], times: int
    ) -> PlacementGroupFactory:
        bundles = base.bundles
        if self.add_bundles:
            bundles += [dict(step) for _ in range(times)]
        else:
            for name, amount in step.items():
                bundles[0][name] = bundles[0].get(name, 0.0) + amount * times
        if base.head_bundle_is_empty:
            bundles.insert(0, {})
        return PlacementGroupFactory(bundles, base.strategy)


class DistributeResourcesToTopJob(DistributeResources):
    """Gives the best trial all that is free; the others hold what they began with.

    Args:
        add_bundles: Whether a trial is given more bundles rather than larger ones.
        increase_by: By what a trial's share grows; default: by what it began with.
        increase_by_times: How often a share grows at most; -1: as often as there is room.
        reserve_resources: What is left for others.
        metric: The metric; default: that of the search.
        mode: "min" or "max"; default: that of the search.
    """

    def __init__(
        self,
        add_bundles: bool = False,
        increase_by: dict[str, float] | None = None,
        increase_by_times: int = -1,
        reserve_resources: dict[str, float] | None = None,
        metric: str | None = None,
        mode: str | None = None,
    ) -> None:
        super().__init__(add_bundles, increase_by, increase_by_times, reserve_resources)
        self.metric = metric
        self.mode = mode

    def __call__(
        self,
        tune_controller: TuneController,
        trial: Trial,
        result: dict[str, Any],
        scheduler: ResourceChangingScheduler,
    ) -> PlacementGroupFactory | None:
        """What a trial is to hold from now on; None: what it holds.

        Raises:
            ValueError: no metric or mode is known.
        """
        self._known = (self.metric or scheduler.metric, self.mode or scheduler.mode)
        if not all(self._known):
            raise ValueError(
                "DistributeResourcesToTopJob needs a metric and a mode: pass them to it, or to TuneConfig(metric=…, mode=…)."
            )
        return super().__call__(tune_controller, trial, result, scheduler)

    def _times(
        self,
        tune_controller: TuneController,
        trial: Trial,
        base: PlacementGroupFactory,
        step: dict[str, float],
    ) -> int:
        metric, mode = self._known
        live = tune_controller.get_live_trials()
        scored = [
            (value, each) for each in live if (value := look_up(each.last_result, str(metric))) is not None
        ]
        if not scored:
            return 0
        best = (min if mode == "min" else max)(scored, key=lambda pair: pair[0])[1]
        return self._room(tune_controller, base, step, len(live)) if best == trial else 0


Allocation = Callable[[Any, Any, dict[str, Any], Any], PlacementGroupFactory | None]


class ResourceChangingScheduler(TrialScheduler):
    """Lets a function say after each result what a trial is to hold; another scheduler decides all else.

    A trial whose resources change is paused, and goes on from its newest checkpoint with the new ones. In it,
    `self.trial_resources` or `tune.get_context().get_trial_resources()` say what it holds.

    Args:
        base_scheduler: The other scheduler; default: FIFO.
        resources_allocation_function: Called with what runs the trials, the trial, its result and this scheduler; returns
            bundles, or None to leave things as they are. None: nothing changes.

    Raises:
        ValueError: the base scheduler is such a scheduler itself.
    """

    def __init__(
        self,
        base_scheduler: TrialScheduler | None = None,
        resources_allocation_function: Allocation | None = DistributeResources(),  # noqa: B008 - it has no state
    ) -> None:
        if isinstance(base_scheduler, ResourceChangingScheduler):
            raise ValueError("base_scheduler can't be a ResourceChangingScheduler itself.")
        self._base_scheduler = base_scheduler or FIFOScheduler()
        self._resources_allocation_function = resources_allocation_function
        self._base_trial_resources: PlacementGroupFactory | None = None
        self._changes: dict[Trial, PlacementGroupFactory] = {}
        self._mode: str | None = None

    @property
    def metric(self) -> str | None:
        """The base scheduler's metric, or else that of the search."""
        return self._base_scheduler.metric or self._metric

    @property
    def mode(self) -> str | None:
        """The search's mode."""
        return self._mode

    @property
    def base_trial_resources(self) -> PlacementGroupFactory | None:
        """What trials began with."""
        return self._base_trial_resources

    @property
    def supports_buffered_results(self) -> bool:
        """No: each result may change what the trial holds."""
        return False

    def set_search_properties(self, metric: str | None, mode: str | None, **spec: Any) -> bool:
        """Learn the metric and the mode, and tell the base scheduler."""
        self._metric, self._mode = metric, mode
        return self._base_scheduler.set_search_properties(metric, mode, **spec)

    def on_trial_add(self, tune_controller: TuneController, trial: Trial, **kwargs: Any) -> None:
        """Take note of what trials begin with.

        Raises:
            RuntimeError: this one begins with something else.
        """
        if self._base_trial_resources is None:
            self._base_trial_resources = deepcopy(trial.placement_group_factory)
        elif (
            not trial.has_reported_at_least_once
            and trial.placement_group_factory != self._base_trial_resources
        ):
            # One that has reported comes from an earlier run, and may have been given something else in it.
            raise RuntimeError(
                "ResourceChangingScheduler doesn't support trials with varying base resources. First trial had "
                f"{self._base_trial_resources}, trial {trial} has {trial.placement_group_factory}."
            )
        self._base_scheduler.on_trial_add(tune_controller, trial, **kwargs)

    def on_trial_error(self, tune_controller: TuneController, trial: Trial, **kwargs: Any) -> None:
        """Tell the base scheduler."""
        self._changes.pop(trial, None)
        self._base_scheduler.on_trial_error(tune_controller, trial, **kwargs)

    def on_trial_complete(
        self, tune_controller: TuneController, trial: Trial, result: dict[str, Any], **kwargs: Any
    ) -> None:
        """Tell the base scheduler."""
        self._changes.pop(trial, None)
        self._base_scheduler.on_trial_complete(tune_controller, trial, result, **kwargs)

    def on_trial_remove(self, tune_controller: TuneController, trial: Trial, **kwargs: Any) -> None:
        """Tell the base scheduler."""
        self._changes.pop(trial, None)
        self._base_scheduler.on_trial_remove(tune_controller, trial, **kwargs)

    def on_trial_result(self, tune_controller: TuneController, trial: Trial, result: dict[str, Any]) -> str:
        """What the base scheduler says; a trial that goes on with other resources is paused for it."""
        decision = self._base_scheduler.on_trial_result(tune_controller, trial, result)
        if decision == TrialScheduler.CONTINUE:
            wanted = self.reallocate_trial_resources_if_needed(tune_controller, trial, result)
            if wanted is not None:
                self._changes[trial] = (
                    wanted
                    if isinstance(wanted, PlacementGroupFactory)
                    else resource_dict_to_pg_factory(wanted)
                )
                return TrialScheduler.PAUSE
        return decision

    def choose_trial_to_run(self, tune_controller: TuneController, **kwargs: Any) -> Trial | None:
        """What the base scheduler says, once paused trials hold what they are to."""
        for trial in [each for each in self._changes if each.status == "PAUSED"]:
            self.set_trial_resources(trial, self._changes.pop(trial))
        return self._base_scheduler.choose_trial_to_run(tune_controller, **kwargs)

    def set_trial_resources(
        self, trial: Trial, new_resources: dict[str, Any] | PlacementGroupFactory
    ) -> bool:
        """Let a paused trial hold something else.

        Args:
            trial: The trial.
            new_resources: What it is to hold.

        Returns:
            Whether that is a change.
        """
        before = trial.placement_group_factory
        trial.update_resources(new_resources)
        return trial.placement_group_factory != before

    def reallocate_trial_resources_if_needed(
        self, tune_controller: TuneController, trial: Trial, result: dict[str, Any]
    ) -> dict[str, Any] | PlacementGroupFactory | None:
        """Ask the function what a trial is to hold.

        Args:
            tune_controller: What runs the trials.
            trial: The trial.
            result: Its newest result.

        Returns:
            What it is to hold; None if that is what it holds.
        """
        if self._resources_allocation_function is None:
            return None
        wanted = self._resources_allocation_function(tune_controller, trial, result, self)
        return None if wanted is None or wanted == trial.placement_group_factory else wanted

    def debug_string(self) -> str:
        """What the base scheduler says."""
        return f"(ResourceChangingScheduler) {self._base_scheduler.debug_string()}"

    def save(self, checkpoint_path: str) -> None:
        """Save the base scheduler."""
        self._base_scheduler.save(checkpoint_path)

    def restore(self, checkpoint_path: str) -> None:
        """Take back the base scheduler."""
        self._base_scheduler.restore(checkpoint_path)
