"""How many tasks wait in a broker's queue."""

from __future__ import annotations

import base64
import json
import urllib.parse
import urllib.request

_REDIS = ("redis", "rediss", "unix")
_AMQP = ("amqp", "amqps")
_PRIORITIES = ("", *(f"\x06\x16{step}" for step in (3, 6, 9)))
"""What Celery's transport adds to a queue's name, one list for each priority."""
_TIMEOUT_S = 10.0


def queue_length(broker_url: str, queue_name: str, rabbitmq_management_url: str | None = None) -> int:
    """How many tasks wait in a queue of Redis or RabbitMQ. It blocks for up to 10 seconds.

    Args:
        broker_url: Where the broker is: "redis://…", "rediss://…", "amqp://…".
        queue_name: The queue.
        rabbitmq_management_url: Where RabbitMQ's management API is, such as "http://guest:guest@localhost:15672/api/".

    Raises:
        ValueError: it is another broker, or RabbitMQ without its management API.
        ImportError: Redis, and its package is not installed.
        OSError: it can't be reached.
    """
    scheme = urllib.parse.urlsplit(broker_url).scheme
    if scheme in _REDIS:
        return _redis(broker_url, queue_name)
    if scheme in _AMQP:
        return _rabbitmq(broker_url, queue_name, rabbitmq_management_url)
    raise ValueError(
        f"the length of a queue at {scheme!r} can't be asked: the broker_url must begin with {', '.join((*_REDIS, *_AMQP))}."
    )


def _redis(broker_url: str, queue_name: str) -> int:
    try:
        import redis
    except ImportError as error:
        raise ImportError("the length of a queue of Redis needs a package: pip install redis") from error
    client = redis.Redis.from_url(broker_url, socket_timeout=_TIMEOUT_S, socket_connect_timeout=_TIMEOUT_S)
    try:
        with client.pipeline(transaction=False) as asked:
            for suffix in _PRIORITIES:
                asked.llen(queue_name + suffix)
            return sum(int(length) for length in asked.execute())
    except redis.RedisError as error:
        raise OSError(f"Redis did not say how long its queue {queue_name} is: {error}") from error
    finally:
        client.close()


def _rabbitmq(broker_url: str, queue_name: str, management_url: str | None) -> int:
    if not management_url:
        raise ValueError(
            "the length of a queue of RabbitMQ is asked of its management API: rabbitmq_management_url is needed, for instance "
            "http://guest:guest@localhost:15672/api/"
        )
    place = urllib.parse.urlsplit(management_url)
    host = urllib.parse.quote(
        urllib.parse.unquote(urllib.parse.urlsplit(broker_url).path[1:]) or "/", safe=""
    )
    netloc = place.netloc.rpartition("@")[2]
    path = f"{place.path.rstrip('/')}/queues/{host}/{urllib.parse.quote(queue_name, safe='')}"
    request = urllib.request.Request(urllib.parse.urlunsplit((place.scheme, netloc, path, "", "")))
    if place.username is not None:
        secret = f"{urllib.parse.unquote(place.username)}:{urllib.parse.unquote(place.password or '')}"
        request.add_header("Authorization", f"Basic {base64.b64encode(secret.encode()).decode()}")
    with urllib.request.urlopen(request, timeout=_TIMEOUT_S) as answer:
        return int(json.load(answer).get("messages", 0))
