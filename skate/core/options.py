"""What `@remote(...)`, `.options(...)` and `@method(...)` accept, checked once and kept as plain fields.

`parse_task`, `parse_actor` and `parse_method` turn the keywords that a user gave into a `TaskOptions`,
`ActorOptions` or `MethodOptions`. Each keyword has one function in `skate.core.option_rules` that checks its
value and brings it into the form of the field. Nothing after them has to check again.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, ClassVar, Self, TypeVar

from skate.core import option_rules as rules
from skate.core.plain import plain

O = TypeVar("O", bound="_Options")  # noqa: E741 -- an options class

_DEFAULT_GROUP = "default"  # what placement_group= holds when the parent's group is to be used


class _Options:
    """What tasks, actors and methods have in common: fixed fields, and a cheap way to a variant.

    A field is a class attribute that holds the default; an instance holds what differs. (Not a dataclass: making three of
    them would take a tenth of the time that importing the package takes.)
    """

    _fields: ClassVar[tuple[str, ...]]

    def __init_subclass__(cls) -> None:
        cls._fields = tuple(name for name in cls.__annotations__ if not name.startswith("_"))

    def __init__(self, **given: Any) -> None:
        for name in given:
            if name not in self._fields:
                raise TypeError(f"{type(self).__name__} has no field {name!r}.")
        self.__dict__.update(given)

    def replace(self, **changes: Any) -> Self:
        """The same options with these fields set, unchecked; what is no field of this kind of options is left out."""
        made = object.__new__(type(self))
        made.__dict__.update({name: value for name, value in self.__dict__.items() if name[0] != "_"})
        made.__dict__.update({name: value for name, value in changes.items() if name in self._fields})
        return made

    def _differing(self) -> dict[str, Any]:
        cls = type(self)
        return {
            name: value
            for name, value in self.__dict__.items()
            if name[0] != "_" and value != getattr(cls, name)
        }

    def __setattr__(self, name: str, _value: object) -> None:
        raise AttributeError(f"options are fixed: use replace({name}=...) to have others.")

    def __eq__(self, other: object) -> bool:
        if type(other) is not type(self):
            return NotImplemented
        return self._differing() == other._differing()

    def __reduce__(self) -> tuple[Any, ...]:
        # Only what differs from the defaults travels: options are pickled with every function and actor.
        return _restore, (type(self), self._differing())

    def __hash__(self) -> int:
        # Some fields are dicts; those that are not spread well enough.
        return hash(
            tuple(
                value for name in self._fields if isinstance(value := getattr(self, name), (str, int, float))
            )
        )

    def __repr__(self) -> str:
        shown = ", ".join(f"{name}={value!r}" for name, value in self._differing().items())
        return f"{type(self).__name__}({shown})"


def _restore(cls: type[O], differing: dict[str, Any]) -> O:
    return cls(**differing)


class TaskOptions(_Options):
    """How a remote function runs.

    Attributes:
        num_cpus: CPUs to hold while it runs; None means 1. Fractions down to 0.0001.
        num_gpus: GPUs to hold; a fraction shares one GPU, above 1 they are whole.
        resources: Amounts of custom resources, by name.
        memory: Bytes of memory to hold, for scheduling only.
        accelerator_type: Run where this kind of accelerator is.
        num_returns: How many refs a call gives; "dynamic" or "streaming" for generators; None means 1, or
            "streaming" for a generator function.
        max_retries: Runs after the first when the worker dies, or after an exception where `retry_exceptions`
            says so; -1 without end.
        retry_exceptions: True for any exception; False for none; else the classes to retry after.
        max_calls: Calls after which the worker process ends; 0 for any number. Where GPUs are held 1 by
            default, so that native libraries give the GPU's memory back.
        name: A name to show; None for the function's own.
        scheduling_strategy: None, "DEFAULT", "SPREAD" or an object of `util.scheduling_strategies`.
        placement_group: A placement group; None for none; "default" for the parent's, if it captures.
        placement_group_bundle_index: Which bundle of that group; -1 for any.
        placement_group_capture_child_tasks: Whether child tasks run in the group too; None: as the parent.
        runtime_env: What to set up in the worker, such as {"env_vars": {"A": "1"}}.
        label_selector: Labels that the machine must have: {"zone": "a", "arch": "!arm", "disk": "in(a,b)"}.
        fallback_strategy: Label selectors to try in turn when none fits `label_selector`.
        enable_task_events: Whether to record the task's history.
        generator_backpressure: Objects that a generator may be ahead of its reader; None without limit.
        labels: Labels of the task itself, for tools.
    """

    num_cpus: float | None = None
    num_gpus: float | None = None
    resources: Mapping[str, float] | None = None
    memory: float | None = None
    accelerator_type: str | None = None
    num_returns: int | str | None = None
    max_retries: int = 3
    retry_exceptions: bool | tuple[type[BaseException], ...] = False
    max_calls: int = 0
    name: str | None = None
    scheduling_strategy: object = None
    placement_group: object = _DEFAULT_GROUP
    placement_group_bundle_index: int = -1
    placement_group_capture_child_tasks: bool | None = None
    runtime_env: Mapping[str, Any] | None = None
    label_selector: Mapping[str, str] | None = None
    fallback_strategy: tuple[Mapping[str, Any], ...] | None = None
    enable_task_events: bool = True
    generator_backpressure: int | None = None
    labels: Mapping[str, str] | None = None
    _demand: dict[str, float] | None = None

    def demand(self) -> dict[str, float]:
        """The resources a run holds: {"CPU": 1.0, "GPU": 0.5, "memory": 1e9, …}, without zeros.

        Returns:
            The same dict at every call: do not change it.
        """
        if self._demand is None:
            self.__dict__["_demand"] = _held(self, 1.0)
        return self.__dict__["_demand"]  # type: ignore[no-any-return]


class ActorOptions(_Options):
    """How an actor is placed and lives. Fields also in `TaskOptions` mean the same.

    Attributes:
        num_cpus: CPUs to hold; None means 1 while it is created and then, unless other resources were asked
            for, 0.
        object_store_memory: Bytes of the object store to hold, for scheduling only.
        max_restarts: How often it is created anew after its process died; -1 without end.
        max_task_retries: Runs of a call after the first when the actor dies during it; -1 without end.
        max_concurrency: Calls that run at once; None means 1, or 1000 for an asyncio actor.
        max_pending_calls: Calls that may wait in one caller; -1 for any number.
        concurrency_groups: Calls that run at once in each named group of methods.
        lifetime: "detached" to outlive its creator; None or "non_detached" to end with its last handle.
        name: What `get_actor` finds it under.
        namespace: Where that name counts; None for the caller's namespace.
        get_if_exists: Give the actor of this name if there is one.
        allow_out_of_order_execution: Whether calls of one caller may overtake each other; None: only where
            the actor is asyncio or threaded.
    """

    num_cpus: float | None = None
    num_gpus: float | None = None
    resources: Mapping[str, float] | None = None
    memory: float | None = None
    object_store_memory: float | None = None
    accelerator_type: str | None = None
    max_restarts: int = 0
    max_task_retries: int = 0
    max_concurrency: int | None = None
    max_pending_calls: int = -1
    concurrency_groups: Mapping[str, int] | None = None
    lifetime: str | None = None
    name: str | None = None
    namespace: str | None = None
    get_if_exists: bool = False
    scheduling_strategy: object = None
    placement_group: object = _DEFAULT_GROUP
    placement_group_bundle_index: int = -1
    placement_group_capture_child_tasks: bool | None = None
    runtime_env: Mapping[str, Any] | None = None
    label_selector: Mapping[str, str] | None = None
    fallback_strategy: tuple[Mapping[str, Any], ...] | None = None
    allow_out_of_order_execution: bool | None = None
    enable_task_events: bool = True
    generator_backpressure: int | None = None
    labels: Mapping[str, str] | None = None
    _creation: dict[str, float] | None = None
    _running: dict[str, float] | None = None

    def creation_demand(self) -> dict[str, float]:
        """The resources that must be free to create it.

        Returns:
            The same dict at every call: do not change it.
        """
        if self._creation is None:
            self.__dict__["_creation"] = _held(self, 1.0)
        return self.__dict__["_creation"]  # type: ignore[no-any-return]

    def running_demand(self) -> dict[str, float]:
        """The resources it holds for as long as it lives.

        Returns:
            The same dict at every call: do not change it.
        """
        if self._running is None:
            asked = self.num_gpus is not None or self.resources or self.accelerator_type is not None
            self.__dict__["_running"] = _held(self, 1.0 if asked else 0.0)
        return self.__dict__["_running"]  # type: ignore[no-any-return]


class MethodOptions(_Options):
    """How a call of an actor's method runs. Fields also in `TaskOptions` mean the same; None: as the actor.

    Attributes:
        concurrency_group: The group of `ActorOptions.concurrency_groups` whose limit counts.
        max_task_retries: Runs after the first when the actor dies during the call; None for the actor's own.
        retry_exceptions: As in `TaskOptions`; None means False.
    """

    num_returns: int | str | None = None
    concurrency_group: str | None = None
    max_task_retries: int | None = None
    retry_exceptions: bool | tuple[type[BaseException], ...] | None = None
    name: str | None = None
    enable_task_events: bool | None = None
    generator_backpressure: int | None = None
    labels: Mapping[str, str] | None = None


def _held(options: TaskOptions | ActorOptions, default_cpus: float) -> dict[str, float]:
    held = {
        "CPU": default_cpus if options.num_cpus is None else options.num_cpus,
        "GPU": options.num_gpus or 0.0,
        "memory": options.memory or 0.0,
        "object_store_memory": getattr(options, "object_store_memory", None) or 0.0,
        **(options.resources or {}),
    }
    if options.accelerator_type is not None:
        held[f"accelerator_type:{options.accelerator_type}"] = 0.001
    return {name: amount for name, amount in held.items() if amount}


# What each keyword is checked by, and the field its value goes to where the name differs.
_Rule = Callable[[str, Any], Any]
_FIELD = {"_generator_backpressure_num_objects": "generator_backpressure", "_labels": "labels"}
_FIELD["_actor_generator_backpressure_num_objects"] = "generator_backpressure"
_NO_FIELD = frozenset(("_metadata", "_num_objects_per_yield", "enable_tensor_transport", "tensor_transport"))

_PLACEMENT_RULES: dict[str, _Rule] = {
    "num_cpus": rules.amount,
    "num_gpus": rules.gpus,
    "resources": rules.resources,
    "memory": rules.amount,
    "accelerator_type": rules.text_or_none,
    "scheduling_strategy": rules.scheduling_strategy,
    "placement_group": rules.placement_group,
    "placement_group_bundle_index": rules.bundle_index,
    "placement_group_capture_child_tasks": rules.flag_or_none,
    "runtime_env": rules.runtime_env,
    "label_selector": rules.label_selector,
    "fallback_strategy": rules.fallback_strategy,
    "enable_task_events": rules.flag,
    "_labels": rules.labels,
    "_metadata": rules.ignored_mapping,
}
_TASK_RULES: dict[str, _Rule] = {
    **_PLACEMENT_RULES,
    "object_store_memory": rules.not_for_tasks,
    "num_returns": rules.num_returns,
    "max_retries": rules.retries(3),
    "retry_exceptions": rules.retry_exceptions,
    "max_calls": rules.count_or(0),
    "name": rules.text_or_none,
    "_generator_backpressure_num_objects": rules.backpressure,
    "_num_objects_per_yield": rules.objects_per_yield,
}
_ACTOR_RULES: dict[str, _Rule] = {
    **_PLACEMENT_RULES,
    "object_store_memory": rules.whole_bytes,
    "max_restarts": rules.retries(0),
    "max_task_retries": rules.retries(0),
    "max_concurrency": rules.concurrency,
    "max_pending_calls": rules.pending_calls,
    "concurrency_groups": rules.concurrency_groups,
    "lifetime": rules.lifetime,
    "name": rules.non_empty_text_or_none,
    "namespace": rules.non_empty_text_or_none,
    "get_if_exists": rules.flag,
    "allow_out_of_order_execution": rules.flag_or_none,
    "enable_tensor_transport": rules.flag_or_none,
    "_actor_generator_backpressure_num_objects": rules.backpressure,
}
_METHOD_RULES: dict[str, _Rule] = {
    "num_returns": rules.num_returns,
    "concurrency_group": rules.text_or_none,
    "max_task_retries": rules.retries(None),
    "retry_exceptions": rules.retry_exceptions_or_none,
    "enable_task_events": rules.flag_or_none,
    "tensor_transport": rules.tensor_transport,
    "_generator_backpressure_num_objects": rules.backpressure,
    "_num_objects_per_yield": rules.objects_per_yield,
}
_METHOD_CALL_RULES: dict[str, _Rule] = {**_METHOD_RULES, "name": rules.text_or_none, "_labels": rules.labels}
_RULES = {"tasks": _TASK_RULES, "actors": _ACTOR_RULES, "methods": _METHOD_CALL_RULES}
_ONLY_WHERE_DEFINED = {"max_calls": "function", "concurrency_groups": "class"}

_NO_TASK = TaskOptions()
_NO_ACTOR = ActorOptions()
_NO_METHOD = MethodOptions()


def parse_task(given: Mapping[str, object], base: TaskOptions | None = None) -> TaskOptions:
    """The options of a remote function.

    Args:
        given: The keywords of `@remote(...)`, or of `.options(...)`.
        base: For `.options(...)`: the options that these are put on top of.

    Raises:
        ValueError: no such option, a value out of range, or two that contradict each other.
        TypeError: a value of a type that the option does not take.

    Example:
        >>> parse_task({"num_cpus": 0.5}).demand()
        {'CPU': 0.5}
    """
    changes = _check(given, _TASK_RULES, "tasks", base is not None)
    if base is None and "max_calls" not in changes and changes.get("num_gpus"):
        changes["max_calls"] = 1
    options = (base or _NO_TASK).replace(**changes)
    _check_placement(options)
    return options


def parse_actor(given: Mapping[str, object], base: ActorOptions | None = None) -> ActorOptions:
    """The options of an actor class; arguments and errors as in `parse_task`.

    Example:
        >>> options = parse_actor({"max_restarts": 2})
        >>> options.creation_demand(), options.running_demand()
        ({'CPU': 1.0}, {})
    """
    options = (base or _NO_ACTOR).replace(**_check(given, _ACTOR_RULES, "actors", base is not None))
    if options.get_if_exists and not options.name:
        raise ValueError("The actor name must be specified to use `get_if_exists`: give name= as well.")
    _check_placement(options)
    return options


def parse_method(given: Mapping[str, object], base: MethodOptions | None = None) -> MethodOptions:
    """The options of `@method(...)`, or with `base` of a method's `.options(...)`.

    Raises:
        TypeError: no such option, or a value of a type that it does not take.
        ValueError: a value out of range.

    Example:
        >>> parse_method({"num_returns": 2}).num_returns
        2
    """
    table = _METHOD_RULES if base is None else _METHOD_CALL_RULES
    return (base or _NO_METHOD).replace(**_check(given, table, "methods", False))


def method_names() -> list[str]:
    """The keywords that `@method(...)` takes."""
    return list(_METHOD_RULES)


def _check(
    given: Mapping[str, object], table: Mapping[str, _Rule], kind: str, in_options: bool
) -> dict[str, Any]:
    changes: dict[str, Any] = {}
    for name, value in given.items():
        rule = table.get(name)
        if rule is None:
            raise _unknown(name, kind, table)
        checked = plain(rule(name, value))
        if in_options and name in _ONLY_WHERE_DEFINED:
            raise ValueError(
                f"{name} cannot be set in .options(): it belongs to the {_ONLY_WHERE_DEFINED[name]}. "
                f"Give it in @remote({name}=...)."
            )
        if name not in _NO_FIELD:
            changes[_FIELD.get(name, name)] = checked
    return changes


def _check_placement(options: TaskOptions | ActorOptions) -> None:
    grouped = options.placement_group is not None and options.placement_group != _DEFAULT_GROUP
    if grouped and options.scheduling_strategy is not None:
        raise ValueError(
            "Placement groups should be specified via the scheduling_strategy option, and not by placement_group as well: use "
            "scheduling_strategy=PlacementGroupSchedulingStrategy(group, ...) alone."
        )
    if options.placement_group_bundle_index >= 0 and not grouped:
        raise ValueError(
            "If placement group is not set, the value of bundle index must be -1: "
            f"placement_group_bundle_index={options.placement_group_bundle_index} needs placement_group= as well."
        )


def _unknown(name: str, kind: str, table: Mapping[str, _Rule]) -> Exception:
    from difflib import get_close_matches

    others = [other for other, rules_of in _RULES.items() if other != kind and name in rules_of]
    if others:
        hint = f"it belongs to {' and '.join(others)}"
    else:
        close = get_close_matches(name, table, n=1)
        public = sorted(option for option in table if not option.startswith("_"))
        hint = f"did you mean {close[0]}?" if close else f"Valid ones are {public}"
    error = TypeError if kind == "methods" else ValueError
    asked = "remote functions" if kind == "tasks" else kind
    return error(f"Invalid option keyword {name} for {asked}: {hint}{'' if hint.endswith('?') else '.'}")
