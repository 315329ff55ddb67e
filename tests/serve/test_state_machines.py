"""Rollout, failures and autoscaling, without a process and with a clock of our own."""

from __future__ import annotations

import asyncio
import itertools
import pickle
from typing import Any

import pytest

from skate.serve._private.common import (
    DeploymentID,
    DeploymentStatus,
    DeploymentStatusTrigger,
    ReplicaID,
    ReplicaState,
)
from skate.serve._private.config import DeploymentConfig
from skate.serve._private.controller.application_scaling import ApplicationScaler
from skate.serve._private.controller.autoscaling import Autoscaler
from skate.serve._private.controller.deployment_state import (
    Action,
    DeploymentState,
    Reconfigure,
    Start,
    Stop,
    Target,
)
from skate.serve._private.replica.gate import Gate
from skate.serve._private.replica.spec import ReplicaFacts
from skate.serve._private.routing.choice import shorter_of_two
from skate.serve.autoscaling_policy import default_autoscaling_policy
from skate.serve.config import AutoscalingConfig, AutoscalingContext, AutoscalingPolicy


def machine() -> DeploymentState:
    names = (f"r{number}" for number in itertools.count())
    return DeploymentState(DeploymentID("d", "a"), lambda: next(names))


def target(version: str, num: int = 1, **options: Any) -> Target:
    return Target(version, DeploymentConfig(num_replicas=num, **options), b"", b"", {})


def carry_out(state: DeploymentState, actions: list[Action]) -> None:
    """Every start succeeds, every stop ends, at once."""
    for action in actions:
        if isinstance(action, Start):
            state.started(action.uid, ReplicaFacts(1, "node", "actor"))
        elif isinstance(action, Stop):
            state.stopped(action.uid)
        elif isinstance(action, Reconfigure):
            assert state.target is not None
            state.reconfigured(action.uid, state.target.config, None)


def run(state: DeploymentState, least: int = 0) -> None:
    """Step until nothing is left to do; never fewer than `least` replicas run."""
    for now in range(100):
        actions = state.step(now)
        assert len(state.running()) >= least
        if not actions and state.status == DeploymentStatus.HEALTHY:
            return
        carry_out(state, actions)
    raise AssertionError(f"it does not settle: {state.status}")


def test_it_starts_scales_and_goes() -> None:
    state = machine()
    state.deploy(target("1", 3), 3)
    run(state)
    assert [record.rank for record in state.running()] == [0, 1, 2]
    state.deploy(target("1", 1), 1)
    assert state.status == DeploymentStatus.DOWNSCALING
    run(state, least=1)
    assert len(state.replicas) == 1
    state.delete()
    carry_out(state, state.step(0))
    assert state.gone


def test_new_code_replaces_a_few_replicas_at_a_time() -> None:
    state = machine()
    state.deploy(target("1", 10), 10)
    run(state)
    state.deploy(target("2", 10), 10)
    run(state, least=8)
    assert {record.version for record in state.running()} == {"2"}


def test_surge_keeps_all_of_them_running() -> None:
    state = machine()
    state.deploy(target("1", 4, max_surge_percent=25), 4)
    run(state)
    state.deploy(target("2", 4, max_surge_percent=25), 4)
    run(state, least=4)
    assert len(state.running()) == 4


def test_options_that_need_no_new_replica_are_handed_over() -> None:
    state = machine()
    state.deploy(target("1"), 1)
    run(state)
    before = set(state.replicas)
    state.deploy(target("1", user_config={"x": 1}), 1)
    actions = state.step(0)
    assert [type(action) for action in actions] == [Reconfigure]
    carry_out(state, actions)
    run(state)
    assert set(state.replicas) == before


def test_it_gives_up_after_three_failures_and_tries_again_when_deployed_anew() -> None:
    state = machine()
    state.deploy(target("1"), 1)
    starts = 0
    for now in range(100):
        for action in state.step(now):
            assert isinstance(action, Start)
            starts += 1
            state.start_failed(action.uid, "boom", now)
    assert starts == 3
    assert state.status == DeploymentStatus.DEPLOY_FAILED
    assert "boom" in state.message
    state.deploy(target("2"), 1)
    run(state)


def test_a_version_that_can_not_run_is_rolled_back() -> None:
    state = machine()
    state.deploy(target("1", 4), 4)
    run(state)
    state.deploy(target("2", 8), 8)
    for now in range(1000):
        for action in state.step(now):
            if isinstance(action, Start) and state.replicas[action.uid].version == "2":
                state.start_failed(action.uid, "boom", now)
            else:
                carry_out(state, [action])
        assert len([record for record in state.running() if record.version == "1"]) >= 3
    assert (state.status, state.serves) == (DeploymentStatus.DEPLOY_FAILED, True)
    assert "boom" in state.message
    assert {record.version for record in state.running()} == {"1"}
    assert len(state.running()) == 4
    (first, *_) = state.replicas
    state.unhealthy(first, "killed", fatal=True)
    carry_out(state, state.step(1000))
    carry_out(state, state.step(1001))
    assert len(state.running()) == 4
    assert state.status == DeploymentStatus.DEPLOY_FAILED  # until something else is deployed
    state.deploy(target("3", 2), 2)
    run(state, least=1)
    assert {record.version for record in state.running()} == {"3"}


def lose_one(state: DeploymentState, now: float) -> None:
    """A replica of the newest version dies; then everything is done that is to be done."""
    newest = max(state.running(), key=lambda record: record.version)
    state.unhealthy(newest.uid, "killed", fatal=True)
    while actions := state.step(now):
        carry_out(state, actions)


def test_a_version_that_falls_ill_soon_after_its_update_is_rolled_back() -> None:
    state = machine()
    state.deploy(target("1", 2), 2)
    run(state)
    state.deploy(target("2", 3), 3)
    run(state)
    for _ in range(4):
        lose_one(state, 100)
        assert state.status == DeploymentStatus.HEALTHY  # it has been replaced
    lose_one(state, 100)
    assert (state.status, state.serves) == (DeploymentStatus.DEPLOY_FAILED, True)
    assert state.trigger == DeploymentStatusTrigger.HEALTH_CHECK_FAILED
    assert "killed" in state.message
    assert [record.version for record in state.running()] == ["1", "1"]
    lose_one(state, 100)
    assert [record.version for record in state.running()] == [
        "1",
        "1",
    ]  # it has nothing to go back to, and is replaced
    state.deploy(target("3", 2), 2)
    run(state, least=1)
    assert {record.version for record in state.running()} == {"3"}


def test_a_version_that_falls_ill_during_its_update_is_rolled_back() -> None:
    state = machine()
    state.deploy(target("1", 4), 4)
    run(state)
    state.deploy(target("2", 4), 4)
    for now in range(100):
        for action in state.step(now):
            carry_out(state, [action])
        for record in [each for each in state.running() if each.version == "2"]:
            state.unhealthy(record.uid, "killed", fatal=True)
        assert len(state.running()) >= 3
    assert state.status == DeploymentStatus.DEPLOY_FAILED
    assert [record.version for record in state.running()] == ["1"] * 4


def test_a_version_that_has_stood_its_time_is_not_rolled_back() -> None:
    state = machine()
    state.deploy(target("1"), 1)
    run(state)
    state.deploy(target("2"), 1)
    run(state)
    lose_one(state, 100)
    state.step(100 + 3 * 10 + 30)
    for _ in range(5):
        lose_one(state, 200)
    assert state.status == DeploymentStatus.HEALTHY
    assert [record.version for record in state.running()] == ["2"]


def test_scaling_does_not_put_off_the_end_of_the_probation() -> None:
    state = machine()
    state.deploy(target("1"), 1)
    run(state)
    state.deploy(target("2"), 1)
    run(state)
    for now, num in ((40, 2), (80, 1), (120, 2)):  # each within the time that a new version has to stand
        state.scale(num)
        while (actions := state.step(now)) or state.status != DeploymentStatus.HEALTHY:
            carry_out(state, actions)
    state.step(3 * 10 + 30 + 100)
    for _ in range(6):
        lose_one(state, 161)
    assert state.status == DeploymentStatus.HEALTHY
    assert [record.version for record in state.running()] == ["2", "2"]


def test_the_first_version_is_never_given_up_once_it_has_run() -> None:
    state = machine()
    state.deploy(target("1"), 1)
    run(state)
    for _ in range(10):
        lose_one(state, 1)
    assert state.status == DeploymentStatus.HEALTHY


def test_an_ill_replica_is_replaced_after_three_strikes_and_a_dead_one_at_once() -> None:
    state = machine()
    state.deploy(target("1"), 1)
    run(state)
    (first,) = state.replicas
    state.unhealthy(first, "no answer")
    state.healthy(first)
    for _ in range(3):
        assert state.status == DeploymentStatus.HEALTHY
        state.unhealthy(first, "no answer")
    assert state.status == DeploymentStatus.UNHEALTHY
    run(state)
    (second,) = state.replicas
    assert second != first
    state.unhealthy(second, "killed", fatal=True)
    assert Stop(second, gracefully=False) in state.step(0)


def simulate(config: AutoscalingConfig, load: Any, seconds: int) -> list[int]:
    """Replicas at each second, if each runs at most its target and starting one takes no time."""
    scaler = Autoscaler(DeploymentID("d"), config)
    target_num = config.initial_replicas if config.initial_replicas is not None else config.min_replicas
    history = []
    for tick in range(seconds * 4):
        now = tick / 4
        wanted = load(now)
        running = min(wanted, target_num * config.get_target_ongoing_requests() * 2)
        scaler.observe(now, running, wanted - running)
        target_num = scaler.decide(scaler.context(now, target_num, target_num, []))
        history.append(target_num)
    return history


SCALING = AutoscalingConfig(
    min_replicas=1,
    max_replicas=10,
    look_back_period_s=2,
    upscale_delay_s=0,
    downscale_delay_s=5,
    metrics_interval_s=0.1,
)


def changes(history: list[int]) -> list[int]:
    return [after for before, after in itertools.pairwise(history) if after != before]


def test_a_step_is_followed_without_oscillation() -> None:
    history = simulate(SCALING, lambda now: 12.0 if now >= 5 else 0.0, 30)
    assert history[5 * 4 - 1] == 1
    assert history[6 * 4] > 1  # within a second
    assert history[-1] == 6
    assert changes(history) == sorted(changes(history))


def test_a_spike_goes_up_and_comes_down_once() -> None:
    history = simulate(SCALING, lambda now: 16.0 if 5 <= now < 10 else 0.0, 40)
    peak = max(history)
    assert peak == 8
    assert history[-1] == 1
    ups_then_downs = changes(history)
    top = ups_then_downs.index(peak)
    assert ups_then_downs[: top + 1] == sorted(ups_then_downs[: top + 1])
    assert ups_then_downs[top:] == sorted(ups_then_downs[top:], reverse=True)


def test_no_load_means_no_replicas_and_one_request_brings_one() -> None:
    config = SCALING.model_copy(update={"min_replicas": 0, "initial_replicas": 0})
    assert max(simulate(config, lambda now: 0.0, 20)) == 0
    history = simulate(config, lambda now: 1.0 if now >= 5 else 0.0, 20)
    assert history[5 * 4 + 1] == 1
    back = simulate(config, lambda now: 1.0 if 5 <= now < 10 else 0.0, 60)
    assert back[-1] == 0


def test_the_bounds_hold() -> None:
    assert max(simulate(SCALING, lambda now: 1000.0, 20)) == 10
    assert min(simulate(SCALING, lambda now: 0.0, 20)) == 1


def measured(
    name: str, current: int, target_num: int, requests: float
) -> tuple[Autoscaler, AutoscalingContext]:
    scaler = Autoscaler(DeploymentID(name), SCALING)
    scaler.observe(1.0, requests, 0.0)
    return scaler, scaler.context(1.0, current, target_num, [])


def test_one_policy_scales_all_deployments_of_an_application() -> None:
    def even(contexts: dict[DeploymentID, AutoscalingContext]) -> Any:
        most = max(context.total_num_requests for context in contexts.values())
        seen = {key: {"times": context.policy_state.get("times", 0) + 1} for key, context in contexts.items()}
        return {key: most / 4 for key in contexts if key.name != "left"}, seen

    application = ApplicationScaler("a", AutoscalingPolicy(policy_function=even))
    made = {
        name: measured(name, 1, 1, requests) for name, requests in (("x", 2.0), ("y", 10.0), ("left", 0.0))
    }
    contexts = {scaler.id: context for scaler, context in made.values()}
    wanted, states = application.decide(contexts)
    assert {key.name: number for key, number in wanted.items()} == {"x": 2.5, "y": 2.5}
    assert {key.name: state for key, state in states.items()} == {name: {"times": 1} for name in made}
    assert made["x"][0].settle(made["x"][1], 2.5) == 3  # factors and bounds are the deployment's own
    nothing_runs, waits = measured("x", 0, 0, 0.0)[0], DeploymentID("x")
    nothing_runs.observe(1.0, 0.0, 5.0)
    assert application.decide({waits: nothing_runs.context(1.0, 0, 0, [])})[0] == {waits: 1}


@pytest.mark.parametrize(
    ("returned", "error", "words"),
    [
        (3, TypeError, "returned a int"),
        (([], None), TypeError, "numbers of replicas as a list"),
        (({DeploymentID("other"): 1}, None), ValueError, "Deployment.name='other'"),
        (({}, {DeploymentID("other"): {}}), ValueError, "states of"),
    ],
)
def test_a_policy_that_returns_something_else_is_told(returned: Any, error: Any, words: str) -> None:
    application = ApplicationScaler("a", AutoscalingPolicy(policy_function=lambda contexts: returned))
    scaler, context = measured("x", 1, 1, 1.0)
    with pytest.raises(error, match=words):
        application.decide({scaler.id: context})


def test_a_policy_sees_what_replicas_say() -> None:
    key = DeploymentID("d")
    one, two = ReplicaID("one", key), ReplicaID("two", key)
    scaler = Autoscaler(key, SCALING)
    for now, figures in ((1.0, {one: {"queue": 2}, two: {"queue": 6}}), (2.0, {one: {"queue": 4}})):
        scaler.observe(now, 0.0, 0.0, figures)
    context = scaler.context(2.0, 2, 2, [one, two])
    assert context.aggregated_metrics == {"queue": {one: 3.0, two: 6.0}}
    assert context.raw_metrics == {"queue": {one: [(1.0, 2.0), (2.0, 4.0)], two: [(1.0, 6.0)]}}
    scaler.observe(5.0, 0.0, 0.0, {one: {"queue": 8}})
    assert scaler.context(5.0, 1, 1, [one]).aggregated_metrics == {"queue": {one: 8.0}}


class Fixed:
    """A policy that is a class."""

    def __init__(self, number: int) -> None:
        self.number = number

    def __call__(self, context: AutoscalingContext) -> tuple[int, dict[str, Any]]:
        return self.number, {}


def test_a_policy_travels_with_its_code() -> None:
    by_path = AutoscalingPolicy(policy_function=f"{__name__}.Fixed", policy_kwargs={"number": 3})
    given = AutoscalingPolicy(policy_function=Fixed, policy_kwargs={"number": 3})
    assert (given, hash(given), given.policy_function) == (by_path, hash(by_path), f"{__name__}.Fixed")
    again = pickle.loads(pickle.dumps(given))
    assert again == given
    assert again.make()(None) == (3, {})
    assert again.get_policy().__name__ == "Fixed"
    copy = AutoscalingPolicy.from_serialized_policy_def(
        {"policy_function": "no.such.module", "policy_kwargs": {"number": 4}},
        given.get_serialized_policy_def(),
    )
    assert copy.make()(None) == (4, {})
    with pytest.raises(ImportError):
        AutoscalingPolicy(policy_function="no.such.module:policy")
    assert AutoscalingPolicy().is_default_policy_function()
    assert AutoscalingPolicy().get_policy() is default_autoscaling_policy


def test_any_policy_is_smoothed_delayed_and_bounded() -> None:
    config = SCALING.model_copy(
        update={
            "policy": AutoscalingPolicy(policy_function=lambda context: (9.2, {})),
            "upscaling_factor": 0.5,
        }
    )
    scaler = Autoscaler(DeploymentID("d"), config.model_copy(update={"upscale_delay_s": 3}))
    scaler.observe(0.0, 1.0, 0.0)
    assert [scaler.decide(scaler.context(now, 1, 1, [])) for now in (0.0, 2.9, 3.0)] == [1, 1, 6]
    scaler.capacity = 40.0  # at most 4 of 10
    assert scaler.decide(scaler.context(3.1, 6, 6, [])) == 4  # at once


class Queue:
    def __init__(self, ongoing: int, limit: int = 10, retry_at: float = 0.0) -> None:
        self.ongoing, self.limit, self.retry_at = ongoing, limit, retry_at


def test_the_shorter_queue_with_room_is_chosen() -> None:
    short, long = Queue(1), Queue(5)
    assert shorter_of_two([short, long], 0.0) is short
    assert shorter_of_two([], 0.0) is None
    assert shorter_of_two([Queue(10), Queue(10)], 0.0) is None
    assert shorter_of_two([Queue(1, retry_at=5.0)], 1.0) is None
    free = Queue(9)
    assert all(shorter_of_two([Queue(10), free, Queue(10), Queue(10)], 0.0) is free for _ in range(50))


def test_a_gate_counts_in_and_out() -> None:
    gate = Gate(1)
    assert gate.try_enter()
    assert not gate.try_enter()
    gate.leave()
    assert gate.try_enter()
    gate.leave()
    gate.leaving = True
    assert not gate.try_enter()


def test_those_who_wait_at_a_gate_may_leave_in_any_order() -> None:
    async def scenario() -> None:
        gate = Gate(1)
        assert gate.try_enter()
        waiting = [asyncio.create_task(gate.enter()) for _ in range(4)]
        await asyncio.sleep(0)
        waiting[0].cancel()
        gate.leave()  # passes over the first, which is being cancelled, and lets the second in
        await asyncio.sleep(0)
        assert waiting[1].done()
        assert gate.ongoing == 1
        gate.leave()
        waiting[2].cancel()  # it has been given a place, and gives it to the last
        await asyncio.gather(*waiting, return_exceptions=True)
        assert [task.cancelled() for task in waiting] == [True, False, True, False]
        gate.leave()
        assert gate.ongoing == 0

    asyncio.run(scenario())


def test_states_are_counted() -> None:
    state = machine()
    state.deploy(target("1", 2), 2)
    state.step(0)
    assert state.counts() == {ReplicaState.STARTING: 2}
