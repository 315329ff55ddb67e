"""joblib's backend "ray": a pool of actors runs the batches."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from joblib._parallel_backends import (
    FallbackToBackend,
    MultiprocessingBackend,
    SequentialBackend,
)

import skate
from skate.util.multiprocessing import Pool


class RayBackend(MultiprocessingBackend):
    """Runs joblib's batches in a `skate.util.multiprocessing.Pool`.

    Args:
        nesting_level: As joblib sets it.
        inner_max_num_threads: As joblib sets it.
        ray_remote_args: Options of the pool's actors, such as {"num_gpus": 1}.
        **kwargs: For joblib.
    """

    supports_inner_max_num_threads = False
    supports_return_generator = (
        True  # unlike its base: results come by callback, and the pool is stopped in peace
    )

    def __init__(
        self,
        nesting_level: int | None = None,
        inner_max_num_threads: int | None = None,
        ray_remote_args: dict[str, Any] | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(nesting_level=nesting_level, inner_max_num_threads=inner_max_num_threads, **kwargs)
        self.ray_remote_args = dict(ray_remote_args or {})

    def effective_n_jobs(self, n_jobs: int | None) -> int:
        """How many processes `n_jobs` stands for: -1 is all the session's CPUs, -2 all but one.

        Raises:
            ValueError: `n_jobs` is 0.
        """
        if n_jobs is None:
            return 1
        if n_jobs == 0:
            raise ValueError("n_jobs == 0 in Parallel has no meaning")
        if n_jobs > 0:
            return n_jobs
        if not skate.is_initialized():
            skate.init()
        cpus = int(skate.cluster_resources().get("CPU", 1))
        return max(cpus + 1 + n_jobs, 1)

    def configure(
        self,
        n_jobs: int = 1,
        parallel: Any = None,
        prefer: str | None = None,
        require: str | None = None,
        **_memmapping: Any,
    ) -> int:
        """Start the pool; returns how many processes it has."""
        n_jobs = self.effective_n_jobs(n_jobs)
        if n_jobs == 1:
            raise FallbackToBackend(SequentialBackend(nesting_level=self.nesting_level))
        self._pool = Pool(n_jobs, ray_remote_args=self.ray_remote_args)
        self.parallel = parallel
        return n_jobs

    def submit(self, func: Callable[..., Any], callback: Callable[[Any], Any] | None = None) -> Any:
        """Give a batch to the pool; `callback` gets its results, or the error."""

        def failed(error: Any) -> None:
            if callback is not None:
                callback(error.underlying)

        return self._pool.apply_async(func, (), callback=callback, error_callback=failed)

    def retrieve_result_callback(self, out: Any) -> Any:
        """What `callback` was given, raised if it is an error."""
        if isinstance(out, BaseException):
            raise out
        return out


__all__ = ["RayBackend"]
