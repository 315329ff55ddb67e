"""Holds a searcher back while enough of its trials run."""

from __future__ import annotations

from typing import Any

from skate.tune.error import ArgumentError
from skate.tune.search.searcher import Searcher

__all__ = [
    "ConcurrencyLimiter",
]


class ConcurrencyLimiter(Searcher):
    """Lets only so many trials of a searcher run at once.

    Args:
        searcher: The searcher.
        max_concurrent: How many.
        batch: Whether all of them have to end before the next are begun, and the searcher is told of them at once.

    Raises:
        RuntimeError: it is no `Searcher`.
        ValueError: `max_concurrent` is not above 0.

    Example:
        >>> from skate.tune.search.optuna import OptunaSearch
        >>> limited = ConcurrencyLimiter(OptunaSearch(), max_concurrent=2)
    """

    def __init__(self, searcher: Searcher, max_concurrent: int, batch: bool = False) -> None:
        if not isinstance(searcher, Searcher):
            raise RuntimeError(
                f"The `ConcurrencyLimiter` only works with `Searcher` objects (got {type(searcher)}). Grid and random search take "
                "the limit themselves: BasicVariantGenerator(max_concurrent=…), or TuneConfig(max_concurrent_trials=…)."
            )
        if not isinstance(max_concurrent, int) or max_concurrent <= 0:
            raise ArgumentError(f"max_concurrent must be a whole number above 0, not {max_concurrent!r}.")
        super().__init__(metric=searcher.metric, mode=searcher.mode)
        self.searcher = searcher
        self.max_concurrent = max_concurrent
        self.batch = batch
        self.live_trials: set[str] = set()
        self._waiting: dict[str, tuple[dict[str, Any] | None, bool]] = {}
        self._limited_below = searcher.set_max_concurrency(max_concurrent)

    @property
    def metric(self) -> Any:
        """The searcher's metric."""
        return self.searcher.metric

    @property
    def mode(self) -> Any:
        """The searcher's mode."""
        return self.searcher.mode

    def set_max_concurrency(self, max_concurrent: int) -> bool:
        """Take another limit."""
        self.max_concurrent = max_concurrent
        return True

    def set_search_properties(
        self, metric: str | None, mode: str | None, config: dict[str, Any], **spec: Any
    ) -> bool:
        """Tell the searcher what is searched for."""
        return self.searcher.set_search_properties(metric, mode, config, **spec)

    def suggest(self, trial_id: str) -> dict[str, Any] | None:
        """What the searcher suggests, unless enough trials run."""
        if self._limited_below:
            return self.searcher.suggest(trial_id)
        if trial_id in self.live_trials:
            raise ValueError(f"trial {trial_id} has been suggested already, and runs.")
        if len(self.live_trials) + len(self._waiting) >= self.max_concurrent:
            return None
        suggested: Any = self.searcher.suggest(trial_id)
        if suggested not in (None, Searcher.FINISHED):
            self.live_trials.add(trial_id)
        return suggested  # type: ignore[no-any-return]  # a searcher's own answer, FINISHED too

    def on_trial_result(self, trial_id: str, result: dict[str, Any]) -> None:
        """Tell the searcher."""
        self.searcher.on_trial_result(trial_id, result)

    def on_trial_complete(
        self, trial_id: str, result: dict[str, Any] | None = None, error: bool = False
    ) -> None:
        """Tell the searcher, now or when the batch is complete."""
        if self._limited_below:
            self.searcher.on_trial_complete(trial_id, result=result, error=error)
            return
        if trial_id not in self.live_trials:
            return
        self.live_trials.discard(trial_id)
        if not self.batch:
            self.searcher.on_trial_complete(trial_id, result=result, error=error)
            return
        self._waiting[trial_id] = (result, error)
        if not self.live_trials:
            for name, (last, failed) in self._waiting.items():
                self.searcher.on_trial_complete(name, result=last, error=failed)
            self._waiting.clear()

    def add_evaluated_point(
        self,
        parameters: dict[str, Any],
        value: float,
        error: bool = False,
        pruned: bool = False,
        intermediate_values: list[float] | None = None,
    ) -> None:
        """Tell the searcher."""
        self.searcher.add_evaluated_point(parameters, value, error, pruned, intermediate_values)

    def learn_missing(self, trials: list[Any]) -> None:
        """Tell the searcher."""
        self.searcher.learn_missing(trials)

    def get_state(self) -> dict[str, Any]:
        """Which trials run."""
        return {"live_trials": set(self.live_trials), "waiting": dict(self._waiting)}

    def set_state(self, state: dict[str, Any]) -> None:
        """Take back what `get_state` returned."""
        self.live_trials, self._waiting = state["live_trials"], state["waiting"]

    def save(self, checkpoint_path: str) -> None:
        """Save the searcher. Which trials run is known again after a restore."""
        self.searcher.save(checkpoint_path)

    def restore(self, checkpoint_path: str) -> None:
        """Take back the searcher."""
        self.searcher.restore(checkpoint_path)

    def on_pause(self, trial_id: str) -> None:
        """Tell the searcher."""
        self.searcher.on_pause(trial_id)

    def on_unpause(self, trial_id: str) -> None:
        """Tell the searcher."""
        self.searcher.on_unpause(trial_id)
