"""Grid and random search."""

from __future__ import annotations

import copy
import itertools
import json
import os
import pickle
import uuid
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from skate.tune.error import TuneError
from skate.tune.search.sample import Rng
from skate.tune.search.search_algorithm import SearchAlgorithm
from skate.tune.search.trial_maker import make_trial
from skate.tune.search.variant_generator import (
    count_spec_samples,
    count_variants,
    flatten_resolved_vars,
    format_vars,
    generate_variants,
    merge_preset,
)

if TYPE_CHECKING:
    from skate.tune.experiment.experiment import Experiment
    from skate.tune.experiment.trial import Trial

__all__ = [
    "BasicVariantGenerator",
]


class BasicVariantGenerator(SearchAlgorithm):
    """Every combination of the grids, with a draw for each domain.

    Args:
        points_to_evaluate: Parameters to try first; what they leave out is drawn.
        max_concurrent: How many trials may run at once; 0: as many as there is room for.
        constant_grid_search: Draw once and use the same values with each combination of the grids.
        random_state: A seed or a generator of NumPy's; None: its global one.

    Example:
        >>> from skate import tune
        >>> search = BasicVariantGenerator(random_state=1, points_to_evaluate=[{"x": 0.5}])
    """

    CKPT_FILE_TMPL = "basic-variant-state-{}.json"

    def __init__(
        self,
        points_to_evaluate: list[dict[str, Any]] | None = None,
        max_concurrent: int = 0,
        constant_grid_search: bool = False,
        random_state: Any = None,
    ) -> None:
        self._points_to_evaluate = points_to_evaluate or []
        self._constant = constant_grid_search
        self._seed = random_state
        self.max_concurrent = max_concurrent
        self._live: set[str] = set()
        self._sources: list[_Source] = []
        self._trials: Iterator[Trial] = iter(())
        self._made = 0
        self._total = 0
        self._prefix = f"{uuid.uuid4().hex[:5]}_"
        self._random: Rng | None = None
        self._state_at_start: Any = None

    @property
    def total_samples(self) -> int:
        """How many trials there will be."""
        return self._total

    def add_configurations(
        self, experiments: Experiment | list[Experiment] | dict[str, dict[str, Any]]
    ) -> None:
        """Take up experiments to make trials for."""
        from skate.tune.experiment.experiment import convert_to_experiments

        if self._random is None:
            self._random = Rng(self._seed)
            self._state_at_start = _state_of(self._random)
        for experiment in convert_to_experiments(experiments):
            points = copy.deepcopy(self._points_to_evaluate)
            number = experiment.spec["num_samples"]
            source = _Source(experiment, points, float("inf") if number < 0 else number)
            self._sources.append(source)
            self._total += source.count()
            self._trials = itertools.chain(self._trials, source.trials(self))
        self._finished = False

    def next_trial(self) -> Trial | None:
        """The next trial; None if there is none, or as many run as may."""
        if 0 < self.max_concurrent <= len(self._live):
            return None
        trial = next(self._trials, None)
        if trial is None:
            self.set_finished()
            return None
        self._live.add(trial.trial_id)
        return trial

    def is_finished(self) -> bool:
        """Whether there will be no more trials."""
        return self._finished

    def on_trial_complete(
        self, trial_id: str, result: dict[str, Any] | None = None, error: bool = False
    ) -> None:
        """Take note that a trial has ended."""
        self._live.discard(trial_id)

    def next_id(self) -> str:
        """The id of the next trial."""
        number, self._made = self._made, self._made + 1
        return f"{self._prefix}{number:05d}"

    @property
    def random(self) -> Rng:
        """What is drawn with."""
        assert self._random is not None, "an experiment has been added"
        return self._random

    @property
    def constant_grid_search(self) -> bool:
        """Whether draws are the same for each combination of the grids."""
        return self._constant

    def get_state(self) -> dict[str, Any]:
        """Where the draws began."""
        return {"prefix": self._prefix, "random_state": pickle.dumps(self._state_at_start).hex()}

    def set_state(self, state: dict[str, Any]) -> None:
        """Take back what `get_state` returned; call it before experiments are added."""
        self._prefix = state["prefix"]
        self._random = Rng(_generator_in(pickle.loads(bytes.fromhex(state["random_state"]))))
        self._state_at_start = _state_of(self._random)

    def has_checkpoint(self, dirpath: str) -> bool:
        """Whether there is saved state in a directory."""
        return bool(_saved(dirpath))

    def save_to_dir(self, dirpath: str, session_str: str = "default", **kwargs: Any) -> None:
        """Save where the draws began: with the number of trials, they can be repeated."""
        path = os.path.join(dirpath, self.CKPT_FILE_TMPL.format(session_str))
        with open(f"{path}.partial", "w", encoding="utf-8") as file:
            json.dump(self.get_state(), file)
        os.replace(f"{path}.partial", path)

    def restore_from_dir(self, dirpath: str) -> None:
        """Take back where the draws began; call it before experiments are added.

        Args:
            dirpath: The directory.

        Raises:
            RuntimeError: nothing was saved there.
        """
        files = _saved(dirpath)
        if not files:
            raise RuntimeError(f"Unable to find checkpoint in {dirpath}.")
        with open(os.path.join(dirpath, files[-1]), encoding="utf-8") as file:
            self.set_state(json.load(file))

    def resume(self, trials: list[Trial]) -> None:
        """Draw what has been drawn before, so that the next trial is the one that would have come next."""
        drawn = {trial.trial_id for trial in trials if trial.trial_id.startswith(self._prefix)}
        for _ in range(len(drawn)):
            if next(self._trials, None) is None:
                break
        self._made = max([self._made, *(int(name.removeprefix(self._prefix)) + 1 for name in drawn)])
        self._live = {trial.trial_id for trial in trials if not trial.is_finished()}


class _Source:
    """The trials of one experiment."""

    def __init__(self, experiment: Experiment, points: list[dict[str, Any]], number: float) -> None:
        self.experiment = experiment
        self._points = points
        self._number = number
        self._spec = {"config": experiment.spec["config"]}

    def count(self) -> int:
        """How many trials there will be; of an endless search, those of one round."""
        rounds = 1 if self._number == float("inf") else int(self._number)
        used = min(len(self._points), rounds)
        presets = count_variants(self._spec, self._points[:used]) - count_spec_samples(self._spec)
        return presets + count_spec_samples(self._spec, rounds - used)

    def trials(self, search: BasicVariantGenerator) -> Iterator[Trial]:
        """One trial after the other."""
        rounds = 0
        while rounds < self._number:
            spec = self._spec
            if rounds < len(self._points):
                spec = merge_preset(spec, self._points[rounds])
            rounds += 1
            found = False
            for chosen, resolved in generate_variants(spec, search.constant_grid_search, search.random):
                found = True
                trial_id = search.next_id()
                tag = str(int(trial_id.rsplit("_", 1)[1]))
                tag = f"{tag}_{format_vars(chosen)}" if chosen else tag
                yield make_trial(
                    self.experiment, resolved["config"], flatten_resolved_vars(chosen), trial_id, tag
                )
            if not found:
                raise TuneError("a grid of the search space has no values: there is nothing to try.")


def _saved(dirpath: str) -> list[str]:
    prefix, suffix = BasicVariantGenerator.CKPT_FILE_TMPL.split("{}")
    names = os.listdir(dirpath) if os.path.isdir(dirpath) else []
    return sorted(name for name in names if name.startswith(prefix) and name.endswith(suffix))


def _state_of(random: Rng) -> Any:
    """What the generator can be made again from."""
    import numpy as np

    if random.source is np.random:
        return ("RandomState", np.random.get_state())
    return ("object", copy.deepcopy(random.source))


def _generator_in(state: Any) -> Any:
    import numpy as np

    kind, value = state
    if kind == "object":
        return value
    generator = np.random.RandomState()
    generator.set_state(value)
    return generator
