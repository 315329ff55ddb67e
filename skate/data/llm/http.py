"""Requests to an HTTP endpoint, one for each row."""

from __future__ import annotations

import asyncio
import json
import time
from typing import Any

import numpy as np
from pydantic import Field

from skate.data.interop import require_module
from skate.data.llm.config import HttpRequestStageConfig, ProcessorConfig, resolve_stage
from skate.data.llm.processor import Processor, ProcessorBuilder
from skate.data.llm.stages import Stage, StageFunction

_TRY_AGAIN = (408, 429, 502, 503, 504)
_SHOWN = 500  # characters of an answer in a message


class HttpRequestProcessorConfig(ProcessorConfig):
    """A processor that posts the `payload` of each row to a URL, and adds the answer, JSON, as `http_response`.

    Attributes:
        batch_size: Rows of a batch: as many requests are under way at a time.
        url: Where to.
        headers: Headers of each request.
        qps: Requests a second of each worker, at most; None for any.
        max_retries: How often a request is made again when the endpoint is busy or can't be reached.
        base_retry_wait_time_in_s: Seconds before the first of them; each further one waits twice as long.
        session_factory: Makes the `aiohttp.ClientSession`, for certificates, proxies and time limits of your own.
        http_request_stage: True, or how the stage runs.

    Example:
        >>> from skate.data.llm import HttpRequestProcessorConfig, build_processor
        >>> processor = build_processor(
        ...     HttpRequestProcessorConfig(url="http://localhost:8000/v1/chat/completions", qps=10),
        ...     preprocess=lambda row: {"payload": {"messages": [{"role": "user", "content": row["question"]}]}},
        ...     postprocess=lambda row: {"answer": row["http_response"]["choices"][0]["message"]["content"]},
        ... )
        >>> processor.list_stage_names()
        ['HttpRequestStage']
    """

    batch_size: int = 64
    url: str
    headers: dict[str, Any] | None = None
    qps: float | None = None
    max_retries: int = 0
    base_retry_wait_time_in_s: float = 1
    session_factory: Any = Field(default=None, exclude=True)
    http_request_stage: Any = True


class HttpRequestStage(StageFunction):
    """Posts what is in `payload`: a dict with bytes in it as a form, anything else as JSON.

    Args:
        url: Where to.
        headers: Headers of each request.
        qps: Requests a second, at most.
        max_retries: How often a request is made again.
        base_retry_wait_time_in_s: Seconds before the first of them.
        session_factory: Makes the session.
        at_a_time: Rows whose requests are under way at a time.
    """

    required = {"payload": "What to send: JSON, or a dict with bytes for a form."}  # noqa: RUF012 - of the class

    def __init__(
        self,
        url: str,
        headers: dict[str, Any] | None = None,
        qps: float | None = None,
        max_retries: int = 0,
        base_retry_wait_time_in_s: float = 1,
        session_factory: Any = None,
        at_a_time: int = 64,
    ) -> None:
        self._aiohttp = require_module("aiohttp", "skate[llm]")
        self._url, self._headers = url, dict(headers or {})
        self._interval = 1 / qps if qps else 0.0
        self._retries, self._wait = max_retries, base_retry_wait_time_in_s
        self._session_factory = session_factory or self._aiohttp.ClientSession
        self._slots = asyncio.Semaphore(at_a_time)  # of all batches: several are under way at a time
        self._due = 0.0  # when the next request may be sent

    async def answer(self, rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
        """The answers, as `http_response`."""
        async with self._session_factory() as session:
            return list(await asyncio.gather(*(self._bounded(session, row) for row in rows)))

    async def _bounded(self, session: Any, row: dict[str, Any]) -> dict[str, Any]:
        async with self._slots:
            return await self._one(session, row)

    async def _paced(self) -> None:
        """Wait until a request may be sent."""
        now = time.monotonic()
        due = max(now, self._due)
        self._due = due + self._interval
        await asyncio.sleep(due - now)

    async def _one(self, session: Any, row: dict[str, Any]) -> dict[str, Any]:
        problem = ""
        for attempt in range(self._retries + 1):
            if attempt:
                await asyncio.sleep(self._wait * 2 ** (attempt - 1))
            await self._paced()
            body, headers = self._request(row["payload"])
            try:
                async with session.post(self._url, data=body, headers=headers) as response:
                    text = await response.text()
                    if response.status in _TRY_AGAIN:
                        problem = f"status {response.status} {response.reason}: {text[:_SHOWN]}"
                        continue
                    return {"http_response": self._parsed(response, text)}
            except (
                TimeoutError,
                self._aiohttp.ClientConnectionError,
                self._aiohttp.ClientPayloadError,
            ) as error:
                problem = f"{type(error).__name__}: {error}"
        raise RuntimeError(
            f"Reached maximum retries of {self._retries} for input row {row['payload']!r:.{_SHOWN}} at {self._url}: {problem}. "
            "Raise max_retries or base_retry_wait_time_in_s, or lower qps or batch_size."
        )

    def _parsed(self, response: Any, text: str) -> Any:
        if response.status >= 400:
            raise RuntimeError(
                f"{self._url} answered with status {response.status} {response.reason}: {text[:_SHOWN]}"
            )
        try:
            return json.loads(text)
        except ValueError as error:
            raise RuntimeError(f"{self._url} answered with what is no JSON: {text[:_SHOWN]}") from error

    def _request(self, payload: Any) -> tuple[Any, dict[str, Any]]:
        """The body of a request and its headers. A form is used up by a request: each has its own."""
        if not (isinstance(payload, dict) and any(_is_file(value) for value in payload.values())):
            return json.dumps(payload, default=_plain), {"Content-Type": "application/json", **self._headers}
        form = self._aiohttp.FormData()
        for name, value in payload.items():
            if isinstance(value, (bytes, bytearray)):
                form.add_field(name, bytes(value), filename=name)
            elif _is_file(value):
                form.add_field(
                    name,
                    value["content"],
                    filename=value.get("filename", name),
                    content_type=value.get("content_type"),
                )
            else:
                form.add_field(name, value if isinstance(value, str) else json.dumps(value, default=_plain))
        return form, {key: value for key, value in self._headers.items() if key.lower() != "content-type"}


def _is_file(value: Any) -> bool:
    return isinstance(value, (bytes, bytearray)) or (isinstance(value, dict) and "content" in value)


def _plain(value: Any) -> Any:
    if isinstance(value, np.ndarray):
        return value.tolist()
    if isinstance(value, np.generic):
        return value.item()
    raise TypeError(
        f"{value!r} of type {type(value)} can't be sent as JSON: make plain values of it in `preprocess`."
    )


def _build(config: HttpRequestProcessorConfig, **functions: Any) -> Processor:
    defaults = {"batch_size": config.batch_size, "concurrency": config.concurrency}
    stage = resolve_stage(config.http_request_stage, HttpRequestStageConfig, defaults)
    if not stage.enabled:
        raise ValueError(
            "The HTTP request stage is required and cannot be disabled in HttpRequestProcessorConfig."
        )
    arguments = {
        "url": config.url,
        "headers": config.headers,
        "qps": config.qps,
        "max_retries": config.max_retries,
        "base_retry_wait_time_in_s": config.base_retry_wait_time_in_s,
        "session_factory": config.session_factory,
        "at_a_time": stage.batch_size,
    }
    return Processor(config, [Stage(HttpRequestStage, arguments, stage.map_batches_kwargs())], **functions)


ProcessorBuilder.register(HttpRequestProcessorConfig, _build)

__all__ = ["HttpRequestProcessorConfig", "HttpRequestStage"]
