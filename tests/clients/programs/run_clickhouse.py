"""`read_clickhouse` and `write_clickhouse` talk to ClickHouse's own engine, behind a server of this machine."""

import re
import sys
import threading
import urllib.parse
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import ray
from chdb import session

engine = session.Session(f"{sys.argv[1]}/engine")
mutex = threading.Lock()


class Handler(BaseHTTPRequestHandler):
    """The HTTP interface of a server, as far as its client uses it."""

    protocol_version = "HTTP/1.1"

    def do_POST(self):
        asked = dict(urllib.parse.parse_qsl(urllib.parse.urlparse(self.path).query))
        body = self.read_body()
        query = asked.get("query")
        if query is None:
            query, body = body.decode(), b""
        try:
            with mutex:
                code, content = (
                    200,
                    self.answer(query.strip(), body, asked.get("default_format", "TabSeparated")),
                )
        except Exception as error:  # noqa: BLE001 - a server answers with whatever went wrong
            code, content = 500, str(error).encode()
        self.send_response(code)
        self.send_header("Content-Length", str(len(content)))
        if code != 200:
            self.send_header("X-ClickHouse-Exception-Code", "1")
        self.end_headers()
        self.wfile.write(content)

    do_GET = do_POST  # noqa: N815 - the names that the base class looks for

    def read_body(self):
        if "chunked" not in self.headers.get("Transfer-Encoding", ""):
            return self.rfile.read(int(self.headers.get("Content-Length") or 0))
        body = b""
        while size := int(self.rfile.readline().strip() or b"0", 16):
            body += self.rfile.read(size)
            self.rfile.readline()
        self.rfile.readline()
        return body

    def answer(self, query, body, kind):
        if query.upper().startswith("INSERT"):
            head, _, kind = query.partition(" FORMAT ")
            file = Path(sys.argv[1]) / "inserted"
            file.write_bytes(body)
            return engine.query(f"{head} SELECT * FROM file('{file}', '{kind.split()[0]}')").bytes()
        if named := re.search(r"\sFORMAT\s+(\w+)\s*$", query):
            query, kind = query[: named.start()], named.group(1)
        found = engine.query(query, kind)
        return found.bytes() if found else b""

    def log_message(self, *args):
        pass


server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
threading.Thread(target=server.serve_forever, daemon=True).start()
dsn = f"clickhouse+http://default:@127.0.0.1:{server.server_address[1]}/default"


def read(**options):
    return ray.data.read_clickhouse(table="t", dsn=dsn, **options)


def refused(call):
    try:
        call()
    except ValueError as error:
        return str(error)
    raise AssertionError("this must be refused")


rows = [{"id": i, "s": f"x{i}", "f": i / 2, "l": [i, i]} for i in range(200)]
dataset = ray.data.from_items(rows, override_num_blocks=2)
settings = ray.data.ClickHouseTableSettings(order_by="id", settings="allow_nullable_key = 1")
dataset.write_clickhouse("t", dsn, table_settings=settings)
assert read(order_by=(["id"], False), override_num_blocks=3).take_all() == rows
assert read(order_by=(["id"], True)).take(1)[0]["id"] == 199
assert sorted(row["id"] for row in read(columns=["id"], filter="id < 3 AND s != 'a;b'").take_all()) == [
    0,
    1,
    2,
]
assert refused(lambda: read(filter="nope = 3")).startswith("Invalid filter expression: nope = 3")
assert "Invalid characters" in refused(lambda: read(filter="id < 3; drop table t"))
assert "already exists in mode='CREATE'" in refused(lambda: dataset.write_clickhouse("t", dsn))
other = ray.data.ClickHouseTableSettings(order_by="s")
append = ray.data.SinkMode.APPEND
assert "Conflict with order_by" in refused(
    lambda: dataset.write_clickhouse("t", dsn, mode=append, table_settings=other)
)
dataset.write_clickhouse("t", dsn, mode=append, max_insert_block_rows=30)
assert read().count() == 400
dataset.limit(5).write_clickhouse("t", dsn, mode=ray.data.SinkMode.OVERWRITE)
assert read().count() == 5
server.shutdown()
print("ok")
