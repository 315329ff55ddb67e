"""What `@serve.deployment` makes, and what `.bind()` makes of that."""

from __future__ import annotations

from typing import Any

from skate.serve._private.config import (
    DeploymentConfig,
    ReplicaConfig,
    check_definition,
    split_auto,
)
from skate.serve._private.utils import DEFAULT, given
from skate.serve.config import (
    AutoscalingConfig,
    BackpressureConfig,
    DeploymentActorConfig,
    GangSchedulingConfig,
    RequestRouterConfig,
)
from skate.serve.schema import DeploymentSchema, LoggingConfig, RayActorOptionsSchema

__all__ = ["Application", "Deployment", "deployment_to_schema", "make_deployment", "schema_to_deployment"]

_REPLICA_OPTIONS = (
    "ray_actor_options",
    "placement_group_bundles",
    "placement_group_strategy",
    "placement_group_bundle_label_selector",
    "max_replicas_per_node",
)


class Application:
    """A deployment with its arguments, and through them other deployments: what `serve.run` runs."""

    def __init__(self, bound_deployment: Deployment) -> None:
        self._bound_deployment = bound_deployment


class Deployment:
    """A function or class with its options. `bind` gives it arguments; `options` makes one with other options."""

    def __init__(
        self,
        name: str,
        deployment_config: DeploymentConfig,
        replica_config: ReplicaConfig,
        version: str | None = None,
        _internal: bool = False,
    ) -> None:
        if not _internal:
            raise RuntimeError("A Deployment is made with @serve.deployment, not by calling its class.")
        if not isinstance(name, str):
            raise TypeError("name must be a string.")
        if "#" in name:
            raise ValueError(f"Deployment names must not contain the '#' character. Current name: {name}.")
        self._name = name
        self._version = version
        self._deployment_config = deployment_config
        self._replica_config = replica_config
        self.__doc__ = getattr(replica_config.func_or_class, "__doc__", None)

    @property
    def name(self) -> str:
        """Its name, unique in an application."""
        return self._name

    @property
    def version(self) -> str | None:
        """None: Serve keeps versions by itself."""
        return self._version

    @property
    def func_or_class(self) -> Any:
        """What was decorated."""
        return self._replica_config.func_or_class

    @property
    def num_replicas(self) -> int | None:
        """How many replicas it has; for an autoscaled one, how many it begins with."""
        return self._deployment_config.num_replicas if self._deployment_config.num_replicas is not None else 1

    @property
    def user_config(self) -> Any:
        """What `reconfigure` is called with."""
        return self._deployment_config.user_config

    @property
    def max_ongoing_requests(self) -> int:
        """How many requests a replica runs at once."""
        return self._deployment_config.max_ongoing_requests

    @property
    def max_queued_requests(self) -> int:
        """How many requests may wait in each handle; -1: any number."""
        return self._deployment_config.max_queued_requests

    @property
    def backpressure_config(self) -> BackpressureConfig:
        """What HTTP clients get when too many wait."""
        return self._deployment_config.backpressure_config

    @property
    def ray_actor_options(self) -> dict[str, Any] | None:
        """Options of each replica's actor."""
        return self._replica_config.ray_actor_options

    @property
    def init_args(self) -> tuple[Any, ...]:
        """Positional arguments of the constructor."""
        return self._replica_config.init_args

    @property
    def init_kwargs(self) -> dict[str, Any]:
        """Keyword arguments of the constructor."""
        return self._replica_config.init_kwargs

    @property
    def logging_config(self) -> dict[str, Any] | None:
        """How replicas log; None: as Serve does."""
        config = self._deployment_config.logging_config
        return None if config is None else config.model_dump()

    def set_logging_config(self, logging_config: dict[str, Any]) -> None:
        """Change how replicas log."""
        self._deployment_config.logging_config = LoggingConfig(**logging_config)

    def __call__(self) -> None:
        """Refused, with a word on how to do it.

        Raises:
            RuntimeError: always.
        """
        raise RuntimeError(
            f"Deployments cannot be constructed directly. Bind {self._name} to its arguments with {self._name}.bind(…), and pass "
            "that to serve.run()."
        )

    def bind(self, *args: Any, **kwargs: Any) -> Application:
        """Give it the arguments of its constructor. Other applications among them become handles to their deployments."""
        bound = self.options(_init_args=args, _init_kwargs=kwargs, _internal=True)
        return Application(bound)

    def options(
        self,
        func_or_class: Any = None,
        name: DEFAULT | str = DEFAULT.VALUE,
        version: DEFAULT | str = DEFAULT.VALUE,
        num_replicas: DEFAULT | int | str | None = DEFAULT.VALUE,
        ray_actor_options: DEFAULT | dict[str, Any] | None = DEFAULT.VALUE,
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
        _init_args: DEFAULT | tuple[Any, ...] = DEFAULT.VALUE,
        _init_kwargs: DEFAULT | dict[str, Any] = DEFAULT.VALUE,
        _internal: bool = False,
        max_constructor_retry_count: DEFAULT | int = DEFAULT.VALUE,
        gang_scheduling_config: DEFAULT | dict[str, Any] | GangSchedulingConfig | None = DEFAULT.VALUE,
        deployment_actors: DEFAULT | list[dict[str, Any] | DeploymentActorConfig] | None = DEFAULT.VALUE,
        rolling_update_percentage: DEFAULT | float = DEFAULT.VALUE,
        max_surge_percent: DEFAULT | int = DEFAULT.VALUE,
    ) -> Deployment:
        """The same deployment with other options; what is not given stays. See `serve.deployment` for their meaning."""
        return make_deployment(
            func_or_class if func_or_class is not None else self.func_or_class,
            given(
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
                init_args=_init_args,
                init_kwargs=_init_kwargs,
                max_constructor_retry_count=max_constructor_retry_count,
                gang_scheduling_config=gang_scheduling_config,
                deployment_actors=deployment_actors,
                rolling_update_percentage=rolling_update_percentage,
                max_surge_percent=max_surge_percent,
            ),
            base=self,
        )

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Deployment) and (
            self._name == other._name
            and self._deployment_config == other._deployment_config
            and all(
                getattr(self._replica_config, field) == getattr(other._replica_config, field)
                for field in (*_REPLICA_OPTIONS, "init_args", "init_kwargs")
            )
        )

    def __str__(self) -> str:
        return f"Deployment(name={self._name})"

    def __repr__(self) -> str:
        return str(self)


def make_deployment(definition: Any, options: dict[str, Any], base: Deployment | None = None) -> Deployment:
    """A deployment of options that were given, on top of another one's.

    Raises:
        TypeError, ValueError: an option is wrong.
    """
    check_definition(definition)
    if options.pop("version", None) is not None:
        where = "@serve.deployment" if base is None else "Deployment.options()"
        raise ValueError(
            f"`version` in `{where}` has been removed. Serve manages deployment versions internally."
        )
    named = options.pop("name", base.name if base is not None else None)
    name = definition.__name__ if named is None else named
    replica = _replica_config(definition, options, base)
    options = split_auto(options)
    if options.get("num_replicas") is not None and "autoscaling_config" not in options:
        options["autoscaling_config"] = None
    if options.get("autoscaling_config") is not None:
        options["num_replicas"] = None
    if options.get("request_router_config", 0) is None:
        options["request_router_config"] = RequestRouterConfig()
    if options.get("backpressure_config", 0) is None:
        options["backpressure_config"] = BackpressureConfig()
    chosen: dict[str, Any] = {}
    if base is not None:
        old = base._deployment_config
        chosen = {field: getattr(old, field) for field in type(old).model_fields}
    names = set(chosen.get("user_configured_option_names", ())) | set(options)
    config = DeploymentConfig(**{**chosen, **options, "user_configured_option_names": names})
    return Deployment(name, config, replica, _internal=True)


def _replica_config(definition: Any, options: dict[str, Any], base: Deployment | None) -> ReplicaConfig:
    old = base._replica_config if base is not None else None
    fields: dict[str, Any] = {}
    for field in (*_REPLICA_OPTIONS, "init_args", "init_kwargs"):
        if field in options:
            fields[field] = options.pop(field)
        elif old is not None:
            fields[field] = getattr(old, field)
    if fields.get("ray_actor_options", 0) is None:
        fields["ray_actor_options"] = {}
    return ReplicaConfig(definition, **fields)


def deployment_to_schema(d: Deployment) -> DeploymentSchema:
    """A deployment's options as a config file writes them: those that were set."""
    config = d._deployment_config
    names = config.user_configured_option_names
    options: dict[str, Any] = {"name": d.name}
    for field in DeploymentSchema.model_fields:
        if field in names and hasattr(config, field) and getattr(config, field) is not None:
            options[field] = getattr(config, field)
    if config.autoscaling_config is not None:
        options.pop("num_replicas", None)
    elif config.num_replicas is not None:
        options["num_replicas"] = config.num_replicas
    replica = d._replica_config
    options["ray_actor_options"] = RayActorOptionsSchema(**replica.ray_actor_options)
    for field in _REPLICA_OPTIONS[1:]:
        value = getattr(replica, field)
        if value is not None:
            options[field] = value
    return DeploymentSchema(**options)


def schema_to_deployment(s: DeploymentSchema) -> Deployment:
    """A deployment without code, with the options that a config file sets."""
    options = s.get_user_configured_options()
    return make_deployment("", {**options, "name": s.name})
