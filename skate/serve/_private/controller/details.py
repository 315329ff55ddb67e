"""Statuses, as users and the REST API see them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from skate.serve._private.common import DeploymentID, ReplicaID, ReplicaState, RequestProtocol
from skate.serve._private.constants import SERVE_CONTROLLER_NAME, SERVE_PROXY_NAME
from skate.serve._private.controller.application_state import ApplicationState
from skate.serve._private.controller.autoscaling import Autoscaler
from skate.serve._private.controller.deployment_state import DeploymentState
from skate.serve.config import HTTPOptions, gRPCOptions
from skate.serve.schema import (
    APIType,
    ApplicationDetails,
    ApplicationStatusOverview,
    AutoscalingStatus,
    DeploymentAutoscalingDetail,
    DeploymentDetails,
    DeploymentNode,
    DeploymentSchema,
    DeploymentStatusOverview,
    DeploymentTopology,
    HTTPOptionsSchema,
    ProxyDetails,
    ProxyStatus,
    ReplicaDetails,
    ServeActorDetails,
    ServeInstanceDetails,
    ServeStatus,
    Target,
    TargetGroup,
    gRPCOptionsSchema,
)

_HERE = "127.0.0.1"


def status(
    apps: dict[str, ApplicationState],
    deployments: dict[DeploymentID, DeploymentState],
    proxies: dict[str, ProxyStatus],
    capacity: float | None = None,
) -> ServeStatus:
    """What `serve.status()` returns."""
    found: dict[str, ApplicationStatusOverview] = {}
    for name, app in apps.items():
        found[name] = ApplicationStatusOverview(
            status=app.status,
            message=app.message,
            last_deployed_time_s=app.deployed_at,
            deployments={
                state.id.name: DeploymentStatusOverview(
                    status=state.status,
                    status_trigger=state.trigger,
                    replica_states={kind.value: count for kind, count in state.counts().items()},
                    message=state.message,
                )
                for state in deployments.values()
                if state.id.app_name == name
            },
        )
    return ServeStatus(proxies=proxies, applications=found, target_capacity=capacity)


@dataclass
class Reached:
    """Where an instance is reached."""

    http: HTTPOptions
    address: tuple[str, int] | None
    grpc: gRPCOptions | None
    grpc_port: int
    node_id: str
    proxy: ProxyStatus | None
    capacity: float | None


def instance(
    apps: dict[str, ApplicationState],
    deployments: dict[DeploymentID, DeploymentState],
    scalers: dict[DeploymentID, Autoscaler],
    reached: Reached,
) -> ServeInstanceDetails:
    """What the REST API returns."""
    http = reached.http
    host, port = reached.address or (str(http.host), http.port)
    proxies = {}
    if reached.proxy is not None:
        proxies[reached.node_id] = ProxyDetails(
            node_id=reached.node_id, node_ip=_HERE, actor_name=SERVE_PROXY_NAME, status=reached.proxy
        )
    found = ServeInstanceDetails(
        controller_info=ServeActorDetails(
            node_id=reached.node_id, node_ip=_HERE, actor_name=SERVE_CONTROLLER_NAME
        ),
        proxy_location=http.location,
        http_options=HTTPOptionsSchema(
            host=host,
            port=port,
            root_path=http.root_path,
            request_timeout_s=http.request_timeout_s,
            keep_alive_timeout_s=http.keep_alive_timeout_s,
        ),
        proxies=proxies,
        applications={name: _application(app, deployments, scalers) for name, app in apps.items()},
        target_capacity=reached.capacity,
        target_groups=[] if reached.proxy is None else _targets(apps, reached, port),
    )
    if reached.grpc is not None:
        # Those who may look at an instance need not be those who may call what it serves.
        found.grpc_options = gRPCOptionsSchema(**reached.grpc.model_dump(exclude={"bearer_token"}))
    return found


def _targets(apps: dict[str, ApplicationState], reached: Reached, port: int) -> list[TargetGroup]:
    """The proxy, for each route prefix and protocol."""
    ports = {RequestProtocol.HTTP: port}
    if reached.grpc_port:
        ports[RequestProtocol.GRPC] = reached.grpc_port
    groups = []
    for protocol, at in ports.items():
        target = Target(ip=_HERE, port=at, instance_id="", name=SERVE_PROXY_NAME)
        groups += [
            TargetGroup(targets=[target], route_prefix=app.route_prefix, protocol=protocol, app_name=app.name)
            for app in apps.values()
            if app.route_prefix is not None
        ]
    return groups


def _application(
    app: ApplicationState,
    deployments: dict[DeploymentID, DeploymentState],
    scalers: dict[DeploymentID, Autoscaler],
) -> ApplicationDetails:
    mine = {key: state for key, state in deployments.items() if key.app_name == app.name}
    ingress = deployments.get(DeploymentID(app.ingress, app.name))
    docs = None
    if ingress is not None:
        docs = next((r.facts.docs_path for r in ingress.running() if r.facts is not None), None)
    nodes = {
        name: DeploymentNode(
            name=name,
            app_name=app.name,
            is_ingress=name == app.ingress,
            outbound_deployments=[{"name": other, "app_name": app.name} for other in others],
        )
        for name, others in app.topology.items()
    }
    return ApplicationDetails(
        name=app.name,
        route_prefix=app.route_prefix,
        docs_path=docs,
        status=app.status,
        message=app.message,
        last_deployed_time_s=app.deployed_at,
        deployed_app_config=app.config,
        source=APIType.DECLARATIVE if app.is_declarative else APIType.IMPERATIVE,
        deployments={key.name: _deployment(state, scalers.get(key)) for key, state in mine.items()},
        external_scaler_enabled=app.external_scaler_enabled,
        deployment_topology=DeploymentTopology(
            app_name=app.name, nodes=nodes, ingress_deployment=app.ingress or None
        ),
    )


def _deployment(state: DeploymentState, scaler: Autoscaler | None) -> DeploymentDetails:
    assert state.target is not None
    config = state.target.config
    options: dict[str, Any] = {
        "name": state.id.name,
        "max_ongoing_requests": config.max_ongoing_requests,
        "max_queued_requests": config.max_queued_requests,
        "user_config": config.user_config,
        "graceful_shutdown_wait_loop_s": config.graceful_shutdown_wait_loop_s,
        "graceful_shutdown_timeout_s": config.graceful_shutdown_timeout_s,
        "health_check_period_s": config.health_check_period_s,
        "health_check_timeout_s": config.health_check_timeout_s,
        "ray_actor_options": state.target.actor_options,
    }
    if config.autoscaling_config is not None:
        options["autoscaling_config"] = config.autoscaling_config
    else:
        options["num_replicas"] = max(1, state.target_num)
    return DeploymentDetails(
        name=state.id.name,
        status=state.status,
        status_trigger=state.trigger,
        message=state.message,
        deployment_config=DeploymentSchema(**options),
        target_num_replicas=state.target_num,
        required_resources=_resources(state.target.actor_options),
        replicas=[
            ReplicaDetails(
                replica_id=record.uid,
                actor_name=ReplicaID(record.uid, state.id).to_full_id_str(),
                actor_id=record.facts.actor_id if record.facts is not None else None,
                node_id=record.facts.node_id if record.facts is not None else None,
                pid=record.facts.pid if record.facts is not None else None,
                state=record.state,
                start_time_s=record.since,
            )
            for record in state.replicas.values()
        ],
        autoscaling_detail=None if scaler is None else _scaling(state, scaler),
    )


def _resources(options: dict[str, Any]) -> dict[str, float]:
    found: dict[str, float] = dict(options.get("resources") or {})
    for name, key in (("num_cpus", "CPU"), ("num_gpus", "GPU"), ("memory", "memory")):
        if options.get(name):
            found[key] = options[name]
    return found


def _scaling(state: DeploymentState, scaler: Autoscaler) -> DeploymentAutoscalingDetail:
    running = state.counts().get(ReplicaState.RUNNING, 0)
    way = AutoscalingStatus.STABLE
    if running < state.target_num:
        way = AutoscalingStatus.UPSCALING
    elif running > state.target_num:
        way = AutoscalingStatus.DOWNSCALING
    return DeploymentAutoscalingDetail(
        scaling_status=way,
        decisions=list(scaler.decisions),
        metrics={"running_requests": scaler.running, "queued_requests": scaler.queued},
    )
