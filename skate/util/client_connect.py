"""`connect` and `disconnect`: the oldest way to join a session."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import skate

if TYPE_CHECKING:
    from skate.client_builder import ClientBuilder


def connect(
    conn_str: str,
    secure: bool = False,
    metadata: Any = None,
    connection_retries: int = 3,
    job_config: Any = None,
    namespace: str | None = None,
    *,
    ignore_version: bool = False,
    _credentials: Any = None,
    ray_init_kwargs: dict[str, Any] | None = None,
) -> dict[str, Any]:
    """Join the session that an address means; `skate.init` does the same, and more.

    Args:
        conn_str: HOST:PORT of this machine, which means the session that `skate start` has started, or a session's name.
        secure: Accepted for Ray's programs, as are the others that are not described here.
        metadata: See there.
        connection_retries: See there.
        job_config: A `JobConfig`.
        namespace: Where names of actors live.
        ignore_version: See there.
        ray_init_kwargs: See there: what there shall be is the session's own.

    Returns:
        Facts: "num_clients", "python_version", "ray_version", "ray_commit".

    Raises:
        RuntimeError: this program is in a session already.
        ConnectionError: there is no session at that address.
    """
    if skate.is_initialized():
        raise RuntimeError(
            "connect() was called, and this program is in a session already: call disconnect() first."
        )
    config = job_config or skate.job_config.JobConfig()
    if namespace is not None:
        config.set_ray_namespace(namespace)
    builder: ClientBuilder = skate.client(conn_str, _deprecation_warn_enabled=False)
    context = skate.init(builder.address, job_config=config)
    return {
        "num_clients": 1,
        "python_version": context.python_version,
        "ray_version": context.ray_version,
        "ray_commit": "",
    }


def disconnect() -> None:
    """Leave the session. Without one, nothing happens."""
    skate.shutdown()


__all__ = ["connect", "disconnect"]
