from __future__ import annotations

import math
import pickle
import timeit
from typing import Any

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from skate.core import options as module
from skate.core.options import (
    ActorOptions,
    MethodOptions,
    TaskOptions,
    parse_actor,
    parse_method,
    parse_task,
)


class FooSchedulingStrategy:
    pass


class Group:
    bundle_specs = ({"CPU": 1},)


STRATEGY, GROUP = FooSchedulingStrategy(), Group()

# (keyword, value given, field, value kept)
PLACEMENT = [
    ("num_cpus", None, "num_cpus", None),
    ("num_cpus", 2, "num_cpus", 2.0),
    ("num_cpus", 0.5, "num_cpus", 0.5),
    ("num_cpus", True, "num_cpus", 1.0),
    ("num_cpus", 1.00001, "num_cpus", 1.0),
    ("num_gpus", 0.25, "num_gpus", 0.25),
    ("num_gpus", 3, "num_gpus", 3.0),
    ("resources", {"a": 1.5, "b": 0}, "resources", {"a": 1.5, "b": 0.0}),
    ("resources", None, "resources", None),
    ("memory", 1e9, "memory", 1e9),
    ("accelerator_type", "T4", "accelerator_type", "T4"),
    ("scheduling_strategy", "SPREAD", "scheduling_strategy", "SPREAD"),
    ("scheduling_strategy", "DEFAULT", "scheduling_strategy", "DEFAULT"),
    ("scheduling_strategy", STRATEGY, "scheduling_strategy", STRATEGY),
    ("placement_group", GROUP, "placement_group", GROUP),
    ("placement_group", "default", "placement_group", "default"),
    ("placement_group_bundle_index", -1, "placement_group_bundle_index", -1),
    ("placement_group_capture_child_tasks", True, "placement_group_capture_child_tasks", True),
    ("runtime_env", {"env_vars": {"A": "1"}}, "runtime_env", {"env_vars": {"A": "1"}}),
    (
        "label_selector",
        {"zone": "a", "x.io/y": "!in(b, c)"},
        "label_selector",
        {"zone": "a", "x.io/y": "!in(b, c)"},
    ),
    (
        "fallback_strategy",
        [{"label_selector": {"a": "!b"}}],
        "fallback_strategy",
        ({"label_selector": {"a": "!b"}},),
    ),
    ("enable_task_events", False, "enable_task_events", False),
    ("_labels", {"a": "b"}, "labels", {"a": "b"}),
]
TASK = [
    *PLACEMENT,
    ("num_returns", None, "num_returns", None),
    ("num_returns", 0, "num_returns", 0),
    ("num_returns", 7, "num_returns", 7),
    ("num_returns", "dynamic", "num_returns", "dynamic"),
    ("num_returns", "streaming", "num_returns", "streaming"),
    ("max_retries", None, "max_retries", 3),
    ("max_retries", -1, "max_retries", -1),
    ("retry_exceptions", True, "retry_exceptions", True),
    ("retry_exceptions", [ValueError], "retry_exceptions", (ValueError,)),
    ("retry_exceptions", (KeyError,), "retry_exceptions", (KeyError,)),
    ("max_calls", None, "max_calls", 0),
    ("max_calls", 5, "max_calls", 5),
    ("name", "", "name", ""),
    ("_generator_backpressure_num_objects", 2, "generator_backpressure", 2),
    ("_generator_backpressure_num_objects", -1, "generator_backpressure", None),
]
ACTOR = [
    *PLACEMENT,
    ("object_store_memory", 10**8, "object_store_memory", 1e8),
    ("max_restarts", -1, "max_restarts", -1),
    ("max_restarts", None, "max_restarts", 0),
    ("max_task_retries", 2, "max_task_retries", 2),
    ("max_concurrency", 0, "max_concurrency", None),
    ("max_concurrency", 16, "max_concurrency", 16),
    ("max_pending_calls", 0, "max_pending_calls", -1),
    ("max_pending_calls", 9, "max_pending_calls", 9),
    ("concurrency_groups", {"io": 2}, "concurrency_groups", {"io": 2}),
    ("concurrency_groups", [{"name": "io", "max_concurrency": 2}], "concurrency_groups", {"io": 2}),
    ("lifetime", "detached", "lifetime", "detached"),
    ("lifetime", "non_detached", "lifetime", "non_detached"),
    ("name", "n", "name", "n"),
    ("namespace", "n", "namespace", "n"),
    ("get_if_exists", False, "get_if_exists", False),
    ("allow_out_of_order_execution", True, "allow_out_of_order_execution", True),
    ("_actor_generator_backpressure_num_objects", 4, "generator_backpressure", 4),
]
METHOD = [
    ("num_returns", 2, "num_returns", 2),
    ("concurrency_group", "io", "concurrency_group", "io"),
    ("max_task_retries", None, "max_task_retries", None),
    ("max_task_retries", -1, "max_task_retries", -1),
    ("retry_exceptions", None, "retry_exceptions", None),
    ("retry_exceptions", [ValueError], "retry_exceptions", (ValueError,)),
    ("enable_task_events", False, "enable_task_events", False),
    ("_generator_backpressure_num_objects", 1, "generator_backpressure", 1),
]
PARSERS: dict[str, Any] = {"task": parse_task, "actor": parse_actor, "method": parse_method}
GOOD = [(kind, *row) for kind, rows in (("task", TASK), ("actor", ACTOR), ("method", METHOD)) for row in rows]

# (keyword, value, the error); what Ray 2.60 raises, at the latest when the task or actor is started.
BAD_PLACEMENT = [
    ("num_cpus", -1, ValueError),
    ("num_cpus", "a", TypeError),
    ("num_cpus", 0.00001, ValueError),
    ("num_cpus", math.nan, ValueError),
    ("num_cpus", math.inf, ValueError),
    ("num_gpus", -1, ValueError),
    ("num_gpus", 1.5, ValueError),
    ("num_gpus", 1.00001, ValueError),
    ("memory", -1, ValueError),
    ("memory", "x", TypeError),
    ("resources", [1], TypeError),
    ("resources", {"CPU": 1}, ValueError),
    ("resources", {"GPU": 1}, ValueError),
    ("resources", {"memory": 1}, ValueError),
    ("resources", {"object_store_memory": 1}, ValueError),
    ("resources", {"x": -1}, ValueError),
    ("resources", {"x": math.nan}, ValueError),
    ("resources", {"x": "a"}, TypeError),
    ("resources", {"x": None}, TypeError),
    ("resources", {1: 1}, TypeError),
    ("accelerator_type", 3, TypeError),
    ("scheduling_strategy", "x", ValueError),
    ("scheduling_strategy", 3, TypeError),
    ("placement_group", "x", ValueError),
    ("placement_group", 3, TypeError),
    ("placement_group_bundle_index", "x", TypeError),
    ("placement_group_bundle_index", 3, ValueError),
    ("placement_group_capture_child_tasks", 3, TypeError),
    ("runtime_env", 3, TypeError),
    ("runtime_env", "x", TypeError),
    ("runtime_env", {"env_vars": {"A": 1}}, TypeError),
    ("runtime_env", {"env_vars": 3}, TypeError),
    ("runtime_env", {"": True, 0: True}, TypeError),
    ("runtime_env", {"pip": {"": True, 0: True}}, ValueError),
    ("label_selector", 3, TypeError),
    ("label_selector", {"a": 1}, TypeError),
    ("label_selector", {1: "a"}, TypeError),
    ("label_selector", {"a": "b c"}, ValueError),
    ("label_selector", {"_k-": "a"}, ValueError),
    ("label_selector", {"a": "x" * 64}, ValueError),
    ("fallback_strategy", 3, TypeError),
    ("fallback_strategy", [3], ValueError),
    ("fallback_strategy", [{}], ValueError),
    ("fallback_strategy", [{"other": 1}], ValueError),
    ("fallback_strategy", [{"label_selector": {"a": "b"}, "memory": 5}], ValueError),
    ("fallback_strategy", [{"label_selector": {"a": "b"}}, {"memory": 5}], ValueError),
    ("enable_task_events", 3, TypeError),
    ("enable_task_events", None, TypeError),
    ("_labels", 3, TypeError),
    ("_metadata", 3, TypeError),
]
BAD_TASK = [
    *BAD_PLACEMENT,
    ("num_returns", -1, ValueError),
    ("num_returns", "x", TypeError),
    ("num_returns", 1.0, TypeError),
    ("max_retries", -2, ValueError),
    ("max_retries", 1.0, TypeError),
    ("retry_exceptions", 3, TypeError),
    ("retry_exceptions", None, TypeError),
    ("retry_exceptions", ValueError, TypeError),
    ("retry_exceptions", [3], ValueError),
    ("retry_exceptions", [int], ValueError),
    ("max_calls", -1, ValueError),
    ("max_calls", 1.0, TypeError),
    ("name", 3, TypeError),
    ("object_store_memory", 10**8, ValueError),
    ("object_store_memory", 1.5, TypeError),
    ("_generator_backpressure_num_objects", 0, ValueError),
    ("_generator_backpressure_num_objects", "a", TypeError),
    ("_num_objects_per_yield", 2, ValueError),
    ("max_restarts", 1, ValueError),
    ("num_cpu", 1, ValueError),
]
BAD_ACTOR = [
    *BAD_PLACEMENT,
    ("object_store_memory", -1, ValueError),
    ("object_store_memory", 1.5, TypeError),
    ("max_restarts", -2, ValueError),
    ("max_task_retries", -2, ValueError),
    ("max_concurrency", -1, ValueError),
    ("max_concurrency", 1.0, TypeError),
    ("max_pending_calls", -2, ValueError),
    ("concurrency_groups", 3, TypeError),
    ("concurrency_groups", {"a": 0}, ValueError),
    ("concurrency_groups", {"a": "x"}, TypeError),
    ("concurrency_groups", [{"name": "io"}], ValueError),
    ("lifetime", "x", ValueError),
    ("lifetime", 3, TypeError),
    ("name", 3, TypeError),
    ("name", "", ValueError),
    ("namespace", 3, TypeError),
    ("namespace", "", ValueError),
    ("get_if_exists", 1, TypeError),
    ("get_if_exists", True, ValueError),
    ("allow_out_of_order_execution", 1, TypeError),
    ("num_returns", 2, ValueError),
    ("max_retries", 2, ValueError),
]
BAD_METHOD = [
    ("num_returns", -1, ValueError),
    ("num_returns", "x", TypeError),
    ("max_task_retries", -2, ValueError),
    ("retry_exceptions", 3, TypeError),
    ("concurrency_group", 3, TypeError),
    ("tensor_transport", "x", ValueError),
    ("num_cpus", 1, TypeError),
    ("name", "x", TypeError),
    ("zz", 1, TypeError),
]
BAD = [
    (kind, *row)
    for kind, rows in (("task", BAD_TASK), ("actor", BAD_ACTOR), ("method", BAD_METHOD))
    for row in rows
]


@pytest.mark.parametrize(("kind", "keyword", "given_value", "field", "kept"), GOOD)
def test_good_values(kind: str, keyword: str, given_value: Any, field: str, kept: Any) -> None:
    parse = PARSERS[kind]
    options = parse({keyword: given_value})
    assert getattr(options, field) == kept
    assert type(getattr(options, field)) is type(kept)
    defaults = parse({})
    others = [name for name in options._fields if name != field]
    if keyword != "num_gpus":  # which sets max_calls too
        assert [getattr(options, name) for name in others] == [getattr(defaults, name) for name in others]
    if keyword not in ("max_calls", "concurrency_groups"):
        assert parse({keyword: given_value}, defaults) == options.replace(
            **({"max_calls": 0} if kind == "task" and keyword == "num_gpus" else {})
        )


@pytest.mark.parametrize(("kind", "keyword", "value", "error"), BAD)
def test_bad_values(kind: str, keyword: str, value: Any, error: type[Exception]) -> None:
    with pytest.raises(error) as info:
        PARSERS[kind]({keyword: value})
    assert type(info.value) is error
    assert keyword in str(info.value)
    assert len(str(info.value)) < 500
    with pytest.raises(error):
        PARSERS[kind]({keyword: value}, PARSERS[kind]({}) if kind != "method" else None)


junk = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-5, 5)
    | st.integers()
    | st.floats()
    | st.text(max_size=5)
    | st.binary(max_size=3)
    | st.sampled_from([int, ValueError, object(), STRATEGY, GROUP, "in()", "!", "/"]),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.text(max_size=3) | st.integers(), inner, max_size=3)
        | st.fixed_dictionaries({"label_selector": inner})
        | st.fixed_dictionaries({"env_vars": inner})
    ),
    max_leaves=5,
)


@pytest.mark.parametrize("kind", PARSERS)
@given(data=st.data())
def test_anything_gives_options_or_a_clean_error(kind: str, data: st.DataObject) -> None:
    table = {"task": module._TASK_RULES, "actor": module._ACTOR_RULES, "method": module._METHOD_RULES}[kind]
    keyword = data.draw(st.sampled_from(sorted(table)))
    value = data.draw(junk)
    message, options = None, None
    try:
        options = PARSERS[kind]({keyword: value})
    except (TypeError, ValueError) as error:
        message = str(error)
    if options is None:
        assert message is not None
        assert keyword.lstrip("_") in message
        assert len(message) < 500
        return
    assert pickle.loads(pickle.dumps(options.replace(**_picklable(options)))) is not None
    if kind == "task":
        assert all(amount > 0 for amount in options.demand().values())


def _picklable(options: Any) -> dict[str, Any]:
    """Fields that hold a local object or class of this test, reset."""
    return (
        {"scheduling_strategy": None, "placement_group": None} if hasattr(options, "placement_group") else {}
    )


@given(st.floats(0, 64), st.floats(0, 1), st.dictionaries(st.sampled_from("abc"), st.floats(0, 10)))
def test_options_survive_pickling(cpus: float, gpus: float, resources: dict[str, float]) -> None:
    assume(all(value == 0 or value >= 0.0001 for value in (cpus, gpus, *resources.values())))
    options = parse_actor({"num_cpus": cpus, "num_gpus": gpus, "resources": resources, "max_restarts": 2})
    copied = pickle.loads(pickle.dumps(options))
    assert copied == options
    assert hash(copied) == hash(options)
    assert copied.creation_demand() == options.creation_demand()


def test_default_options_pickle_to_little() -> None:
    assert len(pickle.dumps(TaskOptions())) < 120


def test_unknown_names_get_a_hint() -> None:
    with pytest.raises(
        ValueError, match=r"Invalid option keyword num_cpu for remote functions: did you mean num_cpus\?"
    ):
        parse_task({"num_cpu": 1})
    with pytest.raises(
        ValueError, match=r"Invalid option keyword max_restarts for remote functions: it belongs to actors\."
    ):
        parse_task({"max_restarts": 1})
    with pytest.raises(
        TypeError, match=r"Invalid option keyword num_cpus for methods: it belongs to tasks and actors\."
    ):
        parse_method({"num_cpus": 1})
    with pytest.raises(ValueError, match=r"Valid ones are \['accelerator_type', .*'scheduling_strategy'"):
        parse_task({"qqqq": 1})


class TestOnTopOfOthers:
    def test_only_what_is_given_changes(self) -> None:
        base = parse_task({"num_cpus": 2, "max_retries": 0, "resources": {"a": 1}})
        options = parse_task({"num_cpus": 3}, base)
        assert (options.num_cpus, options.max_retries, options.resources) == (3.0, 0, {"a": 1.0})
        assert base.num_cpus == 2.0
        assert parse_task({"resources": None}, base).resources is None

    def test_the_demand_is_computed_anew(self) -> None:
        base = parse_task({"num_cpus": 2})
        assert base.demand() == {"CPU": 2.0}
        assert parse_task({"num_cpus": 3}, base).demand() == {"CPU": 3.0}

    def test_what_belongs_to_the_definition_is_refused(self) -> None:
        with pytest.raises(ValueError, match=r"max_calls cannot be set in \.options\(\)"):
            parse_task({"max_calls": 1}, parse_task({}))
        with pytest.raises(ValueError, match=r"concurrency_groups cannot be set in \.options\(\)"):
            parse_actor({"concurrency_groups": {"a": 1}}, parse_actor({}))

    def test_contradictions_are_found_across_both(self) -> None:
        with pytest.raises(ValueError, match="via the scheduling_strategy option"):
            parse_task({"scheduling_strategy": "SPREAD"}, parse_task({"placement_group": GROUP}))
        assert parse_task({"placement_group": None}, parse_task({"scheduling_strategy": "SPREAD"}))
        with pytest.raises(ValueError, match="get_if_exists"):
            parse_actor({"get_if_exists": True}, parse_actor({}))
        assert parse_actor({"get_if_exists": True}, parse_actor({"name": "a"})).get_if_exists

    def test_a_method_s_call_has_a_name(self) -> None:
        assert parse_method({"name": "call"}, MethodOptions()).name == "call"


class TestMaxCalls:
    def test_is_one_where_gpus_are_held(self) -> None:
        assert parse_task({"num_gpus": 0.5}).max_calls == 1
        assert parse_task({"num_gpus": 0}).max_calls == 0
        assert parse_task({}).max_calls == 0

    def test_can_be_set(self) -> None:
        assert parse_task({"num_gpus": 0.5, "max_calls": 0}).max_calls == 0

    def test_is_decided_where_the_function_is_defined(self) -> None:
        assert parse_task({"num_gpus": 1}, parse_task({})).max_calls == 0
        assert parse_task({"num_gpus": 0}, parse_task({"num_gpus": 1})).max_calls == 1


class TestDemand:
    # As Ray 2.60 reports it in get_assigned_resources().
    @pytest.mark.parametrize(
        ("given_options", "held"),
        [
            ({}, {"CPU": 1.0}),
            ({"num_cpus": 0}, {}),
            ({"num_gpus": 0.5}, {"CPU": 1.0, "GPU": 0.5}),
            ({"memory": 10**7}, {"CPU": 1.0, "memory": 1e7}),
            ({"resources": {"a": 1, "b": 0}}, {"CPU": 1.0, "a": 1.0}),
            ({"accelerator_type": "T4"}, {"CPU": 1.0, "accelerator_type:T4": 0.001}),
        ],
    )
    def test_of_tasks(self, given_options: dict[str, Any], held: dict[str, float]) -> None:
        assert parse_task(given_options).demand() == held
        assert parse_actor(given_options).creation_demand() == held

    @pytest.mark.parametrize(
        ("given_options", "held"),
        [
            ({}, {}),
            ({"num_cpus": 0}, {}),
            ({"num_cpus": 0.5}, {"CPU": 0.5}),
            ({"num_cpus": 1}, {"CPU": 1.0}),
            ({"num_gpus": 0}, {"CPU": 1.0}),
            ({"num_gpus": 0.5}, {"CPU": 1.0, "GPU": 0.5}),
            ({"resources": {"x": 1}}, {"CPU": 1.0, "x": 1.0}),
            ({"resources": {"x": 0}}, {"CPU": 1.0}),
            ({"resources": {}}, {}),
            ({"accelerator_type": "T4"}, {"CPU": 1.0, "accelerator_type:T4": 0.001}),
            ({"memory": 10**7}, {"memory": 1e7}),
            ({"object_store_memory": 10**7}, {"object_store_memory": 1e7}),
        ],
    )
    def test_of_running_actors(self, given_options: dict[str, Any], held: dict[str, float]) -> None:
        assert parse_actor(given_options).running_demand() == held

    def test_is_computed_once(self) -> None:
        options, actor = TaskOptions(), ActorOptions()
        assert options.demand() is options.demand()
        assert actor.creation_demand() is actor.creation_demand()
        assert actor.running_demand() is actor.running_demand()


def test_options_cannot_be_changed() -> None:
    with pytest.raises(AttributeError):
        TaskOptions().num_cpus = 2
    with pytest.raises((AttributeError, TypeError)):
        TaskOptions().other = 2


def test_what_is_given_is_copied() -> None:
    resources = {"a": 1}
    options = parse_task({"resources": resources})
    resources["a"] = 5
    assert options.resources == {"a": 1.0}


def test_a_typical_call_of_options_is_cheap() -> None:
    base = parse_task({})
    best = (
        min(timeit.repeat(lambda: parse_task({"num_cpus": 2, "name": "x"}, base), number=1000, repeat=7))
        / 1000
    )
    assert best < 50e-6  # about 5 µs where nothing else runs
