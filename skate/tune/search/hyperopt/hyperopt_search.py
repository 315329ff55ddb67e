"""HyperOpt as a searcher."""

from __future__ import annotations

import copy
import logging
import math
from typing import Any

from skate.tune.search import spaces as _spaces
from skate.tune.search.sample import Categorical, Float, Integer, LogUniform, Normal, Uniform
from skate.tune.utils.dictionaries import flatten_dict, unflatten_dict

_logger = logging.getLogger(__name__)


class HyperOptSearch(_spaces.AdaptedSearcher):
    """Suggests what HyperOpt's tree-structured Parzen estimator suggests.

    Args:
        space: A search space of HyperOpt's; default: the `param_space` of the search.
        metric: The metric.
        mode: "min" or "max".
        points_to_evaluate: Parameters to try first.
        n_initial_points: How many suggestions are drawn at random.
        random_state_seed: A seed.
        gamma: The share of trials that count as good.

    Raises:
        ImportError: HyperOpt is not installed.
    """

    def __init__(
        self,
        space: dict[str, Any] | None = None,
        metric: str | None = None,
        mode: str | None = None,
        points_to_evaluate: list[dict[str, Any]] | None = None,
        n_initial_points: int = 20,
        random_state_seed: int | None = None,
        gamma: float = 0.25,
    ) -> None:
        self._hyperopt = _spaces.load("hyperopt", "hyperopt")
        super().__init__(metric=metric, mode=mode)
        import numpy as np

        self._points = _spaces.flat_points(points_to_evaluate)
        self._settings = {"n_startup_jobs": n_initial_points, "gamma": gamma}
        self._random = np.random.default_rng(random_state_seed)
        self._domain: Any = None
        self._trials: Any = None
        self._ids: dict[str, int] = {}
        if _spaces.has_domains(space):
            assert space is not None
            space = self.convert_search_space(space)
        self._space = space
        if space:
            self._set_up()

    def _set_up(self) -> None:
        base = self._hyperopt.base
        self._domain = base.Domain(lambda config: config, self._space)
        self._trials = self._hyperopt.Trials()

    def set_search_properties(
        self, metric: str | None, mode: str | None, config: dict[str, Any], **spec: Any
    ) -> bool:
        """Take up the metric, the mode and the search space."""
        if self._domain is not None or (self._metric and metric) or (self._mode and mode):
            return False
        self._space = self.convert_search_space(config)
        self._learn_properties(metric, mode)
        self._set_up()
        return True

    def suggest(self, trial_id: str) -> dict[str, Any] | None:
        """Ask HyperOpt for parameters."""
        self._need_space(self._domain is not None)
        trials = self._trials
        (number,) = trials.new_trial_ids(1)
        if self._points:
            document = self._document_of(self._points.pop(0), number)
        else:
            trials.refresh()
            seed = int(self._random.integers(2**31 - 1))
            (document,) = self._hyperopt.tpe.suggest(
                [number], self._domain, trials, seed, verbose=False, **self._settings
            )
        trials.insert_trial_doc(document)
        trials.refresh()
        self._ids[trial_id] = number
        config = self._hyperopt.base.spec_from_misc(document["misc"])
        ctrl = self._hyperopt.base.Ctrl(trials=trials, current_trial=document)
        memo = self._domain.memo_from_config(config)
        self._hyperopt.utils.use_obj_for_literal_in_memo(
            self._domain.expr, ctrl, self._hyperopt.base.Ctrl, memo
        )
        suggested = self._hyperopt.pyll.rec_eval(self._domain.expr, memo=memo, print_node_on_error=False)
        plain: dict[str, Any] = unflatten_dict(flatten_dict(copy.deepcopy(dict(suggested))))
        return plain

    def _document_of(self, point: dict[str, Any], number: int) -> Any:
        """A trial of HyperOpt's with given parameters; of a choice HyperOpt knows the index."""
        values: dict[str, list[Any]] = {}
        for name in self._domain.params:
            value = point.get(name)
            if value is None:
                raise ValueError(
                    f"points_to_evaluate has no value for {name!r}: HyperOpt needs one for each parameter."
                )
            choices = self._choices.get(name)
            values[name] = [choices.index(value) if choices is not None else value]
        misc = {
            "tid": number,
            "cmd": self._domain.cmd,
            "workdir": self._domain.workdir,
            "idxs": {name: [number] for name in values},
            "vals": values,
        }
        (document,) = self._trials.new_trial_docs([number], [None], [self._domain.new_result()], [misc])
        return document

    @property
    def _choices(self) -> dict[str, list[Any]]:
        """The values of each choice, by its name."""
        found: dict[str, list[Any]] = {}
        for node in self._hyperopt.pyll.dfs(self._domain.expr):
            if node.name == "switch":
                label = node.pos_args[0].pos_args[0].obj
                found[label] = [each.obj for each in node.pos_args[1:] if hasattr(each, "obj")]
        return found

    def on_trial_result(self, trial_id: str, result: dict[str, Any]) -> None:
        """Tell HyperOpt that the trial runs."""
        trial = self._find(trial_id)
        if trial is not None:
            now = self._hyperopt.utils.coarse_utcnow()
            trial["book_time"] = trial["book_time"] or now
            trial["refresh_time"] = now

    def on_trial_complete(
        self, trial_id: str, result: dict[str, Any] | None = None, error: bool = False
    ) -> None:
        """Tell HyperOpt how well the parameters did."""
        trial = self._find(trial_id)
        if trial is None:
            return
        trial["refresh_time"] = self._hyperopt.utils.coarse_utcnow()
        value = self._value(result)
        if error or value is None or math.isinf(value):
            trial["state"] = self._hyperopt.base.JOB_STATE_ERROR
            trial["misc"]["error"] = ("trial failed", "no usable value of the metric")
        else:
            trial["state"] = self._hyperopt.base.JOB_STATE_DONE
            trial["result"] = {"loss": self._sign * value, "status": "ok"}
        self._trials.refresh()
        del self._ids[trial_id]

    def _find(self, trial_id: str) -> Any:
        number = self._ids.get(trial_id)
        if number is None:
            return None
        # Those that have not ended are in no other place.
        known = self._trials._dynamic_trials  # noqa: SLF001
        return next((trial for trial in reversed(known) if trial["tid"] == number), None)

    def _state_to_save(self) -> dict[str, Any]:
        # The domain holds a function; it is made anew from the space.
        return {name: value for name, value in self.__dict__.items() if name not in ("_hyperopt", "_domain")}

    def restore(self, checkpoint_path: str) -> None:
        """Take back what was saved."""
        super().restore(checkpoint_path)
        if self._space:
            self._domain = self._hyperopt.base.Domain(lambda config: config, self._space)

    @staticmethod
    def convert_search_space(spec: dict[str, Any], prefix: str = "") -> dict[str, Any]:
        """HyperOpt's search space for a search space.

        Args:
            spec: The search space.
            prefix: What names begin with.

        Returns:
            HyperOpt's expressions by name; a nested parameter's name is its path, "a/b".

        Raises:
            ValueError: there is a grid in it, or a domain that HyperOpt does not know.
        """
        hp = _spaces.load("hyperopt", "hyperopt").hp
        domains = _spaces.domains_of(spec, "a HyperOpt")
        return {
            f"{prefix}{name}": _convert(f"{prefix}{name}", domain, hp) for name, domain in domains.items()
        }


def _convert(name: str, domain: Any, hp: Any) -> Any:
    from math import log

    sampler, step = _spaces.split_sampler(domain)
    if isinstance(domain, Categorical) and isinstance(sampler, Uniform):
        return hp.choice(name, domain.categories)
    if isinstance(domain, Float):
        if isinstance(sampler, Normal):
            return (
                hp.normal(name, sampler.mean, sampler.sd)
                if step is None
                else hp.qnormal(name, sampler.mean, sampler.sd, step)
            )
        if isinstance(sampler, LogUniform):
            low, high = log(domain.lower), log(domain.upper)
            return hp.loguniform(name, low, high) if step is None else hp.qloguniform(name, low, high, step)
        if isinstance(sampler, Uniform):
            return (
                hp.uniform(name, domain.lower, domain.upper)
                if step is None
                else hp.quniform(name, domain.lower, domain.upper, step)
            )
    if isinstance(domain, Integer):
        whole = _spaces.load("hyperopt.pyll", "hyperopt").scope.int
        if isinstance(sampler, LogUniform):
            return whole(hp.qloguniform(name, log(domain.lower), log(domain.upper), step or 1.0))
        if isinstance(sampler, Uniform):
            if step is not None and step != 1:
                return whole(hp.quniform(name, domain.lower, domain.upper, step))
            return whole(hp.uniformint(name, domain.lower, domain.upper - 1))
    raise _spaces.unsupported(domain, "HyperOpt")


__all__ = ["HyperOptSearch"]
