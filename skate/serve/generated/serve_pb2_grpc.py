"""Stubs and servicers of the services in `serve_pb2`, as protobuf's compiler for gRPC would make them."""

from __future__ import annotations

from typing import Any

import grpc

from skate.serve.generated import _services, serve_pb2


def _kind(client_streams: bool, server_streams: bool) -> str:
    return f"{'stream' if client_streams else 'unary'}_{'stream' if server_streams else 'unary'}"


def _refuse(name: str) -> Any:
    def method(self: Any, request: Any, context: Any) -> Any:
        context.set_code(grpc.StatusCode.UNIMPLEMENTED)
        context.set_details("Method not implemented!")
        raise NotImplementedError("Method not implemented!")

    method.__name__ = name
    return method


def _service(name: str) -> tuple[Any, Any, Any]:
    """The stub, the servicer and the function that adds a servicer to a server."""
    methods = _services.SERVICES[name]
    full = f"{_services.PACKAGE}.{name}"

    class Stub:
        def __init__(self, channel: Any) -> None:
            for method in methods:
                make = getattr(channel, _kind(method.client_streams, method.server_streams))
                stub = make(
                    f"/{full}/{method.name}",
                    request_serializer=getattr(serve_pb2, method.takes).SerializeToString,
                    response_deserializer=getattr(serve_pb2, method.gives).FromString,
                )
                setattr(self, method.name, stub)

    servicer = type(f"{name}Servicer", (), {method.name: _refuse(method.name) for method in methods})

    def add(servicer: Any, server: Any) -> None:
        handlers = {}
        for method in methods:
            make = getattr(grpc, f"{_kind(method.client_streams, method.server_streams)}_rpc_method_handler")
            handlers[method.name] = make(
                getattr(servicer, method.name),
                request_deserializer=getattr(serve_pb2, method.takes).FromString,
                response_serializer=getattr(serve_pb2, method.gives).SerializeToString,
            )
        server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(full, handlers),))

    Stub.__name__ = Stub.__qualname__ = f"{name}Stub"
    servicer.__module__ = Stub.__module__ = __name__
    add.__name__ = add.__qualname__ = f"add_{name}Servicer_to_server"
    return Stub, servicer, add


RayServeAPIServiceStub, RayServeAPIServiceServicer, add_RayServeAPIServiceServicer_to_server = _service(
    "RayServeAPIService"
)
UserDefinedServiceStub, UserDefinedServiceServicer, add_UserDefinedServiceServicer_to_server = _service(
    "UserDefinedService"
)
FruitServiceStub, FruitServiceServicer, add_FruitServiceServicer_to_server = _service("FruitService")
(
    RayServeBenchmarkServiceStub,
    RayServeBenchmarkServiceServicer,
    add_RayServeBenchmarkServiceServicer_to_server,
) = _service("RayServeBenchmarkService")

__all__ = [
    "FruitServiceServicer",
    "FruitServiceStub",
    "RayServeAPIServiceServicer",
    "RayServeAPIServiceStub",
    "RayServeBenchmarkServiceServicer",
    "RayServeBenchmarkServiceStub",
    "UserDefinedServiceServicer",
    "UserDefinedServiceStub",
    "add_FruitServiceServicer_to_server",
    "add_RayServeAPIServiceServicer_to_server",
    "add_RayServeBenchmarkServiceServicer_to_server",
    "add_UserDefinedServiceServicer_to_server",
]
