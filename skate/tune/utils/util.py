"""Helpers that users of Ray's `tune.utils` know."""

from __future__ import annotations

import logging
import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Callable
from datetime import datetime
from typing import Any, Self

from skate.tune.utils.dictionaries import (
    deep_update,
    flatten_dict,
    merge_dicts,
    unflatten_dict,
    unflattened_lookup,
)

__all__ = [
    "Tee",
    "date_str",
    "deep_update",
    "diagnose_serialization",
    "flatten_dict",
    "merge_dicts",
    "retry_fn",
    "unflatten_dict",
    "unflattened_lookup",
    "validate_save_restore",
    "validate_warmstart",
    "wait_for_gpu",
    "warn_if_slow",
]

_logger = logging.getLogger(__name__)


def date_str() -> str:
    """The local time, as it stands in the names of runs: "2026-01-31_23-59-59"."""
    return datetime.now().astimezone().strftime("%Y-%m-%d_%H-%M-%S")


class warn_if_slow:  # noqa: N801 - Ray's name
    """Warn when a block takes long.

    Args:
        name: What the block does.
        threshold: Seconds; default: those of the environment variable TUNE_WARN_THRESHOLD_S, or 0.5.
        message: What is logged; `{name}` and `{duration}` are filled in.
        disable: Never warn.

    Attributes:
        too_slow: Whether the block took long.
    """

    DEFAULT_THRESHOLD = float(os.environ.get("TUNE_WARN_THRESHOLD_S", "0.5"))
    DEFAULT_MESSAGE = "The `{name}` operation took {duration:.3f} s, which may be a performance bottleneck."

    def __init__(
        self, name: str, threshold: float | None = None, message: str | None = None, disable: bool = False
    ) -> None:
        self.name = name
        self.threshold = threshold or self.DEFAULT_THRESHOLD
        self.message = message or self.DEFAULT_MESSAGE
        self.disable = disable
        self.too_slow = False

    def __enter__(self) -> Self:
        self.start = time.monotonic()
        return self

    def __exit__(self, *raised: object) -> None:
        duration = time.monotonic() - self.start
        if duration > self.threshold and not self.disable:
            self.too_slow = True
            _logger.warning(self.message.format(name=self.name, duration=duration))


def diagnose_serialization(trainable: Callable[..., Any]) -> bool | Any:
    """Find out why a trainable can't be pickled.

    Args:
        trainable: A function or class.

    Returns:
        True if it can be pickled, otherwise the objects that can't.
    """
    from skate.util import inspect_serializability

    works, failures = inspect_serializability(trainable)
    return True if works else failures


def wait_for_gpu(
    gpu_id: int | str | None = None,
    target_util: float = 0.01,
    retry: int = 20,
    delay_s: int = 5,
    gpu_memory_limit: Any = None,
) -> bool:
    """Wait until a GPU's memory is free, for trials that follow one another on it.

    Args:
        gpu_id: The GPU's index or UUID; default: the first of those that this process holds.
        target_util: The share of its memory that may be in use.
        retry: How often to look.
        delay_s: Seconds between two looks.
        gpu_memory_limit: No longer accepted.

    Returns:
        True when it is free.

    Raises:
        RuntimeError: it is still in use after the last look, or can't be looked at.
        ValueError: an argument is no longer accepted, or there is no such GPU.
    """
    import skate

    if gpu_memory_limit is not None:
        raise ValueError("'gpu_memory_limit' is deprecated. Use 'target_util' instead.")
    if gpu_id is None:
        ids = skate.get_gpu_ids()
        if not ids:
            raise RuntimeError("No GPU ids found from `get_gpu_ids()`: this process holds no GPU.")
        gpu_id = ids[0]
    tool = shutil.which("nvidia-smi")
    if tool is None:
        raise RuntimeError("nvidia-smi is needed to look at a GPU's memory, and is not on the PATH.")
    for _ in range(int(retry)):
        used = _memory_share(tool, str(gpu_id))
        if used <= target_util:
            return True
        _logger.info("GPU %s: %.0f %% of the memory is in use; waiting", gpu_id, used * 100)
        time.sleep(delay_s)
    raise RuntimeError("GPU memory was not freed.")


def _memory_share(tool: str, gpu_id: str) -> float:
    fields = "memory.used,memory.total"
    command = [tool, f"--id={gpu_id}", f"--query-gpu={fields}", "--format=csv,noheader,nounits"]
    answer = subprocess.run(command, capture_output=True, text=True, check=False)
    if answer.returncode:
        raise ValueError(f"there is no GPU {gpu_id!r}: {answer.stdout.strip() or answer.stderr.strip()}")
    used, total = (float(number) for number in answer.stdout.strip().split(","))
    return used / total


def validate_save_restore(
    trainable_cls: type, config: dict[str, Any] | None = None, num_gpus: int = 0
) -> bool:
    """Check that a class trainable goes on from a checkpoint where it left off.

    Args:
        trainable_cls: The class.
        config: What it is configured with.
        num_gpus: GPUs that it holds.

    Returns:
        True.

    Raises:
        AssertionError: it does not.
    """
    import skate

    remote_cls: Any = skate.remote(num_gpus=num_gpus)(trainable_cls)
    first, second = remote_cls.remote(config=config or {}), remote_cls.remote(config=config or {})
    with tempfile.TemporaryDirectory() as directory:
        place = os.path.join(directory, "checkpoint")
        for _ in range(3):
            result = skate.get(first.train.remote())
            assert result.get("training_iteration") is not None, "train() returned no training_iteration"
            skate.get(first.save.remote(place))
        skate.get(second.restore.remote(place))
        after = skate.get(second.train.remote())
        assert after["training_iteration"] == 4, (
            f"after a restore from iteration 3, train() came to iteration {after['training_iteration']}, not 4"
        )
    skate.kill(first)
    skate.kill(second)
    return True


def validate_warmstart(
    parameter_names: list[str],
    points_to_evaluate: list[list[Any] | dict[str, Any]],
    evaluated_rewards: list[Any],
    validate_point_name_lengths: bool = True,
) -> None:
    """Check points that a search begins with.

    Args:
        parameter_names: The parameters.
        points_to_evaluate: Their values, a point each.
        evaluated_rewards: The metric's values, if they are known.
        validate_point_name_lengths: Whether each point has to have all parameters.

    Raises:
        TypeError: something is no list.
        ValueError: lengths don't fit.
    """
    if points_to_evaluate:
        if not isinstance(points_to_evaluate, list):
            raise TypeError(f"points_to_evaluate expected to be a list, got {type(points_to_evaluate)}.")
        for point in points_to_evaluate:
            if not isinstance(point, dict | list):
                raise TypeError(f"points_to_evaluate expected to include list or dict, got {point}.")
            if validate_point_name_lengths and len(point) != len(parameter_names):
                raise ValueError(f"Dim of point {point} and parameter_names {parameter_names} do not match.")
    if points_to_evaluate and evaluated_rewards:
        if not isinstance(evaluated_rewards, list):
            raise TypeError(f"evaluated_rewards expected to be a list, got {type(evaluated_rewards)}.")
        if len(evaluated_rewards) != len(points_to_evaluate):
            raise ValueError(
                f"Dim of evaluated_rewards {evaluated_rewards} and points_to_evaluate {points_to_evaluate} do not match."
            )


def retry_fn(
    fn: Callable[[], Any],
    exception_type: type[Exception] | tuple[type[Exception], ...] = Exception,
    num_retries: int = 3,
    sleep_time: float = 1,
    timeout: float | None = None,
) -> bool:
    """Call a function until it does not fail.

    Args:
        fn: The function.
        exception_type: What it may fail with.
        num_retries: How often it is called at most.
        sleep_time: Seconds between two calls.
        timeout: Seconds after which a call counts as failed, though it goes on.

    Returns:
        Whether a call succeeded.
    """
    import threading

    kinds = tuple(exception_type) if isinstance(exception_type, list | tuple) else exception_type
    for number in range(num_retries):
        outcome: list[bool] = []

        def attempt(outcome: list[bool] = outcome) -> None:
            try:
                fn()
            except kinds as error:
                _logger.warning("%r failed: %r", fn, error)
            else:
                outcome.append(True)

        thread = threading.Thread(target=attempt, daemon=True)
        thread.start()
        thread.join(timeout)
        if outcome:
            return True
        if number < num_retries - 1:
            time.sleep(sleep_time)
    return False


class Tee:
    """Writes to two streams.

    Args:
        stream1: One.
        stream2: The other, which decides what else it looks like.
    """

    def __init__(self, stream1: Any, stream2: Any) -> None:
        self.stream1 = stream1
        self.stream2 = stream2

    def write(self, *args: Any, **kwargs: Any) -> None:
        """Write to both."""
        for stream in (self.stream1, self.stream2):
            stream.write(*args, **kwargs)

    def flush(self, *args: Any, **kwargs: Any) -> None:
        """Flush both."""
        for stream in (self.stream1, self.stream2):
            stream.flush(*args, **kwargs)

    @property
    def encoding(self) -> Any:
        """The second stream's encoding."""
        return self.stream2.encoding

    def seek(self, *args: Any, **kwargs: Any) -> None:
        """Go to a place in both."""
        for stream in (self.stream1, self.stream2):
            stream.seek(*args, **kwargs)

    @property
    def newlines(self) -> Any:
        """The second stream's kinds of line ends."""
        return self.stream2.newlines

    @property
    def error(self) -> Any:
        """How the second stream treats what it can't encode."""
        return self.stream2.errors

    def isatty(self) -> bool:
        """Whether the second stream is a terminal."""
        return bool(self.stream2.isatty())

    def fileno(self) -> int:
        """The second stream's descriptor."""
        number: int = self.stream2.fileno()
        return number
