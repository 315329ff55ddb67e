"""The sink, against a stand-in for the service's client that keeps what it is sent."""

from __future__ import annotations

import sys
import types
from typing import Any

import numpy as np
import pytest

import skate.data
from skate.data.datasource.turbopuffer import TurbopufferDatasink

ROWS = [{"key": i, "emb": np.array([i, 0.5]), "tenant": "ab"[i % 2], "text": f"t{i}"} for i in range(5)]


@pytest.fixture
def sent(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, dict[str, Any]]]:
    """What was written, by namespace; the client is made once a task."""
    requests: list[tuple[str, dict[str, Any]]] = []

    class Namespace:
        def __init__(self, name: str) -> None:
            self.name = name

        def write(self, **request: Any) -> None:
            requests.append((self.name, request))

    class Client:
        def __init__(self, *, api_key: str, region: str | None = None, base_url: str | None = None) -> None:
            assert api_key == "k" and (region or base_url) == "r"

        def namespace(self, name: str) -> Namespace:
            return Namespace(name)

    module = types.ModuleType("turbopuffer")
    module.Turbopuffer = Client
    monkeypatch.setitem(sys.modules, "turbopuffer", module)
    return requests


OPTIONS: dict[str, Any] = {"region": "r", "api_key": "k", "id_column": "key", "vector_column": "emb"}


def test_rows_are_sent_as_columns(sent: list[tuple[str, dict[str, Any]]]) -> None:
    rows = skate.data.from_items([*ROWS, {**ROWS[0], "key": None}], override_num_blocks=1)
    rows.write_turbopuffer(namespace="n", batch_size=3, schema={"text": "string"}, **OPTIONS)
    assert [name for name, _ in sent] == ["n", "n"]
    first = sent[0][1]
    assert first["distance_metric"] == "cosine_distance" and first["schema"] == {"text": "string"}
    assert first["upsert_columns"] == {
        "id": [0, 1, 2],
        "vector": [[0.0, 0.5], [1.0, 0.5], [2.0, 0.5]],
        "tenant": ["a", "b", "a"],
        "text": ["t0", "t1", "t2"],
    }
    assert sent[1][1]["upsert_columns"]["id"] == [3, 4]


def test_a_column_may_name_the_namespace(sent: list[tuple[str, dict[str, Any]]]) -> None:
    skate.data.from_items(ROWS, override_num_blocks=1).write_turbopuffer(namespace_column="tenant", **OPTIONS)
    assert {name: request["upsert_columns"]["id"] for name, request in sent} == {"a": [0, 2, 4], "b": [1, 3]}
    assert "tenant" not in sent[0][1]["upsert_columns"] and "schema" not in sent[0][1]
    with pytest.raises(ValueError, match="'tenant' contains null values"):
        skate.data.from_items([{**ROWS[0], "tenant": None}, ROWS[1]]).write_turbopuffer(
            namespace_column="tenant", **OPTIONS
        )


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({}, "Either 'namespace' or 'namespace_column'"),
        ({"namespace": "n", "namespace_column": "c"}, "exactly one of 'namespace'"),
        ({"namespace": "n"}, "Either 'region' or 'base_url'"),
        ({"namespace": "n", "region": "r", "base_url": "u"}, "exactly one of 'region'"),
        ({"namespace": "n", "region": "r", "vector_column": "id"}, "refer to the same column 'id'"),
        ({"namespace_column": "id", "region": "r"}, "must not be the same as id_column"),
        ({"namespace": "n", "region": "r"}, "API key is required"),
    ],
)
def test_arguments_that_exclude_each_other_are_refused(
    sent: list[Any], options: dict[str, Any], message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("TURBOPUFFER_API_KEY", raising=False)
    with pytest.raises(ValueError, match=message):
        TurbopufferDatasink(**options)


def test_columns_that_are_missing_are_named(sent: list[Any]) -> None:
    numbers = skate.data.range(1)
    with pytest.raises(ValueError, match="Vector column 'vector' not found"):
        numbers.write_turbopuffer(namespace="n", base_url="r", api_key="k")
    with pytest.raises(ValueError, match="already has a 'vector' column"):
        skate.data.from_items([{"id": 1, "vector": [1.0], "v": [2.0]}]).write_turbopuffer(
            namespace="n", base_url="r", api_key="k", vector_column="v"
        )
