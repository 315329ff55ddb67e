"""Messages of Serve's gRPC services: its own (`RayServeAPIService`) and those that examples and benchmarks are written with.

They are made when this is imported, from the table in `_services.py`, with whichever protobuf is installed.
"""

from __future__ import annotations

from typing import Any

from google.protobuf import descriptor_pb2, descriptor_pool
from google.protobuf.internal import builder

from skate.serve.generated import _services

_FILE = "skate/serve.proto"


def _describe() -> bytes:
    file = descriptor_pb2.FileDescriptorProto(name=_FILE, package=_services.PACKAGE, syntax="proto3")
    field_type = descriptor_pb2.FieldDescriptorProto
    for name, fields in _services.MESSAGES.items():
        message = file.message_type.add(name=name)
        for number, text in enumerate(fields, 1):
            field, kind = text.split()
            label = field_type.LABEL_REPEATED if kind.endswith("*") else field_type.LABEL_OPTIONAL
            kind_number = getattr(field_type, f"TYPE_{kind.rstrip('*').upper()}")
            message.field.add(name=field, number=number, type=kind_number, label=label)
    for name, methods in _services.SERVICES.items():
        service = file.service.add(name=name)
        for method in methods:
            service.method.add(
                name=method.name,
                input_type=f".{_services.PACKAGE}.{method.takes}",
                output_type=f".{_services.PACKAGE}.{method.gives}",
                client_streaming=method.client_streams,
                server_streaming=method.server_streams,
            )
    found: bytes = file.SerializeToString()
    return found


DESCRIPTOR: Any = descriptor_pool.Default().AddSerializedFile(_describe())
builder.BuildMessageAndEnumDescriptors(DESCRIPTOR, globals())
builder.BuildTopDescriptorsAndMessages(DESCRIPTOR, __name__, globals())


def __getattr__(name: str) -> Any:
    """Messages are made above, out of a type checker's sight."""
    raise AttributeError(
        f"module {__name__!r} has no message {name!r}. It has: {', '.join(_services.MESSAGES)}."
    )


__all__ = [
    "DESCRIPTOR",
    "ArrayData",
    "FruitAmounts",
    "FruitCosts",
    "HealthzRequest",
    "HealthzResponse",
    "ListApplicationsRequest",
    "ListApplicationsResponse",
    "ModelOutput",
    "StringData",
    "UserDefinedMessage",
    "UserDefinedMessage2",
    "UserDefinedResponse",
    "UserDefinedResponse2",
]
