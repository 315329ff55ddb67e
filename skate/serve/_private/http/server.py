"""Serving connections with uvicorn's protocols: parsing, keep-alive, flow control and WebSockets are uvicorn's work."""

from __future__ import annotations

import asyncio
import os
import socket
import ssl
from collections.abc import Callable
from email.utils import formatdate
from typing import Any

import uvicorn
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol
from uvicorn.server import ServerState

from skate.serve.config import HTTPOptions

_FLUSH_PAUSE_S = 0.001
_TOO_MANY_HEADERS = b"431 Request Header Fields Too Large"


class _Answers:
    """A transport that sends the head of an answer and the first part of its body at once: half as many system calls."""

    __slots__ = ("_head", "_loop", "_transport")

    def __init__(self, transport: asyncio.Transport, loop: asyncio.AbstractEventLoop) -> None:
        self._transport = transport
        self._loop = loop
        self._head: bytes | None = None

    def __getattr__(self, name: str) -> Any:
        return getattr(self._transport, name)

    def write(self, data: bytes) -> None:
        """Send a part, together with the one before it, if that was written in the same turn of the loop."""
        head = self._head
        if head is None:
            self._head = data
            self._loop.call_soon(self.flush)
        else:
            self._head = None
            self._transport.writelines((head, data))

    def flush(self) -> None:
        """Send what waits for a second part."""
        head, self._head = self._head, None
        if head is not None:
            self._transport.write(head)

    def close(self) -> None:
        """End the connection once all is sent."""
        self.flush()
        self._transport.close()

    def get_write_buffer_size(self) -> int:
        """How many bytes are not sent yet."""
        return self._transport.get_write_buffer_size() + len(self._head or b"")

    def detach(self) -> asyncio.Transport:
        """The transport itself, with nothing left to send here."""
        self.flush()
        return self._transport


class _Protocol(HttpToolsProtocol):
    """uvicorn's protocol, which tells the request that its client has gone, and lets go of an idle connection."""

    owner: Server
    unanswered = 0
    """Requests of which at least a byte has been read, and whose answer is not complete."""
    heard_at = 0.0
    """When a part of the request came that is being read; 0 while none is."""
    in_headers = False
    just_begun = False
    """Whether the request began in what is being read now."""
    unfinished = 0
    """Bytes of its headers that have come without completing them: the parser keeps them, a header of any length included."""

    begun_with = 0
    """Bytes of the read in which it began, some of which may be another's: no more of them than these are its headers'."""

    perhaps_too_many = False
    """Whether what has come is more than headers may be: what of it is headers is counted then."""
    too_many = False

    def data_received(self, data: bytes) -> None:
        self.just_begun = False
        most = self.owner.most_header_bytes
        self.perhaps_too_many = self.begun_with + self.unfinished + len(data) > most
        super().data_received(data)
        if self.in_headers and self.just_begun:
            self.begun_with = len(data)
        elif self.in_headers:
            self.unfinished += len(data)
            if self.unfinished > most:
                self.refuse(_TOO_MANY_HEADERS)

    def connection_made(self, transport: Any) -> None:
        super().connection_made(_Answers(transport, self.loop))  # type: ignore[arg-type]
        self.owner.protocols.add(self)

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self.unanswered += 1
        self.unfinished = self.begun_with = 0
        self.in_headers = self.just_begun = True
        self.heard_at = self.loop.time()

    def send_400_response(self, msg: str) -> None:
        if self.too_many:
            self.refuse(_TOO_MANY_HEADERS)
        else:
            super().send_400_response(msg)

    def on_headers_complete(self) -> None:
        self.in_headers = False
        if self.perhaps_too_many:
            size = len(self.url) + sum(len(name) + len(value) for name, value in self.headers)
            if size > self.owner.most_header_bytes:
                self.too_many = True
                raise ValueError(
                    "too many headers"
                )  # the parser stops, and asks for an answer to what it can't read
        super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        super().on_body(body)
        self.heard_at = self.loop.time()

    def on_message_complete(self) -> None:
        super().on_message_complete()
        self.heard_at = 0.0

    def refuse(self, status: bytes) -> None:
        """Answer a request that is not read any further, and end the connection."""
        transport = self.transport
        if transport is None or transport.is_closing():
            return
        if self.cycle is None or self.cycle.response_complete:
            transport.write(b"HTTP/1.1 " + status + b"\r\ncontent-length: 0\r\nconnection: close\r\n\r\n")
        self.heard_at = 0.0
        transport.close()

    def handle_websocket_upgrade(self) -> None:
        self.owner.protocols.discard(self)
        assert isinstance(self.transport, _Answers)
        self.transport = self.transport.detach()
        super().handle_websocket_upgrade()

    def connection_lost(self, exc: Exception | None) -> None:
        self.owner.protocols.discard(self)
        cycle = self.cycle
        super().connection_lost(exc)
        if cycle is not None and not cycle.response_complete:
            task = getattr(cycle, "skate_task", None)
            if task is not None:
                task.cancel()

    def on_response_complete(self) -> None:
        super().on_response_complete()
        self.unanswered -= 1
        if self.owner.letting_go is not None:
            self.let_go()

    def let_go(self) -> None:
        """Give the connection away if it is between two requests."""
        give = self.owner.letting_go
        transport = self.transport
        if give is None or transport is None or transport.is_closing() or self.unanswered:
            return
        if transport.get_write_buffer_size():
            self.loop.call_later(_FLUSH_PAUSE_S, self.let_go)
            return
        transport.pause_reading()
        sock = transport.get_extra_info("socket")
        if self.owner.encrypted or sock is None:
            transport.close()  # its cipher's state can't be passed on
            return
        if give(sock.fileno()):
            transport.abort()  # closes this process's descriptor; the connection lives on in another
        else:
            transport.close()


class Server:
    """Serves connections that are handed to it.

    Args:
        app: The ASGI app.
        options: Time-outs and TLS.
    """

    def __init__(self, app: Any, options: HTTPOptions) -> None:
        self.protocols: set[_Protocol] = set()
        self._loop = asyncio.get_running_loop()
        self.letting_go: Callable[[int], bool] | None = None
        self._config = uvicorn.Config(
            app,
            lifespan="off",
            access_log=False,
            log_config=None,
            ws="websockets-sansio",
            ws_max_size=64 << 20,
            timeout_keep_alive=options.keep_alive_timeout_s,
            server_header=False,
            proxy_headers=False,
            root_path="",
            http=HttpToolsProtocol,
        )
        self._config.load()
        self._state = ServerState()
        self._ssl = ssl_context(options)
        self.encrypted = self._ssl is not None
        self.most_header_bytes = options.max_header_bytes
        self._slowest_s = options.read_timeout_s
        self._kind = type("Protocol", (_Protocol,), {"owner": self})
        self._tick()

    def _tick(self) -> None:
        date = formatdate(usegmt=True).encode()
        self._state.default_headers = [(b"date", date)]
        self._cut_off()
        self._timer = self._loop.call_later(1, self._tick)

    def _cut_off(self) -> None:
        """End connections whose client has begun a request and does not go on with it."""
        since = self._loop.time() - self._slowest_s
        for protocol in [p for p in self.protocols if 0 < p.heard_at < since]:
            if not protocol.flow.read_paused:  # else it is our reading that waits
                protocol.refuse(b"408 Request Timeout")

    def _protocol(self) -> asyncio.Protocol:
        made: asyncio.Protocol = self._kind(config=self._config, server_state=self._state, app_state={})
        return made

    async def serve(self, sock: socket.socket) -> None:
        """Serve a connection until it ends."""
        try:
            await self._loop.connect_accepted_socket(self._protocol, sock, ssl=self._ssl)
        except (OSError, ssl.SSLError):
            sock.close()  # it has ended, or its client does not speak TLS

    @property
    def connections(self) -> int:
        """How many connections are open."""
        return len(self._state.connections)

    def let_go(self, give: Callable[[int], bool]) -> None:
        """Give every connection away, as soon as it is between two requests. `give(fd)` says whether it was taken."""
        self.letting_go = give
        for protocol in list(self.protocols):
            protocol.let_go()

    async def close(self) -> None:
        """End every connection."""
        self._timer.cancel()
        for connection in list(self._state.connections):
            transport = getattr(connection, "transport", None)
            if transport is not None:
                transport.abort()
        tasks = list(self._state.tasks)
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks, timeout=1)


def ssl_context(options: HTTPOptions) -> ssl.SSLContext | None:
    """TLS as the options say; None for none."""
    if options.ssl_certfile is None:
        return None
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(options.ssl_certfile, options.ssl_keyfile, options.ssl_keyfile_password)
    if options.ssl_ca_certs:
        context.load_verify_locations(options.ssl_ca_certs)
        context.verify_mode = ssl.CERT_REQUIRED
    return context


def listen(host: str, port: int) -> socket.socket:
    """A listening socket.

    Raises:
        OSError: the address is in use, or not this machine's.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    sock = socket.socket(family, socket.SOCK_STREAM)
    try:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sock.bind((host, port))
        sock.listen(2048)
        sock.setblocking(False)
    except OSError as error:
        sock.close()
        raise OSError(
            error.errno,
            f"Can't listen on {host}:{port}: {os.strerror(error.errno or 0)}. End the program that has the port, or choose another "
            'with serve.start(http_options={"port": …}).',
        ) from error
    return sock
