"""Deployments that take tasks from a queue: Celery's, in a folder, so that no service is needed."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path
from typing import Any

import pytest

from skate import serve
from skate.serve.schema import (
    CeleryAdapterConfig,
    TaskProcessorAdapter,
    TaskProcessorConfig,
    TaskResult,
)
from skate.serve.task_consumer import instantiate_adapter_from_config, task_consumer, task_handler
from tests.serve.conftest import until


class Listed(TaskProcessorAdapter):
    """A queue that is a list of one process, and handles a task as it comes."""

    made: list[Listed] = []  # noqa: RUF012 -- what the tests look at

    def __init__(self, config: TaskProcessorConfig) -> None:
        self.handlers: dict[str, Any] = {}
        self.concurrency = 0
        self.running = False
        self.made.append(self)

    def initialize(self, consumer_concurrency: int = 5) -> None:
        self.concurrency = consumer_concurrency

    def register_task_handle(self, func: Any, name: str | None = None) -> None:
        self.handlers[name or func.__name__] = func

    def enqueue_task_sync(self, task_name: str, args: Any = None, kwargs: Any = None, **_: Any) -> TaskResult:
        return TaskResult(
            id="1", status="SUCCESS", result=self.handlers[task_name](*(args or ()), **(kwargs or {}))
        )

    def get_task_status_sync(self, task_id: str) -> TaskResult:
        return TaskResult(id=task_id, status="SUCCESS", result=None)

    def start_consumer(self, **_: Any) -> None:
        self.running = True

    def stop_consumer(self, timeout: float = 10.0) -> None:
        self.running = False

    def cancel_task_sync(self, task_id: str) -> None:
        raise KeyError(task_id)

    def get_metrics_sync(self) -> dict[str, Any]:
        return {"handlers": len(self.handlers)}

    def health_check_sync(self) -> list[dict[str, Any]]:
        return [{"here": {"ok": "pong"}}]


def queue(adapter: Any = Listed, **options: Any) -> TaskProcessorConfig:
    return TaskProcessorConfig(queue_name="q", adapter=adapter, adapter_config=None, **options)


def test_a_consumer_is_its_class_with_handlers_that_are_registered() -> None:
    @task_consumer(task_processor_config=queue())
    class Sums:
        def __init__(self, start: int) -> None:
            self.start = start

        @task_handler(name="add")
        def plus(self, x: int) -> int:
            return self.start + x

        @task_handler
        def minus(self, x: int) -> int:
            return self.start - x

    assert (Sums.__name__, Sums.__module__) == ("Sums", __name__)
    consumer = Sums(10)
    consumer.initialize_callable(3)
    adapter = Listed.made[-1]
    assert (adapter.running, adapter.concurrency, sorted(adapter.handlers)) == (True, 3, ["add", "minus"])
    assert adapter.enqueue_task_sync("add", args=[1]).result == 11
    assert consumer.minus(1) == 9
    consumer.__del__()
    assert not adapter.running


def test_a_wrong_adapter_or_name_is_told() -> None:
    with pytest.raises(TypeError, match="must inherit from TaskProcessorAdapter, got dict"):
        instantiate_adapter_from_config(queue(lambda config: {}))
    with pytest.raises(RuntimeError, match="Failed to instantiate Broken: no queue"):
        instantiate_adapter_from_config(queue(Broken))
    with pytest.raises(ImportError):
        instantiate_adapter_from_config(queue("no.such.Adapter"))
    for name in ("", "  ", 3):
        with pytest.raises(ValueError, match="Task name must be a non-empty string"):
            task_handler(name=name)  # type: ignore[arg-type]


class Broken(Listed):
    def __init__(self, config: TaskProcessorConfig) -> None:
        raise ValueError("no queue")


def test_async_forms_are_optional() -> None:
    adapter = instantiate_adapter_from_config(queue())
    for call in (adapter.enqueue_task_async("x"), adapter.get_metrics_async(), adapter.health_check_async()):
        with pytest.raises(NotImplementedError, match="Subclass must implement"):
            asyncio.run(call)


@pytest.fixture
def folder_queue(tmp_path: Path) -> TaskProcessorConfig:
    pytest.importorskip("celery")
    for name in ("queue", "control", "results"):
        (tmp_path / name).mkdir()
    celery = CeleryAdapterConfig(
        broker_url="filesystem://",
        backend_url=f"file://{tmp_path / 'results'}",
        broker_transport_options={
            "data_folder_in": str(tmp_path / "queue"),
            "data_folder_out": str(tmp_path / "queue"),
            "control_folder": str(tmp_path / "control"),
        },
        task_custom_config={"retry_backoff_max": 0},
    )
    return TaskProcessorConfig(
        queue_name="pictures",
        adapter_config=celery,
        max_retries=1,
        failed_task_queue_name="failed",
        unprocessable_task_queue_name="unknown",
    )


def test_tasks_are_handled_by_replicas_and_their_results_kept(
    instance: None, folder_queue: TaskProcessorConfig, tmp_path: Path
) -> None:
    @serve.deployment(max_ongoing_requests=2)
    @task_consumer(task_processor_config=folder_queue)
    class Pictures:
        @task_handler(name="resize")
        def resize(self, name: str, size: int = 1) -> list[Any]:
            return [name, size, os.getpid()]

        @task_handler
        def fail(self, name: str) -> None:
            with (tmp_path / "tried").open("a") as file:
                file.write("x")
            raise ValueError("boom")

        def pid(self) -> int:
            return os.getpid()

    handle = serve.run(Pictures.bind(), route_prefix=None)
    pids = set(handle.broadcast("pid").results())
    adapter = instantiate_adapter_from_config(folder_queue)
    tasks = [adapter.enqueue_task_sync("resize", args=[f"{n}.png"], kwargs={"size": n}) for n in range(6)]
    assert all(task.created_at and task.id for task in tasks)

    def results() -> list[Any]:
        found = [adapter.get_task_status_sync(task.id) for task in tasks]
        return [each.result for each in found if each.status == "SUCCESS"]

    done = until(lambda: len(found := results()) == 6 and found)
    assert [(name, size) for name, size, _ in done] == [(f"{n}.png", n) for n in range(6)]
    assert {pid for _, _, pid in done} <= pids

    adapter.enqueue_task_sync("fail", args=["x"])
    until(lambda: (tmp_path / "tried").exists() and len((tmp_path / "tried").read_text()) == 2)
    assert (tmp_path / "tried").read_text() == "xx"  # once, and once again
    adapter.enqueue_task_sync("nobody_knows_this")
    waiting = tmp_path / "queue"
    until(lambda: {path.name.split(".")[1] for path in waiting.iterdir()} == {"failed", "unknown"})


def test_celery_is_told_only_what_is_its_own(folder_queue: TaskProcessorConfig) -> None:
    with pytest.raises(RuntimeError, match="must be an instance of CeleryAdapterConfig"):
        instantiate_adapter_from_config(folder_queue.model_copy(update={"adapter_config": {}}))
    folder_queue.adapter_config.app_custom_config = {"worker_pool": "prefork"}
    with pytest.raises(RuntimeError, match=r"cannot be changed via app_custom_config: \['worker_pool'\]"):
        instantiate_adapter_from_config(folder_queue)
    folder_queue.adapter_config.app_custom_config = None
    adapter = instantiate_adapter_from_config(folder_queue)

    async def handler() -> None:
        """A coroutine function."""

    with pytest.raises(NotImplementedError, match="Async task handlers are not supported yet"):
        adapter.register_task_handle(handler)
