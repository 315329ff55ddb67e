"""gRPC: users' services with a real client."""

from __future__ import annotations

import queue
from collections.abc import AsyncIterator, Iterator
from typing import Any

import grpc
import pytest

import skate
from skate import serve
from skate.serve._private import client
from skate.serve._private.constants import SERVE_NAMESPACE, SERVE_PROXY_NAME
from skate.serve.generated import serve_pb2, serve_pb2_grpc
from skate.serve.grpc_util import RayServegRPCContext
from tests.leaks import guard
from tests.serve.conftest import until

pb: Any = serve_pb2
FUNCTIONS = [
    f"ray.serve.generated.serve_pb2_grpc.add_{name}Servicer_to_server"
    for name in ("UserDefinedService", "FruitService")
]


@pytest.fixture
def channel(session: None) -> Iterator[grpc.Channel]:
    with guard.window():
        serve.start(http_options={"port": 0}, grpc_options={"port": 0, "grpc_servicer_functions": FUNCTIONS})
        proxy = skate.get_actor(SERVE_PROXY_NAME, namespace=SERVE_NAMESPACE)
        port = skate.get(proxy.grpc_port.remote())
        with grpc.insecure_channel(f"127.0.0.1:{port}") as made:
            yield made
        serve.shutdown()


@pytest.fixture
def stub(channel: grpc.Channel) -> Any:
    return serve_pb2_grpc.UserDefinedServiceStub(channel)


@serve.deployment
class Greeter:
    def __call__(self, message: Any) -> Any:
        return pb.UserDefinedResponse(greeting=f"hello {message.name}", num_x2=message.num * 2)

    async def Method1(self, message: Any, grpc_context: RayServegRPCContext) -> Any:  # noqa: N802
        if message.name == "nobody":
            grpc_context.set_code(grpc.StatusCode.INVALID_ARGUMENT)
            grpc_context.set_details("a name is needed")
        if message.name == "worse":
            grpc_context.set_code(grpc.StatusCode.DATA_LOSS)
        if message.name in ("worse", "bad"):
            raise ValueError("no such name")
        grpc_context.set_trailing_metadata([("seen", message.name)])
        words = (serve.get_multiplexed_model_id(), grpc_context.application(), grpc_context.request_id())
        return pb.UserDefinedResponse(greeting=" ".join(word or "-" for word in words))

    def Method2(self, message: Any) -> str:  # noqa: N802
        return "no message"

    def Streaming(self, message: Any, grpc_context: RayServegRPCContext) -> Iterator[Any]:  # noqa: N802
        for number in range(message.num):
            yield pb.UserDefinedResponse(greeting=str(number))
        if message.name == "bad":
            grpc_context.set_code(grpc.StatusCode.ABORTED)
            raise ValueError("in the stream")

    async def ClientStreaming(self, messages: Any) -> Any:  # noqa: N802
        return pb.UserDefinedResponse(greeting=",".join([message.name async for message in messages]))

    async def BidiStreaming(self, messages: Any) -> AsyncIterator[Any]:  # noqa: N802
        async for message in messages:
            yield pb.UserDefinedResponse(greeting=message.name.upper())


def ask(call: Any, message: Any, *metadata: tuple[str, str], **options: Any) -> tuple[Any, dict[str, str]]:
    answer, done = call.with_call(message, metadata=metadata, **options)
    return answer, dict(done.trailing_metadata())


def test_a_message_is_answered_and_its_metadata_travels(stub: Any) -> None:
    serve.run(Greeter.bind(), name="greeter")
    answer, trailing = ask(stub.__call__, pb.UserDefinedMessage(name="Ann", num=4))
    assert (answer.greeting, answer.num_x2) == ("hello Ann", 8)
    assert trailing["request_id"]
    given = (("application", "greeter"), ("request_id", "r1"), ("multiplexed_model_id", "m1"))
    answer, trailing = ask(stub.Method1, pb.UserDefinedMessage(name="Bo"), *given)
    assert answer.greeting == "m1 greeter r1"
    assert trailing == {"request_id": "r1", "seen": "Bo"}


@pytest.mark.parametrize(
    ("method", "name", "code", "words"),
    [
        ("Method1", "nobody", grpc.StatusCode.INVALID_ARGUMENT, "a name is needed"),
        ("Method1", "worse", grpc.StatusCode.DATA_LOSS, "no such name"),
        ("Method1", "bad", grpc.StatusCode.INTERNAL, "no such name"),
        ("Method2", "", grpc.StatusCode.INTERNAL, "response type"),
        ("ClientStreaming", "", grpc.StatusCode.UNIMPLEMENTED, ""),
    ],
)
def test_what_a_client_is_told_of_an_error(
    channel: grpc.Channel, method: str, name: str, code: grpc.StatusCode, words: str
) -> None:
    serve.run(Greeter.bind(), name="greeter")
    kinds = {"Method2": pb.UserDefinedMessage2()}
    stub = serve_pb2_grpc.UserDefinedServiceStub(channel)
    if code == grpc.StatusCode.UNIMPLEMENTED:
        stub = serve_pb2_grpc.RayServeBenchmarkServiceStub(channel)  # a service that nobody added
        method, kinds = "call_with_string", {"call_with_string": pb.StringData()}
    with pytest.raises(grpc.RpcError) as raised:
        getattr(stub, method)(kinds.get(method, pb.UserDefinedMessage(name=name)))
    error: Any = raised.value
    assert error.code() == code
    assert words in error.details()


def test_streams_of_both_sides(stub: Any) -> None:
    serve.run(Greeter.bind(), name="greeter")
    assert [item.greeting for item in stub.Streaming(pb.UserDefinedMessage(num=3))] == ["0", "1", "2"]
    call = stub.Streaming(pb.UserDefinedMessage(num=2, name="bad"))
    assert [next(call).greeting, next(call).greeting] == ["0", "1"]
    with pytest.raises(grpc.RpcError):
        next(call)
    assert (call.code(), call.details()) == (grpc.StatusCode.ABORTED, "in the stream")
    names = [pb.UserDefinedMessage(name=name) for name in ("a", "b", "c")]
    assert stub.ClientStreaming(iter(names)).greeting == "a,b,c"
    assert [item.greeting for item in stub.BidiStreaming(iter(names))] == ["A", "B", "C"]


def test_streams_with_one_request_id_are_apart(stub: Any) -> None:
    serve.run(Greeter.bind(), name="greeter")
    sent: dict[str, queue.Queue[Any]] = {name: queue.Queue() for name in ("one", "two")}
    calls = {
        name: stub.BidiStreaming(iter(messages.get, None), metadata=[("request_id", "the same")])
        for name, messages in sent.items()
    }
    for number in range(2):
        for name, messages in sent.items():
            messages.put(pb.UserDefinedMessage(name=f"{name}{number}"))
            assert next(calls[name]).greeting == f"{name}{number}".upper()
    for name, messages in sent.items():
        messages.put(None)
        assert list(calls[name]) == []


def test_serves_own_service_and_applications_by_name(channel: grpc.Channel, stub: Any) -> None:
    api = serve_pb2_grpc.RayServeAPIServiceStub(channel)
    with pytest.raises(grpc.RpcError, match="not populated"):
        api.Healthz(pb.HealthzRequest())
    serve.run(Greeter.bind(), name="one", route_prefix="/one")
    serve.run(Greeter.bind(), name="two", route_prefix="/two")
    assert api.Healthz(pb.HealthzRequest()).message == "success"
    until(lambda: len(api.ListApplications(pb.ListApplicationsRequest()).application_names) == 2)
    for metadata, words in (((), "metadata not set"), ((("application", "three"),), "'three' not found")):
        with pytest.raises(grpc.RpcError, match=words) as raised:
            ask(stub.Method1, pb.UserDefinedMessage(), *metadata)
        error: Any = raised.value
        assert error.code() == grpc.StatusCode.NOT_FOUND


def test_a_client_that_goes_away_cancels_in_the_replica(stub: Any) -> None:
    @skate.remote
    class Seen:
        def __init__(self) -> None:
            self.what: list[str] = []

        def note(self, word: str) -> None:
            self.what.append(word)

        def all(self) -> list[str]:
            return self.what

    seen = Seen.remote()

    @serve.deployment
    class Slow:
        async def Method1(self, message: Any) -> Any:  # noqa: N802
            import asyncio

            await seen.note.remote("started")
            try:
                await asyncio.sleep(600)
            except asyncio.CancelledError:
                await seen.note.remote("cancelled")
                raise

    serve.run(Slow.bind(), name="slow")
    call = stub.Method1.future(pb.UserDefinedMessage())
    until(lambda: skate.get(seen.all.remote()) == ["started"])
    call.cancel()
    until(lambda: skate.get(seen.all.remote()) == ["started", "cancelled"])
    with pytest.raises(grpc.RpcError) as raised:
        stub.Method1(pb.UserDefinedMessage(), timeout=0.5)
    error: Any = raised.value
    assert error.code() == grpc.StatusCode.DEADLINE_EXCEEDED
    skate.kill(seen)


def test_a_token_and_tls(session: None, certificate: tuple[str, str]) -> None:
    key, made = certificate
    options = {"port": 0, "grpc_servicer_functions": FUNCTIONS, "bearer_token": "t"}
    serve.start(http_options={"port": 0}, grpc_options={**options, "ssl_keyfile": key, "ssl_certfile": made})
    serve.run(Greeter.bind(), name="greeter")
    proxy = skate.get_actor(SERVE_PROXY_NAME, namespace=SERVE_NAMESPACE)
    port = skate.get(proxy.grpc_port.remote())
    with open(made, "rb") as file:
        credentials = grpc.ssl_channel_credentials(file.read())
    with grpc.secure_channel(f"127.0.0.1:{port}", credentials) as channel:
        stub = serve_pb2_grpc.UserDefinedServiceStub(channel)
        api = serve_pb2_grpc.RayServeAPIServiceStub(channel)
        for ask_without, message in (
            (stub.__call__, pb.UserDefinedMessage()),
            (lambda message: list(stub.Streaming(message)), pb.UserDefinedMessage(num=1)),
            (lambda message: stub.ClientStreaming(iter([message])), pb.UserDefinedMessage()),
            (api.ListApplications, pb.ListApplicationsRequest()),
        ):
            with pytest.raises(grpc.RpcError) as raised:
                ask_without(message)
            error: Any = raised.value
            assert error.code() == grpc.StatusCode.UNAUTHENTICATED
        assert api.Healthz(pb.HealthzRequest()).message == "success"
        answer, _ = ask(stub.__call__, pb.UserDefinedMessage(name="Ann"), ("authorization", "Bearer t"))
        assert answer.greeting == "hello Ann"
    serve.shutdown()


@pytest.mark.parametrize("path", ["no_such_module.add", "ray.serve.generated.serve_pb2_grpc.no_such_name"])
def test_a_wrong_servicer_function_is_named(session: None, path: str) -> None:
    with pytest.raises((ImportError, AttributeError), match="grpc_servicer_functions"):
        serve.start(http_options={"port": 0}, grpc_options={"grpc_servicer_functions": [path]})
    assert client.controller_or_none() is None
