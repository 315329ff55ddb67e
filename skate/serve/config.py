"""Options of deployments and of the instance, as models that check them."""

from __future__ import annotations

import json
from collections.abc import Callable
from enum import Enum
from typing import Any, Literal, Self

import cloudpickle
from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    NonNegativeFloat,
    NonNegativeInt,
    PositiveFloat,
    PositiveInt,
    PrivateAttr,
    ValidationInfo,
    field_validator,
    model_validator,
)

from skate.serve._private.constants import (
    DEFAULT_GRPC_PORT,
    DEFAULT_HTTP_HOST,
    DEFAULT_HTTP_PORT,
    DEFAULT_TARGET_ONGOING_REQUESTS,
)
from skate.serve._private.scaling_context import AutoscalingContext
from skate.serve._private.utils import import_attr, pickle_with_code

__all__ = [
    "AggregationFunction",
    "AutoscalingConfig",
    "AutoscalingContext",
    "AutoscalingPolicy",
    "BackpressureConfig",
    "ControllerOptions",
    "DEFAULT_AUTOSCALING_POLICY_NAME",
    "DEFAULT_GRPC_PORT",
    "DEFAULT_HTTP_HOST",
    "DEFAULT_HTTP_PORT",
    "DEFAULT_REQUEST_ROUTER_PATH",
    "DEFAULT_TARGET_ONGOING_REQUESTS",
    "DeploymentActorConfig",
    "GangPlacementStrategy",
    "GangRuntimeFailurePolicy",
    "GangSchedulingConfig",
    "HTTPOptions",
    "ProxyLocation",
    "RequestRouterConfig",
    "gRPCOptions",
]

DEFAULT_AUTOSCALING_POLICY_NAME = "skate.serve.autoscaling_policy:default_autoscaling_policy"
DEFAULT_REQUEST_ROUTER_PATH = "skate.serve.request_router:PowerOfTwoChoicesRequestRouter"


def _json_able(name: str, value: Any) -> Any:
    try:
        json.dumps(value)
    except (TypeError, ValueError) as error:
        raise ValueError(f"{name} is not JSON-serializable: {error}.") from error
    return value


class AggregationFunction(str, Enum):
    """How the figures of the look-back period become one."""

    MEAN = "mean"
    MAX = "max"
    MIN = "min"


class _Pickled(BaseModel):
    """A model with an attribute that is a class or function, or the path of one.

    It travels pickled, with its code: whoever uses it need not be able to import it.
    """

    _definition: bytes = PrivateAttr(default=b"")
    _loaded: Any = PrivateAttr(default=None)

    def _keep(self, named: str | Callable[..., Any]) -> str:
        """Import what is given by its path, keep it pickled, and return its path."""
        if isinstance(named, str):
            found, path = import_attr(named.replace("ray.serve", "skate.serve", 1)), named
        else:
            found, path = named, f"{named.__module__}.{getattr(named, '__qualname__', named)}"
        self._definition = pickle_with_code(found)
        return path

    def __eq__(self, other: object) -> bool:
        # By its fields: the same function may be pickled to other bytes.
        return type(self) is type(other) and self.__dict__ == other.__dict__

    __hash__ = None  # type: ignore[assignment]

    def _load(self) -> Any:
        if self._loaded is None:
            self._loaded = cloudpickle.loads(self._definition)
        return self._loaded

    def __getstate__(self) -> dict[Any, Any]:
        state = super().__getstate__()
        private = state.get("__pydantic_private__")
        if private:
            state["__pydantic_private__"] = {**private, "_loaded": None}
        return state


class AutoscalingPolicy(_Pickled):
    """What decides how many replicas a deployment has.

    Args:
        policy_function: A function of an `AutoscalingContext`, a class whose instances are such, or the import path of one.
        policy_kwargs: Arguments for it, JSON-serializable.
    """

    policy_function: str | Callable[..., Any] = DEFAULT_AUTOSCALING_POLICY_NAME
    policy_kwargs: dict[str, Any] = Field(default_factory=dict)

    def __init__(self, **options: Any) -> None:
        definition = options.pop("_serialized_policy_def", None)
        super().__init__(**options)
        if definition:
            self._definition = definition
        else:
            self.serialize_policy()

    def __hash__(self) -> int:  # type: ignore[override]
        return hash((self.policy_function, json.dumps(self.policy_kwargs, sort_keys=True)))

    @field_validator("policy_kwargs")
    @classmethod
    def policy_kwargs_json_serializable(cls, value: dict[str, Any]) -> dict[str, Any]:
        """Refuse what can't be written to a config file."""
        return _json_able("policy_kwargs", value)  # type: ignore[no-any-return]

    def is_default_policy_function(self) -> bool:
        """Whether it is the policy that follows ongoing requests."""
        named = self.policy_function
        return isinstance(named, str) and named.endswith("autoscaling_policy:default_autoscaling_policy")

    def serialize_policy(self) -> None:
        """Keep the function pickled; done when the policy is made.

        Raises:
            what importing it raises, if it was given by its path.
        """
        if not self._definition and not self.is_default_policy_function():
            self.policy_function = self._keep(self.policy_function)

    def get_serialized_policy_def(self) -> bytes:
        """The function, pickled; empty for the default one."""
        return self._definition

    def set_serialized_policy_def(self, serialized_policy_def: bytes) -> None:
        """Use a function that is pickled."""
        self._definition, self._loaded = serialized_policy_def, None

    @classmethod
    def from_serialized_policy_def(
        cls, policy_config: dict[str, Any], serialized_policy_def: bytes
    ) -> AutoscalingPolicy:
        """A policy whose function is pickled, and its other fields."""
        return cls(**policy_config, _serialized_policy_def=serialized_policy_def)

    def get_policy(self) -> Callable[..., Any]:
        """The function, or the class whose instances are such."""
        if not self._definition:
            return import_attr(DEFAULT_AUTOSCALING_POLICY_NAME)  # type: ignore[no-any-return]
        return self._load()  # type: ignore[no-any-return]

    def make(self) -> Callable[..., Any]:
        """The function; a new instance if it is a class."""
        found = self.get_policy()
        return found(**self.policy_kwargs) if isinstance(found, type) else found


class AutoscalingConfig(BaseModel):
    """How the number of replicas follows the load.

    The target is `target_ongoing_requests` for each replica, counting those that wait in handles. A decision to add replicas is carried
    out once it has stood for `upscale_delay_s` seconds, and one to remove them after `downscale_delay_s`.
    """

    min_replicas: NonNegativeInt = 1
    initial_replicas: NonNegativeInt | None = None
    max_replicas: PositiveInt = 1
    target_ongoing_requests: PositiveFloat | None = DEFAULT_TARGET_ONGOING_REQUESTS
    metrics_interval_s: PositiveFloat = 10.0
    look_back_period_s: PositiveFloat = 30.0
    smoothing_factor: PositiveFloat = 1.0
    upscale_smoothing_factor: PositiveFloat | None = None
    downscale_smoothing_factor: PositiveFloat | None = None
    upscaling_factor: PositiveFloat | None = None
    downscaling_factor: PositiveFloat | None = None
    downscale_delay_s: NonNegativeFloat = 600.0
    downscale_to_zero_delay_s: NonNegativeFloat | None = None
    upscale_delay_s: NonNegativeFloat = 30.0
    aggregation_function: str | AggregationFunction = AggregationFunction.MEAN
    policy: AutoscalingPolicy = Field(default_factory=AutoscalingPolicy)

    @field_validator("aggregation_function", mode="before")
    @classmethod
    def aggregation_function_valid(cls, value: Any) -> AggregationFunction:
        """Read the name of a function in any case."""
        if isinstance(value, AggregationFunction):
            return value
        return AggregationFunction(str(value).lower())

    @model_validator(mode="after")
    def replicas_settings_valid(self) -> Self:
        """Refuse bounds that contradict each other."""
        low, high, initial = self.min_replicas, self.max_replicas, self.initial_replicas
        if high < low:
            raise ValueError(f"max_replicas ({high}) must be greater than or equal to min_replicas ({low})!")
        if initial is not None and initial < low:
            raise ValueError(
                f"min_replicas ({low}) must be less than or equal to initial_replicas ({initial})!"
            )
        if initial is not None and initial > high:
            raise ValueError(
                f"max_replicas ({high}) must be greater than or equal to initial_replicas ({initial})!"
            )
        return self

    @classmethod
    def default(cls) -> AutoscalingConfig:
        """What `num_replicas="auto"` means."""
        return cls(target_ongoing_requests=DEFAULT_TARGET_ONGOING_REQUESTS, min_replicas=1, max_replicas=100)

    def get_upscaling_factor(self) -> float:
        """How much of the way up is gone at once."""
        return self.upscaling_factor or self.upscale_smoothing_factor or self.smoothing_factor

    def get_downscaling_factor(self) -> float:
        """How much of the way down is gone at once."""
        return self.downscaling_factor or self.downscale_smoothing_factor or self.smoothing_factor

    def get_target_ongoing_requests(self) -> float:
        """Ongoing requests that each replica should have."""
        return self.target_ongoing_requests or DEFAULT_TARGET_ONGOING_REQUESTS


class RequestRouterConfig(_Pickled):
    """How handles choose a replica.

    Args:
        request_router_class: A subclass of `RequestRouter`, or the import path of one.
        request_router_kwargs: Arguments for its `initialize_state`, JSON-serializable.
        request_routing_stats_period_s: Seconds between two looks at what replicas' `record_routing_stats` returns.
        request_routing_stats_timeout_s: Seconds that such a look may take.
        initial_backoff_s: Seconds until the first new attempt when every replica is full.
        backoff_multiplier: By how much the pause grows.
        max_backoff_s: The longest pause in seconds.
    """

    request_router_class: str | Callable[..., Any] = DEFAULT_REQUEST_ROUTER_PATH
    request_router_kwargs: dict[str, Any] = Field(default_factory=dict)
    request_routing_stats_period_s: PositiveFloat = 10
    request_routing_stats_timeout_s: PositiveFloat = 30
    initial_backoff_s: PositiveFloat = 0.025
    backoff_multiplier: PositiveFloat = 2
    max_backoff_s: PositiveFloat = 0.5

    @field_validator("request_router_kwargs")
    @classmethod
    def request_router_kwargs_json_serializable(cls, value: dict[str, Any]) -> dict[str, Any]:
        """Refuse what can't be written to a config file."""
        return _json_able("request_router_kwargs", value)  # type: ignore[no-any-return]

    def __init__(self, **options: Any) -> None:
        definition = options.pop("_serialized_request_router_cls", None)
        super().__init__(**options)
        if definition:
            self._definition = definition
        elif not self.is_default_request_router():
            self.request_router_class = self._keep(self.request_router_class)

    def get_serialized_request_router_cls(self) -> bytes:
        """The class, pickled; empty for the default one."""
        return self._definition

    def set_serialized_request_router_cls(self, serialized_request_router_cls: bytes) -> None:
        """Use a class that is pickled."""
        self._definition, self._loaded = serialized_request_router_cls, None

    @classmethod
    def from_serialized_request_router_cls(
        cls, request_router_config: dict[str, Any], serialized_request_router_cls: bytes
    ) -> RequestRouterConfig:
        """A configuration whose class is pickled, and its other fields."""
        return cls(**request_router_config, _serialized_request_router_cls=serialized_request_router_cls)

    def is_default_request_router(self) -> bool:
        """Whether it is the shorter of two queues, chosen at random."""
        named = self.request_router_class
        return isinstance(named, str) and named.endswith(":PowerOfTwoChoicesRequestRouter")

    def get_request_router_class(self) -> Any:
        """The class."""
        return self._load() if self._definition else import_attr(DEFAULT_REQUEST_ROUTER_PATH)


class BackpressureConfig(BaseModel):
    """What HTTP clients get when `max_queued_requests` others wait already."""

    model_config = ConfigDict(extra="forbid")

    status_code: Literal[503, 429] = 503
    retry_after_s: NonNegativeFloat | None = Field(default=None, allow_inf_nan=False)


class ControllerOptions(BaseModel):
    """How the controller is started."""

    model_config = ConfigDict(extra="forbid")

    runtime_env: dict[str, Any] | None = None


class GangPlacementStrategy(str, Enum):
    """Where the replicas of a gang are placed."""

    PACK = "PACK"
    SPREAD = "SPREAD"


class GangRuntimeFailurePolicy(str, Enum):
    """What happens to a gang when one of it dies."""

    RESTART_GANG = "RESTART_GANG"
    RESTART_REPLICA = "RESTART_REPLICA"


class GangSchedulingConfig(BaseModel):
    """Replicas that start and end together."""

    gang_size: int = Field(ge=1)
    gang_placement_strategy: GangPlacementStrategy = GangPlacementStrategy.PACK
    runtime_failure_policy: GangRuntimeFailurePolicy = GangRuntimeFailurePolicy.RESTART_GANG


class DeploymentActorConfig(BaseModel):
    """An actor that all replicas of a deployment share."""

    model_config = ConfigDict(arbitrary_types_allowed=True)

    name: str
    actor_class: Any
    init_args: tuple[Any, ...] = Field(default_factory=tuple)
    init_kwargs: dict[str, Any] = Field(default_factory=dict)
    actor_options: dict[str, Any] = Field(default_factory=dict)

    def get_actor_class(self) -> Any:
        """The class, imported if it was given by its path."""
        return import_attr(self.actor_class) if isinstance(self.actor_class, str) else self.actor_class


class ProxyLocation(str, Enum):
    """Where HTTP is listened on."""

    Disabled = "Disabled"
    HeadOnly = "HeadOnly"
    EveryNode = "EveryNode"


class HTTPOptions(BaseModel):
    """How HTTP is served.

    Args:
        host: The address to listen on; None listens on none.
        port: The port; 0 lets the system choose one.
        location: On which machines.
        root_path: What a proxy in front takes off the path, for links in documentation pages.
        request_timeout_s: Seconds after which a request is answered with 408; None: never.
        keep_alive_timeout_s: Seconds after which an idle connection is closed.
        ssl_keyfile: With `ssl_certfile`: serve HTTPS.
        ssl_certfile: See `ssl_keyfile`.
        ssl_keyfile_password: What the key is encrypted with.
        ssl_ca_certs: Certificates that clients are checked against.
        bearer_token: What clients must send as `Authorization: Bearer …`; others get 401. `/-/healthz` needs none.
        max_body_bytes: The largest body of a request; larger ones get 413. None: any size.
        max_header_bytes: The most bytes of a request's address and headers; more get 431.
        read_timeout_s: Seconds within which more of a request must come, once it has begun; a slower client is cut off.
    """

    model_config = ConfigDict(validate_assignment=True, arbitrary_types_allowed=True)

    host: str | None = DEFAULT_HTTP_HOST
    port: int = DEFAULT_HTTP_PORT
    middlewares: list[Any] = []
    location: ProxyLocation | None = None
    num_cpus: int = 0
    root_url: str = ""
    root_path: str = ""
    request_timeout_s: float | None = None
    keep_alive_timeout_s: int = 90
    ssl_keyfile: str | None = None
    ssl_certfile: str | None = Field(default=None, validate_default=True)
    ssl_keyfile_password: str | None = Field(default=None, repr=False)
    ssl_ca_certs: str | None = None
    bearer_token: str | None = Field(default=None, min_length=1, repr=False)
    max_body_bytes: PositiveInt | None = None
    max_header_bytes: PositiveInt = 64 << 10
    read_timeout_s: PositiveFloat = 60.0

    @field_validator("ssl_certfile")
    @classmethod
    def validate_ssl_certfile(cls, value: str | None, info: ValidationInfo) -> str | None:
        """A certificate needs its key."""
        if (value is None) != (info.data.get("ssl_keyfile") is None):
            raise ValueError("Both ssl_keyfile and ssl_certfile must be provided together to enable HTTPS.")
        return value

    @field_validator("location", mode="before")
    @classmethod
    def normalize_location(cls, value: Any) -> Any:
        """Read the old name of "Disabled"."""
        if value is None or value == "NoServer":
            return None if value is None else ProxyLocation.Disabled
        return ProxyLocation(value)

    @field_validator("middlewares")
    @classmethod
    def raise_for_middlewares_assignment(cls, value: list[Any]) -> list[Any]:
        """Refuse a setting that is gone."""
        if value:
            raise ValueError(
                "`middlewares` in HTTPOptions has been removed: add them to the FastAPI app of an ingress deployment instead."
            )
        return value

    @field_validator("num_cpus")
    @classmethod
    def raise_for_num_cpus_assignment(cls, value: int) -> int:
        """Refuse a setting that is gone."""
        if value:
            raise ValueError("`num_cpus` in HTTPOptions has been removed: proxies reserve no CPU.")
        return value

    @model_validator(mode="after")
    def location_backfill_no_server(self) -> Self:
        """Nothing is listened on without a host."""
        if self.host is None and self.location != ProxyLocation.Disabled:
            self.location = ProxyLocation.Disabled
        return self


class gRPCOptions(BaseModel):  # noqa: N801
    """How gRPC is served.

    Args:
        port: The port; gRPC is served if there are servicer functions.
        grpc_servicer_functions: Import paths of `add_…Servicer_to_server` functions.
        request_timeout_s: Seconds after which a request ends with DEADLINE_EXCEEDED; None: never.
        enable_reflection: Whether clients may ask which services there are.
        ssl_keyfile: With `ssl_certfile`: serve over TLS.
        ssl_certfile: See `ssl_keyfile`.
        bearer_token: What clients must send as the metadata `authorization: Bearer …`. `Healthz` needs none.
    """

    port: int = DEFAULT_GRPC_PORT
    grpc_servicer_functions: list[str] = []
    request_timeout_s: float | None = None
    enable_reflection: bool = True
    ssl_keyfile: str | None = None
    ssl_certfile: str | None = None
    bearer_token: str | None = Field(default=None, min_length=1, repr=False)

    @model_validator(mode="after")
    def _both_ssl_files(self) -> Self:
        if (self.ssl_keyfile is None) != (self.ssl_certfile is None):
            raise ValueError(
                "Both ssl_keyfile and ssl_certfile must be provided together to serve gRPC over TLS."
            )
        return self

    @property
    def grpc_servicer_func_callable(self) -> list[Any]:
        """The servicer functions, imported."""
        found = []
        for path in self.grpc_servicer_functions:
            try:
                function = import_attr(
                    path.replace("ray.serve", "skate.serve", 1) if path.startswith("ray.") else path
                )
            except ModuleNotFoundError as error:
                raise ModuleNotFoundError(
                    f"{path} can't be imported! {error}. Is it spelled as in the module that was made of the .proto file?"
                ) from error
            found.append(function)
        return found
