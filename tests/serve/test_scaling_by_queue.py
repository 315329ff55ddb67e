"""`AsyncInferenceAutoscalingPolicy`: how long a broker's queue is, and what follows from it."""

from __future__ import annotations

import http.server
import json
import sys
import threading
import types
from collections.abc import Iterator
from typing import Any, Self

import pytest

from skate.serve._private.common import DeploymentID
from skate.serve._private.queue_length import queue_length
from skate.serve.async_inference_autoscaling_policy import AsyncInferenceAutoscalingPolicy
from skate.serve.config import AutoscalingConfig, AutoscalingContext, AutoscalingPolicy
from tests.support import wait_until


class Management(http.server.BaseHTTPRequestHandler):
    """RabbitMQ's management API, as far as it is asked."""

    asked: list[tuple[str, str | None]]
    messages = 7

    def do_GET(self) -> None:
        self.asked.append((self.path, self.headers.get("Authorization")))
        body = json.dumps({"name": "jobs", "messages": self.messages}).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_args: Any) -> None:
        """Say nothing."""


@pytest.fixture
def management() -> Iterator[tuple[str, type[Management]]]:
    handler = type("Handler", (Management,), {"asked": []})
    with http.server.HTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://guest:secret@127.0.0.1:{server.server_port}/api/", handler
        server.shutdown()
        thread.join()


def _context(requests: float = 0.0, replicas: int = 1) -> AutoscalingContext:
    config = AutoscalingConfig(min_replicas=0, max_replicas=10, target_ongoing_requests=2)
    id_ = DeploymentID("D", "app")
    return AutoscalingContext(
        id_, "D", "app", replicas, replicas, [], requests, 0.0, None, None, 0, 10, {}, None, None, 0.0, config
    )


def test_rabbitmq_is_asked_by_its_management_api(management: tuple[str, type[Management]]) -> None:
    url, handler = management
    assert queue_length("amqp://u:p@broker:5672//", "jobs", url) == 7
    assert queue_length("amqp://u:p@broker:5672/other", "a b", url) == 7
    assert [path for path, _ in handler.asked] == ["/api/queues/%2F/jobs", "/api/queues/other/a%20b"]
    assert handler.asked[0][1] == "Basic Z3Vlc3Q6c2VjcmV0"


def test_redis_counts_the_lists_of_all_priorities(monkeypatch: pytest.MonkeyPatch) -> None:
    lists = {"jobs": 3, "jobs\x06\x163": 2}

    class Client:
        @classmethod
        def from_url(cls, url: str, **_options: Any) -> Client:
            assert url == "redis://host:6379/1"
            return cls()

        def pipeline(self, transaction: bool) -> Client:
            self.asked: list[int] = []
            return self

        def __enter__(self) -> Self:
            return self

        def __exit__(self, *_error: object) -> None:
            pass

        def llen(self, name: str) -> None:
            self.asked.append(lists.get(name, 0))

        def execute(self) -> list[int]:
            return self.asked

        def close(self) -> None:
            pass

    module: Any = types.ModuleType("redis")
    module.Redis, module.RedisError = Client, type("RedisError", (Exception,), {})
    monkeypatch.setitem(sys.modules, "redis", module)
    assert queue_length("redis://host:6379/1", "jobs") == 5


@pytest.mark.parametrize(
    ("url", "management_url", "said"),
    [
        ("kafka://x", None, "broker_url must begin with"),
        ("amqp://x", None, "rabbitmq_management_url is needed"),
    ],
)
def test_brokers_that_cannot_be_asked(url: str, management_url: str | None, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        queue_length(url, "jobs", management_url)


def test_the_policy_counts_tasks_and_requests(management: tuple[str, type[Management]]) -> None:
    url, handler = management
    made = AutoscalingPolicy(
        policy_function=AsyncInferenceAutoscalingPolicy,
        policy_kwargs={
            "broker_url": "amqp://u:p@broker//",
            "queue_name": "jobs",
            "rabbitmq_management_url": url,
            "poll_interval_s": 0,
        },
    ).make()
    wait_until(lambda: made(_context(requests=1))[0] == 4)  # 7 tasks and a request, 2 for each replica
    handler.messages = 0
    wait_until(lambda: made(_context(replicas=4))[0] == 0)
    handler.messages = 2
    wait_until(lambda: made(_context(replicas=0))[0] == 1)
    made._poll.join()


def test_a_broker_that_does_not_answer_leaves_what_was_known() -> None:
    policy = AsyncInferenceAutoscalingPolicy("amqp://u:p@broker//", "jobs", "http://127.0.0.1:9/api/", 3600)
    policy._waiting = 6
    assert policy(_context(requests=4)) == (5, {})
    assert policy._poll is not None
    policy._poll.join()
    assert policy(_context(requests=4)) == (5, {})
