"""Kafka topics: a bounded read between two offsets, and messages made of rows."""

from __future__ import annotations

import datetime
import json
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from skate.data import convert
from skate.data.block import BlockMetadata
from skate.data.datasource.datasink import Datasink, TaskContext
from skate.data.datasource.datasource import Datasource, ReadTask
from skate.data.interop import require_module

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

PerPartitionOffsets = dict[str, dict[int, int | str]]

_SCHEMA = pa.schema(
    [
        ("offset", pa.int64()),
        ("key", pa.binary()),
        ("value", pa.binary()),
        ("topic", pa.string()),
        ("partition", pa.int32()),
        ("timestamp", pa.int64()),
        ("timestamp_type", pa.int32()),
        ("headers", pa.map_(pa.string(), pa.binary())),
    ]
)
_BATCH = 1000  # messages that are asked for at a time
_POLL_SECONDS = 1.0
_ANSWER_SECONDS = 10.0  # for metadata and offsets
_FLUSH_SECONDS = 30.0


@dataclass
class KafkaAuthConfig:
    """How to authenticate, in the names of the `kafka-python` package. `consumer_config` says the same in librdkafka's names.

    Attributes:
        security_protocol: `PLAINTEXT`, `SSL`, `SASL_PLAINTEXT` or `SASL_SSL`.
        sasl_mechanism: `PLAIN`, `GSSAPI`, `OAUTHBEARER`, `SCRAM-SHA-256` or `SCRAM-SHA-512`.
        sasl_plain_username: The user, for PLAIN and SCRAM.
        sasl_plain_password: The user's password.
        sasl_kerberos_name: Not taken by librdkafka.
        sasl_kerberos_service_name: The service's name, for GSSAPI.
        sasl_kerberos_domain_name: Not taken by librdkafka.
        sasl_oauth_token_provider: Not taken by librdkafka: give `oauth_cb` in `consumer_config`.
        ssl_context: Not taken by librdkafka: give files.
        ssl_check_hostname: Whether the host's name must be that of the certificate.
        ssl_cafile: The authorities' certificates.
        ssl_certfile: The client's certificate.
        ssl_keyfile: The client's key.
        ssl_password: The key's password.
        ssl_ciphers: Ciphers, in OpenSSL's form.
        ssl_crlfile: Revoked certificates.
    """

    security_protocol: str | None = None
    sasl_mechanism: str | None = None
    sasl_plain_username: str | None = None
    sasl_plain_password: str | None = None
    sasl_kerberos_name: str | None = None
    sasl_kerberos_service_name: str | None = None
    sasl_kerberos_domain_name: str | None = None
    sasl_oauth_token_provider: Any = None
    ssl_context: Any = None
    ssl_check_hostname: bool | None = None
    ssl_cafile: str | None = None
    ssl_certfile: str | None = None
    ssl_keyfile: str | None = None
    ssl_password: str | None = None
    ssl_ciphers: str | None = None
    ssl_crlfile: str | None = None


_LIBRDKAFKA = {
    "security_protocol": "security.protocol",
    "sasl_mechanism": "sasl.mechanism",
    "sasl_plain_username": "sasl.username",
    "sasl_plain_password": "sasl.password",
    "sasl_kerberos_service_name": "sasl.kerberos.service.name",
    "ssl_cafile": "ssl.ca.location",
    "ssl_certfile": "ssl.certificate.location",
    "ssl_keyfile": "ssl.key.location",
    "ssl_password": "ssl.key.password",
    "ssl_ciphers": "ssl.cipher.suites",
    "ssl_crlfile": "ssl.crl.location",
}


def _auth_options(auth: KafkaAuthConfig) -> dict[str, Any]:
    """The options of librdkafka that say the same.

    Raises:
        ValueError: it has no such option.
    """
    options: dict[str, Any] = {}
    for name, value in vars(auth).items():
        if value is None:
            continue
        if name == "ssl_check_hostname":
            options["ssl.endpoint.identification.algorithm"] = "https" if value else "none"
        elif name in _LIBRDKAFKA:
            options[_LIBRDKAFKA[name]] = value
        else:
            raise ValueError(
                f"kafka_auth_config.{name} is not supported: use consumer_config with Confluent's keys."
            )
    return options


class KafkaDatasource(Datasource):
    """The messages of topics from a start to an end, a task for each partition.

    Args:
        topics: A topic or several.
        bootstrap_servers: Brokers, as `host:port`.
        start_offset: An offset, a time, `"earliest"`, or offsets by topic and partition.
        end_offset: The same, not included; or `"latest"`, the end at the time when the plan runs.
        kafka_auth_config: How to authenticate.
        consumer_config: Options of librdkafka.
        timeout_ms: After so long a task stops, with what it has; None waits for the end.

    Raises:
        ImportError: confluent-kafka is missing.
        ValueError: an argument can't be right.
    """

    def __init__(
        self,
        topics: str | list[str],
        bootstrap_servers: str | list[str],
        start_offset: Any = "earliest",
        end_offset: Any = "latest",
        kafka_auth_config: KafkaAuthConfig | None = None,
        consumer_config: dict[str, Any] | None = None,
        timeout_ms: int | None = None,
    ) -> None:
        require_module("confluent_kafka", "confluent-kafka")
        super().__init__()
        if not topics:
            raise ValueError("topics cannot be empty")
        if timeout_ms is not None and timeout_ms <= 0:
            raise ValueError("timeout_ms must be positive")
        if kafka_auth_config is not None and consumer_config is not None:
            raise ValueError(
                "Provide only one of kafka_auth_config (deprecated) or consumer_config, not both."
            )
        _check_offsets(start_offset, end_offset)
        self._topics = [topics] if isinstance(topics, str) else list(topics)
        self._start, self._end = start_offset, end_offset
        self._timeout = None if timeout_ms is None else timeout_ms / 1000
        self._config = {
            "enable.auto.commit": False,
            "group.id": "skate-data-reader",
            **(_auth_options(kafka_auth_config) if kafka_auth_config else {}),
            **(consumer_config or {}),
            "bootstrap.servers": ",".join(_servers(bootstrap_servers)),
        }

    def get_name(self) -> str:
        """`Kafka`."""
        return "Kafka"

    def estimate_inmemory_data_size(self) -> int | None:
        """Unknown."""
        return None

    def get_read_tasks(
        self, parallelism: int, per_task_row_limit: int | None = None, data_context: Any = None
    ) -> list[ReadTask]:
        """A task for each partition that has messages in the range.

        Raises:
            ValueError: there is no such topic or partition, or a start lies after its end.
        """
        kafka = require_module("confluent_kafka", "confluent-kafka")
        consumer = kafka.Consumer(self._config)
        try:
            ranges = [
                (topic, partition, *self._range(kafka, consumer, topic, partition))
                for topic in self._topics
                for partition in self._partitions(consumer, topic)
            ]
        finally:
            consumer.close()
        tasks = []
        for topic, partition, start, end in ranges:
            meta = BlockMetadata(None, None, None)
            read = _ReadPartition(self._config, topic, partition, start, end, self._timeout)
            tasks.append(ReadTask(read, meta, _SCHEMA, per_task_row_limit))
        return tasks

    def _partitions(self, consumer: Any, topic: str) -> list[int]:
        found = consumer.list_topics(topic, timeout=_ANSWER_SECONDS).topics.get(topic)
        if found is None or found.error is not None or not found.partitions:
            raise ValueError(
                f"Topic {topic} has no partitions or doesn't exist: create it, or correct `topics`."
            )
        numbers = sorted(found.partitions)
        for name, offsets in (("start_offset", self._start), ("end_offset", self._end)):
            for number in offsets.get(topic, {}) if isinstance(offsets, dict) else ():
                if number not in numbers:
                    raise ValueError(
                        f"{name} references partition {number} in topic {topic!r}, but that partition does not exist: "
                        f"there are {numbers}."
                    )
        return numbers

    def _range(self, kafka: Any, consumer: Any, topic: str, partition: int) -> tuple[int, int]:
        at = kafka.TopicPartition(topic, partition)
        low, high = consumer.get_watermark_offsets(at, timeout=_ANSWER_SECONDS)

        def offset_of(given: Any, default: int) -> int:
            if isinstance(given, dict):
                given = given.get(topic, {}).get(partition, default)
            if isinstance(given, datetime.datetime):
                wanted = kafka.TopicPartition(topic, partition, _milliseconds(given))
                found = consumer.offsets_for_times([wanted], timeout=_ANSWER_SECONDS)[0].offset
                return int(found) if found >= 0 else high
            return default if isinstance(given, str) else int(given)

        start, end = offset_of(self._start, low), offset_of(self._end, high)
        if start > end:
            raise ValueError(
                f"start_offset ({start}) > end_offset ({end}) for partition {partition} in topic {topic}"
            )
        return max(start, low), min(end, high)


def _milliseconds(moment: datetime.datetime) -> int:
    """Milliseconds since 1970; a time without a zone is in UTC."""
    return int((moment if moment.tzinfo else moment.replace(tzinfo=datetime.UTC)).timestamp() * 1000)


def _servers(given: str | list[str]) -> list[str]:
    if not given:
        raise ValueError("bootstrap_servers cannot be empty")
    servers = [given] if isinstance(given, str) else given
    for server in servers:
        if not isinstance(server, str) or ":" not in server:
            raise ValueError(f"Invalid bootstrap_servers format: {server!r}. Expected 'host:port' string.")
    return servers


def _check_offsets(start: Any, end: Any) -> None:
    for name, given, wrong, right in (
        ("start_offset", start, "latest", "earliest"),
        ("end_offset", end, "earliest", "latest"),
    ):
        if given == wrong:
            raise ValueError(f"{name} cannot be {wrong!r}")
        _check_word(name, given, right)
        for topic, offsets in given.items() if isinstance(given, dict) else ():
            if not isinstance(offsets, dict):
                raise ValueError(
                    f"{name}[{topic!r}] must be a dict mapping partition_id (int) to offset (int or str)."
                )
            for partition, offset in offsets.items():
                if not isinstance(partition, int):
                    raise ValueError(
                        f"{name}[{topic!r}] keys must be integers (partition IDs), got {type(partition).__name__!r}."
                    )
                if offset == wrong:
                    raise ValueError(f"{name}[{topic!r}][{partition}] cannot be {wrong!r}.")
                _check_word(f"{name}[{topic!r}][{partition}]", offset, right)
    if isinstance(start, datetime.datetime) and isinstance(end, datetime.datetime):
        start, end = _milliseconds(start), _milliseconds(end)
    if isinstance(start, int) and isinstance(end, int) and start > end:
        raise ValueError("start_offset must be less than end_offset")


def _check_word(name: str, given: Any, right: str) -> None:
    if isinstance(given, str) and given != right:
        raise ValueError(f"{name} must be an offset or {right!r}, got {given!r}.")


class _ReadPartition:
    def __init__(
        self, config: dict[str, Any], topic: str, partition: int, start: int, end: int, timeout: float | None
    ) -> None:
        self._config, self._topic, self._partition = config, topic, partition
        self._start, self._end, self._timeout = start, end, timeout

    def __call__(self) -> Iterator[pa.Table]:
        if self._start >= self._end:
            yield _SCHEMA.empty_table()
            return
        kafka = require_module("confluent_kafka", "confluent-kafka")
        # The end may lie beyond the last message, where a transaction's marker stands: then the broker says "end".
        consumer = kafka.Consumer({**self._config, "enable.partition.eof": True})
        try:
            consumer.assign([kafka.TopicPartition(self._topic, self._partition, self._start)])
            yield from self._blocks(kafka, consumer)
        finally:
            consumer.close()

    def _blocks(self, kafka: Any, consumer: Any) -> Iterator[pa.Table]:
        deadline = None if self._timeout is None else time.monotonic() + self._timeout
        while deadline is None or time.monotonic() < deadline:
            rows = []
            ended = False
            for message in _messages(consumer):
                error = message.error()
                if error is not None and error.code() != kafka.KafkaError._PARTITION_EOF:
                    raise kafka.KafkaException(error)
                if error is not None or message.offset() >= self._end:
                    ended = True
                    break
                rows.append(_row(message))
                ended = message.offset() == self._end - 1
            if rows:
                yield pa.Table.from_pylist(rows, _SCHEMA)
            if ended:
                return


def _messages(consumer: Any) -> Iterator[Any]:
    """What has arrived: at least one message, if one arrives in time, and what stands behind it."""
    first = consumer.poll(_POLL_SECONDS)
    if first is not None:
        yield first
        yield from consumer.consume(_BATCH, 0)


def _row(message: Any) -> dict[str, Any]:
    kind, at = message.timestamp()
    return {
        "offset": message.offset(),
        "key": message.key(),
        "value": message.value(),
        "topic": message.topic(),
        "partition": message.partition(),
        "timestamp": at,
        "timestamp_type": kind - 1 if kind else 0,  # librdkafka counts from 1, Kafka's protocol from 0
        "headers": list(message.headers() or ()),
    }


class KafkaDatasink(Datasink[int]):
    """Sends a message for each row.

    Args:
        topic: The topic.
        bootstrap_servers: Brokers, as `host:port`.
        key_field: The column whose value is the message's key; None sends no keys.
        key_serializer: `"string"`, `"json"` or `"bytes"`.
        value_serializer: `"json"`, `"string"` or `"bytes"`.
        producer_config: Options of librdkafka.

    Raises:
        ImportError: confluent-kafka is missing.
        ValueError: there is no such serializer.
    """

    def __init__(
        self,
        topic: str,
        bootstrap_servers: str,
        key_field: str | None = None,
        key_serializer: str = "string",
        value_serializer: str = "json",
        producer_config: dict[str, Any] | None = None,
    ) -> None:
        require_module("confluent_kafka", "confluent-kafka")
        for name, given in (("key_serializer", key_serializer), ("value_serializer", value_serializer)):
            if given not in _SERIALIZERS:
                raise ValueError(f"{name} must be one of {list(_SERIALIZERS)}, got '{given}'")
        self._topic, self._key_field = topic, key_field
        self._key, self._value = key_serializer, value_serializer
        self._config = {**(producer_config or {}), "bootstrap.servers": ",".join(_servers(bootstrap_servers))}

    def get_name(self) -> str:
        """`Kafka`."""
        return "Kafka"

    def write(self, blocks: Iterable[pa.Table], ctx: TaskContext) -> int:
        """Send the rows of a task, and wait until the brokers have them.

        Raises:
            RuntimeError: they do not have all of them.
        """
        producer = require_module("confluent_kafka", "confluent-kafka").Producer(self._config)
        failed: list[Any] = []

        def delivered(error: Any, message: Any) -> None:
            if error is not None:
                failed.append(error)

        sent = 0
        for block in blocks:
            for row in convert.iter_rows(block):
                self._send(producer, row, delivered)
                sent += 1
        left = producer.flush(_FLUSH_SECONDS)
        if left:
            raise RuntimeError(
                f"{left} out of {sent} messages were still in-flight after flush timeout for topic '{self._topic}'. "
                "This usually means the broker is unreachable."
            )
        if failed:
            raise RuntimeError(
                f"Failed to write {len(failed)} out of {sent} messages to Kafka topic '{self._topic}': {failed[0]}"
            )
        return sent

    def _send(self, producer: Any, row: dict[str, Any], delivered: Callable[[Any, Any], None]) -> None:
        key = None if self._key_field is None else row.get(self._key_field)
        coded = None if key is None else _SERIALIZERS[self._key](key)
        value = _SERIALIZERS[self._value](row)
        deadline = time.monotonic() + _FLUSH_SECONDS
        while True:
            try:
                producer.produce(self._topic, value, coded, on_delivery=delivered)
                producer.poll(0)
                return
            except BufferError:  # the queue is full: give it time to drain
                producer.poll(_POLL_SECONDS)
                if time.monotonic() > deadline:
                    raise RuntimeError(
                        f"Kafka producer queue is still full after {_FLUSH_SECONDS} s for topic '{self._topic}': the "
                        "brokers do not take what is sent."
                    ) from None


def _as_bytes(value: Any) -> bytes:
    if isinstance(value, (bytes, bytearray, memoryview)):
        return bytes(value)
    return str(value).encode()


_SERIALIZERS: Mapping[str, Callable[[Any], bytes]] = {
    "string": lambda value: str(value).encode(),
    "json": lambda value: json.dumps(value, default=_plain).encode(),
    "bytes": _as_bytes,
}


def _plain(value: Any) -> Any:
    """What JSON has no form for: arrays as lists, bytes as text, the rest as it prints."""
    if hasattr(value, "tolist"):
        return value.tolist()
    return value.decode(errors="replace") if isinstance(value, bytes) else str(value)


__all__ = ["KafkaAuthConfig", "KafkaDatasink", "KafkaDatasource", "PerPartitionOffsets"]
