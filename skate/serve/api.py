"""The functions of `skate.serve`."""

from __future__ import annotations

import inspect
import os
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import skate
from skate.serve import context as serve_context
from skate.serve._private import client, tracing
from skate.serve._private.constants import (
    ASYNC_CONCURRENCY,
    SERVE_CONTROLLER_NAME,
    SERVE_DEFAULT_APP_NAME,
    SERVE_NAMESPACE,
)
from skate.serve._private.http.routes import normalize
from skate.serve._private.routing.router import router_for
from skate.serve._private.utils import DEFAULT, get_random_string, given, import_attr, in_asyncio_loop
from skate.serve.config import (
    AutoscalingConfig,
    BackpressureConfig,
    ControllerOptions,
    DeploymentActorConfig,
    GangSchedulingConfig,
    HTTPOptions,
    ProxyLocation,
    RequestRouterConfig,
    gRPCOptions,
)
from skate.serve.context import DeploymentActorContext, ReplicaContext
from skate.serve.deployment import Application, Deployment, make_deployment
from skate.serve.exceptions import RayServeException
from skate.serve.handle import DeploymentHandle
from skate.serve.multiplex import multiplexed as multiplexed
from skate.serve.schema import LoggingConfig, ServeStatus, TracingConfig

__all__ = [
    "ASYNC_CONCURRENCY",
    "RunTarget",
    "SERVE_CONTROLLER_NAME",
    "SERVE_DEFAULT_APP_NAME",
    "SERVE_NAMESPACE",
    "delete",
    "deployment",
    "get_app_handle",
    "get_deployment_actor",
    "get_deployment_actor_context",
    "get_deployment_handle",
    "get_multiplexed_model_id",
    "get_replica_context",
    "get_trace_context",
    "ingress",
    "run",
    "run_many",
    "shutdown",
    "shutdown_async",
    "start",
    "status",
]

_PATIENCE_S = 60.0
_KNOWN_S = 5.0


@dataclass(frozen=True)
class RunTarget:
    """One of the applications that `serve.run_many` runs."""

    target: Application
    name: str = SERVE_DEFAULT_APP_NAME
    route_prefix: str | None = "/"
    logging_config: dict[str, Any] | LoggingConfig | None = None
    external_scaler_enabled: bool = False


# -- deployments ----------------------------------------


def deployment(
    _func_or_class: Callable[..., Any] | None = None,
    name: DEFAULT | str = DEFAULT.VALUE,
    version: DEFAULT | str = DEFAULT.VALUE,
    num_replicas: DEFAULT | int | str | None = DEFAULT.VALUE,
    ray_actor_options: DEFAULT | dict[str, Any] = DEFAULT.VALUE,
    placement_group_bundles: DEFAULT | list[dict[str, float]] = DEFAULT.VALUE,
    placement_group_strategy: DEFAULT | str = DEFAULT.VALUE,
    placement_group_bundle_label_selector: DEFAULT | list[dict[str, str]] = DEFAULT.VALUE,
    max_replicas_per_node: DEFAULT | int = DEFAULT.VALUE,
    user_config: Any = DEFAULT.VALUE,
    max_ongoing_requests: DEFAULT | int = DEFAULT.VALUE,
    max_queued_requests: DEFAULT | int = DEFAULT.VALUE,
    backpressure_config: DEFAULT | dict[str, Any] | BackpressureConfig | None = DEFAULT.VALUE,
    autoscaling_config: DEFAULT | dict[str, Any] | AutoscalingConfig | None = DEFAULT.VALUE,
    graceful_shutdown_wait_loop_s: DEFAULT | float = DEFAULT.VALUE,
    graceful_shutdown_timeout_s: DEFAULT | float = DEFAULT.VALUE,
    health_check_period_s: DEFAULT | float = DEFAULT.VALUE,
    health_check_timeout_s: DEFAULT | float = DEFAULT.VALUE,
    logging_config: DEFAULT | dict[str, Any] | LoggingConfig | None = DEFAULT.VALUE,
    request_router_config: DEFAULT | dict[str, Any] | RequestRouterConfig | None = DEFAULT.VALUE,
    max_constructor_retry_count: DEFAULT | int = DEFAULT.VALUE,
    gang_scheduling_config: DEFAULT | dict[str, Any] | GangSchedulingConfig | None = DEFAULT.VALUE,
    deployment_actors: DEFAULT | list[dict[str, Any] | DeploymentActorConfig] | None = DEFAULT.VALUE,
    rolling_update_percentage: DEFAULT | float = DEFAULT.VALUE,
    max_surge_percent: DEFAULT | int = DEFAULT.VALUE,
) -> Any:
    """Make a deployment of a class or function.

    Args:
        name: Its name, unique in its application; default: the class's or function's.
        version: Refused: versions are kept by Serve.
        num_replicas: How many replicas; "auto" lets the number follow the load.
        ray_actor_options: What each replica needs: num_cpus (default 1), num_gpus, memory, resources, runtime_env ….
        placement_group_bundles: Bundles of resources for each replica.
        placement_group_strategy: How they are placed.
        placement_group_bundle_label_selector: Labels of their machines.
        max_replicas_per_node: How many replicas a machine may have.
        user_config: What `reconfigure(user_config)` of the class is called with, JSON-serializable. Changing it needs no new replica.
        max_ongoing_requests: How many requests a replica runs at once (default 5).
        max_queued_requests: How many requests may wait in each handle; further ones are refused. -1: any number.
        backpressure_config: What HTTP clients get then.
        autoscaling_config: How the number of replicas follows the load.
        graceful_shutdown_wait_loop_s: How long a replica that ends stays reachable for handles that have not heard of it, in seconds.
        graceful_shutdown_timeout_s: Seconds that requests may take to end when their replica does.
        health_check_period_s: Seconds between two health checks.
        health_check_timeout_s: Seconds that a health check may take; three failures in a row replace the replica.
        logging_config: How replicas log.
        request_router_config: How handles choose a replica.
        max_constructor_retry_count: How many times a constructor that raises is tried again.
        gang_scheduling_config: Replicas that start and end together.
        deployment_actors: Actors that all replicas share.
        rolling_update_percentage: Which part of the replicas is replaced at once when the code changes.
        max_surge_percent: How many per cent more replicas there may be meanwhile.

    Returns:
        A deployment, or a decorator that makes one.

    Raises:
        TypeError, ValueError: an option is wrong.

    Example:
        ```python
        @serve.deployment(num_replicas=2)
        class Greeter:
            def __call__(self, request):
                return f"hello {request.query_params['name']}"


        serve.run(Greeter.bind())
        ```
    """
    options = given(
        name=name,
        version=version,
        num_replicas=num_replicas,
        ray_actor_options=ray_actor_options,
        placement_group_bundles=placement_group_bundles,
        placement_group_strategy=placement_group_strategy,
        placement_group_bundle_label_selector=placement_group_bundle_label_selector,
        max_replicas_per_node=max_replicas_per_node,
        user_config=user_config,
        max_ongoing_requests=max_ongoing_requests,
        max_queued_requests=max_queued_requests,
        backpressure_config=backpressure_config,
        autoscaling_config=autoscaling_config,
        graceful_shutdown_wait_loop_s=graceful_shutdown_wait_loop_s,
        graceful_shutdown_timeout_s=graceful_shutdown_timeout_s,
        health_check_period_s=health_check_period_s,
        health_check_timeout_s=health_check_timeout_s,
        logging_config=logging_config,
        request_router_config=request_router_config,
        max_constructor_retry_count=max_constructor_retry_count,
        gang_scheduling_config=gang_scheduling_config,
        deployment_actors=deployment_actors,
        rolling_update_percentage=rolling_update_percentage,
        max_surge_percent=max_surge_percent,
    )
    if callable(_func_or_class) or isinstance(_func_or_class, Deployment):
        return make_deployment(_func_or_class, dict(options))
    # What can be judged without the class is judged where it is written.
    make_deployment(_nothing, {**options, "name": options.get("name", "_")})
    return lambda definition: make_deployment(definition, dict(options))


def _nothing() -> None:
    """Stands for the code of a deployment whose options are checked."""


def ingress(app: Any = None) -> Callable[[type], type]:
    """Have a class's HTTP requests answered by a FastAPI app, another ASGI app, or what a function without arguments returns.

    Routes of a FastAPI app that are methods of the class get the replica's instance as `self`.

    Raises:
        ValueError: it decorates something other than a class.
    """
    from skate.serve._private.http.ingress import ASGI_APP
    from skate.serve._private.http.views import bind_methods

    def decorate(cls: type) -> type:
        if not inspect.isclass(cls):
            raise ValueError("@serve.ingress must be used with a class.")
        if issubclass(cls, Deployment):
            raise ValueError("@serve.ingress must come after @serve.deployment, nearer to the class.")
        if app is not None:
            bind_methods(app, cls)
        body: dict[str, Any] = {
            "__module__": cls.__module__,
            "__qualname__": cls.__qualname__,
            "__doc__": cls.__doc__,
        }
        if app is not None:
            # A function or an app is looked up on the class, and must not become a method of it.
            body[ASGI_APP] = staticmethod(app) if inspect.isroutine(app) else app
        return type(cls.__name__, (cls,), body)

    return decorate


# -- the instance ----------------------------------------


def _folder() -> str:
    """Where an instance keeps its sockets: in the session's folder, which nobody else can enter and which goes with the session."""
    session = skate.init(ignore_reinit_error=True).address_info.get("session_dir")
    if session and os.path.isdir(session):
        path = os.path.join(session, f"serve-{get_random_string(4)}")
        os.mkdir(path, 0o700)
        return path
    return tempfile.mkdtemp(prefix="skate-serve-")


def start(
    proxy_location: str | ProxyLocation | None = None,
    http_options: dict[str, Any] | HTTPOptions | None = None,
    grpc_options: dict[str, Any] | gRPCOptions | None = None,
    logging_config: dict[str, Any] | LoggingConfig | None = None,
    tracing_config: dict[str, Any] | TracingConfig | None = None,
    controller_options: dict[str, Any] | ControllerOptions | None = None,
    **kwargs: Any,
) -> None:
    """Start Serve in this session, if it does not run yet. `serve.run` does so by itself.

    Args:
        proxy_location: Where HTTP is listened on: "Disabled", "HeadOnly" or "EveryNode".
        http_options: Address, time-outs, TLS; see `HTTPOptions`.
        grpc_options: Port and services; see `gRPCOptions`.
        logging_config: How Serve's processes log.
        tracing_config: Whether requests are traced.
        controller_options: How the controller is started.
        **kwargs: Refused: there are no others.

    Raises:
        OSError: the port is in use.
        ValueError: an option is wrong.
        ImportError: an option needs a package that is not installed.
    """
    if kwargs:
        raise TypeError(f"serve.start() got an unexpected keyword argument {next(iter(kwargs))!r}.")
    if client.current() is not None:
        return
    if not skate.is_initialized():
        skate.init(preload=["skate.serve.preload"])
    http = HTTPOptions(**http_options) if isinstance(http_options, dict) else http_options
    http = HTTPOptions() if http is None else http.model_copy()
    if proxy_location is not None:
        http.location = ProxyLocation(proxy_location)
    if http.location is None:
        http.location = ProxyLocation.EveryNode
    if (http.ssl_keyfile is None) != (http.ssl_certfile is None):
        raise ValueError("Both ssl_keyfile and ssl_certfile must be provided together to serve HTTPS.")
    grpc = gRPCOptions(**grpc_options) if isinstance(grpc_options, dict) else grpc_options
    if grpc is not None and grpc.grpc_servicer_functions:
        _check_grpc(grpc)
    traced = TracingConfig(**tracing_config) if isinstance(tracing_config, dict) else tracing_config
    logging = LoggingConfig(**logging_config) if isinstance(logging_config, dict) else logging_config
    chosen = (
        ControllerOptions(**controller_options)
        if isinstance(controller_options, dict)
        else controller_options
    )
    from skate.serve._private.controller.actor import Controller

    options: dict[str, Any] = {
        "name": SERVE_CONTROLLER_NAME,
        "namespace": SERVE_NAMESPACE,
        "lifetime": "detached",
        "num_cpus": 0,
        "max_concurrency": ASYNC_CONCURRENCY,
        "max_restarts": -1,
        "max_task_retries": -1,  # its methods may be called twice: they say what should be, not what to change
    }
    if chosen is not None and chosen.runtime_env:
        options["runtime_env"] = chosen.runtime_env
    controller = skate.remote(Controller).options(**options).remote(http, grpc, logging, _folder(), traced)
    try:
        skate.get(controller.start.remote())
    except BaseException:
        skate.kill(controller)
        raise
    client.set_controller(controller)


def _check_grpc(options: gRPCOptions) -> None:
    """Refuse here what the proxy could not start with.

    Raises:
        ImportError: gRPC is not installed, or a function can't be imported.
        ValueError: what is named is no function.
    """
    try:
        import grpc  # noqa: F401
    except ImportError:
        raise ImportError('grpc_options needs gRPC: pip install "skate[serve-grpc]"') from None
    for path in options.grpc_servicer_functions:
        try:
            found = import_attr(
                path.replace("ray.serve", "skate.serve", 1) if path.startswith("ray.") else path
            )
        except (AttributeError, ImportError) as error:
            raise type(error)(f"{path} can't be imported for grpc_servicer_functions: {error}.") from error
        if not callable(found):
            raise ValueError(f"{path} is not a callable function!")


def shutdown() -> None:
    """End every application and Serve itself; requests under way may end first. Without an instance, nothing happens."""
    controller = client.current()
    if controller is None:
        client.forget()
        return
    try:
        skate.get(controller.end.remote())
    finally:
        skate.kill(controller)
        client.forget()


async def shutdown_async() -> None:
    """As `shutdown`, in async code."""
    controller = client.current()
    if controller is None:
        client.forget()
        return
    try:
        await controller.end.remote()
    finally:
        skate.kill(controller)
        client.forget()


# -- applications ----------------------------------------


def run(
    target: Application,
    blocking: bool = False,
    name: str = SERVE_DEFAULT_APP_NAME,
    route_prefix: str | None = "/",
    logging_config: dict[str, Any] | LoggingConfig | None = None,
    _local_testing_mode: bool = False,
    external_scaler_enabled: bool = False,
    controller_options: dict[str, Any] | ControllerOptions | None = None,
) -> DeploymentHandle[Any]:
    """Run an application, and wait until it takes requests.

    An application of that name that runs already is changed into this one, without a request being lost.

    Args:
        target: What `.bind()` returned.
        blocking: Stay here until Ctrl-C, and then end Serve.
        name: The application's name.
        route_prefix: Where it is reached over HTTP; None: not at all.
        logging_config: How its replicas log.
        external_scaler_enabled: Whether the number of replicas is set from outside.
        controller_options: How the controller is started.

    Returns:
        A handle to its ingress deployment: the one that `target` was bound from.

    Raises:
        TypeError: `target` is no application.
        RuntimeError: it failed to deploy; the message has the replica's error.
        RayServeException: another application has the route prefix.
    """
    handles = run_many(
        [RunTarget(target, name, route_prefix, logging_config, external_scaler_enabled)],
        blocking=blocking,
        _local_testing_mode=_local_testing_mode,
        controller_options=controller_options,
    )
    return handles[0]


def _run(target: Application, *, _blocking: bool = True, **options: Any) -> DeploymentHandle[Any]:
    return _run_many([_run_target(target, options)], wait_for_applications_running=_blocking, **options)[0]


def _run_target(target: Application, options: dict[str, Any]) -> RunTarget:
    names = ("name", "route_prefix", "logging_config", "external_scaler_enabled")
    return RunTarget(target, **{key: options.pop(key) for key in names if key in options})


def run_many(
    targets: Sequence[RunTarget],
    blocking: bool = False,
    wait_for_ingress_deployment_creation: bool = True,
    wait_for_applications_running: bool = True,
    _local_testing_mode: bool = False,
    controller_options: dict[str, Any] | ControllerOptions | None = None,
) -> list[DeploymentHandle[Any]]:
    """Run several applications at once; see `run`.

    Args:
        targets: The applications.
        blocking: Stay here until Ctrl-C, and then end Serve.
        wait_for_ingress_deployment_creation: Accepted for Ray's programs: deployments are there when this returns.
        wait_for_applications_running: Whether to wait until they take requests.
        controller_options: How the controller is started.

    Returns:
        A handle to each one's ingress deployment.
    """
    handles = _run_many(
        targets,
        wait_for_ingress_deployment_creation,
        wait_for_applications_running,
        _local_testing_mode,
        controller_options,
    )
    if blocking:
        try:
            while True:
                time.sleep(3600)
        except KeyboardInterrupt:
            shutdown()
    return handles


def _run_many(
    targets: Sequence[RunTarget],
    wait_for_ingress_deployment_creation: bool = True,
    wait_for_applications_running: bool = True,
    _local_testing_mode: bool = False,
    controller_options: dict[str, Any] | ControllerOptions | None = None,
) -> list[DeploymentHandle[Any]]:
    if not targets:
        raise ValueError("No applications provided: run_many() takes at least one RunTarget.")
    for each in targets:
        if not isinstance(each.target, Application):
            raise TypeError(
                "`serve.run` expects an `Application` returned by `Deployment.bind()`, got a "
                f"{type(each.target).__name__}. Call .bind() on the deployment."
            )
        if not each.name:
            raise RayServeException("Application name must a non-empty string.")
        normalize(each.route_prefix)
    if _local_testing_mode:
        from skate.serve._private.local_testing import run_locally

        return [run_locally(each.target, each.name) for each in targets]
    from skate.serve._private.build import build

    if not skate.is_initialized():
        skate.init(preload=["skate.serve.preload"])
    apps = []
    for each in targets:
        logging = each.logging_config
        config = LoggingConfig(**logging) if isinstance(logging, dict) else logging
        app = build(each.target, each.name, each.route_prefix, config)
        app.external_scaler_enabled = each.external_scaler_enabled
        apps.append(app)
    start(controller_options=controller_options)
    controller = client.controller()
    skate.get(controller.deploy.remote(apps))
    if wait_for_applications_running:
        for app in apps:
            _wait_running(controller, app.name)
    handles: list[DeploymentHandle[Any]] = [DeploymentHandle(app.ingress, app.name) for app in apps]
    for handle in handles:
        # Followed from now on, so that the first request finds replicas and limits known.
        router_for(handle.deployment_id).known.wait(_KNOWN_S)
    return handles


def _wait_running(controller: Any, name: str) -> None:
    while True:
        answer = skate.get(controller.wait_for_app.remote(name, _PATIENCE_S))
        if answer is None:
            raise RuntimeError(f"Application {name} was deleted while it was being deployed.")
        state, message = answer
        if state == "RUNNING":
            return
        if state in ("DEPLOY_FAILED", "UNHEALTHY"):
            raise RuntimeError(f"Deploying application {name} failed: {message}")


def delete(name: str, _blocking: bool = True) -> None:
    """Delete an application, once the requests under way have ended.

    Args:
        name: Its name; nothing happens if there is none.

    Raises:
        RayServeException: Serve does not run.
    """
    controller = client.current() or client.controller()
    skate.get(controller.delete.remote([name]))
    while _blocking and skate.get(controller.wait_for_app.remote(name, _PATIENCE_S)) is not None:
        pass


def status() -> ServeStatus:
    """How proxies, applications and deployments are. Without an instance, it is empty."""
    controller = client.current()
    if controller is None:
        return ServeStatus()
    found: ServeStatus = skate.get(controller.status.remote())
    return found


def get_app_handle(name: str) -> DeploymentHandle[Any]:
    """A handle to the ingress deployment of an application.

    Raises:
        RayServeException: there is no such application, or Serve does not run.
    """
    deployment_name = skate.get(client.controller().ingress_of.remote(name))
    if not deployment_name:
        raise RayServeException(f"Application '{name}' does not exist.")
    return DeploymentHandle(deployment_name, name)


def get_deployment_handle(
    deployment_name: str,
    app_name: str | None = None,
    _check_exists: bool = True,
    _record_telemetry: bool = True,
) -> DeploymentHandle[Any]:
    """A handle to a deployment.

    Args:
        deployment_name: Its name.
        app_name: Its application's; in a replica, the default is the replica's own.

    Raises:
        RayServeException: no application is named outside a replica, or Serve does not run.
        KeyError: there is no such deployment.
    """
    controller = client.controller()
    if app_name is None:
        replica = serve_context._get_internal_replica_context()
        if replica is None:
            raise RayServeException(
                "Please specify an application name when getting a deployment handle outside of a Serve application."
            )
        app_name = replica.app_name
    if _check_exists and not in_asyncio_loop():
        if not skate.get(controller.has_deployment.remote(app_name, deployment_name)):
            raise KeyError(f"Deployment(name='{deployment_name}', app='{app_name}') does not exist.")
    return DeploymentHandle(deployment_name, app_name)


def get_replica_context() -> ReplicaContext:
    """The replica that the caller runs in: its name, deployment, application and rank.

    Raises:
        RayServeException: the caller runs in no replica.
    """
    return serve_context.get_replica_context()


def get_deployment_actor(actor_name: str) -> Any:
    """An actor that the replicas of the caller's deployment share; see `deployment_actors`.

    Args:
        actor_name: Its name in `deployment_actors`.

    Raises:
        RayServeException: the caller runs in no replica.
        ValueError: there is no such actor.
    """
    replica = serve_context._get_internal_replica_context()
    if replica is None:
        raise RayServeException(
            "`serve.get_deployment_actor()` may only be called from within a deployment: this code runs in no replica."
        )
    name = serve_context._deployment_actor_name(
        replica.replica_id.deployment_id, replica.code_version, actor_name
    )
    return skate.get_actor(name, namespace=SERVE_NAMESPACE)


def get_deployment_actor_context() -> DeploymentActorContext:
    """The shared actor that the caller runs in: its name, deployment and application.

    Raises:
        RayServeException: the caller runs in none.
    """
    found = serve_context._get_internal_deployment_actor_context()
    if found is None:
        raise RayServeException(
            "`serve.get_deployment_actor_context()` may only be called from within a deployment actor: this code runs in none."
        )
    return found


def get_trace_context() -> dict[str, str] | None:
    """The trace of the current request in W3C's form, `traceparent` and `tracestate`, to be sent to other services; None without one."""
    return tracing.get_trace_context()


def get_multiplexed_model_id() -> str:
    """The model that the current request is for: of the handle's `multiplexed_model_id` or the header `serve_multiplexed_model_id`."""
    return serve_context._serve_request_context.get().multiplexed_model_id
