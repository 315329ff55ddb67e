"""Config files: read with errors that name the line, and deployed."""

from __future__ import annotations

import asyncio
import difflib
import hashlib
import inspect
import json
import os
import re
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import yaml
from pydantic import BaseModel, ValidationError

import skate
from skate.serve import api
from skate.serve._private import client
from skate.serve._private.build import build
from skate.serve._private.controller.actor import AppArgs
from skate.serve._private.utils import import_attr
from skate.serve.config import AutoscalingPolicy, HTTPOptions, gRPCOptions
from skate.serve.deployment import Application, Deployment
from skate.serve.schema import (
    DeploymentSchema,
    HTTPOptionsSchema,
    ServeApplicationSchema,
    ServeDeploySchema,
    gRPCOptionsSchema,
)


class ConfigError(ValueError):
    """A config file is wrong; the message names the line."""


def read_config(path: str) -> ServeDeploySchema:
    """Read a config file.

    Raises:
        ConfigError: it is no YAML, has an unknown key, or a value that does not fit.
        FileNotFoundError: there is none.
    """
    text = Path(path).read_text(encoding="utf-8")
    try:
        found = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise ConfigError(f"{path} is no YAML: {error}") from error
    if not isinstance(found, dict):
        raise ConfigError(f"{path}: a mapping with `applications:` is needed, got a {type(found).__name__}.")
    _check_keys(path, text, found, ServeDeploySchema)
    for name, model in (("http_options", HTTPOptionsSchema), ("grpc_options", gRPCOptionsSchema)):
        if isinstance(found.get(name), dict):
            _check_keys(path, text, found[name], model)
    for app in found.get("applications") or []:
        if isinstance(app, dict):
            _check_keys(path, text, app, ServeApplicationSchema)
            for deployment in app.get("deployments") or []:
                if isinstance(deployment, dict):
                    _check_keys(path, text, deployment, DeploymentSchema)
    try:
        return ServeDeploySchema.model_validate(found)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        name = next((str(part) for part in reversed(first["loc"]) if isinstance(part, str)), "")
        raise ConfigError(f"{path}{_line(text, name)}: {where}: {first['msg']}") from error


def _check_keys(path: str, text: str, found: dict[str, Any], model: type[BaseModel]) -> None:
    for key in found:
        if key not in model.model_fields:
            near = difflib.get_close_matches(str(key), model.model_fields, 1)
            hint = f" Did you mean {near[0]!r}?" if near else f" Known keys: {', '.join(model.model_fields)}."
            raise ConfigError(f"{path}{_line(text, str(key))}: unknown key {key!r}.{hint}")


def _line(text: str, key: str) -> str:
    """The first line that sets the key, as `:N`; nothing if there is none."""
    for number, line in enumerate(text.splitlines(), 1):
        if re.match(rf"[\s-]*[\"']?{re.escape(key)}[\"']?\s*:", line):
            return f":{number}"
    return ""


def load_application(import_path: str, args: dict[str, Any] | None = None) -> Application:
    """The application that an import path names: one that is bound, or what a function makes of `args`.

    Raises:
        TypeError: it names something else.
    """
    return make_application(import_attr(import_path), args, import_path)


def make_application(found: Any, args: dict[str, Any] | None = None, named: str = "") -> Application:
    """An application that is bound, or what a function makes of `args`.

    Args:
        found: The application or the function.
        args: What the function is given: as it is, or as the model that its parameter is annotated with.
        named: What it is called in errors.

    Raises:
        TypeError: it is something else, takes more than one argument, or returns something else.
        ValueError: it is an application, and there are arguments.
    """
    named = named or getattr(found, "__name__", repr(found))
    if isinstance(found, Application):
        if args:
            raise ValueError(
                f"{named} is an application that is bound already, and not an application builder: arguments can only be passed to one, "
                f"got {args}."
            )
        return found
    if isinstance(found, Deployment):
        raise TypeError(
            f"{named} is a deployment: name what its .bind() returns, or a function that returns that."
        )
    if not callable(found):
        raise TypeError(
            f"{named} is a {type(found).__name__}: an application is needed, or a function that makes one."
        )
    parameters = list(inspect.signature(found).parameters.values())
    if len(parameters) > 1:
        raise TypeError(
            f"Application builder functions should take exactly one parameter, a dictionary or model of the arguments; {named} takes "
            f"{len(parameters)}."
        )
    if not parameters:
        made = found()
    else:
        kind = inspect.get_annotations(found, eval_str=True).get(parameters[0].name)
        typed = inspect.isclass(kind) and issubclass(kind, BaseModel)
        made = found(kind.model_validate(args or {}) if typed else (args or {}))  # type: ignore[union-attr]
    if not isinstance(made, Application):
        raise TypeError(
            f"Application builder functions must return an Application, as .bind() does; {named} returned a {type(made).__name__}."
        )
    return made


def deploy_config(config: ServeDeploySchema, wait: bool = True, path: Sequence[str] | None = None) -> None:
    """Bring what runs to what a config file says: its applications are deployed, and others of config files deleted.

    Args:
        config: What the file says.
        wait: Whether to return only once the applications take requests.
        path: Folders in which their modules are looked for first; default: where this process looks.

    Raises:
        RuntimeError: an application failed to deploy.
    """
    if not skate.is_initialized():
        skate.init(preload=["skate.serve.preload"])
    api.start(**_start_options(config))
    controller = client.controller()
    folders = [os.path.abspath(folder) for folder in (sys.path if path is None else path)]
    skate.get(controller.deploy_config.remote(config, folders))
    if wait:
        for app in config.applications:
            api._wait_running(controller, app.name)


async def deploy_config_async(config: ServeDeploySchema) -> None:
    """As `deploy_config`, in async code, without waiting until applications take requests."""
    # Starting waits for the controller, and is no coroutine.
    await asyncio.to_thread(api.start, **_start_options(config))
    await client.controller().deploy_config.remote(config, [])


def _start_options(config: ServeDeploySchema) -> dict[str, Any]:
    http = config.http_options
    given = HTTPOptions(**http.model_dump())
    if "host" not in http.model_fields_set:
        given.host = "127.0.0.1"  # listening to other machines is asked for by name
    return {
        "proxy_location": config.proxy_location,
        "http_options": given,
        "grpc_options": gRPCOptions(**config.grpc_options.model_dump()),
        "logging_config": config.logging_config,
        "tracing_config": config.tracing_config,
        "controller_options": config.controller_options,
    }


def build_app(app: ServeApplicationSchema) -> AppArgs:
    """The deployments of an application that a config file names by its import path.

    Raises:
        what importing it raises; ValueError or TypeError if it is no application or an option is wrong.
    """
    made = build(
        load_application(app.import_path, app.args),
        app.name,
        app.route_prefix,
        app.logging_config,
        app.deployments,
        app.runtime_env,
    )
    # The same code, arguments and resources are the same version: other options are then handed to the replicas that run.
    code = json.dumps([app.import_path, app.args, app.runtime_env], sort_keys=True, default=str)
    for each in made.deployments:
        resources = json.dumps(each.target.actor_options, sort_keys=True, default=str)
        each.target.version = hashlib.sha256(f"{code}{resources}".encode()).hexdigest()[:8]
    made.config = app
    made.is_declarative = True
    made.external_scaler_enabled = app.external_scaler_enabled
    if app.autoscaling_policy is not None:
        made.policy = AutoscalingPolicy(**app.autoscaling_policy)
    return made


def address() -> tuple[str, int] | None:
    """Where the instance is reached over HTTP; None if it is not."""
    found: tuple[str, int] | None = skate.get(client.controller().address.remote())
    return found


def config_of(import_paths: list[str]) -> dict[str, Any]:
    """What a config file for these applications says, to be edited."""
    from skate.serve._private.build import Graph
    from skate.serve.deployment import deployment_to_schema

    apps = []
    for number, path in enumerate(import_paths, 1):
        graph = Graph(load_application(path), f"app{number}")
        apps.append(
            {
                "name": f"app{number}",
                "route_prefix": "/" if number == 1 else f"/app{number}",
                "import_path": path,
                "runtime_env": {},
                "deployments": [
                    deployment_to_schema(deployment).model_dump(mode="json", exclude_unset=True)
                    for deployment in graph.deployments.values()
                ],
            }
        )
    return {
        "proxy_location": "EveryNode",
        "http_options": {"host": "127.0.0.1", "port": 8000},
        "grpc_options": {"port": 9000, "grpc_servicer_functions": []},
        "logging_config": {
            "encoding": "TEXT",
            "log_level": "INFO",
            "logs_dir": None,
            "enable_access_log": True,
        },
        "applications": apps,
    }
