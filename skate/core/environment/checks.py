"""What each field of a runtime environment may hold, and into which form it is brought."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from typing import Any


def is_list_of_str(value: Any) -> bool:
    """Whether a value is a list of strings."""
    return isinstance(value, list) and all(isinstance(item, str) for item in value)


def check_together(env: Mapping[str, Any]) -> None:
    """Refuse fields that exclude each other.

    Raises:
        ValueError: two of `pip`, `uv` and `conda` are given, or an image with something that it settles itself.
    """
    makers = {name: env[name] for name in ("pip", "uv", "conda") if env.get(name)}
    if len(makers) > 1:
        given = ", ".join(f"{name}={value!r}" for name, value in makers.items())
        raise ValueError(
            f"The 'pip' field, 'uv' field, and 'conda' field of runtime_env cannot be specified at the same time, got {given}: "
            "keep one of them."
        )
    for image in ("image_uri", "container"):
        others = sorted({name for name in env if env[name]} - {image, "env_vars", "config"})
        if env.get(image) and others:
            raise ValueError(
                f"The '{image}' field currently cannot be used together with other fields of runtime_env. Specified fields: {others}."
            )


def _working_dir(value: Any) -> str:
    if not isinstance(value, str | os.PathLike):
        raise TypeError(f"`working_dir` must be a string, got {type(value)}: {value!r}.")
    path = os.fspath(value)
    if "://" not in path and not os.path.exists(path):
        raise ValueError(
            f"{path} is not a valid path: working_dir must be a directory or an archive that exists, or a URI."
        )
    return path


def _py_modules(value: Any) -> list[Any]:
    if not isinstance(value, list):
        raise TypeError(f"`py_modules` must be a list of strings, got {type(value)}: {value!r}.")
    return value


def _packages(field: str) -> Callable[[Any], Any]:
    def check(value: Any) -> Any:
        if is_list_of_str(value):
            return {"packages": list(dict.fromkeys(value)), **_DEFAULTS[field]}
        if isinstance(value, str):
            return check(_requirements(field, value))
        if isinstance(value, dict):
            unknown = sorted(set(value) - _PARTS[field], key=str)
            if unknown:
                raise ValueError(
                    f"runtime_env[{field!r}] can only have these fields: {', '.join(sorted(_PARTS[field]))}, but got: {unknown}."
                )
            if not isinstance(value.get("packages", []), list | str):
                raise ValueError(
                    f"runtime_env[{field!r}]['packages'] must be of type list, got: {type(value['packages'])}."
                )
            if "packages" not in value:
                raise ValueError(
                    f"runtime_env[{field!r}] must include field 'packages', but got {value!r}: name what is to be installed there."
                )
            for name, part in value.items():
                if name != "packages":
                    _check_part(field, name, part)
            return {**check(value["packages"]), **{k: v for k, v in value.items() if k != "packages"}}
        raise TypeError(
            f"runtime_env[{field!r}] must be of type str or List[str], got {type(value)}: {value!r}."
        )

    return check


def _check_part(field: str, name: str, value: Any) -> None:
    if name.endswith("_options"):
        fine, wanted = is_list_of_str(value), "list[str]"
    else:
        kind = bool if name.endswith("_check") else str
        fine, wanted = isinstance(value, kind), kind.__name__
    if not fine:
        raise TypeError(
            f"runtime_env[{field!r}][{name!r}] must be of type {wanted}, got {type(value)}: {value!r}."
        )


_PARTS = {
    "pip": {"packages", "pip_check", "pip_install_options", "pip_version"},
    "uv": {"packages", "uv_check", "uv_pip_install_options", "uv_version"},
}
_DEFAULTS: dict[str, dict[str, Any]] = {"pip": {"pip_check": False}, "uv": {"uv_check": False}}


def _requirements(field: str, path: str) -> list[str]:
    try:
        with open(path) as file:
            lines = [line.strip() for line in file]
    except OSError as error:
        raise ValueError(
            f"runtime_env[{field!r}]={path!r}: a string is the path of a requirements file, and this one can't be read: {error}."
        ) from error
    return [line for line in lines if line and not line.startswith("#")]


def _conda(value: Any) -> Any:
    if not isinstance(value, str | dict):
        raise TypeError(f"runtime_env['conda'] must be of type dict or str, got {type(value)}: {value!r}.")
    return value


def _env_vars(value: Any) -> dict[str, str]:
    if not isinstance(value, dict):
        raise TypeError(
            f"runtime_env['env_vars'] must be of type Dict[str, str], got {type(value)}: {value!r}."
        )
    for name, item in value.items():
        for part, what in ((name, "name"), (item, "value")):
            if not isinstance(part, str):
                raise TypeError(
                    f"runtime_env['env_vars'] must be of type Dict[str, str], but the {what} {part!r} is of type {type(part)}."
                )
    return value


def _excludes(value: Any) -> list[str]:
    if not is_list_of_str(value):
        raise TypeError(f"runtime_env['excludes'] must be of type List[str], got {type(value)}: {value!r}.")
    return list(value)


def _hook(value: Any) -> Any:
    if not isinstance(value, str) and not callable(value):
        raise TypeError(
            f"runtime_env['worker_process_setup_hook'] must be a function or 'module.function', got {value!r}."
        )
    return value


def _text(field: str) -> Callable[[Any], str]:
    def check(value: Any) -> str:
        if not isinstance(value, str):
            raise TypeError(f"runtime_env[{field!r}] must be a string, got {type(value)}: {value!r}.")
        return value

    return check


def _container(value: Any) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise TypeError(f"runtime_env['container'] must be a dictionary, got {type(value)}: {value!r}.")
    return value


CHECKS: dict[str, Callable[[Any], Any]] = {
    "py_modules": _py_modules,
    "py_executable": _text("py_executable"),
    "working_dir": _working_dir,
    "pip": _packages("pip"),
    "uv": _packages("uv"),
    "conda": _conda,
    "container": _container,
    "env_vars": _env_vars,
    "worker_process_setup_hook": _hook,
    "image_uri": _text("image_uri"),
    "excludes": _excludes,
    "config": lambda value: value,
}
"""A check for every field that Ray knows: it returns the value in its full form, or raises."""
