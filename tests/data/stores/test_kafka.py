from __future__ import annotations

import datetime
import json
import uuid
from typing import Any

import pytest

import skate.data
from skate.data import KafkaAuthConfig
from skate.data.datasource.kafka import _auth_options


@pytest.fixture
def topic() -> str:
    return f"topic-{uuid.uuid4().hex[:8]}"


def test_messages_go_out_and_come_back(kafka: str, topic: str) -> None:
    rows = [{"id": i, "s": f"ä{i}"} for i in range(20)]
    skate.data.from_items(rows).write_kafka(topic, kafka, key_field="id")
    read = skate.data.read_kafka(topic, bootstrap_servers=kafka)
    messages = read.take_all()
    assert sorted((json.loads(m["value"]) for m in messages), key=lambda row: row["id"]) == rows
    assert {m["key"].decode() for m in messages} == {str(i) for i in range(20)}
    first = messages[0]
    assert first["topic"] == topic and first["offset"] == 0 and first["timestamp"] > 0
    assert first["timestamp_type"] == 0 and first["headers"] == []
    assert (read.columns() or [])[:3] == ["offset", "key", "value"]


def test_a_range_of_offsets_and_of_times(kafka: str, topic: str) -> None:
    skate.data.from_items([{"id": i} for i in range(10)], override_num_blocks=1).write_kafka(
        topic, kafka, producer_config={"partitioner": "consistent"}, key_field="none"
    )
    everything = skate.data.read_kafka([topic], bootstrap_servers=[kafka]).take_all()
    busiest = max(
        {m["partition"] for m in everything}, key=lambda p: sum(m["partition"] == p for m in everything)
    )
    count = sum(m["partition"] == busiest for m in everything)

    def offsets(**options: Any) -> list[int]:
        read = skate.data.read_kafka(topic, bootstrap_servers=kafka, **options).take_all()
        return sorted(m["offset"] for m in read if m["partition"] == busiest)

    some = {topic: {busiest: 1}}
    assert offsets(start_offset=some) == list(range(1, count))
    assert offsets(end_offset=some) == [0]
    tomorrow = datetime.datetime.now(datetime.UTC) + datetime.timedelta(days=1)
    assert offsets(start_offset=tomorrow, timeout_ms=5000) == []
    with pytest.raises(ValueError, match="partition 99 in topic"):
        offsets(start_offset={topic: {99: 0}})


def test_wrong_arguments_are_told_at_once(kafka: str) -> None:
    def read(topics: Any = "t", **options: Any) -> Any:
        return skate.data.read_kafka(topics, **{"bootstrap_servers": kafka, **options})

    for message, arguments in (
        ("topics cannot be empty", {"topics": []}),
        ("bootstrap_servers cannot be empty", {"bootstrap_servers": ""}),
        ("Invalid bootstrap_servers format", {"bootstrap_servers": "host"}),
        ("start_offset cannot be 'latest'", {"start_offset": "latest"}),
        ("end_offset cannot be 'earliest'", {"end_offset": "earliest"}),
        ("start_offset must be an offset or 'earliest', got 'earlist'", {"start_offset": "earlist"}),
        (r"\['t'\]\[0\] must be an offset or 'latest', got 'last'", {"end_offset": {"t": {0: "last"}}}),
        ("start_offset must be less than end_offset", {"start_offset": 5, "end_offset": 2}),
        ("timeout_ms must be positive", {"timeout_ms": 0}),
        ("Only trigger='once' is supported", {"trigger": "continuous"}),
        ("Provide only one", {"kafka_auth_config": KafkaAuthConfig(), "consumer_config": {}}),
        ("must be a dict mapping", {"start_offset": {"t": 3}}),
    ):
        with pytest.raises(ValueError, match=message):
            read(**arguments)
    with pytest.raises(ValueError, match="key_serializer must be one of"):
        skate.data.range(1).write_kafka("t", kafka, key_serializer="xml")


def test_authentication_is_translated() -> None:
    given = KafkaAuthConfig(security_protocol="SASL_SSL", sasl_plain_username="u", ssl_check_hostname=False)
    assert _auth_options(given) == {
        "security.protocol": "SASL_SSL",
        "sasl.username": "u",
        "ssl.endpoint.identification.algorithm": "none",
    }
    with pytest.raises(ValueError, match="ssl_context is not supported"):
        _auth_options(KafkaAuthConfig(ssl_context=object()))


def test_a_broker_that_is_not_there_is_an_error(topic: str) -> None:
    with pytest.raises(RuntimeError, match=r"Failed to write 1 out of 1 messages|in-flight"):
        skate.data.range(1).write_kafka(topic, "127.0.0.1:1", producer_config={"message.timeout.ms": 200})
