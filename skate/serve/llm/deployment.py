"""The deployment that holds a model."""

from __future__ import annotations

import base64
import struct
import uuid
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing, asynccontextmanager
from typing import Any

from skate.serve.api import get_multiplexed_model_id
from skate.serve.llm._adapters import Adapters, split_model_id
from skate.serve.llm._config import LLMConfig
from skate.serve.llm._engine import (
    Engine,
    InvalidRequest,
    Piece,
    Sampling,
    Transcription,
    UnknownModel,
    make_engine,
)
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
    TranscriptionRequest,
    TranscriptionResponse,
    TranscriptionStreamResponse,
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
        lora = llm_config.lora_config
        self._adapters = None if lora is None else Adapters(self._engine, llm_config.model_id, lora)

    async def llm_config(self) -> LLMConfig:
        """The model and its engine."""
        return self._config

    async def check_health(self) -> None:
        """Ask the engine."""
        await self._engine.check_health()

    async def chat(self, request: ChatCompletionRequest) -> AsyncIterator[Any]:
        """Go on with a conversation."""
        sampling = _sampling(request, request.max_completion_tokens or request.max_tokens)
        number, model = f"chatcmpl-{uuid.uuid4().hex}", self._named(request)
        try:
            prompt = self._engine.chat_prompt(request.messages)
            if request.stream:
                begun = False
                async with aclosing(self.generate(model, prompt, sampling)) as pieces:
                    async for piece in pieces:
                        if not begun:  # now that the engine has taken it: the first answer may be a refusal
                            yield _chat_piece(number, model, {"role": "assistant", "content": ""}, None)
                            begun = True
                        delta = {"content": piece.text} if piece.text else {}
                        yield _chat_piece(number, model, delta, piece.finish_reason)
                return
            text, last = await self._whole(model, prompt, sampling)
        except InvalidRequest as error:
            yield _error(error)
            return
        message = {"role": "assistant", "content": text}
        choice = {"index": 0, "message": message, "logprobs": None, "finish_reason": last.finish_reason}
        yield ChatCompletionResponse(id=number, model=model, choices=[choice], usage=_usage(last))

    async def completions(self, request: CompletionRequest) -> AsyncIterator[Any]:
        """Go on with a text."""
        number, model = f"cmpl-{uuid.uuid4().hex}", self._named(request)
        prompts = _prompts(request.prompt)
        sampling = _sampling(request, request.max_tokens)
        choices: list[dict[str, Any]] = []
        usage = UsageInfo()
        try:
            for index, prompt in enumerate(prompts):
                if request.stream:
                    async with aclosing(self.generate(model, prompt, sampling)) as pieces:
                        async for piece in pieces:
                            choice = _text_choice(index, piece.text, piece.finish_reason)
                            yield CompletionStreamResponse(id=number, model=model, choices=[choice])
                    continue
                text, last = await self._whole(model, prompt, sampling)
                choices.append(_text_choice(index, text, last.finish_reason))
                usage.prompt_tokens += last.prompt_tokens
                usage.completion_tokens += last.completion_tokens
        except InvalidRequest as error:
            yield _error(error)
            return
        if not request.stream:
            usage.total_tokens = usage.prompt_tokens + usage.completion_tokens
            yield CompletionResponse(id=number, model=model, choices=choices, usage=usage)

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

    async def transcriptions(self, request: TranscriptionRequest) -> AsyncIterator[Any]:
        """Write down what is said in a recording."""
        wanted = Transcription(request.language, request.prompt, request.temperature)
        text, last = "", None
        try:
            async for last in self._engine.transcribe(request.file, wanted):
                text += last.text
                if request.stream and last.text:
                    yield TranscriptionStreamResponse(type="transcript.text.delta", delta=last.text)
        except InvalidRequest as error:
            yield _error(error)
            return
        usage = None
        if last is not None:
            total = last.prompt_tokens + last.completion_tokens
            usage = {
                "type": "tokens",
                "input_tokens": last.prompt_tokens,
                "output_tokens": last.completion_tokens,
                "total_tokens": total,
            }
        if request.stream:
            yield TranscriptionStreamResponse(type="transcript.text.done", text=text, usage=usage)
        else:
            more = {"task": "transcribe", "language": request.language or ""}
            found = {
                "text": text,
                "usage": usage,
                **(more if request.response_format == "verbose_json" else {}),
            }
            yield TranscriptionResponse.model_validate(found)

    def _named(self, request: Any) -> str:
        """The model that a request asks for: this one, or one with an adapter, as "model:adapter"."""
        asked: str = get_multiplexed_model_id() or request.model or ""
        return asked if split_model_id(asked)[0] == self._config.model_id else self._config.model_id

    @asynccontextmanager
    async def _adapter(self, model: str) -> AsyncIterator[str]:
        """What the engine knows the adapter of a model's name by, which stays loaded for as long as this lasts; empty: there is none."""
        name = "" if model == self._config.model_id else split_model_id(model)[1]
        if not name:
            yield ""
        elif self._adapters is None:
            raise UnknownModel(
                f"The model '{model}' does not exist: '{self._config.model_id}' has no lora_config."
            )
        else:
            async with self._adapters.use(name) as key:
                yield key

    async def generate(
        self, model: str, prompt: str | list[int], sampling: Sampling
    ) -> AsyncGenerator[Piece]:
        """Go on with a text or tokens, by this model or one with an adapter."""
        async with self._adapter(model) as adapter:
            async for piece in self._engine.generate(prompt, sampling, adapter):
                yield piece

    async def _whole(self, model: str, prompt: str | list[int], sampling: Sampling) -> tuple[str, Piece]:
        pieces = [piece async for piece in self.generate(model, prompt, sampling)]
        return "".join(piece.text for piece in pieces), pieces[-1]

    async def __del__(self) -> None:
        adapters = getattr(self, "_adapters", None)
        if adapters is not None:
            await adapters.close()
        engine = getattr(self, "_engine", None)
        if engine is not None:
            await engine.stop()

    @classmethod
    def get_deployment_options(cls, llm_config: LLMConfig) -> dict[str, Any]:
        """Options of the deployment that serves a model."""
        return llm_config.get_serve_options()


def _chat_piece(
    number: str, model: str, delta: dict[str, str], reason: str | None
) -> ChatCompletionStreamResponse:
    choice = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": reason}
    return ChatCompletionStreamResponse(id=number, model=model, choices=[choice])


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


def _error(error: InvalidRequest) -> ErrorResponse:
    return ErrorResponse(error=ErrorInfo(message=str(error), type=error.type, code=error.code))
