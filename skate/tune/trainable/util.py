"""Trainables with large objects, and with resources, bound to them."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Mapping
from typing import Any, cast

from skate.tune.execution.placement_groups import PlacementGroupFactory, resource_dict_to_pg_factory
from skate.tune.trainable.function_trainable import RESOURCES as _RESOURCES
from skate.tune.trainable.function_trainable import FunctionTrainable
from skate.tune.trainable.trainable import Trainable

__all__ = [
    "is_function_trainable_class",
    "with_parameters",
    "with_resources",
]


class _Shared:
    """A value that is stored once, however many trials it is sent to."""

    def __init__(self, value: Any) -> None:
        self._value = value
        self._stored: tuple[str, Any] | None = None

    def get(self) -> Any:
        """The value."""
        return self._value

    def __reduce__(self) -> tuple[Any, ...]:
        import skate

        session = skate.get_runtime_context().gcs_address if skate.is_initialized() else ""
        if self._stored is None or self._stored[0] != session:
            self._stored = (session, skate.put(self._value))
        return (_Fetched, (self._stored[1],))


class _Fetched:
    """The same in the process of a trial, where it is fetched when it is asked for."""

    def __init__(self, ref: Any) -> None:
        self._ref = ref

    def get(self) -> Any:
        """The value."""
        import skate

        return skate.get(self._ref)


def with_parameters(trainable: type[Trainable] | Callable[..., Any], **kwargs: Any) -> Any:
    """Bind large objects to a trainable. They are stored once, and read in place by every trial.

    Args:
        trainable: A function that takes them beside the configuration, or a class whose `setup` does.
        **kwargs: The objects by name.

    Returns:
        A trainable without these arguments.

    Raises:
        ValueError: `trainable` is neither a function nor a class.

    Example:
        >>> def train(config, data):
        ...     return {"total": sum(data) * config["scale"]}
        >>> with_parameters(train, data=[1, 2, 3])({"scale": 2})
        {'total': 12}
    """
    if not callable(trainable) or (inspect.isclass(trainable) and not issubclass(trainable, Trainable)):
        raise ValueError(
            f"`tune.with_parameters() only works with function trainables or classes that inherit from `tune.Trainable()`. "
            f"Got type: {type(trainable)}."
        )
    shared = {name: _Shared(value) for name, value in kwargs.items()}
    if inspect.isclass(trainable):
        return _class_with_parameters(cast(type[Trainable], trainable), shared)
    return _function_with_parameters(trainable, shared)


def _class_with_parameters(base: type[Trainable], shared: Mapping[str, Any]) -> type[Trainable]:
    class Inner(base):  # type: ignore[misc, valid-type]  # the base is known at run time only
        def setup(self, config: dict[str, Any]) -> None:
            """Set up the base with its parameters."""
            super().setup(config, **{name: value.get() for name, value in shared.items()})

    Inner.__name__ = base.__name__
    Inner.__doc__ = base.__doc__
    return Inner


def _function_with_parameters(function: Callable[..., Any], shared: Mapping[str, Any]) -> Callable[..., Any]:
    takes_config = any(
        name not in shared and parameter.default is inspect.Parameter.empty
        for name, parameter in inspect.signature(function).parameters.items()
    )

    @functools.wraps(function)
    def inner(config: dict[str, Any]) -> Any:
        parameters = {name: value.get() for name, value in shared.items()}
        return function(config, **parameters) if takes_config else function(**parameters)

    # What the wrapped function looks like must not be taken for the arguments of this one, nor be pickled with it.
    inner.__signature__ = inspect.Signature(  # type: ignore[attr-defined]
        [inspect.Parameter("config", inspect.Parameter.POSITIONAL_OR_KEYWORD)]
    )
    del inner.__wrapped__
    return inner


def with_resources(
    trainable: type[Trainable] | Callable[..., Any],
    resources: Mapping[str, float]
    | PlacementGroupFactory
    | Callable[[dict[str, Any]], PlacementGroupFactory]
    | Any,
) -> Any:
    """Say what each trial of a trainable holds.

    Args:
        trainable: A function or a class.
        resources: Resources by name, such as `{"cpu": 2, "gpu": 0.5}`; or bundles; or a scaling configuration; or a
            function of the configuration that returns bundles.

    Returns:
        The trainable, with its resources bound to it.

    Raises:
        ValueError: `resources` is none of these, or `trainable` is neither.

    Example:
        >>> trainable = with_resources(lambda config: {"score": 1}, {"cpu": 2})
    """
    from skate.air.config import ScalingConfig

    if not callable(trainable) or (inspect.isclass(trainable) and not issubclass(trainable, Trainable)):
        raise ValueError(
            f"`with_resources() only works with function trainables or classes that inherit from `tune.Trainable()`. "
            f"Got type: {type(trainable)}."
        )
    bound: Any
    if isinstance(resources, PlacementGroupFactory):
        bound = resources
    elif isinstance(resources, ScalingConfig):
        bound = resources.as_placement_group_factory()
    elif isinstance(resources, Mapping):
        bound = resource_dict_to_pg_factory(resources)
    elif callable(resources):
        bound = resources
    else:
        raise ValueError(
            f"Invalid resource type for `with_resources()`: {type(resources)}. Pass a dictionary, a "
            "PlacementGroupFactory, or a function of the configuration that returns one."
        )
    if not inspect.isclass(trainable):
        wrapper = _like(trainable)
        setattr(wrapper, _RESOURCES, bound)
        return wrapper

    class ResourceTrainable(trainable):  # type: ignore[misc, valid-type]  # the base is known at run time only
        @classmethod
        def default_resource_request(cls, config: dict[str, Any]) -> PlacementGroupFactory | None:
            """What `with_resources` said."""
            return bound(config) if not isinstance(bound, PlacementGroupFactory) else bound

    ResourceTrainable.__name__ = trainable.__name__
    return ResourceTrainable


def _like(function: Callable[..., Any]) -> Callable[..., Any]:
    """A function that does what another does: attributes of it do not change the other."""
    name = getattr(function, "__name__", None) or getattr(getattr(function, "func", None), "__name__", "func")

    def inner(*args: Any, **kwargs: Any) -> Any:
        return function(*args, **kwargs)

    inner.__name__ = str(name)
    inner.__dict__.update(getattr(function, "__dict__", {}))
    inner.__signature__ = inspect.signature(function)  # type: ignore[attr-defined]
    return inner


def is_function_trainable_class(trainable: Any) -> bool:
    """Whether a class was made of a function."""
    return inspect.isclass(trainable) and issubclass(trainable, FunctionTrainable)
