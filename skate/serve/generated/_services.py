"""The services of `serve_pb2_grpc`, written down as tables: one line a message, one line a method.

On the wire they are Ray Serve's, so that clients made for it reach this one.
"""

from __future__ import annotations

from typing import NamedTuple

PACKAGE = "ray.serve"

MESSAGES: dict[str, tuple[str, ...]] = {
    # fields are numbered in their order; a star says that a field is repeated
    "ListApplicationsRequest": (),
    "ListApplicationsResponse": ("application_names string*",),
    "HealthzRequest": (),
    "HealthzResponse": ("message string",),
    "UserDefinedMessage": ("name string", "foo string", "num int64"),
    "UserDefinedResponse": ("greeting string", "num_x2 int64"),
    "UserDefinedMessage2": (),
    "UserDefinedResponse2": ("greeting string",),
    "FruitAmounts": ("orange int64", "apple int64", "banana int64"),
    "FruitCosts": ("costs float",),
    "ArrayData": ("nums float*",),
    "StringData": ("data string",),
    "ModelOutput": ("output float",),
}


class Method(NamedTuple):
    """A method of a service."""

    name: str
    takes: str
    gives: str
    client_streams: bool = False
    server_streams: bool = False


SERVICES: dict[str, tuple[Method, ...]] = {
    "RayServeAPIService": (
        Method("ListApplications", "ListApplicationsRequest", "ListApplicationsResponse"),
        Method("Healthz", "HealthzRequest", "HealthzResponse"),
    ),
    "UserDefinedService": (
        Method("__call__", "UserDefinedMessage", "UserDefinedResponse"),
        Method("Method1", "UserDefinedMessage", "UserDefinedResponse"),
        Method("Method2", "UserDefinedMessage2", "UserDefinedResponse2"),
        Method("Streaming", "UserDefinedMessage", "UserDefinedResponse", False, True),
        Method("ClientStreaming", "UserDefinedMessage", "UserDefinedResponse", True, False),
        Method("BidiStreaming", "UserDefinedMessage", "UserDefinedResponse", True, True),
    ),
    "FruitService": (Method("FruitStand", "FruitAmounts", "FruitCosts"),),
    "RayServeBenchmarkService": (
        Method("grpc_call", "ArrayData", "ModelOutput"),
        Method("call_with_string", "StringData", "ModelOutput"),
    ),
}
