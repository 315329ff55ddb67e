"""The actor that listens on the port. It looks at the first line that a client sends, and passes the connection to a replica.

What no replica can take, it answers itself: unknown paths, `/-/routes`, `/-/healthz`, requests that wait for a replica, and HTTPS when
there are several applications, as the path can't be seen before the connection is decrypted.
"""

from __future__ import annotations

import asyncio
import os
import socket
from typing import Any

from skate.serve._private import logs, tracing
from skate.serve._private.common import AppRoute, DeploymentID
from skate.serve._private.http.front import PROXY_SOCKET, Front
from skate.serve._private.http.handover import Receiver, Sender
from skate.serve._private.http.server import listen
from skate.serve._private.loops import loop_factory
from skate.serve._private.routing.router import Router, router_for
from skate.serve.config import HTTPOptions, gRPCOptions
from skate.serve.schema import LoggingConfig, TracingConfig

_MOST_AT_ONCE = 64
_ENOUGH = 4096
"""Bytes of a request that are looked at to find its path; a longer first line is left to the HTTP parser."""


class Proxy:
    """The listener.

    Args:
        options: How HTTP is served.
        folder: Where the Unix sockets are through which connections are passed.
        logging: How it logs.
        grpc: How gRPC is served; None, or without services: not at all.
        traced: Whether requests are traced.
    """

    __skate_loop_factory__ = staticmethod(loop_factory)

    def __init__(
        self,
        options: HTTPOptions,
        folder: str,
        logging: LoggingConfig | None = None,
        grpc: gRPCOptions | None = None,
        traced: TracingConfig | None = None,
    ) -> None:
        self._options = options
        self._grpc_options = grpc
        self._grpc: Any = None
        self._folder = folder
        self._front: Front | None = None
        self._listener: socket.socket | None = None
        self._receiver: Receiver | None = None
        self._senders: dict[str, Sender] = {}
        self._grpc_port = 0
        self._turn = 0
        self._unread: dict[socket.socket, asyncio.TimerHandle] = {}
        logs.configure(logging, "proxy", str(os.getpid()))
        tracing.set_up(traced, "proxy", str(os.getpid()))

    async def start(self) -> tuple[str, int]:
        """Listen; returns the address.

        Raises:
            OSError: the port is in use, or the address is not this machine's.
        """
        host = self._options.host
        assert host is not None
        if self._listener is not None:  # a controller that was restarted asks again
            address = self._listener.getsockname()
            return address[0], address[1]
        self._listener = listen(host, self._options.port)
        self._front = Front(self._options, self._folder)
        self._receiver = Receiver(os.path.join(self._folder, PROXY_SOCKET), self._dispatch_later)
        if not self._front.server.encrypted:
            # A connection is answered here only for as long as no replica can take it.
            self._front.server.letting_go = self._dispatch_again
        await self._start_grpc(host)
        await self._front.known.wait()
        asyncio.get_running_loop().add_reader(self._listener, self._accept)
        address = self._listener.getsockname()
        return address[0], address[1]

    async def _start_grpc(self, host: str) -> None:
        options, front = self._grpc_options, self._front
        if options is None or not options.grpc_servicer_functions or front is None:
            return
        # Imported here: instances without gRPC need no gRPC.
        from skate.serve._private.grpc.server import GrpcServer

        self._grpc = GrpcServer(options, host, lambda: front.table, front.known)
        self._grpc_port = await self._grpc.start()

    async def grpc_port(self) -> int:
        """Where gRPC is listened for; 0 if it is not."""
        return self._grpc_port

    async def next_grpc_message(self, stream: str) -> tuple[Any] | None:
        """The next message of a gRPC client that streams; None after the last."""
        found: tuple[Any] | None = None if self._grpc is None else await self._grpc.next_message(stream)
        return found

    async def check_health(self) -> int:
        """How many connections it holds."""
        return 0 if self._front is None else self._front.server.connections

    async def routes_known(self, prefixes: list[str]) -> bool:
        """Whether it knows these route prefixes."""
        assert self._front is not None
        routes = {route.prefix: route for route in self._front.table}
        if not set(prefixes) <= set(routes):
            return False
        wanted = [router_for(DeploymentID(routes[p].ingress, routes[p].app_name)) for p in prefixes]
        return all(router.known.is_set() for router in wanted)

    async def wait_for_end(self) -> None:
        """Never return: whoever awaits this learns at once when the process dies."""
        await asyncio.Event().wait()

    async def close(self) -> None:
        """Listen no more, and end every connection."""
        loop = asyncio.get_running_loop()
        if self._listener is not None:
            loop.remove_reader(self._listener)
            self._listener.close()
            self._listener = None
        for sock, timer in self._unread.items():
            timer.cancel()
            loop.remove_reader(sock)
            sock.close()
        self._unread.clear()
        if self._receiver is not None:
            self._receiver.close()
        for sender in self._senders.values():
            sender.close()
        if self._grpc is not None:
            await self._grpc.close()
        if self._front is not None:
            await self._front.close()

    def _accept(self) -> None:
        for _ in range(_MOST_AT_ONCE):
            try:
                assert self._listener is not None
                sock, _ = self._listener.accept()
            except (BlockingIOError, InterruptedError):
                return
            except OSError as error:
                # Out of descriptors, mostly: those that wait are accepted when some are free again.
                logs.logger.warning("A connection could not be accepted: %s.", error)
                return
            sock.setblocking(False)
            self._dispatch_later(sock)

    def _dispatch_again(self, fd: int) -> bool:
        """Look where the next request on a connection should go that has been answered here until now."""
        self._dispatch_later(socket.socket(fileno=os.dup(fd)))
        return True

    def _dispatch_later(self, sock: socket.socket) -> None:
        """Pass a connection on as soon as its client has said what it wants."""
        if self._options.ssl_certfile is not None:
            self._dispatch(sock, self._only_route())
            return
        try:
            if sock.recv(1, socket.MSG_PEEK):
                self._dispatch(sock, self._route(sock))
            else:
                sock.close()
            return
        except (BlockingIOError, InterruptedError):
            pass
        except OSError:
            sock.close()
            return
        loop = asyncio.get_running_loop()
        loop.add_reader(sock, self._readable, sock)
        self._unread[sock] = loop.call_later(self._options.keep_alive_timeout_s, self._too_late, sock)

    def _too_late(self, sock: socket.socket) -> None:
        del self._unread[sock]
        asyncio.get_running_loop().remove_reader(sock)
        sock.close()

    def _readable(self, sock: socket.socket) -> None:
        self._unread.pop(sock).cancel()
        asyncio.get_running_loop().remove_reader(sock)
        try:
            if not sock.recv(1, socket.MSG_PEEK):
                sock.close()
                return
            route = self._route(sock)
        except OSError:
            sock.close()
            return
        self._dispatch(sock, route)

    def _route(self, sock: socket.socket) -> AppRoute | None:
        """The application that the first request on a connection is for; None if that can't be told."""
        assert self._front is not None
        line, found, _rest = sock.recv(_ENOUGH, socket.MSG_PEEK).partition(b"\r\n")
        words = line.split(b" ")
        if not found or len(words) != 3 or not words[1].startswith(b"/"):
            return None
        path = words[1].partition(b"?")[0].decode("latin-1")
        return None if path.startswith("/-/") else self._front.table.match(path)

    def _only_route(self) -> AppRoute | None:
        assert self._front is not None
        routes = list(self._front.table)
        return routes[0] if len(routes) == 1 else None

    def _dispatch(self, sock: socket.socket, route: AppRoute | None) -> None:
        assert self._front is not None
        path = None if route is None else self._replica_socket(route)
        if path is not None:
            sender = self._senders.get(path)
            if sender is None:
                sender = self._senders[path] = Sender(path)
            if sender.send(sock.fileno()):
                sock.close()
                return
            sender.close()
            del self._senders[path]
        self._front.take(sock)

    def _replica_socket(self, route: AppRoute) -> str | None:
        """Where the next replica of the application takes connections over: each in its turn."""
        router: Router = router_for(DeploymentID(route.ingress, route.app_name))
        paths = [slot.info.socket for slot in router.slots.values() if slot.info.socket and not slot.gone]
        if not paths:
            return None
        self._turn += 1
        return paths[self._turn % len(paths)]
