"""The settings of a program as an object, under Ray's name of the module: what `init(job_config=…)` takes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Self


class JobConfig:
    """Settings of a program.

    Args:
        jvm_options: Options of Java workers: there are none, so it must be empty.
        code_search_path: Where Java workers look for code; it must be empty.
        runtime_env: The environment of all tasks and actors.
        metadata: Names and values, both strings, that are kept with the program.
        ray_namespace: Where names of actors live.
        default_actor_lifetime: "non_detached" or "detached": how long actors live whose options do not say.

    Raises:
        TypeError, ValueError: a value is of the wrong type, or not supported.

    Example:
        >>> JobConfig(ray_namespace="study").ray_namespace
        'study'
    """

    def __init__(
        self,
        jvm_options: list[str] | None = None,
        code_search_path: list[str] | None = None,
        runtime_env: Mapping[str, Any] | None = None,
        _client_job: bool = False,
        metadata: Mapping[str, str] | None = None,
        ray_namespace: str | None = None,
        default_actor_lifetime: str = "non_detached",
        _disable_job_level_lineage_reconstruction: bool = False,
        _py_driver_sys_path: list[str] | None = None,
    ) -> None:
        for name, value in (("jvm_options", jvm_options), ("code_search_path", code_search_path)):
            if value:
                raise ValueError(
                    f"{name}={value!r}: it is for Java workers, and Skate's run Python. "
                    "runtime_env={'py_modules': [...]} says where they import from."
                )
        self.jvm_options: list[str] = []
        self.code_search_path: list[str] = []
        self.metadata: dict[str, str] = {}
        self.ray_namespace: str | None = None
        self.runtime_env: dict[str, Any] = {}
        self.default_actor_lifetime = "non_detached"
        self.py_logging_config: Any = None
        for key, item in (metadata or {}).items():
            self.set_metadata(key, item)
        if ray_namespace is not None:
            self.set_ray_namespace(ray_namespace)
        self.set_runtime_env(runtime_env)
        self.set_default_actor_lifetime(default_actor_lifetime)

    def set_metadata(self, key: str, value: str) -> None:
        """Keep a value with the program.

        Raises:
            TypeError: either is not a string.
        """
        if not isinstance(key, str) or not isinstance(value, str):
            raise TypeError(f"metadata {key!r}: {value!r}: both must be strings.")
        self.metadata[key] = value

    def set_runtime_env(self, runtime_env: Mapping[str, Any] | None, validate: bool = False) -> None:
        """Set the environment of all tasks and actors.

        Args:
            runtime_env: The environment; None for the driver's own.
            validate: Check it now, rather than when the session starts.
        """
        self.runtime_env = dict(runtime_env or {})
        if validate:
            from skate.runtime_env import RuntimeEnv

            self.runtime_env = RuntimeEnv(**self.runtime_env)

    def set_ray_namespace(self, ray_namespace: str) -> None:
        """Set where names of actors live.

        Raises:
            TypeError, ValueError: not a string, or empty.
        """
        if not isinstance(ray_namespace, str):
            raise TypeError(f"ray_namespace={ray_namespace!r}: a string is needed.")
        if not ray_namespace:
            raise ValueError(
                "ray_namespace='': it can't be empty; leave it out for one of the session's own."
            )
        self.ray_namespace = ray_namespace

    def set_default_actor_lifetime(self, default_actor_lifetime: str) -> None:
        """Set how long actors live whose options do not say.

        Raises:
            ValueError: neither "non_detached" nor "detached".
        """
        if default_actor_lifetime not in ("detached", "non_detached"):
            raise ValueError(
                f"default_actor_lifetime={default_actor_lifetime!r}: it must be 'detached' or 'non_detached'."
            )
        self.default_actor_lifetime = default_actor_lifetime

    def set_py_logging_config(self, logging_config: Any = None) -> None:
        """Set how workers log: a `LoggingConfig`, or None."""
        self.py_logging_config = logging_config

    @classmethod
    def from_json(cls, job_config_json: Mapping[str, Any]) -> Self:
        """The settings in a dictionary, as JSON holds them.

        Args:
            job_config_json: With the names of the constructor's arguments; others are not looked at.
        """
        return cls(
            runtime_env=job_config_json.get("runtime_env"),
            metadata=job_config_json.get("metadata"),
            ray_namespace=job_config_json.get("ray_namespace"),
        )


__all__ = ["JobConfig"]
