"""Small servers for tests: just enough of a protocol for the real client on the other side."""

from __future__ import annotations

import socket
import socketserver
import struct
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@contextmanager
def http_server(answer: Callable[[str, str, dict[str, str], bytes], tuple[int, bytes]]) -> Iterator[str]:
    """A server that answers requests by a function of method, path, headers and body; its address."""

    class Handler(BaseHTTPRequestHandler):
        def _answer(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            code, content = answer(self.command, self.path, dict(self.headers), body)
            self.send_response(code)
            self.send_header("Content-Length", str(len(content)))
            self.send_header("delta-table-version", "0")  # what a Delta Sharing client looks for
            self.end_headers()
            self.wfile.write(content)

        do_GET = do_POST = _answer  # noqa: N815 - the names that the base class looks for

        def log_message(self, format: str, *args: Any) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_address[1]}"
        finally:
            server.shutdown()
            thread.join()


@contextmanager
def mongo_server() -> Iterator[str]:
    """MongoDB's wire protocol over the collections of mongomock; the address."""
    import bson
    import mongomock

    store: Any = mongomock.MongoClient()
    lock = threading.Lock()

    def run(command: dict[str, Any]) -> dict[str, Any]:
        name = next(iter(command))
        database = store[command.get("$db", "admin")]
        if name in ("hello", "ismaster", "isMaster"):
            return {"ismaster": True, "maxWireVersion": 21, "minWireVersion": 0, "maxBsonObjectSize": 1 << 24,
                    "maxMessageSizeBytes": 48_000_000, "maxWriteBatchSize": 100_000}  # fmt: skip
        if name == "listDatabases":
            return {"databases": [{"name": each} for each in store.list_database_names()]}
        if name == "listCollections":
            found = [{"name": each, "type": "collection"} for each in database.list_collection_names()]
            return cursor(found, f"{command['$db']}.$cmd.listCollections")
        if name == "insert":
            database[command["insert"]].insert_many(command["documents"])
            return {"n": len(command["documents"])}
        if name == "aggregate":
            pipeline = [stage for stage in command["pipeline"] if "$sample" not in stage]
            rows = list(database[command["aggregate"]].aggregate(pipeline))
            return cursor(rows, f"{command['$db']}.{command['aggregate']}")
        if name in ("ping", "endSessions", "killCursors"):
            return {}
        raise NotImplementedError(name)

    def cursor(rows: list[Any], namespace: str) -> dict[str, Any]:
        return {"cursor": {"id": bson.int64.Int64(0), "ns": namespace, "firstBatch": rows}}

    class Handler(socketserver.BaseRequestHandler):
        def handle(self) -> None:
            while head := _exactly(self.request, 16):
                length, request, _, opcode = struct.unpack("<iiii", head)
                body = _exactly(self.request, length - 16)
                command = _old_command(body) if opcode == 2004 else _message(body)
                with lock:
                    answer = bson.encode({**run(command), "ok": 1.0})
                if opcode == 2004:
                    content = struct.pack("<iqii", 8, 0, 0, 1) + answer
                else:
                    content = struct.pack("<I", 0) + b"\0" + answer
                code = 1 if opcode == 2004 else 2013
                self.request.sendall(struct.pack("<iiii", 16 + len(content), 0, request, code) + content)

    def _old_command(body: bytes) -> dict[str, Any]:
        at = body.index(b"\0", 4) + 1 + 8
        return dict(bson.decode(body[at:]))

    def _message(body: bytes) -> dict[str, Any]:
        command: dict[str, Any] = {}
        at = 4
        while at < len(body):
            kind, at = body[at], at + 1
            size = struct.unpack_from("<i", body, at)[0]
            if kind == 0:
                command = {**bson.decode(body[at : at + size]), **command}
            else:
                end = body.index(b"\0", at + 4)
                documents = bson.decode_all(body[end + 1 : at + size])
                command[body[at + 4 : end].decode()] = documents
            at += size
        first = next(name for name in command if name not in ("documents", "updates", "deletes"))
        return {first: command[first], **command}

    class Server(socketserver.ThreadingTCPServer):
        allow_reuse_address = True
        block_on_close = True

    with Server(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        try:
            yield f"mongodb://127.0.0.1:{server.server_address[1]}/?directConnection=true"
        finally:
            server.shutdown()
            thread.join()


def _exactly(connection: socket.socket, size: int) -> bytes:
    data = b""
    while len(data) < size:
        part = connection.recv(size - len(data))
        if not part:
            return b""
        data += part
    return data
