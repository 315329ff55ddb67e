"""What clients of an OpenAI-compatible server send and get, as models; fields that are not listed are kept and passed over."""

from __future__ import annotations

import time
import uuid
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

__all__ = [
    "ChatCompletionRequest",
    "ChatCompletionResponse",
    "ChatCompletionStreamResponse",
    "CompletionRequest",
    "CompletionResponse",
    "CompletionStreamResponse",
    "EmbeddingRequest",
    "EmbeddingResponse",
    "ErrorInfo",
    "ErrorResponse",
    "ModelCard",
    "ModelList",
    "TranscriptionRequest",
    "TranscriptionResponse",
    "TranscriptionStreamResponse",
    "UsageInfo",
]


class _Open(BaseModel):
    model_config = ConfigDict(extra="allow")


def _seconds() -> int:
    return int(time.time())


class UsageInfo(_Open):
    """How many tokens a request took."""

    prompt_tokens: int = 0
    completion_tokens: int = 0
    total_tokens: int = 0


class _Sampled(_Open):
    """What requests for text share."""

    model: str | None = None
    max_tokens: int | None = Field(default=None, ge=1)
    temperature: float = Field(default=1.0, ge=0)
    top_p: float = Field(default=1.0, gt=0, le=1)
    seed: int | None = None
    stop: str | list[str] | None = None
    stream: bool = False
    n: int = Field(default=1, ge=1, le=1)

    @property
    def stops(self) -> list[str]:
        """The texts that end an answer."""
        return [self.stop] if isinstance(self.stop, str) else list(self.stop or ())


class ChatCompletionRequest(_Sampled):
    """A conversation to go on with."""

    messages: list[dict[str, Any]] = Field(min_length=1)
    max_completion_tokens: int | None = Field(default=None, ge=1)


class CompletionRequest(_Sampled):
    """A text to go on with."""

    prompt: str | list[str] | list[int]


class EmbeddingRequest(_Open):
    """Texts to embed."""

    model: str | None = None
    input: str | list[str]
    encoding_format: Literal["float", "base64"] = "float"


class ChatCompletionResponse(_Open):
    """An answer in a conversation."""

    id: str = Field(default_factory=lambda: f"chatcmpl-{uuid.uuid4().hex}")
    object: str = "chat.completion"
    created: int = Field(default_factory=_seconds)
    model: str
    choices: list[dict[str, Any]]
    usage: UsageInfo


class ChatCompletionStreamResponse(_Open):
    """A piece of an answer in a conversation."""

    id: str
    object: str = "chat.completion.chunk"
    created: int = Field(default_factory=_seconds)
    model: str
    choices: list[dict[str, Any]]


class CompletionResponse(_Open):
    """How a text goes on."""

    id: str = Field(default_factory=lambda: f"cmpl-{uuid.uuid4().hex}")
    object: str = "text_completion"
    created: int = Field(default_factory=_seconds)
    model: str
    choices: list[dict[str, Any]]
    usage: UsageInfo


class CompletionStreamResponse(_Open):
    """A piece of how a text goes on."""

    id: str
    object: str = "text_completion"
    created: int = Field(default_factory=_seconds)
    model: str
    choices: list[dict[str, Any]]


class EmbeddingResponse(_Open):
    """Embeddings of texts."""

    object: str = "list"
    model: str
    data: list[dict[str, Any]]
    usage: UsageInfo


class TranscriptionRequest(_Open):
    """A recording to write down. Clients send it as a form."""

    file: bytes
    model: str | None = None
    language: str | None = None
    prompt: str | None = None
    response_format: Literal["json", "text", "verbose_json"] = "json"
    temperature: float = Field(default=0.0, ge=0, le=1)
    stream: bool = False


class TranscriptionResponse(_Open):
    """What is said in a recording."""

    text: str
    usage: dict[str, Any] | None = None


class TranscriptionStreamResponse(_Open):
    """A piece of what is said in a recording (`transcript.text.delta`), or the whole at the end (`transcript.text.done`)."""

    type: Literal["transcript.text.delta", "transcript.text.done"]
    delta: str | None = None
    text: str | None = None
    usage: dict[str, Any] | None = None


class ErrorInfo(_Open):
    """What went wrong."""

    message: str
    type: str = "invalid_request_error"
    param: str | None = None
    code: int = 400


class ErrorResponse(_Open):
    """An error, as clients of OpenAI's read it."""

    error: ErrorInfo


class ModelCard(_Open):
    """A model that is served."""

    id: str
    object: str = "model"
    created: int = Field(default_factory=_seconds)
    owned_by: str = "skate"
    parent: str | None = None
    """The model whose adapter it is."""


class ModelList(_Open):
    """The models that are served."""

    object: str = "list"
    data: list[ModelCard]
