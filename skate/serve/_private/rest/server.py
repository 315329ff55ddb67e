"""The actor that listens for the REST API."""

from __future__ import annotations

import asyncio
import socket

from skate.serve._private.http.server import Server, listen
from skate.serve._private.rest.app import rest_app
from skate.serve._private.rest.token import is_right
from skate.serve.config import HTTPOptions

_MOST_AT_ONCE = 64


class RestServer:
    """Listens, and answers with `rest_app`."""

    def __init__(self, host: str, port: int, token: str) -> None:
        self._host = host
        self._port = port
        self._token = token
        self._listener: socket.socket | None = None
        self._server: Server | None = None
        self._serving: set[asyncio.Task[None]] = set()

    async def start(self) -> tuple[str, int]:
        """Listen; returns the address.

        Raises:
            OSError: the port is in use.
        """
        if self._listener is None:
            self._listener = listen(self._host, self._port)
            self._server = Server(rest_app(self._token), HTTPOptions())
            asyncio.get_running_loop().add_reader(self._listener, self._accept)
        host, port = self._listener.getsockname()[:2]
        return host, port

    async def wants(self, token: str) -> bool:
        """Whether that is the token that it asks for."""
        return is_right(f"Bearer {token}", self._token)

    def _accept(self) -> None:
        assert self._listener is not None
        assert self._server is not None
        for _ in range(_MOST_AT_ONCE):
            try:
                sock, _ = self._listener.accept()
            except OSError:
                return  # there is no other, or no descriptor for it: asked again when one is readable
            sock.setblocking(False)
            task = asyncio.get_running_loop().create_task(self._server.serve(sock))
            self._serving.add(task)
            task.add_done_callback(self._serving.discard)

    async def close(self) -> None:
        """Listen no more."""
        if self._listener is not None:
            asyncio.get_running_loop().remove_reader(self._listener)
            self._listener.close()
            self._listener = None
        if self._server is not None:
            await self._server.close()
