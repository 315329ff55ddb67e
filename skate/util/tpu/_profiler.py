"""JAX's profiler in this process, and where it listens."""

from __future__ import annotations

import atexit
import logging
import os

import skate
from skate.experimental.internal_kv import _internal_kv_del, _internal_kv_put

_NAMESPACE = b"dashboard"
_log = logging.getLogger(__name__)


def init_jax_profiler(port: int | None = None) -> None:
    """Start JAX's profiler server in this process, for tools that connect to it; says in the log if it can't be started.

    Its port stands in the internal key-value store, under "jax_profiler_port:<node id>:<pid>" in the namespace "dashboard", until
    this process ends.

    Args:
        port: Where it listens; default: JAX_PROFILER_PORT, or 9999.
    """
    try:
        import jax
    except ImportError:
        _log.warning("JAX is not installed: its profiler is not started.")
        return
    try:
        chosen = int(os.environ.get("JAX_PROFILER_PORT", "9999")) if port is None else port
        jax.profiler.start_server(chosen)
    except (ValueError, RuntimeError) as error:
        _log.error("Failed to start JAX profiler server: %s", error)
        return
    if skate.is_initialized():
        key = f"jax_profiler_port:{skate.get_runtime_context().get_node_id()}:{os.getpid()}".encode()
        _internal_kv_put(key, str(chosen).encode(), namespace=_NAMESPACE)
        atexit.register(_forget, key)


def _forget(key: bytes) -> None:
    if skate.is_initialized():
        _internal_kv_del(key, namespace=_NAMESPACE)
