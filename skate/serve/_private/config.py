"""What a deployment is: its options, checked, and its code with the arguments and resources of its replicas."""

from __future__ import annotations

import inspect
import json
from dataclasses import dataclass, field
from typing import Any, Self

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    NonNegativeFloat,
    NonNegativeInt,
    PositiveFloat,
    PositiveInt,
    field_validator,
    model_validator,
)

from skate.serve._private import constants
from skate.serve._private.utils import DEFAULT
from skate.serve.config import (
    AutoscalingConfig,
    BackpressureConfig,
    DeploymentActorConfig,
    GangSchedulingConfig,
    RequestRouterConfig,
)
from skate.serve.schema import LoggingConfig
from skate.util.placement_group import validate_placement_group

_ALLOWED_ACTOR_OPTIONS = (
    "accelerator_type",
    "fallback_strategy",
    "label_selector",
    "memory",
    "num_cpus",
    "num_gpus",
    "resources",
    "runtime_env",
)


class DeploymentConfig(BaseModel):
    """The options of a deployment that do not need new replicas when they change."""

    model_config = ConfigDict(validate_assignment=True, arbitrary_types_allowed=True)

    num_replicas: NonNegativeInt | None = 1
    max_ongoing_requests: PositiveInt = constants.DEFAULT_MAX_ONGOING_REQUESTS
    max_queued_requests: int = -1
    backpressure_config: BackpressureConfig = Field(default_factory=BackpressureConfig)
    user_config: Any = None
    graceful_shutdown_timeout_s: NonNegativeFloat = constants.DEFAULT_GRACEFUL_SHUTDOWN_TIMEOUT_S
    graceful_shutdown_wait_loop_s: NonNegativeFloat = constants.DEFAULT_GRACEFUL_SHUTDOWN_WAIT_LOOP_S
    health_check_period_s: PositiveFloat = constants.DEFAULT_HEALTH_CHECK_PERIOD_S
    health_check_timeout_s: PositiveFloat = constants.DEFAULT_HEALTH_CHECK_TIMEOUT_S
    autoscaling_config: AutoscalingConfig | None = None
    request_router_config: RequestRouterConfig = Field(default_factory=RequestRouterConfig)
    logging_config: LoggingConfig | None = None
    max_constructor_retry_count: PositiveInt = constants.DEFAULT_CONSTRUCTOR_RETRY_COUNT
    gang_scheduling_config: GangSchedulingConfig | None = None
    deployment_actors: list[DeploymentActorConfig] | None = None
    rolling_update_percentage: float = Field(default=constants.DEFAULT_ROLLING_UPDATE_PERCENTAGE, gt=0, le=1)
    max_surge_percent: int = Field(default=0, ge=0, le=100)
    user_configured_option_names: set[str] = Field(default_factory=set)

    @field_validator("max_queued_requests")
    @classmethod
    def _queue_limit(cls, value: int) -> int:
        if value < 1 and value != -1:
            raise ValueError("max_queued_requests must be -1 (no limit) or a positive integer.")
        return value

    @model_validator(mode="after")
    def _whole_gangs(self) -> Self:
        gang, number = self.gang_scheduling_config, self.num_replicas
        if gang is not None and number is not None and number % gang.gang_size:
            raise ValueError(f"num_replicas ({number}) must be a multiple of gang_size ({gang.gang_size}).")
        return self

    @field_validator("user_config")
    @classmethod
    def _user_config(cls, value: Any) -> Any:
        try:
            json.dumps(value)
        except (TypeError, ValueError) as error:
            raise ValueError(f"user_config is not JSON-serializable: {error}.") from error
        return value

    def initial_target(self, current: int | None = None) -> int:
        """How many replicas to begin with; an autoscaled deployment that runs keeps what it has, within its bounds."""
        scaling = self.autoscaling_config
        if scaling is None:
            return 1 if self.num_replicas is None else self.num_replicas
        start = current
        if start is None:
            start = scaling.min_replicas if scaling.initial_replicas is None else scaling.initial_replicas
        return max(scaling.min_replicas, min(scaling.max_replicas, start))


@dataclass
class ReplicaConfig:
    """A deployment's code, the arguments of its constructor, and what each replica needs."""

    func_or_class: Any
    init_args: tuple[Any, ...] = ()
    init_kwargs: dict[str, Any] = field(default_factory=dict)
    ray_actor_options: dict[str, Any] = field(default_factory=dict)
    placement_group_bundles: list[dict[str, float]] | None = None
    placement_group_strategy: str | None = None
    placement_group_bundle_label_selector: list[dict[str, str]] | None = None
    max_replicas_per_node: int | None = None

    def __post_init__(self) -> None:
        self.ray_actor_options = check_actor_options(self.ray_actor_options)
        most = self.max_replicas_per_node
        if most is not None:
            if isinstance(most, bool) or not isinstance(most, int):
                raise TypeError(
                    f"Get invalid type '{type(most)}' for max_replicas_per_node: an integer is needed."
                )
            if not 1 <= most <= 100:
                raise ValueError(
                    f"Invalid max_replicas_per_node {most}. Valid values are None or an integer in the range of [1, 100]."
                )
            if self.placement_group_bundles is not None:
                raise ValueError(
                    "Setting max_replicas_per_node is not allowed when placement_group_bundles is provided."
                )
        for name in ("placement_group_strategy", "placement_group_bundle_label_selector"):
            if getattr(self, name) is not None and self.placement_group_bundles is None:
                raise ValueError(f"If `{name}` is provided, `placement_group_bundles` must also be provided.")
        if self.placement_group_bundles is not None:
            self._check_bundles(self.placement_group_bundles)
        if self.is_function:
            for name in ("init_args", "init_kwargs"):
                if getattr(self, name):
                    raise ValueError(f"{name} not supported for function deployments.")

    def _check_bundles(self, bundles: list[dict[str, float]]) -> None:
        """A replica must fit into its first bundle.

        Raises:
            ValueError: it does not, or the bundles are none.
        """
        validate_placement_group(
            bundles,
            self.placement_group_strategy or "PACK",
            bundle_label_selector=self.placement_group_bundle_label_selector,
        )
        options = self.ray_actor_options
        needs = {"num_cpus": "CPU", "num_gpus": "GPU", "memory": "memory"}
        wanted = [(f"`{option}`", options.get(option), name) for option, name in needs.items()]
        wanted += [(f"`{name}`", value, name) for name, value in (options.get("resources") or {}).items()]
        for shown, value, name in wanted:
            if value and value > bundles[0].get(name, 0):
                raise ValueError(
                    "When using `placement_group_bundles`, the replica actor will be placed in the first bundle, so the resource "
                    f"requirements for the actor must be a subset of the first bundle. {shown} for the actor is {value}, but the "
                    f"bundle only has {bundles[0].get(name, 0)} `{name}` specified."
                )

    @property
    def is_function(self) -> bool:
        """Whether the code is a function."""
        return inspect.isfunction(self.func_or_class)

    @property
    def name(self) -> str:
        """What the function or class is called."""
        definition = self.func_or_class
        return definition if isinstance(definition, str) else str(definition.__name__)


def check_actor_options(options: Any) -> dict[str, Any]:
    """The options of a replica's actor, with the default of one CPU.

    Raises:
        TypeError: it is no dictionary.
        ValueError: an option that Serve sets itself.
    """
    if not isinstance(options, dict):
        raise TypeError(f'Got invalid type "{type(options)}" for ray_actor_options. Expected a dictionary.')
    for name in options:
        if name not in _ALLOWED_ACTOR_OPTIONS:
            raise ValueError(
                f"Specifying '{name}' in ray_actor_options is not allowed. Allowed options: "
                f"{', '.join(_ALLOWED_ACTOR_OPTIONS)}"
            )
    for name in ("num_cpus", "num_gpus", "memory"):
        value = options.get(name)
        if value is not None and (isinstance(value, bool) or not isinstance(value, int | float)):
            raise TypeError(
                f"The type of keyword '{name}' must be (<class 'float'>, <class 'int'>, <class 'NoneType'>), but received type "
                f"{type(value)}"
            )
        if value is not None and value < 0:
            raise ValueError(f"The quantity of resource {name} cannot be negative")
    checked = dict(options)
    if checked.get("num_cpus") is None:
        checked["num_cpus"] = 1
    return checked


def check_definition(definition: Any) -> None:
    """Raise unless it is a function, a class or the import path of one.

    Raises:
        TypeError: it is neither.
    """
    if isinstance(definition, str) or inspect.isclass(definition) or inspect.isfunction(definition):
        return
    if callable(definition) and hasattr(definition, "__name__"):
        return
    raise TypeError(
        f"@serve.deployment must be called on a class or function, got {definition!r} of type {type(definition).__name__}."
    )


def split_auto(options: dict[str, Any]) -> dict[str, Any]:
    """Resolve `num_replicas="auto"` and None among options that were given.

    Raises:
        ValueError: a number of replicas next to an autoscaling config, or zero replicas.
    """
    number = options.get("num_replicas", DEFAULT.VALUE)
    scaling = options.get("autoscaling_config", DEFAULT.VALUE)
    if number == "auto":
        chosen = AutoscalingConfig.default().model_dump(exclude_none=True, exclude={"policy"})
        if isinstance(scaling, AutoscalingConfig):
            scaling = scaling.model_dump(exclude_unset=True)
        if isinstance(scaling, dict):
            chosen.update(scaling)
        return {**options, "num_replicas": None, "autoscaling_config": AutoscalingConfig(**chosen)}
    if number not in (DEFAULT.VALUE, None) and scaling not in (DEFAULT.VALUE, None):
        raise ValueError("Manually setting num_replicas is not allowed when autoscaling_config is provided.")
    if number == 0:
        raise ValueError("num_replicas is expected to larger than 0")
    if number is None:
        return {**options, "num_replicas": 1}
    return options
