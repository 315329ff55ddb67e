"""Applications that a config file names by their import path: imported in a task, in their own environment."""

from __future__ import annotations

import os
import traceback
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import skate
from skate import exceptions
from skate.serve._private.utils import look_in

if TYPE_CHECKING:
    from skate.serve.schema import ServeApplicationSchema


class BuildFailed(Exception):
    """The import path could not be made an application of; the message has the traceback."""


def _build(app: ServeApplicationSchema, path: Sequence[str]) -> Any:
    """The application's deployments, or the traceback of why there are none."""
    from skate.serve._private.config_files import build_app

    folders = tuple(_own_path(app)) + tuple(path)
    look_in(folders)
    try:
        made = build_app(app)
    except Exception:  # noqa: BLE001 -- whatever a user's module raises is the application's message
        return traceback.format_exc()
    for each in made.deployments:
        each.target.path = folders
    return made


def _own_path(app: ServeApplicationSchema) -> list[str]:
    """PYTHONPATH of the application's environment: workers run already when they are given it."""
    variables = app.runtime_env.get("env_vars") or {}
    return [folder for folder in variables.get("PYTHONPATH", "").split(os.pathsep) if folder]


async def build(app: ServeApplicationSchema, path: Sequence[str]) -> Any:
    """Build an application in a task.

    Args:
        app: What the config file says of it.
        path: Folders in which its modules are looked for first.

    Returns:
        What `Controller.deploy` takes.

    Raises:
        BuildFailed: it can't be imported, or is no application.
    """
    options: dict[str, Any] = {"num_cpus": 0, "max_retries": 0}
    if app.runtime_env:
        options["runtime_env"] = app.runtime_env
    try:
        made = await skate.remote(_build).options(**options).remote(app, list(path))
    except exceptions.RayError as error:
        raise BuildFailed(f"Deploying app '{app.name}' failed with exception:\n{error}") from error
    if isinstance(made, str):
        raise BuildFailed(f"Deploying app '{app.name}' failed with exception:\n{made}")
    return made
