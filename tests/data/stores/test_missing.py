"""A connector whose package is missing says what to install."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any

import pytest

import skate.data

NUMBERS = skate.data.range(1)
CASES: list[tuple[str, str, Callable[[], Any]]] = [
    ("deltalake", "deltalake", lambda: skate.data.read_delta("t")),
    ("deltalake", "deltalake", lambda: NUMBERS.write_delta("t")),
    ("pyiceberg.catalog", "pyiceberg", lambda: skate.data.read_iceberg(table_identifier="a.b")),
    ("pyiceberg", "pyiceberg", lambda: NUMBERS.write_iceberg("a.b")),
    ("lance", "pylance", lambda: skate.data.read_lance("t")),
    ("lance", "pylance", lambda: NUMBERS.write_lance("t")),
    ("pymongo", "pymongo", lambda: skate.data.read_mongo("u", "d", "c")),
    ("pymongo", "pymongo", lambda: NUMBERS.write_mongo("u", "d", "c")),
    ("clickhouse_connect", "clickhouse-connect", lambda: skate.data.read_clickhouse(table="t", dsn="d")),
    ("clickhouse_connect", "clickhouse-connect", lambda: NUMBERS.write_clickhouse("t", "d")),
    ("confluent_kafka", "confluent-kafka", lambda: skate.data.read_kafka("t", bootstrap_servers="h:1")),
    ("confluent_kafka", "confluent-kafka", lambda: NUMBERS.write_kafka("t", "h:1")),
    ("google.cloud.bigquery", "google-cloud-bigquery", lambda: skate.data.read_bigquery("p", "d.t")),
    ("google.cloud.bigquery", "google-cloud-bigquery", lambda: NUMBERS.write_bigquery("p", "d.t")),
    ("snowflake.connector", "snowflake-connector-python", lambda: skate.data.read_snowflake("select 1", {})),
    ("snowflake.connector", "snowflake-connector-python", lambda: NUMBERS.write_snowflake("t", {})),
    ("hudi", "hudi", lambda: skate.data.read_hudi("t")),
    ("delta_sharing.rest_client", "delta-sharing", lambda: skate.data.read_delta_sharing_tables("p#a.b.c")),
    ("soundfile", "soundfile", lambda: skate.data.read_audio("t")),
    ("av", "av", lambda: skate.data.read_videos("t")),
    ("mcap", "mcap", lambda: skate.data.read_mcap("t")),
    ("fastavro", "fastavro", lambda: skate.data.read_avro("t")),
    ("PIL.Image", "pillow", lambda: skate.data.read_images("t")),
    ("turbopuffer", "turbopuffer", lambda: NUMBERS.write_turbopuffer(namespace="n", region="r", api_key="k")),
]


@pytest.mark.parametrize(
    ("module", "package", "call"), CASES, ids=[f"{m}-{i}" for i, (m, _, _) in enumerate(CASES)]
)
def test_the_error_names_the_line(
    module: str, package: str, call: Callable[[], Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(ImportError, match=f'pip install "{package}"'):
        call()
