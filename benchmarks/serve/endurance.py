"""What must not grow: after clients that go away, with connections that do nothing, after very many requests."""

from __future__ import annotations

import asyncio
import resource
import socket
import time
from typing import TYPE_CHECKING, Any

from benchmarks.measure import Measured, check, wait_until
from benchmarks.processes import memory_of_run
from benchmarks.serve.http import serving, wrk

if TYPE_CHECKING:
    from benchmarks.session import Session

__all__ = ["aborts", "growth", "idle"]


def _send(port: int, path: str) -> socket.socket:
    made = socket.create_connection(("127.0.0.1", port), timeout=60)
    made.sendall(f"GET {path} HTTP/1.1\r\nhost: x\r\n\r\n".encode())
    return made


def _read_ok(connection: socket.socket) -> None:
    """Read an answer, which is short: its body comes with its head, or right after."""
    seen = b""
    while not seen.endswith(b"ok"):
        part = connection.recv(4096)
        check(part == b"", False)
        seen += part


def _make_noop(serve: Any) -> Any:
    @serve.deployment
    class NoOp:
        async def __call__(self, request: Any) -> str:
            return "ok"

    made: Any = NoOp
    return made.bind()


def aborts(session: Session) -> dict[str, Measured]:
    """Clients that go away in the middle of their requests, twice: the second time all must find room again."""
    count = session.size(1000, 50)

    def make(serve: Any) -> Any:
        @serve.deployment(max_ongoing_requests=count + 1)
        class Holds:
            def __init__(self) -> None:
                self.running = 0

            async def __call__(self, request: Any) -> str:
                if request.url.path == "/":
                    return "ok"
                self.running += 1
                try:
                    await asyncio.Event().wait()
                finally:
                    self.running -= 1
                return "never"

            async def count(self) -> int:
                return self.running

        made: Any = Holds
        return made.bind()

    taken = []
    with serving(session, make) as (handle, port, _start):
        for _ in range(2):
            clients = [_send(port, "/hold") for _ in range(count)]
            wait_until(lambda: handle.count.remote().result() == count, f"{count} requests to run")
            began = time.perf_counter()
            for client in clients:
                client.close()
            wait_until(lambda: handle.count.remote().result() == 0, "all of them to end")
            taken.append(time.perf_counter() - began)
    return {"ended": Measured(taken)}


def idle(session: Session) -> dict[str, Measured]:
    """Connections that have asked once, and are kept open; clients are sockets of this process, and counted too."""
    count = session.size(10_000, 200)
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    with serving(session, _make_noop) as (_handle, port, _start):
        clients = []
        for _ in range(count):
            clients.append(_send(port, "/"))
            _read_ok(clients[-1])
        memory = memory_of_run()
        for client in clients:
            client.sendall(b"GET / HTTP/1.1\r\nhost: x\r\n\r\n")
            _read_ok(client)
            client.close()
    return {"pss": Measured([float(memory.pss)])}


def growth(session: Session) -> dict[str, Measured]:
    """What all processes hold after a million requests more than after the first tenth of them."""
    count = session.size(1_000_000, 2_000)

    def ask(port: int, number: int) -> None:
        while number > 0:
            number -= wrk(port, 32, session.size(10, 1)).number

    with serving(session, _make_noop) as (_handle, port, _start):
        ask(port, count // 10)
        before = memory_of_run().uss
        ask(port, count)
        after = memory_of_run().uss
    return {"uss": Measured([max(0.0, float(after - before))])}
