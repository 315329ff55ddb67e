"""`read_delta_sharing_tables` by the protocol's own client, from a server of this machine."""

import datetime
import io
import json
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import ray

parts = {f"/f/{i}": pa.table({"x": [i, i + 10]}) for i in range(3)}
fields = [
    {"name": name, "type": kind, "nullable": True, "metadata": {}}
    for name, kind in (("x", "long"), ("day", "date"))
]


class Handler(BaseHTTPRequestHandler):
    """The listing of a table, and its files."""

    def do_GET(self):
        if self.path in parts:
            sink = io.BytesIO()
            pq.write_table(parts[self.path], sink)
            self.answer(sink.getvalue())
            return
        self.rfile.read(int(self.headers.get("Content-Length") or 0))
        assert self.path.startswith("/shares/s/schemas/d/tables/t/query"), self.path
        schema = json.dumps({"type": "struct", "fields": fields})
        table = {
            "id": "1",
            "format": {"provider": "parquet"},
            "schemaString": schema,
            "partitionColumns": ["day"],
        }
        lines = [{"protocol": {"minReaderVersion": 1}}, {"metaData": table}]
        for name in parts:
            place = {"url": address + name, "id": name, "size": 9, "partitionValues": {"day": "2024-05-01"}}
            lines.append({"file": place})
        self.answer("\n".join(json.dumps(line) for line in lines).encode())

    do_POST = do_GET  # noqa: N815 - the names that the base class looks for

    def answer(self, content):
        self.send_response(200)
        self.send_header("delta-table-version", "0")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *args):
        pass


server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
threading.Thread(target=server.serve_forever, daemon=True).start()
address = f"http://127.0.0.1:{server.server_address[1]}"
profile = Path(sys.argv[1]) / "p.share"
profile.write_text(json.dumps({"shareCredentialsVersion": 1, "endpoint": address, "bearerToken": "t"}))
rows = ray.data.read_delta_sharing_tables(f"{profile}#s.d.t", override_num_blocks=2).take_all()
assert sorted(row["x"] for row in rows) == [0, 1, 2, 10, 11, 12]
assert {row["day"] for row in rows} == {datetime.date(2024, 5, 1)}
try:
    ray.data.read_delta_sharing_tables(f"{profile}#t")
except ValueError as error:
    assert "<profile>#<share>" in str(error)
    print("ok")
server.shutdown()
