"""What test suites of applications written for Ray Serve share."""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import Callable, Iterator
from typing import Any

import skate
from skate import serve
from skate._common.test_utils import wait_for_condition
from skate.serve._private.common import ApplicationStatus, DeploymentStatus, ReplicaState, RequestProtocol
from skate.serve._private.constants import SERVE_DEFAULT_APP_NAME
from skate.serve._private.global_client import ServeControllerClient, get
from skate.util.metrics import prometheus_text


@serve.deployment
class GetPID:
    """Answers with the replica's process."""

    def __call__(self) -> int:
        """The process's number."""
        import os

        return os.getpid()


# -- actors ----------------------------------------


@skate.remote(num_cpus=0)
class Accumulator:
    """A list that several processes add to."""

    def __init__(self) -> None:
        self._items: list[Any] = []

    def add(self, item: Any) -> None:
        """Add an item."""
        self._items.append(item)

    def get(self) -> list[Any]:
        """The items."""
        return self._items

    def count(self) -> int:
        """How many there are."""
        return len(self._items)


@skate.remote(num_cpus=0)
class SharedFlag:
    """A flag that several processes see."""

    def __init__(self) -> None:
        self._set = False

    def set(self) -> None:
        """Set it."""
        self._set = True

    def clear(self) -> None:
        """Clear it."""
        self._set = False

    def is_set(self) -> bool:
        """Whether it is set."""
        return self._set


@skate.remote(num_cpus=0)
class SharedCounter:
    """A number that several processes count up."""

    def __init__(self) -> None:
        self._count = 0

    def inc(self) -> int:
        """Count one more; returns the number."""
        self._count += 1
        return self._count

    def get(self) -> int:
        """The number."""
        return self._count


@skate.remote(num_cpus=0)
class Counter:
    """Lets those that wait go once it has been counted up to its target."""

    def __init__(self, target: int) -> None:
        self._left = target
        self._ready = asyncio.Event()

    async def inc(self) -> None:
        """Count one more."""
        self._left -= 1
        if self._left == 0:
            self._ready.set()

    async def wait(self) -> None:
        """Wait for the target."""
        await self._ready.wait()


@skate.remote(num_cpus=0)
class Barrier:
    """Lets all go once `n` wait."""

    def __init__(self, n: int) -> None:
        self._n = n
        self._count = 0
        self._ready = asyncio.Event()

    async def wait(self) -> None:
        """Wait for the others."""
        self._count += 1
        if self._count >= self._n:
            self._ready.set()
        await self._ready.wait()

    async def get_count(self) -> int:
        """How many have come."""
        return self._count


async def send_signal_on_cancellation(signal_actor: Any) -> None:
    """Wait for ever; when that is cancelled, tell the signal's actor."""
    try:
        await asyncio.Event().wait()
    except asyncio.CancelledError:
        await signal_actor.send.remote()
        raise


# -- statuses ----------------------------------------


def _client() -> ServeControllerClient:
    found = get()
    assert found is not None
    return found


def check_running(app_name: str = SERVE_DEFAULT_APP_NAME) -> bool:
    """Assert that an application runs."""
    assert serve.status().applications[app_name].status == ApplicationStatus.RUNNING
    return True


def check_apps_running(apps: list[str]) -> bool:
    """Assert that applications run."""
    status = serve.status()
    for name in apps:
        assert status.applications[name].status == ApplicationStatus.RUNNING, status
    return True


def check_deployment_status(
    name: str, expected_status: DeploymentStatus, app_name: str = SERVE_DEFAULT_APP_NAME
) -> bool:
    """Assert how a deployment is."""
    found = serve.status().applications[app_name].deployments[name].status
    assert found == expected_status, f"{name} is {found}, not {expected_status}"
    return True


def get_deployment_details(
    deployment_name: str, app_name: str = SERVE_DEFAULT_APP_NAME, _client: Any = None
) -> dict[str, Any]:
    """A deployment, as the REST API answers it."""
    details = (_client or globals()["_client"]()).get_serve_details()
    found: dict[str, Any] = details["applications"][app_name]["deployments"][deployment_name]
    return found


def get_num_alive_replicas(deployment_name: str, app_name: str = SERVE_DEFAULT_APP_NAME) -> int:
    """How many replicas of a deployment have live actors."""
    from skate.util.state import list_actors

    prefix = f"SERVE_REPLICA::{app_name}#{deployment_name}#"
    actors = list_actors(filters=[("state", "=", "ALIVE")])
    return sum((actor["name"] or "").startswith(prefix) for actor in actors)


def _running_replicas(name: str, app_name: str) -> int:
    states = serve.status().applications[app_name].deployments[name].replica_states
    return states.get(ReplicaState.RUNNING, 0)


def check_num_replicas_gte(name: str, target: int, app_name: str = SERVE_DEFAULT_APP_NAME) -> bool:
    """Assert that a deployment has at least so many replicas."""
    found = get_num_alive_replicas(name, app_name)
    assert found >= target, f"{found} replicas, expected at least {target}"
    return True


def check_num_replicas_lte(name: str, target: int, app_name: str = SERVE_DEFAULT_APP_NAME) -> bool:
    """Assert that a deployment has at most so many replicas."""
    found = get_num_alive_replicas(name, app_name)
    assert found <= target, f"{found} replicas, expected at most {target}"
    return True


def check_num_replicas_eq(
    name: str, target: int, app_name: str = SERVE_DEFAULT_APP_NAME, use_controller: bool = False
) -> bool:
    """Assert how many replicas a deployment has: live actors, or those that the controller calls running."""
    found = (_running_replicas if use_controller else get_num_alive_replicas)(name, app_name)
    assert found == target, f"{found} replicas, expected {target}"
    return True


def get_node_id() -> str:
    """This machine's id."""
    return skate.get_runtime_context().get_node_id()


def check_num_alive_nodes(target: int) -> bool:
    """Assert how many machines there are."""
    found = sum(node["Alive"] for node in skate.nodes())
    assert found == target, f"{found} nodes, expected {target}"
    return True


def alive_actor_counts() -> dict[str, int]:
    """How many live actors there are of each class."""
    from skate.util.state import list_actors

    found: dict[str, int] = {}
    for actor in list_actors(filters=[("state", "=", "ALIVE")]):
        found[actor["class_name"]] = found.get(actor["class_name"], 0) + 1
    return found


# -- addresses ----------------------------------------


def get_application_urls(
    protocol: str | RequestProtocol = RequestProtocol.HTTP,
    app_name: str = SERVE_DEFAULT_APP_NAME,
    use_localhost: bool = True,
    is_websocket: bool = False,
    exclude_route_prefix: bool = False,
    from_proxy_manager: bool = False,
) -> list[str]:
    """Where an application is reached.

    Raises:
        ValueError: it is not.
    """
    protocol = RequestProtocol(protocol)
    groups = _client().get_serve_details()["target_groups"]
    mine = [each for each in groups if each["app_name"] == app_name and each["protocol"] == protocol.value]
    if not mine:
        raise ValueError(f"application '{app_name}' is not reached over {protocol.value}.")
    found = []
    for group in mine:
        prefix = "" if exclude_route_prefix or group["route_prefix"] == "/" else group["route_prefix"]
        for target in group["targets"]:
            at = f"{'localhost' if use_localhost else target['ip']}:{target['port']}"
            scheme = "ws" if is_websocket else "http"
            found.append(at if protocol == RequestProtocol.GRPC else f"{scheme}://{at}{prefix}")
    return found


def get_application_url(
    protocol: str | RequestProtocol = RequestProtocol.HTTP,
    app_name: str = SERVE_DEFAULT_APP_NAME,
    use_localhost: bool = True,
    is_websocket: bool = False,
    exclude_route_prefix: bool = False,
    from_proxy_manager: bool = False,
) -> str:
    """Where an application is reached; see `get_application_urls`."""
    return get_application_urls(protocol, app_name, use_localhost, is_websocket, exclude_route_prefix)[0]


def check_target_groups_ready(
    client: ServeControllerClient, app_name: str, protocol: str | RequestProtocol = RequestProtocol.HTTP
) -> bool:
    """Assert that an application is reached."""
    assert get_application_urls(protocol, app_name)
    return True


def request_with_retries(timeout: float = 30, app_name: str = SERVE_DEFAULT_APP_NAME) -> Any:
    """Ask an application until it answers well.

    Raises:
        TimeoutError: it does not in time.
    """
    import httpx

    deadline = time.monotonic() + timeout
    while True:
        try:
            answer = httpx.get(get_application_url("HTTP", app_name), timeout=timeout)
            if answer.status_code == 200:
                return answer
        except (httpx.HTTPError, ValueError, KeyError):
            pass  # it is not there yet
        if time.monotonic() > deadline:
            raise TimeoutError(f"application '{app_name}' did not answer well within {timeout} s.")
        time.sleep(0.1)


# -- metrics ----------------------------------------


def _samples() -> Iterator[tuple[str, dict[str, str], float]]:
    for line in prometheus_text().splitlines():
        match = re.fullmatch(r"(\w+)(?:\{(.*)\})? (\S+)", line)
        if match is not None and not line.startswith("#"):
            yield match[1], dict(re.findall(r'(\w+)="((?:[^"\\]|\\.)*)"', match[2] or "")), float(match[3])


def _named(metric: str) -> tuple[str, ...]:
    name = metric if metric.startswith("ray_") else f"ray_{metric}"
    return name, f"{name}_total", f"{name}_count"


def get_metric_dictionaries(
    name: str, timeout: float = 20, timeseries: Any = None, wait: bool = True
) -> list[dict[str, str]]:
    """The labels of a metric's samples."""
    if wait:
        wait_for_condition(lambda: any(n in _named(name) for n, _, _ in _samples()), timeout=timeout)
    return [labels for found, labels, _ in _samples() if found in _named(name)]


def get_metric_float(
    metric: str, expected_tags: dict[str, str] | None, timeseries: Any = None, timeout: float = 20
) -> float:
    """A metric's value for some labels; -1 if there is none."""
    wanted = (expected_tags or {}).items()
    return next((v for n, labels, v in _samples() if n in _named(metric) and wanted <= labels.items()), -1)


def check_metric_float_eq(
    metric: str,
    expected: float,
    expected_tags: dict[str, str] | None,
    timeseries: Any = None,
    timeout: float = 20,
) -> bool:
    """Assert a metric's value."""
    found = get_metric_float(metric, expected_tags)
    assert found == expected, f"{metric} is {found}, expected {expected}"
    return True


def check_sum_metric_eq(
    metric_name: str, expected: float, tags: dict[str, str] | None = None, timeseries: Any = None
) -> bool:
    """Assert a metric's sum over all samples with some labels."""
    wanted = (tags or {}).items()
    found = sum(v for n, labels, v in _samples() if n in _named(metric_name) and wanted <= labels.items())
    assert found == expected, f"the sum of {metric_name} is {found}, expected {expected}"
    return True


def wait_for_metric(predicate: Callable[..., bool], budget_s: float = 30, **kwargs: Any) -> None:
    """Wait until a predicate about metrics holds."""
    wait_for_condition(predicate, timeout=budget_s, **kwargs)


# -- gRPC ----------------------------------------


def _stub(channel: Any, service: str = "UserDefinedService") -> Any:
    from skate.serve.generated import serve_pb2_grpc

    return getattr(serve_pb2_grpc, f"{service}Stub")(channel)


def _pb() -> Any:
    from skate.serve.generated import serve_pb2

    return serve_pb2


def ping_grpc_list_applications(channel: Any, app_names: list[str], test_draining: bool = False) -> bool:
    """Assert which applications gRPC knows."""
    answer = _stub(channel, "RayServeAPIService").ListApplications(_pb().ListApplicationsRequest())
    assert set(app_names) <= set(answer.application_names)
    return True


def ping_grpc_healthz(channel: Any, test_draining: bool = False) -> bool:
    """Assert that gRPC is healthy."""
    assert _stub(channel, "RayServeAPIService").Healthz(_pb().HealthzRequest()).message == "success"
    return True


def _metadata(app_name: str) -> tuple[tuple[str, str], ...]:
    return (("application", app_name),)


def ping_grpc_call_method(channel: Any, app_name: str, test_not_found: bool = False) -> None:
    """Call `__call__`; its application must greet, or not be there."""
    import grpc

    request = _pb().UserDefinedMessage(name="foo", num=30, foo="bar")
    try:
        answer = _stub(channel).__call__(request=request, metadata=_metadata(app_name))
    except grpc.RpcError as error:
        raised: Any = error
        assert test_not_found and raised.code() == grpc.StatusCode.NOT_FOUND, raised
        return
    assert not test_not_found
    assert answer.greeting == "Hello foo from bar"


def ping_grpc_another_method(channel: Any, app_name: str) -> None:
    """Call `Method1`."""
    request = _pb().UserDefinedMessage(name="foo", num=30, foo="bar")
    answer = _stub(channel).Method1(request=request, metadata=_metadata(app_name))
    assert answer.greeting == "Hello foo from method1"


def ping_grpc_model_multiplexing(channel: Any, app_name: str) -> None:
    """Call `Method2` for a model."""
    metadata = (*_metadata(app_name), ("multiplexed_model_id", "999"))
    answer = _stub(channel).Method2(request=_pb().UserDefinedMessage2(), metadata=metadata)
    assert answer.greeting == "Method2 called model, loading model: 999"


def ping_grpc_streaming(channel: Any, app_name: str) -> None:
    """Call `Streaming`."""
    request = _pb().UserDefinedMessage(name="foo", num=30, foo="bar")
    answers = list(_stub(channel).Streaming(request=request, metadata=_metadata(app_name)))
    assert [answer.greeting for answer in answers] == [f"{n}: Hello foo from bar" for n in range(10)]


def ping_fruit_stand(channel: Any, app_name: str) -> None:
    """Call `FruitStand`."""
    amounts = _pb().FruitAmounts(orange=4, apple=8)
    assert _stub(channel, "FruitService").FruitStand(amounts, metadata=_metadata(app_name)).costs == 32


class FakeGrpcContext:
    """A gRPC context that no server has made."""

    def __init__(self) -> None:
        self._auth_context = {"key": [b"value"]}
        self._invocation_metadata = [("key", "value")]
        self._peer = "peer"
        self._peer_identities = b"peer_identities"
        self._peer_identity_key = "peer_identity_key"
        self._code: Any = None
        self._details: str | None = None
        self._trailing_metadata: list[tuple[str, str]] = [("key", "value")]

    def auth_context(self) -> dict[str, Any]:
        """How the client has shown who it is."""
        return self._auth_context

    def code(self) -> Any:
        """The status."""
        return self._code

    def details(self) -> str | None:
        """The words beside it."""
        return self._details

    def peer(self) -> str:
        """The client."""
        return self._peer

    def peer_identities(self) -> bytes:
        """Who the client is."""
        return self._peer_identities

    def peer_identity_key(self) -> str:
        """What kind of thing that is."""
        return self._peer_identity_key

    def trailing_metadata(self) -> list[tuple[str, str]]:
        """What goes to the client at the end."""
        return self._trailing_metadata

    def set_code(self, code: Any) -> None:
        """Set the status."""
        self._code = code

    def set_details(self, details: str) -> None:
        """Set the words."""
        self._details = details

    def set_trailing_metadata(self, trailing_metadata: list[tuple[str, str]]) -> None:
        """Set what goes to the client at the end."""
        self._trailing_metadata = trailing_metadata

    def invocation_metadata(self) -> list[tuple[str, str]]:
        """What the client sent."""
        return self._invocation_metadata


def tlog(s: str, level: str = "INFO") -> None:
    """Print a line with the time."""
    print(f"[{level}] {time.strftime('%H:%M:%S')} {s}")  # noqa: T201 -- that is what it is for
