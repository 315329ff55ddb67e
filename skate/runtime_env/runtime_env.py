"""`RuntimeEnv` and `RuntimeEnvConfig`: dictionaries that check and complete what they are given."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any, ClassVar

from skate.core.environment import checks as _fields


class RuntimeEnvConfig(dict[str, Any]):
    """How an environment is set up.

    Args:
        setup_timeout_seconds: Seconds that it may take; -1 for as long as it needs.
        eager_install: Whether to set up when the session starts, rather than when the first task needs it.
        log_files: Further log files; accepted for Ray's programs.

    Raises:
        TypeError, ValueError: a value is of the wrong type, or out of range.

    Example:
        >>> RuntimeEnvConfig(setup_timeout_seconds=60)["setup_timeout_seconds"]
        60
    """

    known_fields: ClassVar[set[str]] = {"setup_timeout_seconds", "eager_install", "log_files"}

    def __init__(
        self, setup_timeout_seconds: int = 600, eager_install: bool = True, log_files: list[str] | None = None
    ) -> None:
        if isinstance(setup_timeout_seconds, bool) or not isinstance(setup_timeout_seconds, int):
            raise TypeError(
                f"setup_timeout_seconds must be of type int, got: {type(setup_timeout_seconds)} ({setup_timeout_seconds!r})."
            )
        if setup_timeout_seconds <= 0 and setup_timeout_seconds != -1:
            raise ValueError(
                f"setup_timeout_seconds must be greater than zero or equals to -1 (no limit), got: {setup_timeout_seconds}."
            )
        if not isinstance(eager_install, bool):
            raise TypeError(
                f"eager_install must be a boolean, got {type(eager_install)} ({eager_install!r})."
            )
        if log_files is not None and not _fields.is_list_of_str(log_files):
            raise TypeError(f"log_files must be a list of strings, got {log_files!r}.")
        super().__init__(
            setup_timeout_seconds=setup_timeout_seconds,
            eager_install=eager_install,
            log_files=list(log_files or []),
        )

    @classmethod
    def default_config(cls) -> RuntimeEnvConfig:
        """The configuration that holds when none is given."""
        return cls()

    @staticmethod
    def parse_and_validate_runtime_env_config(
        config: Mapping[str, Any] | RuntimeEnvConfig,
    ) -> RuntimeEnvConfig:
        """The `config` of a runtime environment, a dictionary or an object, as an object.

        Raises:
            TypeError, ValueError: as the constructor, or `config` is neither.
        """
        if isinstance(config, RuntimeEnvConfig):
            return config
        if isinstance(config, Mapping):
            unknown = sorted(set(config) - RuntimeEnvConfig.known_fields)
            if unknown:
                raise ValueError(
                    f"runtime_env['config'][{unknown[0]!r}] is not known; there are {sorted(RuntimeEnvConfig.known_fields)}."
                )
            return RuntimeEnvConfig(**config)
        raise TypeError(
            f"runtime_env['config'] must be of type dict or RuntimeEnvConfig, got: {type(config)} ({config!r})."
        )

    def to_dict(self) -> dict[str, Any]:
        """A plain dictionary."""
        return dict(self)


class RuntimeEnv(dict[str, Any]):
    """The environment of a task, an actor or a session. Fields that are None are left out.

    Args:
        py_modules: Modules and packages to import from: paths or URIs.
        py_executable: The command that starts workers.
        working_dir: The directory that workers run in: a path or a URI.
        pip: Requirements to install with pip: a list, the path of a requirements file, or a dictionary with `packages`.
        conda: An environment of conda: its name, a path of a YAML file, or its specification.
        container: An image to run workers in.
        env_vars: Environment variables; names and values are strings.
        worker_process_setup_hook: Called in every worker when it starts: a function, or "module.function".
        nsight: Options of NVIDIA's profiler.
        rocprof_sys: Options of AMD's profiler.
        config: How the environment is set up: a dictionary or a `RuntimeEnvConfig`.
        image_uri: An image to run workers in; goes with no other field but `env_vars` and `config`.
        uv: Requirements to install with uv, as for `pip`.
        **kwargs: Further fields, such as `excludes`.

    Raises:
        TypeError, ValueError: a field is of the wrong type, or two fields exclude each other. Whether a field is supported is
            checked where the environment is used.

    Example:
        >>> RuntimeEnv(env_vars={"A": "1"})
        {'env_vars': {'A': '1'}}
        >>> RuntimeEnv(pip=["emoji"])["pip"]["packages"]
        ['emoji']
    """

    known_fields: ClassVar[set[str]] = set(_fields.CHECKS) | {"_nsight", "_rocprof_sys", "java_jars"}

    def __init__(
        self,
        *,
        py_modules: list[str] | None = None,
        py_executable: str | None = None,
        working_dir: str | None = None,
        pip: Any = None,
        conda: dict[str, Any] | str | None = None,
        container: dict[str, Any] | None = None,
        env_vars: dict[str, str] | None = None,
        worker_process_setup_hook: Callable[[], None] | str | None = None,
        nsight: dict[str, str] | str | None = None,
        rocprof_sys: dict[str, Any] | str | None = None,
        config: Mapping[str, Any] | RuntimeEnvConfig | None = None,
        _validate: bool = True,
        image_uri: str | None = None,
        uv: Any = None,
        **kwargs: Any,
    ) -> None:
        given: dict[str, Any] = {
            "py_modules": py_modules,
            "py_executable": py_executable,
            "working_dir": working_dir,
            "pip": pip,
            "conda": conda,
            "container": container,
            "env_vars": env_vars,
            "worker_process_setup_hook": worker_process_setup_hook,
            "_nsight": nsight,
            "_rocprof_sys": rocprof_sys,
            "image_uri": image_uri,
            "uv": uv,
            **kwargs,
        }
        super().__init__({name: value for name, value in given.items() if value is not None})
        if config is not None:
            self["config"] = RuntimeEnvConfig.parse_and_validate_runtime_env_config(config)
        if _validate:
            _fields.check_together(self)
            for name, value in list(self.items()):
                self[name] = value
                if name in ("pip", "uv") and not self[name].get("packages"):
                    del self[name]  # nothing to install

    def __setitem__(self, key: str, value: Any) -> None:
        check = _fields.CHECKS.get(key)
        super().__setitem__(key, value if check is None else check(value))

    def set(self, name: str, value: Any) -> None:
        """Set a field, checked."""
        self[name] = value

    def get(self, name: str, default: Any = None, data_class: Any = None) -> Any:
        """A field, or `default`.

        Args:
            name: The field.
            default: What to return if there is none.
            data_class: Make an instance of this class of the field, a mapping of its arguments.
        """
        if name not in self:
            return default
        value = self[name]
        return value if data_class is None or isinstance(value, data_class) else data_class(**value)

    def to_dict(self) -> dict[str, Any]:
        """A plain dictionary."""
        return {name: dict(v) if isinstance(v, RuntimeEnvConfig) else v for name, v in self.items()}

    def serialize(self) -> str:
        """JSON that `deserialize` takes."""
        return json.dumps(self.to_dict(), sort_keys=True)

    @classmethod
    def deserialize(cls, serialized_runtime_env: str) -> RuntimeEnv:
        """The environment that `serialize` wrote down."""
        env = cls()
        for name, value in json.loads(serialized_runtime_env).items():
            dict.__setitem__(env, name, RuntimeEnvConfig(**value) if name == "config" else value)
        return env

    def env_vars(self) -> dict[str, str]:
        """The environment variables."""
        return dict(self.get("env_vars", {}))

    def working_dir(self) -> str:
        """The working directory; "" for none."""
        return str(self.get("working_dir", ""))

    def has_working_dir(self) -> bool:
        """Whether there is a working directory."""
        return bool(self.get("working_dir"))

    def py_modules(self) -> list[str]:
        """What to import from."""
        return list(self.get("py_modules", []))

    def py_executable(self) -> str | None:
        """The command that starts workers; None for the driver's own."""
        return self.get("py_executable")  # type: ignore[no-any-return]

    def has_pip(self) -> bool:
        """Whether pip installs something."""
        return bool(self.get("pip"))

    def pip_config(self) -> dict[str, Any]:
        """What pip installs; {} for nothing."""
        return dict(self.get("pip", {}))

    def virtualenv_name(self) -> str | None:
        """The name of a virtual environment that exists; None if `pip` gives no name."""
        pip = self.get("pip")
        return pip if isinstance(pip, str) else None

    def has_uv(self) -> bool:
        """Whether uv installs something."""
        return bool(self.get("uv"))

    def uv_config(self) -> dict[str, Any]:
        """What uv installs; {} for nothing."""
        return dict(self.get("uv", {}))

    def has_conda(self) -> bool:
        """Whether there is an environment of conda."""
        return bool(self.get("conda"))

    def conda_env_name(self) -> str | None:
        """The name of an environment of conda that exists; None if `conda` is a specification."""
        conda = self.get("conda")
        return conda if isinstance(conda, str) else None

    def conda_config(self) -> str | None:
        """The specification of an environment of conda as JSON; None if `conda` is a name."""
        conda = self.get("conda")
        return json.dumps(conda, sort_keys=True) if isinstance(conda, dict) else None

    def image_uri(self) -> str | None:
        """The image to run workers in; None for none."""
        return self.get("image_uri")  # type: ignore[no-any-return]

    def working_dir_uri(self) -> str | None:
        """Always None: what is packed goes into the user's cache, and has no URI."""
        return None

    def py_modules_uris(self) -> list[str]:
        """Always []: as for `working_dir_uri`."""
        return []

    def conda_uri(self) -> str | None:
        """Always None: as for `working_dir_uri`."""
        return None

    def pip_uri(self) -> str | None:
        """Always None: as for `working_dir_uri`."""
        return None

    def uv_uri(self) -> str | None:
        """Always None: as for `working_dir_uri`."""
        return None

    def plugin_uris(self) -> list[str]:
        """Always []: as for `working_dir_uri`."""
        return []

    def java_jars(self) -> list[str]:
        """Always []: workers run Python."""
        return list(self.get("java_jars", []))

    def nsight(self) -> dict[str, str] | str | None:
        """Options of NVIDIA's profiler."""
        return self.get("_nsight")  # type: ignore[no-any-return]

    def rocprof_sys(self) -> dict[str, Any] | str | None:
        """Options of AMD's profiler."""
        return self.get("_rocprof_sys")  # type: ignore[no-any-return]

    def plugins(self) -> list[tuple[str, Any]]:
        """The fields that are not Ray's."""
        return [(name, value) for name, value in self.items() if name not in self.known_fields]

    def has_py_container(self) -> bool:
        """Whether there is an image to run workers in."""
        return bool(self.get("container", {}).get("image"))

    def py_container_image(self) -> str | None:
        """The image to run workers in."""
        return self.get("container", {}).get("image")  # type: ignore[no-any-return]

    def py_container_run_options(self) -> list[str]:
        """Options of the image."""
        return list(self.get("container", {}).get("run_options", []))


__all__ = ["RuntimeEnv", "RuntimeEnvConfig"]
