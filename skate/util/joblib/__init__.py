"""joblib's parallel loops on actors: `register_ray()`, then `parallel_backend("ray")`."""

from __future__ import annotations


def register_ray() -> None:
    """Make "ray" a backend of joblib, for `joblib.parallel_backend("ray")` and `joblib.parallel_config("ray")`.

    Raises:
        ImportError: joblib is not installed.

    Example:
        >>> import joblib
        >>> from skate.util.joblib import register_ray
        >>> register_ray()
        >>> with joblib.parallel_backend("ray", n_jobs=2):
        ...     joblib.Parallel()(joblib.delayed(abs)(x) for x in [-1, 2])
        [1, 2]
    """
    try:
        from joblib.parallel import register_parallel_backend
    except ImportError:
        raise ImportError("register_ray() needs joblib, which is not installed: pip install joblib") from None
    from skate.util.joblib.ray_backend import RayBackend

    register_parallel_backend("ray", RayBackend)


__all__ = ["register_ray"]
