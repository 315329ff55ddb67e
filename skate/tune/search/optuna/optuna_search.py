"""Optuna as a searcher: TPE unless another of its samplers is given, several metrics, its own storage."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from skate.air.result import look_up
from skate.tune import result as _keys
from skate.tune.search import spaces as _spaces
from skate.tune.search.sample import Categorical, Float, Integer, LogUniform, Uniform
from skate.tune.utils.dictionaries import flatten_dict, unflatten_dict

if TYPE_CHECKING:
    import optuna

    from skate.tune.experiment.trial import Trial

_TRIAL_ID = "trial_id"


class OptunaSearch(_spaces.AdaptedSearcher):
    """Suggests what Optuna suggests.

    Args:
        space: The search space: Optuna's distributions by name; or a function of an Optuna trial that calls its
            `suggest_…` and returns constants, if any. Default: the `param_space` of the search.
        metric: The metric, or a list of several.
        mode: "min" or "max", or a list of as many.
        points_to_evaluate: Parameters to try first.
        sampler: An Optuna sampler; default: `TPESampler(seed=seed)`, for several metrics `NSGAIISampler(seed=seed)`.
        study_name: The study's name in `storage`.
        storage: An Optuna storage; default: in memory, saved with the experiment.
        seed: For the default sampler.
        evaluated_rewards: The metric's values of `points_to_evaluate`, if they are known: then they are not tried.
        constraints: Called with a trial's last result; returns numbers that are at most 0 where the trial is allowed. Needs
            Optuna 5.

    Raises:
        ImportError: Optuna is not installed.
        ValueError: an argument makes no sense.

    Example:
        >>> from skate import tune
        >>> search = OptunaSearch(metric="loss", mode="min", seed=1)
        >>> search.set_search_properties(None, None, {"x": tune.uniform(0, 1)})
        True
        >>> 0 <= search.suggest("trial")["x"] <= 1
        True
    """

    def __init__(
        self,
        space: dict[str, Any] | list[Any] | Callable[[Any], dict[str, Any] | None] | None = None,
        metric: str | list[str] | None = None,
        mode: str | list[str] | None = None,
        points_to_evaluate: list[dict[str, Any]] | None = None,
        sampler: optuna.samplers.BaseSampler | None = None,
        study_name: str | None = None,
        storage: optuna.storages.BaseStorage | None = None,
        seed: int | None = None,
        evaluated_rewards: list[Any] | None = None,
        constraints: Callable[[dict[str, Any]], Sequence[float]] | None = None,
    ) -> None:
        optuna = self._library
        super().__init__(metric=metric, mode=mode)
        if isinstance(space, list):
            raise ValueError(
                "a list of suggest-calls is no longer a search space: pass Optuna's distributions by name, or a function of "
                "an Optuna trial."
            )
        if _spaces.has_domains(space):
            assert isinstance(space, dict)
            space = self.convert_search_space(space)
        self._space = space
        self._points = points_to_evaluate or []
        self._rewards = list(evaluated_rewards or [])
        if self._rewards and len(self._rewards) != len(self._points):
            raise ValueError(
                f"Dim of evaluated_rewards {len(self._rewards)} and points_to_evaluate {len(self._points)} do not match."
            )
        if sampler is not None and not isinstance(sampler, optuna.samplers.BaseSampler):
            raise AssertionError(
                f"You can only pass an instance of `optuna.samplers.BaseSampler` as a sampler to `OptunaSearcher`, not {sampler!r}."
            )
        if constraints is not None and not hasattr(optuna.Trial, "set_constraint"):
            raise ImportError('constraints need Optuna 5 or newer: pip install --upgrade "optuna>=5"')
        self._sampler = sampler
        self._constraints = constraints
        self._seed = seed
        self._storage = storage
        self._study_name = study_name or "optuna"
        self._study: Any = None
        self._open: dict[str, Any] = {}
        self._completed: set[str] = set()
        self._pruned: set[str] = set()
        self._steps: dict[str, int] = {}
        if self._space and metric and mode:
            self._set_up_study()

    @property
    def _library(self) -> Any:
        # Not kept: with a module in it, a searcher that wraps this one could not be pickled, as FLAML's is.
        return _spaces.load("optuna", '"skate[tune]"')

    def _set_up_study(self) -> None:
        optuna = self._library
        modes = self._mode if isinstance(self._mode, list) else [self._mode or "max"]
        several = len(modes) > 1
        default = optuna.samplers.NSGAIISampler if several else optuna.samplers.TPESampler
        before = optuna.logging.get_verbosity()
        optuna.logging.set_verbosity(optuna.logging.WARNING)  # it would announce each study
        try:
            self._study = optuna.create_study(
                storage=self._storage,
                sampler=self._sampler or default(seed=self._seed),
                pruner=optuna.pruners.NopPruner(),
                study_name=self._study_name,
                directions=["minimize" if mode == "min" else "maximize" for mode in modes],
                load_if_exists=True,
            )
        finally:
            optuna.logging.set_verbosity(before)
        points = _spaces.flat_points(self._points)
        if self._rewards:
            for point, reward in zip(points, self._rewards, strict=True):
                self.add_evaluated_point(point, reward)
        else:
            for point in points:
                self._study.enqueue_trial(point)

    def set_search_properties(
        self, metric: str | None, mode: str | None, config: dict[str, Any], **spec: Any
    ) -> bool:
        """Take up the metric, the mode and the search space."""
        if self._space:
            return not (metric or mode) or (self._study is None and self._take_metric(metric, mode))
        if (self._metric and metric) or (self._mode and mode):
            return False
        self._space = self.convert_search_space(config)
        return self._take_metric(metric, mode)

    def _take_metric(self, metric: str | None, mode: str | None) -> bool:
        if (self._metric and metric) or (self._mode and mode):
            return False
        self._learn_properties(metric, mode)
        self._set_up_study()
        return True

    def suggest(self, trial_id: str) -> dict[str, Any] | None:
        """Ask Optuna for parameters.

        Raises:
            RuntimeError: the search space, metric or mode is not known.
        """
        self._need_space(bool(self._space))
        if self._study is None:
            self._set_up_study()
        if callable(self._space):
            trial = self._begin(trial_id, self._study.ask())
            constants = self._space(trial)
            if constants is not None and not isinstance(constants, dict):
                raise TypeError(
                    "The return value of the define-by-run function passed in the `space` argument should be either None or a "
                    f"`dict` with `str` keys. Got {constants!r}."
                )
            # What was suggested comes first: FLAML reads it in this order.
            return unflatten_dict({**trial.params, **(constants or {})})
        trial = self._begin(trial_id, self._study.ask(fixed_distributions=self._space))
        return unflatten_dict(trial.params)

    def _begin(self, trial_id: str, trial: Any) -> Any:
        self._open[trial_id] = trial
        if self._storage is not None:  # which may know more than what was saved last of this object
            trial.set_user_attr(_TRIAL_ID, trial_id)
        return trial

    def on_trial_result(self, trial_id: str, result: dict[str, Any]) -> None:
        """Tell Optuna's sampler of a value on the way; only of one metric it can be told."""
        trial = self._open.get(trial_id)
        if trial is None or isinstance(self._metric, list):
            return
        value = self._value(result)
        if value is not None:
            self._report(trial_id, trial, value, int(result[_keys.TRAINING_ITERATION]))

    def _report(self, trial_id: str, trial: Any, value: float, step: int) -> None:
        if step > self._steps.get(trial_id, -1):  # not what the pruner has been asked about just now
            self._steps[trial_id] = step
            trial.report(value, step)

    def use_pruner(self, pruner: optuna.pruners.BasePruner) -> None:
        """Ask this pruner in `prunes`; for the scheduler `OptunaPruning`."""
        if self._study is not None:
            self._study.pruner = pruner

    def prunes(self, trial_id: str, value: float, step: int) -> bool:
        """Whether the study's pruner would prune a trial.

        Args:
            trial_id: The trial.
            value: Its newest value of the metric.
            step: How far it has come.

        Raises:
            ValueError: there are several metrics, for which Optuna has no pruning.
        """
        if isinstance(self._metric, list):
            raise ValueError("Optuna prunes by one metric: OptunaPruning does not go with several.")
        trial = self._open.get(trial_id)
        if trial is None:
            return False
        self._report(trial_id, trial, value, step)
        if trial.should_prune():
            self._pruned.add(trial_id)
            return True
        return False

    def on_trial_complete(
        self, trial_id: str, result: dict[str, Any] | None = None, error: bool = False
    ) -> None:
        """Tell Optuna how well the parameters did."""
        trial = self._open.pop(trial_id, None)
        if trial is None:
            return
        self._steps.pop(trial_id, None)
        self._completed.add(trial_id)
        state = self._library.trial.TrialState
        if trial_id in self._pruned:
            self._pruned.discard(trial_id)
            self._study.tell(trial, state=state.PRUNED)
            return
        if self._constraints is not None and result and not error:
            for number, each in enumerate(self._constraints(result)):
                trial.set_constraint(f"constraint {number}", float(each))
        metrics = self._metric if isinstance(self._metric, list) else [self._metric]
        values = [look_up(result, str(metric)) for metric in metrics] if result else []
        known = [value for value in values if value is not None and not math.isnan(float(value))]
        if error or len(known) != len(metrics):
            self._study.tell(trial, state=state.FAIL)
        else:
            self._study.tell(trial, [float(value) for value in known])

    def add_evaluated_point(
        self,
        parameters: dict[str, Any],
        value: Any,
        error: bool = False,
        pruned: bool = False,
        intermediate_values: list[float] | None = None,
    ) -> None:
        """Tell Optuna of parameters that were tried elsewhere.

        Raises:
            RuntimeError: the search space is not known.
            TypeError: it is a function.
        """
        self._need_space(bool(self._space))
        if callable(self._space):
            raise TypeError(
                "Define-by-run function passed in `space` argument is not yet supported when using `evaluated_rewards`."
            )
        if self._study is None:
            self._set_up_study()
        state = self._library.trial.TrialState
        reached = state.FAIL if error else state.PRUNED if pruned else state.COMPLETE
        flat = {name: each for name, each in flatten_dict(parameters).items() if name in self._space}
        several = isinstance(value, list | tuple)
        steps = dict(enumerate(intermediate_values)) if intermediate_values else None
        self._study.add_trial(
            self._library.trial.create_trial(
                state=reached,
                value=None if several or error else value,
                values=list(value) if several and not error else None,
                params=flat,
                distributions={name: self._space[name] for name in flat},
                intermediate_values=steps,
            )
        )

    def learn_missing(self, trials: list[Trial]) -> None:
        """Learn of trials that the saved state does not know, unless the study's own storage knows them."""
        if self._storage is None or self._study is None:
            super().learn_missing(trials)
            return
        known = {each.user_attrs.get(_TRIAL_ID): each for each in self._study.get_trials(deepcopy=False)}
        super().learn_missing([trial for trial in trials if trial.trial_id not in known])
        for trial in trials:
            stored = known.get(trial.trial_id)
            if stored is None or stored.state.is_finished():
                continue
            self._open[trial.trial_id] = self._library.Trial(self._study, stored._trial_id)  # noqa: SLF001 - Optuna has no other way
            if trial.is_finished():
                self.on_trial_complete(trial.trial_id, trial.last_result, error=trial.status == "ERROR")

    @staticmethod
    def convert_search_space(spec: dict[str, Any]) -> dict[str, Any]:
        """Optuna's distributions for a search space.

        Args:
            spec: The search space.

        Returns:
            Distributions by name; a nested parameter's name is its path, "a/b".

        Raises:
            ValueError: there is a grid in it, or a domain that Optuna does not know.
        """
        distributions = _spaces.load("optuna.distributions", '"skate[tune]"')
        return {
            name: _convert(domain, distributions)
            for name, domain in _spaces.domains_of(spec, "a Optuna").items()
        }


def _convert(domain: Any, distributions: Any) -> Any:
    sampler, step = _spaces.split_sampler(domain)
    log = isinstance(sampler, LogUniform)
    if isinstance(domain, Float) and isinstance(sampler, Uniform | LogUniform):
        # Optuna has no steps on a logarithmic scale.
        return distributions.FloatDistribution(
            domain.lower, domain.upper, log=log, step=None if log else step
        )
    if isinstance(domain, Integer) and isinstance(sampler, Uniform | LogUniform):
        if step is None or step == 1:
            return distributions.IntDistribution(domain.lower, domain.upper - 1, log=log)
        return distributions.IntDistribution(
            domain.lower, domain.upper, log=log, step=1 if log else int(step)
        )
    if isinstance(domain, Categorical) and isinstance(sampler, Uniform):
        return distributions.CategoricalDistribution(domain.categories)
    raise _spaces.unsupported(domain, "Optuna search")


__all__ = ["OptunaSearch"]
