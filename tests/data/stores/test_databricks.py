"""A workspace of Databricks, as its REST interface answers."""

from __future__ import annotations

import io
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

import skate.data
from skate.data import CatalogAccessMode, DatabricksUnityCatalog, ReaderFormat
from skate.data.datasource.databricks import DatabricksCredentialProvider, StaticCredentialProvider
from tests.data.stores.servers import http_server

CHUNKS = [pa.table({"x": [1, 2]}), pa.table({"x": [3]})]


class Workspace:
    def __init__(self) -> None:
        self.address = ""
        self.calls: list[tuple[str, str, Any]] = []
        self.states = ["PENDING", "SUCCEEDED"]
        self.token = "good"
        self.truncated = False
        self.tables: dict[str, dict[str, str]] = {}

    def answer(self, method: str, path: str, headers: dict[str, str], body: bytes) -> tuple[int, bytes]:
        self.calls.append((method, path, json.loads(body) if body else None))
        if path.startswith("/files/"):
            assert "Authorization" not in headers, "the token is not for whoever keeps the files"
            sink = io.BytesIO()
            with pa.ipc.new_stream(sink, CHUNKS[0].schema) as writer:
                writer.write_table(CHUNKS[int(path[-1])])
            return 200, sink.getvalue()
        if headers.get("Authorization") != f"Bearer {self.token}":
            return 401, b"who are you?"
        found = self._found(path)
        return (404, b"no such thing") if found is None else (200, json.dumps(found).encode())

    def _found(self, path: str) -> Any:
        if path.startswith("/api/2.0/sql/statements/") and "/result/chunks/" in path:
            return {"external_links": [{"external_link": f"{self.address}/files/{path[-1]}"}]}
        if path.startswith("/api/2.0/sql/statements/"):
            state = self.states.pop(0) if len(self.states) > 1 else self.states[0]
            chunks = [
                {"chunk_index": i, "row_count": t.num_rows, "byte_count": 8} for i, t in enumerate(CHUNKS)
            ]
            status = {"state": state, "error": {"message": "division by zero"}}
            return {
                "statement_id": "s1",
                "status": status,
                "manifest": {"chunks": chunks, "truncated": self.truncated},
            }
        if path == "/api/2.1/unity-catalog/temporary-table-credentials":
            return {"url": self.tables["main.s.t"]["storage_location"]}
        return self.tables.get(path.removeprefix("/api/2.1/unity-catalog/tables/"))


@pytest.fixture
def workspace(monkeypatch: pytest.MonkeyPatch) -> Iterator[Workspace]:
    monkeypatch.setattr("skate.data.datasource.databricks._POLL_SECONDS", 0.001)
    made = Workspace()
    with http_server(made.answer) as address:
        made.address = address
        yield made


def test_the_answer_of_a_warehouse_comes_in(workspace: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DATABRICKS_TOKEN", "good")
    monkeypatch.setenv("DATABRICKS_HOST", workspace.address)
    dataset = skate.data.read_databricks_tables(
        warehouse_id="w", table="t", catalog="c", schema="s", override_num_blocks=2
    )
    assert dataset.take_all() == [{"x": 1}, {"x": 2}, {"x": 3}]
    method, path, body = workspace.calls[0]
    assert (method, path) == ("POST", "/api/2.0/sql/statements/")
    assert body["statement"] == "select * from t" and body["warehouse_id"] == "w" and body["catalog"] == "c"
    workspace.states = ["FAILED"]
    with pytest.raises(RuntimeError, match="division by zero"):
        skate.data.read_databricks_tables(warehouse_id="w", query="select 1/0", catalog="c", schema="s")


def test_an_answer_that_is_not_whole_is_told(workspace: Workspace, caplog: pytest.LogCaptureFixture) -> None:
    provider = StaticCredentialProvider("good", workspace.address)
    workspace.truncated = True
    read = skate.data.read_databricks_tables(warehouse_id="w", query="select 7", credential_provider=provider)
    assert read.count() == 3 and "'select 7' is too large" in caplog.text


def test_arguments_and_credentials_are_checked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("DATABRICKS_TOKEN", raising=False)
    read: Callable[..., Any] = skate.data.read_databricks_tables
    with pytest.raises(ValueError, match="Only one of 'query' and 'table'"):
        read(warehouse_id="w", query="q", table="t")
    with pytest.raises(ValueError, match="One of 'query' and 'table'"):
        read(warehouse_id="w")
    with pytest.raises(ValueError, match="'DATABRICKS_TOKEN' is not set"):
        read(warehouse_id="w", table="t")
    with pytest.raises(ValueError, match="Either 'credential_provider' or both 'url' and 'token'"):
        DatabricksUnityCatalog()


def test_a_token_that_is_refused_is_asked_for_once_more(workspace: Workspace) -> None:
    class Renewing(DatabricksCredentialProvider):
        token = "old"

        def get_token(self) -> str:
            return self.token

        def get_host(self) -> str:
            return workspace.address

        def invalidate(self) -> None:
            self.token = "good"

    read = skate.data.read_databricks_tables(warehouse_id="w", query="q", credential_provider=Renewing())
    assert read.count() == 3
    refused = StaticCredentialProvider("bad", workspace.address)
    with pytest.raises(OSError, match="answered 401 .*who are you"):
        skate.data.read_databricks_tables(warehouse_id="w", query="q", credential_provider=refused)


def test_tables_of_a_catalog_are_found_by_name(workspace: Workspace, tmp_path: Path) -> None:
    place = str(tmp_path / "t")
    skate.data.range(3).write_delta(place)
    workspace.tables["main.s.t"] = {
        "table_id": "id",
        "storage_location": place,
        "data_source_format": "DELTA",
    }
    options: dict[str, Any] = {"url": workspace.address, "token": "good"}
    assert skate.data.read_unity_catalog("main.s.t", **options).count() == 3
    catalog = DatabricksUnityCatalog(url=workspace.address, token="good")
    skate.data.range(2).write_delta("main.s.t", catalog=catalog)
    assert skate.data.read_delta("main.s.t", catalog=catalog).count() == 5
    operations = [body["operation"] for _, path, body in workspace.calls if path.endswith("credentials")]
    assert operations == ["READ", "READ_WRITE", "READ"]
    assert "good" not in repr(catalog)
    iceberg = catalog.resolve("main.s.t", reader=ReaderFormat.ICEBERG, mode=CatalogAccessMode.READ)
    assert iceberg.table_identifier == "s.t" and (iceberg.catalog_kwargs or {})["warehouse"] == "main"
    workspace.tables["main.s.t"]["data_source_format"] = "VIEW"
    with pytest.raises(ValueError, match="Could not infer the data format"):
        skate.data.read_unity_catalog("main.s.t", **options)
    with pytest.raises(OSError, match="404"):
        skate.data.read_unity_catalog("main.s.none", **options)
