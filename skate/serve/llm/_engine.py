"""The contract of an engine: what runs a model in a replica."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any

from skate.serve.llm._config import LLMConfig


@dataclass(frozen=True)
class Sampling:
    """How tokens are chosen, and when to stop."""

    max_tokens: int | None = None
    temperature: float = 1.0
    top_p: float = 1.0
    seed: int | None = None
    stop: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class Transcription:
    """How a recording is written down.

    Args:
        language: What is spoken in it, as "en"; None: the model finds out.
        prompt: A text that may come before it, and shows how words are spelled.
        temperature: How tokens are chosen; 0: the likeliest.
    """

    language: str | None = None
    prompt: str | None = None
    temperature: float = 0.0


@dataclass(frozen=True)
class Piece:
    """A piece of an answer; the last one has a reason."""

    text: str
    prompt_tokens: int
    completion_tokens: int
    finish_reason: str | None = None


class InvalidRequest(ValueError):
    """The client asked for what the model can't do."""

    code = 400
    type = "invalid_request_error"


class UnknownModel(InvalidRequest):
    """The client asked for a model or an adapter that there is not."""

    code = 404
    type = "NotFoundError"


class Engine(ABC):
    """Runs one model. Its methods are called in the replica's loop, many at a time.

    Args:
        config: The model, and `engine_kwargs`.
    """

    def __init__(self, config: LLMConfig) -> None:
        self.config = config

    @abstractmethod
    async def start(self) -> None:
        """Load the model."""

    @abstractmethod
    def generate(
        self, prompt: str | list[int], sampling: Sampling, adapter: str = "", begun: Any = None
    ) -> AsyncIterator[Piece]:
        """Go on with a text or tokens. Closing the iterator ends the work.

        Args:
            prompt: The text, or its tokens.
            sampling: How tokens are chosen.
            adapter: The adapter that is used, which has been loaded; empty: none.
            begun: What `prefill` of an engine of the same model has returned for this prompt: the work goes on from there.

        Raises:
            InvalidRequest: the prompt is longer than the model's context.
        """

    async def prefill(self, prompt: str | list[int], sampling: Sampling, adapter: str = "") -> Any:
        """Read a prompt, and choose the first token: what another engine of the same model needs to go on, which can be pickled.

        Raises:
            InvalidRequest: as `generate`.
            NotImplementedError: the engine can't do that.
        """
        raise NotImplementedError(
            f"llm_engine={self.config.llm_engine!r} does not separate prefill from decode."
        )

    async def load_adapter(self, name: str, folder: str) -> None:
        """Load an adapter from a folder of this machine.

        Raises:
            NotImplementedError: the engine has no adapters.
        """
        raise NotImplementedError(f"llm_engine={self.config.llm_engine!r} loads no adapters.")

    async def unload_adapter(self, name: str) -> None:
        """Let go of an adapter that nobody uses."""
        return

    @abstractmethod
    def chat_prompt(self, messages: list[dict[str, Any]]) -> str:
        """The text of a conversation, as the model was trained on them."""

    @abstractmethod
    async def embed(self, texts: list[str]) -> tuple[list[list[float]], int]:
        """Embeddings of texts, and how many tokens those are.

        Raises:
            InvalidRequest: the model is none of embeddings.
        """

    def transcribe(self, recording: bytes, wanted: Transcription) -> AsyncIterator[Piece]:
        """Write down what is said in a recording. Closing the iterator ends the work.

        Args:
            recording: The bytes of a file of sound.
            wanted: How it is to be done.

        Raises:
            InvalidRequest: the model does no such thing, or the recording can't be read.
        """
        raise InvalidRequest(f"The model {self.config.model_id} does not transcribe recordings.")

    async def check_health(self) -> None:
        """Raise if it can't answer any more."""
        return

    async def stop(self) -> None:
        """Let go of the model."""
        return


def make_engine(config: LLMConfig) -> Engine:
    """The engine that a configuration names.

    Raises:
        ImportError: its package is not installed.
    """
    if config.llm_engine.lower() == "vllm":
        from skate.serve.llm._vllm import VllmEngine

        return VllmEngine(config)
    from skate.serve.llm._speech import TASKS, SpeechEngine

    if config.engine_kwargs.get("task") in TASKS:
        return SpeechEngine(config)
    from skate.serve.llm._transformers import TransformersEngine

    return TransformersEngine(config)
