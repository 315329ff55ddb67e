"""What clients may not do: send too much, be too slow, or come without the token."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from starlette.requests import Request

from skate import serve
from skate.serve._private.http.server import Server
from skate.serve.config import HTTPOptions
from tests.leaks import guard
from tests.serve.conftest import address


@serve.deployment
async def length(request: Request) -> int:
    return len(await request.body())


@pytest.fixture
def limited(session: None, request: pytest.FixtureRequest) -> Iterator[str]:
    """An instance with the options of the test's parameter."""
    with guard.window():
        serve.start(http_options={"port": 0, **request.param})
        serve.run(length.bind())
        yield address()
        serve.shutdown()


def with_options(**options: Any) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("limited", [options], indirect=True)


@with_options(max_body_bytes=1000)
def test_a_body_too_large_is_refused(limited: str) -> None:
    assert httpx.post(limited, content=b"x" * 1000).text == "1000"
    refused = httpx.post(limited, content=b"x" * 1001)
    assert (refused.status_code, "1000 bytes" in refused.text) == (413, True)
    pieces = (b"x" * 400 for _ in range(3))  # sent in chunks, without saying how much there is
    assert httpx.post(limited, content=pieces).status_code == 413


@with_options(max_header_bytes=2000)
def test_headers_too_large_are_refused(limited: str) -> None:
    assert httpx.get(limited, headers={"x": "y" * 1000}).status_code == 200
    assert httpx.get(limited, headers={"x": "y" * 3000}).status_code == 431
    assert httpx.get(f"{limited}/{'y' * 3000}").status_code == 431


@with_options(max_header_bytes=2000)
def test_a_header_without_an_end_is_refused(limited: str) -> None:
    host, port = limited.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port)), timeout=30) as sock:
        sock.sendall(b"GET / HTTP/1.1\r\nhost: x\r\nx: ")
        with pytest.raises(ConnectionError):
            while True:
                sock.sendall(b"y" * 100_000)
    assert httpx.get(limited).text == "0"


class _Transport:
    """Notes what is sent, and whether the connection was ended."""

    def __init__(self) -> None:
        self.sent = b""
        self.closed = False

    def write(self, data: bytes) -> None:
        self.sent += data

    def is_closing(self) -> bool:
        return self.closed

    def close(self) -> None:
        self.closed = True

    def get_extra_info(self, _name: str) -> None:
        return None


def test_headers_are_counted_from_the_first_byte_read() -> None:
    asked = []

    async def app(scope: Any, _receive: Any, _send: Any) -> None:
        asked.append(scope["path"])

    async def main() -> None:
        server = Server(app, HTTPOptions(max_header_bytes=64 << 10))
        transport: Any = _Transport()
        protocol = server._protocol()
        assert isinstance(protocol, asyncio.Protocol)
        protocol.connection_made(transport)
        protocol.data_received(b"GET / HTTP/1.1\r\nhost: x\r\n" + b"x: " + b"y" * (100 << 10) + b"\r\n")
        protocol.data_received(b"\r\n")
        await asyncio.sleep(0)
        assert (transport.sent.split(b" ")[1], transport.closed) == (b"431", True)
        protocol.connection_lost(None)
        await server.close()

    asyncio.run(main())
    assert asked == []


@with_options(bearer_token="the token")
def test_without_the_token_nobody_is_answered(limited: str) -> None:
    for headers in ({}, {"authorization": "Bearer other"}, {"authorization": "the token"}):
        refused = httpx.get(limited, headers=headers)
        assert (refused.status_code, refused.headers["www-authenticate"]) == (401, "Bearer")
    assert httpx.get(limited, headers={"authorization": "Bearer the token"}).text == "0"
    assert httpx.get(f"{limited}/-/healthz").status_code == 200
    assert httpx.get(f"{limited}/-/routes").status_code == 401


@pytest.mark.parametrize(
    "begun", [b"GET / HTTP/1.1\r\nhost: x\r\n", b"POST / HTTP/1.1\r\nhost: x\r\ncontent-length: 9\r\n\r\nabc"]
)
@with_options(read_timeout_s=0.2)
def test_a_client_that_does_not_go_on_is_cut_off(limited: str, begun: bytes) -> None:
    host, port = limited.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port)), timeout=30) as sock:
        sock.sendall(begun)
        while sock.recv(4096):
            pass  # an answer, perhaps; then the end
    assert httpx.get(limited).text == "0"


def test_an_empty_token_is_refused() -> None:
    with pytest.raises(ValueError, match="bearer_token"):
        serve.HTTPOptions(bearer_token="")
