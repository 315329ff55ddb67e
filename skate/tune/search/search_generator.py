"""Makes trials of what a searcher suggests."""

from __future__ import annotations

import json
import os
import uuid
from typing import TYPE_CHECKING, Any

from skate.tune.error import TuneError
from skate.tune.search.search_algorithm import SearchAlgorithm
from skate.tune.search.searcher import Searcher
from skate.tune.search.trial_maker import make_trial
from skate.tune.search.variant_generator import format_vars
from skate.tune.utils.dictionaries import flatten_dict, merge_dicts, unflatten_dict

if TYPE_CHECKING:
    from skate.tune.experiment.experiment import Experiment
    from skate.tune.experiment.trial import Trial

__all__ = [
    "SearchGenerator",
]


class SearchGenerator(SearchAlgorithm):
    """Makes trials of what a searcher suggests.

    Args:
        searcher: The searcher.

    Raises:
        TypeError: it is none.
    """

    CKPT_FILE_TMPL = "search_gen_state-{}.json"

    def __init__(self, searcher: Searcher) -> None:
        if not isinstance(searcher, Searcher):
            raise TypeError(f"SearchGenerator takes a Searcher, not {type(searcher).__name__}: {searcher!r}.")
        self.searcher = searcher
        self._experiment: Experiment | None = None
        self._counter = 0
        self._total = 0
        self._prefix = f"{uuid.uuid4().hex[:5]}_"
        self._known: set[str] = set()
        self._told: set[str] = set()

    @property
    def metric(self) -> Any:
        """The metric."""
        return self.searcher.metric

    def set_search_properties(
        self, metric: str | None, mode: str | None, config: dict[str, Any], **spec: Any
    ) -> bool:
        """Tell the searcher what is searched for."""
        return self.searcher.set_search_properties(metric, mode, config, **spec)

    @property
    def total_samples(self) -> int:
        """How many trials there will be."""
        return self._total

    def add_configurations(
        self, experiments: Experiment | list[Experiment] | dict[str, dict[str, Any]]
    ) -> None:
        """Take up an experiment to make trials for.

        Raises:
            TuneError: there are several.
        """
        from skate.tune.experiment.experiment import convert_to_experiments

        found = convert_to_experiments(experiments)
        if len(found) != 1:
            raise TuneError("SearchAlgorithms can only support 1 experiment at a time.")
        self._experiment = found[0]
        number = found[0].spec["num_samples"]
        self._total = number if number >= 0 else 0
        self._endless = number < 0

    def next_trial(self) -> Trial | None:
        """The next trial; None if there is none now."""
        if self._experiment is None or self._finished:
            return None
        if self._counter >= self._total and not self._endless:
            self.set_finished()
            return None
        return self.create_trial_if_possible(self._experiment.spec)

    def create_trial_if_possible(self, experiment_spec: dict[str, Any]) -> Trial | None:
        """Ask the searcher for parameters, and make a trial of them."""
        assert self._experiment is not None
        trial_id = f"{self._prefix}{self._counter:05d}"
        suggested: Any = self.searcher.suggest(trial_id)
        if suggested == Searcher.FINISHED:
            self.set_finished()
            return None
        if suggested is None:
            return None
        # Searchers name nested parameters by their paths.
        suggested = unflatten_dict(suggested)
        config = merge_dicts(experiment_spec["config"], suggested)
        flat = flatten_dict(suggested)
        chosen = {tuple(name.split("/")): value for name, value in flat.items()}
        tag = f"{self._counter + 1}_{format_vars(chosen)}"
        self._counter += 1
        self._known.add(trial_id)
        return make_trial(self._experiment, config, flat, trial_id, tag)

    def on_trial_result(self, trial_id: str, result: dict[str, Any]) -> None:
        """Tell the searcher."""
        self.searcher.on_trial_result(trial_id, result)

    def on_trial_complete(
        self, trial_id: str, result: dict[str, Any] | None = None, error: bool = False
    ) -> None:
        """Tell the searcher."""
        self.searcher.on_trial_complete(trial_id=trial_id, result=result, error=error)
        self._told.add(trial_id)

    def is_finished(self) -> bool:
        """Whether there will be no more trials."""
        return self._finished or (
            self._experiment is not None and not self._endless and self._counter >= self._total
        )

    def get_state(self) -> dict[str, Any]:
        """How many trials have been made, and which of them the searcher has been told of."""
        return {
            "counter": self._counter,
            "prefix": self._prefix,
            "known": sorted(self._known),
            "told": sorted(self._told),
        }

    def set_state(self, state: dict[str, Any]) -> None:
        """Take back what `get_state` returned."""
        self._counter, self._prefix = state["counter"], state["prefix"]
        self._known = set(state["known"])
        self._told = set(state.get("told", ()))

    def has_checkpoint(self, dirpath: str) -> bool:
        """Whether there is saved state in a directory."""
        return bool(self._saved(dirpath))

    def _saved(self, dirpath: str) -> list[str]:
        prefix, suffix = self.CKPT_FILE_TMPL.split("{}")
        names = os.listdir(dirpath) if os.path.isdir(dirpath) else []
        return sorted(name for name in names if name.startswith(prefix) and name.endswith(suffix))

    def save_to_dir(self, dirpath: str, session_str: str = "default", **kwargs: Any) -> None:
        """Save this and the searcher."""
        self.searcher.save_to_dir(dirpath, session_str)
        path = os.path.join(dirpath, self.CKPT_FILE_TMPL.format(session_str))
        with open(f"{path}.partial", "w", encoding="utf-8") as file:
            json.dump(self.get_state(), file)
        os.replace(f"{path}.partial", path)

    def restore_from_dir(self, dirpath: str) -> None:
        """Take back this and the searcher.

        Raises:
            RuntimeError: nothing was saved there.
        """
        files = self._saved(dirpath)
        if not files:
            raise RuntimeError(f"Unable to find checkpoint in {dirpath}.")
        with open(os.path.join(dirpath, files[-1]), encoding="utf-8") as file:
            self.set_state(json.load(file))
        self.searcher.restore_from_dir(dirpath)

    def resume(self, trials: list[Trial]) -> None:
        """Learn of the trials that were made or ended since the state had been saved."""
        unknown = [trial for trial in trials if trial.trial_id not in self._known]
        self.searcher.learn_missing(unknown)
        for trial in trials:
            if trial.trial_id in self._known - self._told and trial.is_finished():
                last = flatten_dict(trial.last_result) if trial.has_reported_at_least_once else None
                self.on_trial_complete(trial.trial_id, last, error=trial.status == "ERROR")
        self._counter = max(self._counter, len(trials))
        self._known.update(trial.trial_id for trial in trials)
