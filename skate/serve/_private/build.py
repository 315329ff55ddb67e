"""From an application, as `.bind()` made it, to the deployments that the controller runs."""

from __future__ import annotations

import dataclasses
import io
import threading
from collections import ChainMap
from typing import Any, ClassVar

import cloudpickle

from skate.serve._private.controller.actor import AppArgs, DeployArgs
from skate.serve._private.controller.deployment_state import Target
from skate.serve._private.http.ingress import ASGI_APP
from skate.serve._private.utils import get_random_string
from skate.serve.config import AutoscalingConfig
from skate.serve.deployment import Application, Deployment
from skate.serve.handle import DeploymentHandle
from skate.serve.schema import DeploymentSchema, LoggingConfig


class Graph:
    """The deployments of an application, each once, with names of their own.

    Args:
        app: The application.
        name: What it is called.
        make_handle: Makes what takes the place of a bound application in a constructor's arguments.
    """

    def __init__(self, app: Application, name: str, make_handle: Any = DeploymentHandle) -> None:
        self.app_name = name
        self.deployments: dict[str, Deployment] = {}
        self.topology: dict[str, list[str]] = {}
        self._make_handle = make_handle
        self._names: dict[int, str] = {}
        self._kept: list[Application] = []
        self.ingress = self._add(app)

    def _add(self, app: Application) -> str:
        known = self._names.get(id(app))
        if known is not None:
            return known
        deployment = app._bound_deployment
        name = deployment.name
        number = 0
        while name in self.topology:
            number += 1
            name = f"{deployment.name}_{number}"
        self.topology[name] = []
        self._names[id(app)] = name
        self._kept.append(app)
        args = self._replace(deployment.init_args, name)
        kwargs = self._replace(deployment.init_kwargs, name)
        self.deployments[name] = deployment.options(
            name=name, _init_args=args, _init_kwargs=kwargs, _internal=True
        )
        return name

    def _replace(self, value: Any, owner: str) -> Any:
        """The value with handles in the place of applications, at any depth of lists, tuples, sets and dictionaries."""
        if isinstance(value, Application):
            name = self._add(value)
            if name not in self.topology[owner]:
                self.topology[owner].append(name)
            return self._make_handle(name, self.app_name)
        if isinstance(value, dict):
            return {self._replace(k, owner): self._replace(v, owner) for k, v in value.items()}
        if isinstance(value, tuple) and hasattr(value, "_fields"):
            return type(value)(*(self._replace(v, owner) for v in value))
        if type(value) in (list, tuple, set, frozenset):
            return type(value)(self._replace(v, owner) for v in value)
        if dataclasses.is_dataclass(value) and not isinstance(value, type) and _holds_application(value):
            changes = {
                f.name: self._replace(getattr(value, f.name), owner)
                for f in dataclasses.fields(value)
                if f.init
            }
            return dataclasses.replace(value, **changes)
        return value


def _holds_application(value: Any) -> bool:
    return any(isinstance(getattr(value, f.name), Application) for f in dataclasses.fields(value))


def build(
    app: Application,
    name: str,
    route_prefix: str | None,
    logging_config: LoggingConfig | None = None,
    overrides: list[DeploymentSchema] | None = None,
    runtime_env: dict[str, Any] | None = None,
) -> AppArgs:
    """What the controller is told of an application.

    Args:
        app: The application.
        name: What it is called.
        route_prefix: Where it is reached over HTTP.
        logging_config: How its replicas log, where their deployment does not say.
        overrides: Options that a config file sets.
        runtime_env: The environment of replicas, where their deployment does not say.

    Raises:
        ValueError: a config file names a deployment that there is not.
        TypeError: a constructor's argument or the code can't be pickled.
    """
    graph = Graph(app, name)
    for schema in overrides or []:
        if schema.name not in graph.deployments:
            known = ", ".join(sorted(graph.deployments))
            raise ValueError(
                f"Deployment '{schema.name}' does not exist in application '{name}'. Available: {known}."
            )
        options = schema.get_user_configured_options()
        if isinstance(options.get("autoscaling_config"), dict):
            options["autoscaling_config"] = AutoscalingConfig(**options["autoscaling_config"])
        graph.deployments[schema.name] = graph.deployments[schema.name].options(**options)
    deployments = [
        DeployArgs(found, _target(deployment, found == graph.ingress, logging_config))
        for found, deployment in graph.deployments.items()
    ]
    for each in deployments:
        if runtime_env:
            each.target.actor_options.setdefault("runtime_env", runtime_env)
    return AppArgs(name, route_prefix, graph.ingress, deployments, topology=graph.topology)


def _target(deployment: Deployment, is_ingress: bool, logging_config: LoggingConfig | None) -> Target:
    config = deployment._deployment_config
    if logging_config is not None and config.logging_config is None:
        config = config.model_copy(update={"logging_config": logging_config})
    replica = deployment._replica_config
    definition = replica.func_or_class
    return Target(
        version=get_random_string(),
        config=config,
        definition=_pickle(definition, f"the code of deployment {deployment.name}"),
        arguments=_pickle(
            (replica.init_args, replica.init_kwargs), f"the arguments of deployment {deployment.name}"
        ),
        actor_options=dict(replica.ray_actor_options),
        is_ingress=is_ingress,
        bundles=list(replica.placement_group_bundles or []),
        strategy=replica.placement_group_strategy or "PACK",
        selectors=replica.placement_group_bundle_label_selector,
        max_replicas_per_node=replica.max_replicas_per_node,
        definition_name=f"{getattr(definition, '__module__', '')}.{getattr(definition, '__qualname__', '')}",
    )


class _AppPickler(cloudpickle.Pickler):  # type: ignore[misc]
    """Pickles web apps too: the locks that frameworks keep in theirs are made anew where the app arrives."""

    dispatch_table: ClassVar[Any] = ChainMap(
        {
            type(threading.Lock()): lambda _lock: (threading.Lock, ()),
            type(threading.RLock()): lambda _lock: (threading.RLock, ()),
        },
        cloudpickle.Pickler.dispatch_table,
    )


def _pickle(value: Any, what: str) -> bytes:
    try:
        if hasattr(value, ASGI_APP):
            file = io.BytesIO()
            _AppPickler(file).dump(value)
            return file.getvalue()
        return cloudpickle.dumps(value)  # type: ignore[no-any-return]
    except Exception as error:
        raise TypeError(
            f"{what} can't be pickled: {error}. Make such things in the constructor or in the method that needs them."
        ) from error
