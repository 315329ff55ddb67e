"""Runtime environments as objects, under Ray's name of the module; plain dictionaries do as well."""

from __future__ import annotations

from typing import Any


class RuntimeEnvConfig(dict[str, Any]):
    """How an environment is set up.

    Args:
        setup_timeout_seconds: How long it may take; -1 for as long as it needs.
        eager_install: Whether to set up when the session starts.
    """

    def __init__(self, setup_timeout_seconds: int = 600, eager_install: bool = True, **more: Any) -> None:
        super().__init__(setup_timeout_seconds=setup_timeout_seconds, eager_install=eager_install, **more)


class RuntimeEnv(dict[str, Any]):
    """The environment of a task, an actor or a session. Fields that are None are left out.

    Args:
        env_vars: Environment variables, strings.
        config: How it is set up.
        **fields: Other fields; those that are not supported are refused where the environment is used.

    Example:
        >>> RuntimeEnv(env_vars={"A": "1"})
        {'env_vars': {'A': '1'}}
    """

    def __init__(
        self,
        *,
        env_vars: dict[str, str] | None = None,
        config: dict[str, Any] | None = None,
        **fields: Any,
    ) -> None:
        given = {"env_vars": env_vars, "config": config, **fields}
        super().__init__({name: value for name, value in given.items() if value is not None})


__all__ = ["RuntimeEnv", "RuntimeEnvConfig"]
