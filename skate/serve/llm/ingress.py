"""The HTTP side: OpenAI's paths, and which deployment has which model."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, PlainTextResponse, StreamingResponse
from pydantic import ValidationError

from skate.serve import ingress
from skate.serve.handle import DeploymentHandle
from skate.serve.llm._adapters import adapter_names, split_model_id
from skate.serve.llm._audio import read_form
from skate.serve.llm._engine import InvalidRequest
from skate.serve.llm.openai_api_models import (
    ChatCompletionRequest,
    CompletionRequest,
    EmbeddingRequest,
    ErrorInfo,
    ErrorResponse,
    ModelCard,
    ModelList,
    TranscriptionRequest,
)

__all__ = ["OpenAiIngress", "make_fastapi_ingress"]

_app = FastAPI(title="OpenAI-compatible server")


@_app.exception_handler(RequestValidationError)
async def _invalid(_request: Request, error: RequestValidationError) -> JSONResponse:
    return _refusal(_complaint(error.errors()[0]))


def _complaint(first: Any) -> ErrorInfo:
    where = ".".join(str(part) for part in first["loc"] if part != "body")
    return ErrorInfo(message=f"{where}: {first['msg']}", param=where or None, code=400)


def _refusal(info: ErrorInfo) -> JSONResponse:
    return JSONResponse(ErrorResponse(error=info).model_dump(), info.code)


class _Ingress:
    """Answers OpenAI's paths by calls of the models' deployments.

    Args:
        llm_deployments: Handles of the models' deployments.
        model_ids: What clients call each.
        lora_paths: The folder of each model's adapters, of those that have some.
    """

    def __init__(
        self,
        llm_deployments: list[DeploymentHandle[Any]],
        model_ids: list[str],
        lora_paths: dict[str, str] | None = None,
    ) -> None:
        self._handles = {
            name: handle.options(stream=True) for name, handle in zip(model_ids, llm_deployments, strict=True)
        }
        self._lora_paths = lora_paths or {}

    async def _cards(self) -> dict[str, ModelCard]:
        """What is said of each model, and of each with an adapter."""
        cards = {name: ModelCard(id=name) for name in self._handles}
        for model, folder in self._lora_paths.items():
            for adapter in await asyncio.to_thread(adapter_names, folder):
                cards[f"{model}:{adapter}"] = ModelCard(id=f"{model}:{adapter}", parent=model)
        return cards

    @_app.get("/v1/models")
    async def models(self) -> ModelList:
        """The models."""
        return ModelList(data=list((await self._cards()).values()))

    @_app.get("/v1/models/{model:path}")
    async def model_data(self, model: str) -> Any:
        """One model."""
        return (await self._cards()).get(model) or self._unknown(model)

    @_app.post("/v1/chat/completions")
    async def chat(self, body: ChatCompletionRequest) -> Any:
        """Go on with a conversation."""
        return await self._answer("chat", body)

    @_app.post("/v1/completions")
    async def completions(self, body: CompletionRequest) -> Any:
        """Go on with a text."""
        return await self._answer("completions", body)

    @_app.post("/v1/embeddings")
    async def embeddings(self, body: EmbeddingRequest) -> Any:
        """Embed texts."""
        return await self._answer("embeddings", body)

    @_app.post("/v1/audio/transcriptions")
    async def transcriptions(self, request: Request) -> Any:
        """Write down what is said in a recording, which comes in a form."""
        try:
            form = read_form(request.headers.get("content-type", ""), await request.body())
        except InvalidRequest as error:
            return _refusal(ErrorInfo(message=str(error)))
        given: dict[str, Any] = {
            name: values[-1].decode(errors="replace") for name, values in form.items() if name != "file"
        }
        if "file" in form:
            given["file"] = form["file"][-1]
        try:
            body = TranscriptionRequest.model_validate(given)
        except ValidationError as error:
            return _refusal(_complaint(error.errors()[0]))
        answer = await self._answer("transcriptions", body)
        if body.response_format == "text" and not body.stream and answer.status_code == 200:
            return PlainTextResponse(json.loads(answer.body)["text"])
        return answer

    def _unknown(self, model: str | None) -> JSONResponse:
        known = ", ".join(self._handles)
        words = f"The model '{model}' does not exist. There are: {known}."
        return _refusal(ErrorInfo(message=words, type="NotFoundError", param="model", code=404))

    async def _answer(self, method: str, body: Any) -> Any:
        model = body.model
        if model is None and len(self._handles) == 1:
            model = next(iter(self._handles))
        handle = self._handles.get(model)
        if handle is None and model is not None:
            base = split_model_id(model)[0]
            if base in self._lora_paths:
                handle = self._handles[base].options(multiplexed_model_id=model)
        if handle is None:
            return self._unknown(model)
        answers = getattr(handle, method).remote(body)
        first = await anext(answers)
        if isinstance(first, ErrorResponse):
            return _refusal(first.error)
        if getattr(body, "stream", False):
            return StreamingResponse(_events(first, answers), media_type="text/event-stream")
        return JSONResponse(first.model_dump(exclude_none=isinstance(body, TranscriptionRequest)))


async def _events(first: Any, rest: AsyncIterator[Any]) -> AsyncIterator[str]:
    yield f"data: {first.model_dump_json()}\n\n"
    async for piece in rest:
        yield f"data: {piece.model_dump_json()}\n\n"
    yield "data: [DONE]\n\n"


OpenAiIngress: Any = ingress(_app)(_Ingress)


def make_fastapi_ingress(cls: type, app: FastAPI | None = None) -> type:
    """A class behind OpenAI's paths, or behind an app of one's own."""
    return ingress(_app if app is None else app)(cls)
