"""Config files, statuses and what the REST API answers, as models that check them."""

from __future__ import annotations

import logging
from collections import Counter
from dataclasses import dataclass, field
from enum import Enum
from typing import Any, Self

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    NonNegativeFloat,
    NonNegativeInt,
    PositiveFloat,
    PositiveInt,
    StrictInt,
    field_validator,
    model_validator,
)

from skate.serve._private.common import (
    ApplicationStatus,
    DeploymentStatus,
    DeploymentStatusTrigger,
    ReplicaState,
    RequestProtocol,
)
from skate.serve._private.constants import DEFAULT_GRPC_PORT, DEFAULT_HTTP_PORT, SERVE_DEFAULT_APP_NAME
from skate.serve._private.http.routes import normalize
from skate.serve._private.task_models import (
    CeleryAdapterConfig,
    TaskProcessorAdapter,
    TaskProcessorConfig,
    TaskResult,
)
from skate.serve._private.utils import DEFAULT
from skate.serve.config import (
    AutoscalingConfig,
    AutoscalingPolicy,
    BackpressureConfig,
    ControllerOptions,
    DeploymentActorConfig,
    GangSchedulingConfig,
    ProxyLocation,
    RequestRouterConfig,
)

__all__ = [
    "APIType",
    "ApplicationDetails",
    "ApplicationStatusOverview",
    "AutoscalingMetricsHealth",
    "AutoscalingStatus",
    "CeleryAdapterConfig",
    "DEFAULT_GRPC_PORT",
    "DEFAULT_HTTP_PORT",
    "DeploymentAutoscalingDetail",
    "DeploymentDetails",
    "DeploymentNode",
    "DeploymentSchema",
    "DeploymentStatusOverview",
    "DeploymentTopology",
    "EncodingType",
    "HTTPOptionsSchema",
    "LoggingConfig",
    "ProxyDetails",
    "ProxyStatus",
    "RayActorOptionsSchema",
    "ReplicaDetails",
    "ReplicaRank",
    "SERVE_DEFAULT_APP_NAME",
    "ScaleDeploymentRequest",
    "ScalingDecision",
    "ServeActorDetails",
    "ServeApplicationSchema",
    "ServeDeploySchema",
    "ServeInstanceDetails",
    "ServeStatus",
    "Target",
    "TargetGroup",
    "TaskProcessorAdapter",
    "TaskProcessorConfig",
    "TaskResult",
    "TracingConfig",
    "gRPCOptionsSchema",
]

_UNSET: Any = DEFAULT.VALUE
"""The default of an option that a config file leaves as it is in the code."""


class EncodingType(str, Enum):
    """How log lines are written."""

    TEXT = "TEXT"
    JSON = "JSON"


class LoggingConfig(BaseModel):
    """How Serve's processes log.

    Args:
        encoding: TEXT or JSON.
        log_level: Lines of lower levels are dropped.
        logs_dir: A folder for log files; None writes to the process's stderr, which the driver prints.
        enable_access_log: Whether each request is a line.
        additional_log_standard_attrs: Attributes of `logging.LogRecord` to add to each line.
    """

    model_config = ConfigDict(extra="forbid")

    encoding: str | EncodingType = EncodingType.TEXT.value
    log_level: int | str = "INFO"
    logs_dir: str | None = None
    enable_access_log: bool = True
    additional_log_standard_attrs: list[str] = Field(default_factory=list)

    @field_validator("encoding")
    @classmethod
    def valid_encoding_format(cls, value: Any) -> str:
        """Refuse other names.

        Raises:
            ValueError: it is neither TEXT nor JSON.
        """
        if value not in list(EncodingType):
            raise ValueError(
                f"Got '{value}' for encoding. Encoding must be one of {[e.value for e in EncodingType]}."
            )
        return EncodingType(value).value

    @field_validator("log_level")
    @classmethod
    def valid_log_level(cls, value: int | str) -> int | str:
        """The name of a level; refuse what `logging` does not know."""
        names = logging.getLevelNamesMapping()
        known = list(names) if isinstance(value, str) else sorted(set(names.values()), reverse=True)
        if value not in known:
            raise ValueError(f'Got "{value}" for log_level. log_level must be one of {known}.')
        return value if isinstance(value, str) else logging.getLevelName(value)

    @field_validator("additional_log_standard_attrs")
    @classmethod
    def valid_additional_log_standard_attrs(cls, value: list[str]) -> list[str]:
        """Each attribute once."""
        known = set(vars(logging.makeLogRecord({}))) | {"message", "asctime"}
        for name in value:
            if name not in known:
                raise ValueError(f"Unknown attribute '{name}' for additional_log_standard_attrs.")
        return sorted(set(value))


class TracingConfig(BaseModel):
    """Whether requests are traced with OpenTelemetry."""

    model_config = ConfigDict(extra="forbid")

    enabled: bool = False
    exporter_import_path: str = ""
    sampling_ratio: float = 1.0

    @field_validator("sampling_ratio")
    @classmethod
    def validate_sampling_ratio(cls, value: float) -> float:
        """A ratio is between 0 and 1."""
        if not 0 <= value <= 1:
            raise ValueError(f"sampling_ratio={value}: it must be between 0 and 1.")
        return value


class RayActorOptionsSchema(BaseModel):
    """What each replica's actor needs."""

    runtime_env: dict[str, Any] = {}
    num_cpus: NonNegativeFloat | None = None
    num_gpus: NonNegativeFloat | None = None
    memory: NonNegativeFloat | None = None
    resources: dict[str, Any] = {}
    accelerator_type: str | None = None
    label_selector: dict[str, str] | None = None
    fallback_strategy: list[dict[str, Any]] | None = None


class DeploymentSchema(BaseModel):
    """A deployment's options in a config file; those left out stay as in the code."""

    model_config = ConfigDict(populate_by_name=True)

    name: str
    num_replicas: PositiveInt | str | None = Field(default=_UNSET)
    max_ongoing_requests: PositiveInt = Field(default=_UNSET)
    max_queued_requests: StrictInt = Field(default=_UNSET)
    backpressure_config: BackpressureConfig = Field(default=_UNSET)
    user_config: dict[str, Any] | None = Field(default=_UNSET)
    autoscaling_config: dict[str, Any] | AutoscalingConfig | None = Field(default=_UNSET)
    graceful_shutdown_wait_loop_s: NonNegativeFloat = Field(default=_UNSET)
    graceful_shutdown_timeout_s: NonNegativeFloat = Field(default=_UNSET)
    health_check_period_s: PositiveFloat = Field(default=_UNSET)
    health_check_timeout_s: PositiveFloat = Field(default=_UNSET)
    ray_actor_options: RayActorOptionsSchema = Field(default=_UNSET)
    placement_group_bundles: list[dict[str, float]] = Field(default=_UNSET)
    placement_group_strategy: str = Field(default=_UNSET)
    placement_group_bundle_label_selector: list[dict[str, str]] = Field(default=_UNSET)
    max_replicas_per_node: int = Field(default=_UNSET)
    logging_config: LoggingConfig = Field(default=_UNSET)
    request_router_config: dict[str, Any] | RequestRouterConfig = Field(default=_UNSET)
    gang_scheduling_config: dict[str, Any] | GangSchedulingConfig | None = Field(default=_UNSET)
    deployment_actors: list[dict[str, Any] | DeploymentActorConfig] | None = Field(default=_UNSET)
    rolling_update_percentage: float = Field(default=_UNSET, gt=0, le=1)
    max_surge_percent: int = Field(default=_UNSET, ge=0, le=100)

    @model_validator(mode="before")
    @classmethod
    def validate_num_replicas_and_autoscaling_config(cls, values: Any) -> Any:
        """Refuse a number of replicas next to autoscaling."""
        number = values.get("num_replicas", DEFAULT.VALUE)
        if isinstance(number, str) and number != "auto":
            raise ValueError(f'`num_replicas` must be an int or "auto", but got: {number}')
        scaling = values.get("autoscaling_config", DEFAULT.VALUE)
        if number not in (DEFAULT.VALUE, None, "auto") and scaling not in (DEFAULT.VALUE, None):
            raise ValueError(
                "Manually setting num_replicas is not allowed when autoscaling_config is provided."
            )
        return values

    @model_validator(mode="after")
    def validate_max_queued_requests(self) -> Self:
        """-1, or the number that may wait."""
        if self.max_queued_requests is not _UNSET and self.max_queued_requests < -1:
            raise ValueError("max_queued_requests must be -1 (no limit) or a positive integer.")
        return self

    @model_validator(mode="after")
    def validate_max_replicas_per_node_and_placement_group_bundles(self) -> Self:
        """A limit for machines and a placement group contradict each other."""
        if self.max_replicas_per_node not in (_UNSET, None) and self.placement_group_bundles not in (
            _UNSET,
            None,
        ):
            raise ValueError(
                "Setting max_replicas_per_node is not allowed when placement_group_bundles is provided."
            )
        return self

    @model_validator(mode="after")
    def validate_bundle_label_selector(self) -> Self:
        """A selector is of bundles."""
        given = self.placement_group_bundle_label_selector not in (_UNSET, None)
        if given and self.placement_group_bundles in (_UNSET, None):
            raise ValueError(
                "Setting placement_group_bundle_label_selector is not allowed when placement_group_bundles is not provided."
            )
        return self

    def is_autoscaling_configured(self) -> bool:
        """Whether the number of replicas follows the load."""
        return self.num_replicas == "auto" or self.autoscaling_config not in (_UNSET, None)

    def get_user_configured_options(self) -> dict[str, Any]:
        """The options that the file sets, without the name, for `Deployment.options`."""
        options: dict[str, Any] = {}
        for name in type(self).model_fields:
            value = getattr(self, name)
            if name == "name" or value is DEFAULT.VALUE:
                continue
            if isinstance(value, RayActorOptionsSchema):
                value = value.model_dump(exclude_unset=True)
            options[name] = value
        return options


class ServeApplicationSchema(BaseModel):
    """An application in a config file."""

    name: str = SERVE_DEFAULT_APP_NAME
    route_prefix: str | None = "/"
    import_path: str
    runtime_env: dict[str, Any] = {}
    host: str = "0.0.0.0"
    port: int = DEFAULT_HTTP_PORT
    deployments: list[DeploymentSchema] = []
    autoscaling_policy: dict[str, Any] | None = None
    args: dict[str, Any] = {}
    logging_config: LoggingConfig | None = None
    external_scaler_enabled: bool = False

    @field_validator("autoscaling_policy", mode="before")
    @classmethod
    def convert_autoscaling_policy_to_dict(cls, value: Any) -> Any:
        """Take a policy as an object too."""
        return value.model_dump() if isinstance(value, AutoscalingPolicy) else value

    @field_validator("import_path")
    @classmethod
    def import_path_format_valid(cls, value: str) -> str:
        """Refuse a path without a dot or colon."""
        if ":" in value:
            module, _, name = value.partition(":")
        else:
            module, _, name = value.rpartition(".")
        if not module or not name or value.count(":") > 1:
            raise ValueError(
                f'Got invalid import path "{value}". An import path needs a dot or a colon between the module and the '
                'application in it: "module:app".'
            )
        return value

    @field_validator("route_prefix")
    @classmethod
    def _route_prefix_is_valid(cls, value: str | None) -> str | None:
        return normalize(value)

    @model_validator(mode="after")
    def validate_external_scaler_and_autoscaling(self) -> Self:
        """The number of replicas follows the load, or is set from outside."""
        scaled = [each.name for each in self.deployments if each.is_autoscaling_configured()]
        if self.external_scaler_enabled and scaled:
            raise ValueError(
                f"external_scaler_enabled is set to True for application '{self.name}', but these deployments have "
                f"autoscaling_config: {', '.join(scaled)}. Leave one of them out."
            )
        return self

    @property
    def deployment_names(self) -> list[str]:
        """The deployments that the file sets options of."""
        return [deployment.name for deployment in self.deployments]

    @staticmethod
    def get_empty_schema_dict() -> dict[str, Any]:
        """The fields with nothing in them."""
        return {
            "import_path": "",
            "runtime_env": {},
            "deployments": [],
        }


def _without_ssl_half(model: Any, what: str) -> Any:
    if (model.ssl_keyfile is None) != (model.ssl_certfile is None):
        raise ValueError(f"Both ssl_keyfile and ssl_certfile must be provided together to serve {what}.")
    return model


class HTTPOptionsSchema(BaseModel):
    """How a config file says HTTP is served. See `HTTPOptions`."""

    host: str = "0.0.0.0"
    port: int = DEFAULT_HTTP_PORT
    root_path: str = ""
    request_timeout_s: float | None = None
    keep_alive_timeout_s: int = 90
    ssl_keyfile: str | None = None
    ssl_certfile: str | None = None
    ssl_keyfile_password: str | None = Field(default=None, repr=False)
    ssl_ca_certs: str | None = None
    bearer_token: str | None = Field(default=None, min_length=1, repr=False)
    max_body_bytes: PositiveInt | None = None
    max_header_bytes: PositiveInt = 64 << 10
    read_timeout_s: PositiveFloat = 60.0

    @model_validator(mode="after")
    def _both_ssl_files(self) -> Self:
        return _without_ssl_half(self, "HTTPS")  # type: ignore[no-any-return]


class gRPCOptionsSchema(BaseModel):  # noqa: N801
    """How a config file says gRPC is served. See `gRPCOptions`."""

    port: int = DEFAULT_GRPC_PORT
    grpc_servicer_functions: list[str] = []
    request_timeout_s: float | None = None
    enable_reflection: bool = True
    ssl_keyfile: str | None = None
    ssl_certfile: str | None = None
    bearer_token: str | None = Field(default=None, min_length=1, repr=False)

    @model_validator(mode="after")
    def _both_ssl_files(self) -> Self:
        return _without_ssl_half(self, "gRPC over TLS")  # type: ignore[no-any-return]


class ServeDeploySchema(BaseModel):
    """A config file."""

    proxy_location: ProxyLocation = ProxyLocation.EveryNode
    http_options: HTTPOptionsSchema = HTTPOptionsSchema()
    grpc_options: gRPCOptionsSchema = gRPCOptionsSchema()
    controller_options: ControllerOptions | None = None
    logging_config: LoggingConfig | None = None
    tracing_config: TracingConfig | None = None
    applications: list[ServeApplicationSchema]
    target_capacity: float | None = Field(default=None, ge=0, le=100)

    @field_validator("applications")
    @classmethod
    def application_names_unique(cls, value: list[ServeApplicationSchema]) -> list[ServeApplicationSchema]:
        """Refuse two applications of one name."""
        twice = [name for name, count in Counter(app.name for app in value).items() if count > 1]
        if twice:
            named = ", ".join(f'"{name}"' for name in twice)
            raise ValueError(f"Found multiple configs for application {named}. Please remove all duplicates.")
        return value

    @field_validator("applications")
    @classmethod
    def application_routes_unique(cls, value: list[ServeApplicationSchema]) -> list[ServeApplicationSchema]:
        """Refuse two applications on one route prefix."""
        routes = Counter(app.route_prefix for app in value if app.route_prefix is not None)
        twice = [route for route, count in routes.items() if count > 1]
        if twice:
            named = ", ".join(f'"{route}"' for route in twice)
            raise ValueError(
                f"Found duplicate applications for route prefix {named}. Please ensure each application's route_prefix is unique."
            )
        return value

    @field_validator("applications")
    @classmethod
    def application_names_nonempty(cls, value: list[ServeApplicationSchema]) -> list[ServeApplicationSchema]:
        """Refuse an application without a name."""
        if any(not app.name for app in value):
            raise ValueError("Application names must be nonempty.")
        return value

    @model_validator(mode="after")
    def nested_host_and_port(self) -> Self:
        """Host and port belong to `http_options`."""
        for app in self.applications:
            for name in ("host", "port"):
                if name in app.model_fields_set:
                    raise ValueError(
                        f'Got `{name}` in the config of application "{app.name}": set it under http_options instead.'
                    )
        return self

    @staticmethod
    def get_empty_schema_dict() -> dict[str, Any]:
        """The fields with nothing in them."""
        return {"applications": []}


class ProxyStatus(str, Enum):
    """How a proxy is."""

    STARTING = "STARTING"
    HEALTHY = "HEALTHY"
    UNHEALTHY = "UNHEALTHY"
    DRAINING = "DRAINING"
    DRAINED = "DRAINED"

    def to_numeric(self) -> int:
        """The state's number; 0 is none of them."""
        return list(type(self)).index(self) + 1


class APIType(str, Enum):
    """How an application was deployed: by code, or by a config file."""

    UNKNOWN = "unknown"
    IMPERATIVE = "imperative"
    DECLARATIVE = "declarative"

    @classmethod
    def get_valid_user_values(cls) -> list[str]:
        """The names that users may ask for."""
        return [cls.IMPERATIVE.value, cls.DECLARATIVE.value]


@dataclass
class DeploymentStatusOverview:
    """How a deployment is: `serve.status()`."""

    status: DeploymentStatus
    status_trigger: DeploymentStatusTrigger
    replica_states: dict[str, int]
    message: str


@dataclass
class ApplicationStatusOverview:
    """How an application is: `serve.status()`."""

    status: ApplicationStatus
    message: str
    last_deployed_time_s: float
    deployments: dict[str, DeploymentStatusOverview]


@dataclass
class ServeStatus:
    """How everything is: what `serve.status()` returns."""

    proxies: dict[str, ProxyStatus] = field(default_factory=dict)
    applications: dict[str, ApplicationStatusOverview] = field(default_factory=dict)
    target_capacity: float | None = None


class ReplicaRank(BaseModel):
    """A replica's number among its deployment's, and its machine's."""

    rank: int
    node_rank: int
    local_rank: int


class ServeActorDetails(BaseModel):
    """One of Serve's actors."""

    model_config = ConfigDict(frozen=True)

    node_id: str | None = None
    node_ip: str | None = None
    node_instance_id: str | None = None
    actor_id: str | None = None
    actor_name: str | None = None
    worker_id: str | None = None
    log_file_path: str | None = None


class ReplicaDetails(ServeActorDetails):
    """A replica."""

    replica_id: str
    state: ReplicaState
    pid: int | None = None
    start_time_s: float


class ProxyDetails(ServeActorDetails):
    """A proxy."""

    status: ProxyStatus


class AutoscalingStatus(str, Enum):
    """Which way the number of replicas goes."""

    UPSCALING = "UPSCALING"
    DOWNSCALING = "DOWNSCALING"
    STABLE = "STABLE"


class AutoscalingMetricsHealth(str, Enum):
    """How fresh the figures are that decisions rest on."""

    HEALTHY = "healthy"
    DELAYED = "delayed"
    UNAVAILABLE = "unavailable"


class ScalingDecision(BaseModel):
    """A change of the number of replicas, and why."""

    timestamp_s: float
    reason: str
    prev_num_replicas: NonNegativeInt
    curr_num_replicas: NonNegativeInt
    policy: str | None = None


class DeploymentAutoscalingDetail(BaseModel):
    """What autoscaling did of late."""

    model_config = ConfigDict(extra="forbid")

    scaling_status: AutoscalingStatus
    decisions: list[ScalingDecision] = Field(default_factory=list)
    metrics: dict[str, Any] | None = None
    metrics_health: AutoscalingMetricsHealth = AutoscalingMetricsHealth.HEALTHY


class DeploymentDetails(BaseModel):
    """A deployment, for the REST API."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str
    status: DeploymentStatus
    status_trigger: DeploymentStatusTrigger
    message: str
    deployment_config: DeploymentSchema
    target_num_replicas: NonNegativeInt
    required_resources: dict[str, Any]
    replicas: list[ReplicaDetails]
    recent_dead_replicas: list[ReplicaDetails] = Field(default_factory=list)
    autoscaling_detail: DeploymentAutoscalingDetail | None = None


class DeploymentNode(BaseModel):
    """A deployment in an application's graph."""

    name: str
    app_name: str
    outbound_deployments: list[dict[str, Any]] = Field(default_factory=list)
    is_ingress: bool = False


class DeploymentTopology(BaseModel):
    """Which deployments call which."""

    app_name: str
    nodes: dict[str, DeploymentNode]
    ingress_deployment: str | None = None


class ApplicationDetails(BaseModel):
    """An application, for the REST API."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str
    route_prefix: str | None
    docs_path: str | None
    status: ApplicationStatus
    message: str
    last_deployed_time_s: float
    deployed_app_config: ServeApplicationSchema | None = None
    source: APIType
    deployments: dict[str, DeploymentDetails]
    external_scaler_enabled: bool = False
    deployment_topology: DeploymentTopology | None = None


class Target(BaseModel):
    """An address that requests may be sent to."""

    model_config = ConfigDict(frozen=True)

    ip: str
    port: int
    instance_id: str = ""
    name: str = ""


class TargetGroup(BaseModel):
    """The addresses behind one route prefix."""

    model_config = ConfigDict(frozen=True)

    targets: list[Target]
    route_prefix: str
    protocol: RequestProtocol
    app_name: str = ""
    ingress_request_router_targets: list[Target] = Field(default_factory=list)
    ingress_deployment_name: str = ""


class ServeInstanceDetails(BaseModel):
    """Everything, for the REST API."""

    model_config = ConfigDict(extra="forbid")

    controller_info: ServeActorDetails = Field(default_factory=ServeActorDetails)
    proxy_location: ProxyLocation | None = None
    http_options: HTTPOptionsSchema | None = None
    grpc_options: gRPCOptionsSchema | None = None
    proxies: dict[str, ProxyDetails] = Field(default_factory=dict)
    applications: dict[str, ApplicationDetails] = Field(default_factory=dict)
    target_capacity: float | None = Field(default=None, ge=0, le=100)
    target_groups: list[TargetGroup] = Field(default_factory=list)

    @staticmethod
    def get_empty_schema_dict() -> dict[str, Any]:
        """The fields with nothing in them."""
        return {"applications": {}, "proxies": {}}


class ScaleDeploymentRequest(BaseModel):
    """A number of replicas that is asked for from outside."""

    target_num_replicas: NonNegativeInt
