"""`client(…).connect()`: the older way to join a session, with the names of `ray.client_builder`."""

from __future__ import annotations

import importlib
import json
import os
import warnings
from dataclasses import dataclass
from typing import Any, Self

import skate
from skate import _init, _version
from skate._addresses import host_in
from skate.job_config import JobConfig


@dataclass
class ClientContext:
    """What `connect` returns: facts about the session, and a context manager that leaves it."""

    dashboard_url: str | None
    python_version: str
    ray_version: str
    ray_commit: str
    _num_clients: int
    _context_to_restore: Any

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_exc: object) -> None:
        self.disconnect()

    def disconnect(self) -> None:
        """Leave the session. One that this program has started stays, until `skate.shutdown()`."""
        if _init.has_joined():
            skate.shutdown()


class ClientBuilder:
    """Collects what a connection is to have, and makes it.

    Args:
        address: As in `client`.
    """

    def __init__(self, address: str | None) -> None:
        self.address = address
        self._job_config = JobConfig()
        self.warns = True

    def env(self, env: dict[str, Any]) -> Self:
        """Have tasks and actors run in that runtime environment."""
        self._job_config.set_runtime_env(env)
        return self

    def namespace(self, namespace: str) -> Self:
        """Have names of actors live in that namespace."""
        self._job_config.set_ray_namespace(namespace)
        return self

    def connect(self) -> ClientContext:
        """Join the session, or start one where the address says so.

        Raises:
            ConnectionError: there is no session at that address.
            RuntimeError: this program has a session already.
        """
        if self.warns:
            warnings.warn(
                "client().connect() is the older way: skate.init() takes the address, the namespace and the runtime_env.",
                DeprecationWarning,
                stacklevel=2,
            )
        given = os.environ.get("RAY_NAMESPACE")
        if given and self._job_config.ray_namespace is None:
            self.namespace(given)
        given = os.environ.get("RAY_RUNTIME_ENV")
        if given and not self._job_config.runtime_env:
            self.env(json.loads(given))
        context = skate.init(self.address, job_config=self._job_config)
        return ClientContext(
            dashboard_url=context.dashboard_url,
            python_version=context.python_version,
            ray_version=_version.RAY_VERSION,
            ray_commit="",
            _num_clients=1,
            _context_to_restore=None,
        )


def client(address: str | None = None, _deprecation_warn_enabled: bool = True) -> ClientBuilder:
    """What joins a session when `connect()` is called on it.

    Args:
        address: None joins the session that `skate start` has started, or starts one; "local" starts one; "ray://HOST:PORT" and
            "HOST:PORT" of this machine, and a session's name, join one. "module://rest" has the `ClientBuilder` of that module
            make the connection. RAY_ADDRESS in the environment stands in for None.
        _deprecation_warn_enabled: Whether `connect` warns that `skate.init` does the same.

    Raises:
        RuntimeError: the address names a module that is not there, or has no `ClientBuilder`.
        ValueError: an http:// address, which jobs are submitted to.
    """
    address = address or os.environ.get("SKATE_ADDRESS") or os.environ.get("RAY_ADDRESS")
    builder = _builder_for(address)
    builder.warns = _deprecation_warn_enabled
    return builder


def _builder_for(address: str | None) -> ClientBuilder:
    scheme, separator, rest = (address or "").partition("://")
    if not separator or scheme in ("ray", "dask"):
        if address is not None and not separator and host_in(address, ()) is not None:
            address = f"ray://{address}"
        return ClientBuilder(address)
    if scheme in ("http", "https"):
        raise ValueError(
            f"Invalid address: {address!r}. An http:// address is for jobs (skate.job_submission); a program joins a session by "
            "'auto', by its name, or by ray://HOST:PORT."
        )
    try:
        module = importlib.import_module(scheme)
    except ImportError as error:
        raise RuntimeError(
            f"Module: {scheme} does not exist.\nThis module was parsed from Address: {address}"
        ) from error
    if not hasattr(module, "ClientBuilder"):
        raise RuntimeError(f"Module: {scheme} does not have ClientBuilder.")
    made: ClientBuilder = module.ClientBuilder(rest)
    return made


__all__ = ["ClientBuilder", "ClientContext", "client"]
