"""The deployment that holds a model."""

from __future__ import annotations

import base64
import struct
import uuid
from collections.abc import AsyncIterator
from typing import Any

from skate.serve.llm._config import LLMConfig
from skate.serve.llm._engine import Engine, InvalidRequest, Piece, Sampling, make_engine
from skate.serve.llm.openai_api_models import (
    ChatCompletionRequest,
    ChatCompletionResponse,
    ChatCompletionStreamResponse,
    CompletionRequest,
    CompletionResponse,
    CompletionStreamResponse,
    EmbeddingRequest,
    EmbeddingResponse,
    ErrorInfo,
    ErrorResponse,
    UsageInfo,
)

__all__ = ["LLMServer"]


class LLMServer:
    """A model behind OpenAI's requests. Its methods are generators: of one response, or of the pieces of a stream.

    Args:
        llm_config: The model and its engine.
        engine_cls: Another engine than the one that the configuration names.
    """

    async def __init__(self, llm_config: LLMConfig, *, engine_cls: type[Engine] | None = None) -> None:  # type: ignore[misc]
        self._config = llm_config
        self._engine = make_engine(llm_config) if engine_cls is None else engine_cls(llm_config)
        await self._engine.start()

    async def llm_config(self) -> LLMConfig:
        """The model and its engine."""
        return self._config

    async def check_health(self) -> None:
        """Ask the engine."""
        await self._engine.check_health()

    async def chat(self, request: ChatCompletionRequest) -> AsyncIterator[Any]:
        """Go on with a conversation."""
        prompt = self._engine.chat_prompt(request.messages)
        most = request.max_completion_tokens or request.max_tokens
        number = f"chatcmpl-{uuid.uuid4().hex}"
        try:
            if request.stream:
                begun = False
                async for piece in self._engine.generate(prompt, _sampling(request, most)):
                    if (
                        not begun
                    ):  # not before the engine has taken the request: the first answer may be a refusal
                        yield self._chat_piece(number, {"role": "assistant", "content": ""}, None)
                        begun = True
                    yield self._chat_piece(
                        number, {"content": piece.text} if piece.text else {}, piece.finish_reason
                    )
                return
            text, last = await self._whole(prompt, _sampling(request, most))
        except InvalidRequest as error:
            yield _error(error)
            return
        message = {"role": "assistant", "content": text}
        choice = {"index": 0, "message": message, "logprobs": None, "finish_reason": last.finish_reason}
        yield ChatCompletionResponse(
            id=number, model=self._config.model_id, choices=[choice], usage=_usage(last)
        )

    def _chat_piece(
        self, number: str, delta: dict[str, str], reason: str | None
    ) -> ChatCompletionStreamResponse:
        choice = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": reason}
        return ChatCompletionStreamResponse(id=number, model=self._config.model_id, choices=[choice])

    async def completions(self, request: CompletionRequest) -> AsyncIterator[Any]:
        """Go on with a text."""
        number = f"cmpl-{uuid.uuid4().hex}"
        prompts = _prompts(request.prompt)
        sampling = _sampling(request, request.max_tokens)
        choices: list[dict[str, Any]] = []
        usage = UsageInfo()
        try:
            for index, prompt in enumerate(prompts):
                if request.stream:
                    async for piece in self._engine.generate(prompt, sampling):
                        choice = _text_choice(index, piece.text, piece.finish_reason)
                        yield CompletionStreamResponse(
                            id=number, model=self._config.model_id, choices=[choice]
                        )
                    continue
                text, last = await self._whole(prompt, sampling)
                choices.append(_text_choice(index, text, last.finish_reason))
                usage.prompt_tokens += last.prompt_tokens
                usage.completion_tokens += last.completion_tokens
        except InvalidRequest as error:
            yield _error(error)
            return
        if not request.stream:
            usage.total_tokens = usage.prompt_tokens + usage.completion_tokens
            yield CompletionResponse(id=number, model=self._config.model_id, choices=choices, usage=usage)

    async def embeddings(self, request: EmbeddingRequest) -> AsyncIterator[Any]:
        """Embed texts."""
        texts = [request.input] if isinstance(request.input, str) else request.input
        try:
            found, tokens = await self._engine.embed(texts)
        except InvalidRequest as error:
            yield _error(error)
            return
        packed: list[Any] = list(found)
        if request.encoding_format == "base64":
            packed = [base64.b64encode(struct.pack(f"<{len(row)}f", *row)).decode() for row in found]
        data = [{"object": "embedding", "index": index, "embedding": row} for index, row in enumerate(packed)]
        usage = UsageInfo(prompt_tokens=tokens, total_tokens=tokens)
        yield EmbeddingResponse(model=self._config.model_id, data=data, usage=usage)

    async def _whole(self, prompt: str | list[int], sampling: Sampling) -> tuple[str, Piece]:
        pieces = [piece async for piece in self._engine.generate(prompt, sampling)]
        return "".join(piece.text for piece in pieces), pieces[-1]

    async def __del__(self) -> None:
        engine = getattr(self, "_engine", None)
        if engine is not None:
            await engine.stop()

    @classmethod
    def get_deployment_options(cls, llm_config: LLMConfig) -> dict[str, Any]:
        """Options of the deployment that serves a model."""
        return llm_config.get_serve_options()


def _sampling(request: Any, most: int | None) -> Sampling:
    return Sampling(most, request.temperature, request.top_p, request.seed, request.stops)


def _prompts(prompt: Any) -> list[Any]:
    if isinstance(prompt, list) and prompt and isinstance(prompt[0], str):
        return prompt
    return [prompt]


def _text_choice(index: int, text: str, reason: str | None) -> dict[str, Any]:
    return {"index": index, "text": text, "logprobs": None, "finish_reason": reason}


def _usage(last: Piece) -> UsageInfo:
    return UsageInfo(
        prompt_tokens=last.prompt_tokens,
        completion_tokens=last.completion_tokens,
        total_tokens=last.prompt_tokens + last.completion_tokens,
    )


def _error(error: Exception) -> ErrorResponse:
    return ErrorResponse(error=ErrorInfo(message=str(error)))
