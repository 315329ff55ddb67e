"""A trial's code as a function, which reports as it goes.

The function runs in a greenlet of the thread that steps it. `report` switches back to whoever called `step`, and the
next `step` switches into the function again: a report hands over without a second thread, code that waits for tasks
of its own gives its CPU back as any code does, and a function that is stopped is unwound from where it reports.
"""

from __future__ import annotations

import contextvars
import inspect
import logging
import os
import threading
from collections.abc import Callable, Mapping
from typing import Any

import greenlet

from skate.air import session as _session
from skate.air._checkpoint import Checkpoint
from skate.air.checkpoint_manager import TrainingResult
from skate.tune import result as _keys
from skate.tune.trainable.session import TrialSession
from skate.tune.trainable.trainable import Trainable

__all__ = [
    "FunctionTrainable",
    "RESOURCES",
    "wrap_function",
]

_logger = logging.getLogger(__name__)

RESOURCES = "_resources"
"""The attribute of a function under which `with_resources` keeps what it said."""


class FunctionTrainable(Trainable):
    """Runs a function from one report to the next. `wrap_function` makes the subclass for a function."""

    _name = "func"

    def _trainable_func(self, config: dict[str, Any]) -> Any:
        raise NotImplementedError

    def setup(self, config: dict[str, Any]) -> None:
        """Begin nothing yet: the function starts with the first step."""
        self._function: greenlet.greenlet | None = None
        self._session: TrialSession | None = None
        self._start_from: Checkpoint | None = None
        self._context: contextvars.Context | None = None
        self._finished = False

    def step(self) -> dict[str, Any]:
        """Run the function until it reports or ends.

        Returns:
            What it reported; at its end, that it is done.
        """
        if self._finished:
            raise RuntimeError("the function has ended: there is no further step.")
        if self._function is None:
            self._begin()
        assert self._function is not None and self._session is not None
        self._session.saved = None
        self._function.parent = greenlet.getcurrent()  # each step may be called from another
        try:
            with _session.inside(self._session):
                self._share_context()
                reported: Any = self._function.switch()
        except BaseException:
            self._finished = True
            raise
        if not self._function.dead:
            return dict(reported)
        self._finished = True
        if reported is None:
            return {_keys.RESULT_DUPLICATE: True, _keys.DONE: True}
        final = self._returned(reported)
        final[_keys.DONE] = True
        return final

    def _begin(self) -> None:
        self._session = TrialSession(self._facts, self._storage, self._start_from, self._hand_over)
        self._caller = greenlet.getcurrent()
        self._thread = threading.get_ident()
        self._function = greenlet.greenlet(self._run)

    def _share_context(self) -> None:
        """Let the function see the caller's context variables as they are now; what it has set itself stays."""
        assert self._function is not None
        present = contextvars.copy_context()
        own = self._function.gr_context
        if own is None:
            self._function.gr_context = present
        else:
            for variable, value in present.items():
                if self._context is None or self._context.get(variable) is not value:
                    own.run(variable.set, value)
        self._context = present.copy()

    def _run(self) -> Any:
        returned = self._trainable_func(dict(self.config))
        if inspect.isgenerator(returned):
            # A function that yields its results rather than report them.
            for item in returned:
                _report_value(item)
            return None
        return returned

    def _hand_over(self, result: dict[str, Any]) -> None:
        """Switch to whoever called `step`; return when it is called again."""
        if threading.get_ident() != self._thread:
            raise RuntimeError(
                "report() was called in another thread than the one that runs the trainable. Pass the metrics to that "
                "thread, with a queue.Queue for example, and report there."
            )
        function = greenlet.getcurrent()
        assert function.parent is not None
        function.parent.switch(result)

    def _returned(self, value: Any) -> dict[str, Any]:
        """What the function returned, as a last report."""
        if isinstance(value, Mapping):
            final = dict(value)
        elif isinstance(value, int | float) or _is_number(value):
            final = {_keys.DEFAULT_METRIC: value}
        else:
            raise ValueError(
                "Invalid return or yield value. Either return/yield a single number or a dictionary object in your "
                f"trainable function, not {value!r}."
            )
        final.setdefault("timestamp", int(_time()))
        final.setdefault("checkpoint_dir_name", None)
        return final

    def take_saved(self) -> TrainingResult | None:
        """The checkpoint that came with the last report, or None."""
        return self._session.saved if self._session is not None else None

    def save(self, checkpoint_dir: str | None = None) -> TrainingResult:
        """The newest checkpoint that the function has reported; a function saves itself.

        Args:
            checkpoint_dir: A directory to copy it to.

        Returns:
            The checkpoint, or none if it has not reported one.
        """
        checkpoint = self._session.get_checkpoint() if self._session else self._start_from
        if checkpoint is not None and checkpoint_dir is not None:
            checkpoint = Checkpoint(checkpoint.to_directory(checkpoint_dir))
        return TrainingResult(checkpoint, dict(self._last_result))

    def restore(self, checkpoint_path: str | os.PathLike[str] | Checkpoint | TrainingResult) -> None:
        """Let the function find a checkpoint to go on from.

        Args:
            checkpoint_path: The checkpoint, with the metrics that came with it if they are known.
        """
        metrics: Mapping[str, Any] = {}
        if isinstance(checkpoint_path, TrainingResult):
            metrics, self._start_from = checkpoint_path.metrics, checkpoint_path.checkpoint
        elif isinstance(checkpoint_path, Checkpoint):
            self._start_from = checkpoint_path
        else:
            self._start_from = Checkpoint(checkpoint_path)
        self._set_state(
            {
                "iteration": metrics.get(_keys.TRAINING_ITERATION, 0),
                "timesteps_total": metrics.get(_keys.TIMESTEPS_TOTAL),
                "time_total": metrics.get(_keys.TIME_TOTAL_S, 0.0),
                "episodes_total": metrics.get(_keys.EPISODES_TOTAL),
                "last_result": dict(metrics),
            }
        )
        self._restored = True

    def reset(self, new_config: dict[str, Any], storage: Any = None) -> bool:
        """Become another trial: the function ends, and starts over with the first step.

        Args:
            new_config: What the other trial is configured with.
            storage: Where the other trial is kept.

        Returns:
            True.
        """
        self.cleanup()
        return super().reset(new_config, storage)

    def reset_config(self, new_config: dict[str, Any]) -> bool:
        """Nothing to do: the function gets its configuration when it starts."""
        self.setup(new_config)
        return True

    def execute(self, fn: Callable[[FunctionTrainable], Any]) -> Any:
        """Call a function with this trainable, in its process.

        Args:
            fn: The function.

        Returns:
            What it returns.
        """
        return fn(self)

    def cleanup(self) -> None:
        """End the function where it reports; its `finally` blocks run."""
        if self._function is not None and not self._function.dead:
            assert self._session is not None
            self._function.parent = greenlet.getcurrent()
            try:
                with _session.inside(self._session):
                    self._share_context()
                    self._function.throw(greenlet.GreenletExit)
            except Exception:
                _logger.exception("the trainable raised while it was being stopped")
        self._finished = True


def wrap_function(train_func: Callable[..., Any], name: str | None = None) -> type[FunctionTrainable]:
    """Make a class trainable of a function.

    Args:
        train_func: A function of one argument, the configuration.
        name: What trials are named after; default: the function's own name.

    Returns:
        A subclass of `FunctionTrainable`.

    Raises:
        ValueError: the function takes something else than one configuration.
    """
    _check_arguments(train_func)
    inherited = getattr(train_func, "__mixins__", ())
    resources = getattr(train_func, RESOURCES, None)

    class ImplicitFunc(*inherited, FunctionTrainable):  # type: ignore[misc]  # bases known at run time only
        _name = str(name or getattr(train_func, "__name__", "func"))

        def __repr__(self) -> str:
            return str(self._name)

        def _trainable_func(self, config: dict[str, Any]) -> Any:
            return train_func(config)

        @classmethod
        def default_resource_request(cls, config: dict[str, Any]) -> Any:
            """What `with_resources` said."""
            if resources is None:
                return None
            return resources(config) if callable(resources) and not _is_factory(resources) else resources

    ImplicitFunc.__name__ = ImplicitFunc.__qualname__ = "ImplicitFunc"
    return ImplicitFunc


def _is_factory(resources: Any) -> bool:
    from skate.tune.execution.placement_groups import PlacementGroupFactory

    return isinstance(resources, PlacementGroupFactory)


def _check_arguments(train_func: Callable[..., Any]) -> None:
    try:
        signature = inspect.signature(train_func)
    except (TypeError, ValueError):  # a built-in without a signature: calling it will tell
        return
    names = list(signature.parameters)
    try:
        signature.bind({})
    except TypeError as error:
        raise ValueError(
            "Unknown argument found in the Trainable function. The function args must include a single 'config' "
            f"positional parameter.\nFound: {names}. Give other arguments with tune.with_parameters()."
        ) from error


def _report_value(item: Any) -> None:
    session = _session.get_session()
    assert session is not None
    session.report(item if isinstance(item, dict) else {_keys.DEFAULT_METRIC: item})


def _is_number(value: Any) -> bool:
    return hasattr(value, "__float__") and getattr(value, "shape", None) in ((), None)


def _time() -> float:
    import time

    return time.time()
