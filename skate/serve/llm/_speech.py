"""Models of the `transformers` library that write down what is said, such as Whisper: on CPU or one GPU."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator
from typing import Any

from skate.serve.llm._audio import read_samples
from skate.serve.llm._config import LLMConfig
from skate.serve.llm._engine import Engine, InvalidRequest, Piece, Sampling, Transcription

__all__ = ["TASKS", "SpeechEngine"]

TASKS = ("transcribe", "transcription")
"""What `engine_kwargs["task"]` says for these models."""


class SpeechEngine(Engine):
    """See the module. Recordings are written down one at a time: each uses all of the replica's processors.

    One that is longer than the model can hear at once is cut into pieces of that length.
    """

    def __init__(self, config: LLMConfig) -> None:
        super().__init__(config)
        try:
            import torch
            import transformers
        except ImportError as error:
            raise ImportError(
                f"llm_engine='transformers' needs a package that is not installed ({error}): pip install transformers torch"
            ) from error
        self._torch: Any = torch
        self._transformers: Any = transformers
        self._kwargs = {name: value for name, value in config.engine_kwargs.items() if name != "task"}
        self._device = self._kwargs.pop("device", "cuda" if torch.cuda.is_available() else "cpu")
        self._turn = asyncio.Lock()
        self._model: Any = None
        self._reads: Any = None
        self._tokenizer: Any = None

    async def start(self) -> None:
        """Load the model, and what prepares recordings for it."""
        await asyncio.to_thread(self._load)

    def _load(self) -> None:
        auto, source = self._transformers, self.config.source
        self._reads = auto.AutoFeatureExtractor.from_pretrained(source)
        self._tokenizer = auto.AutoTokenizer.from_pretrained(
            self.config.model_loading_config.tokenizer_source or source
        )
        model = auto.AutoModelForSpeechSeq2Seq.from_pretrained(source, **self._kwargs)
        self._model = model.to(self._device).eval()

    async def transcribe(self, recording: bytes, wanted: Transcription) -> AsyncIterator[Piece]:
        """See `Engine.transcribe`."""
        options = self._options(wanted)
        parts = await asyncio.to_thread(self._parts, recording)
        written = 0
        async with self._turn:
            for features in parts:
                work = _Work(self._tokenizer, self._transformers, self._torch, asyncio.get_running_loop())
                running = asyncio.ensure_future(
                    asyncio.to_thread(work.run, self._model, {**features, **options})
                )
                try:
                    while (text := await work.pieces.get()) is not None:
                        yield Piece(text, 0, written + work.made)
                    await running  # raises what went wrong
                finally:
                    work.ended.set()
                    await asyncio.wait([running])
                written += work.made
        yield Piece("", 0, written, "stop")

    def _parts(self, recording: bytes) -> list[dict[str, Any]]:
        """What the model hears, part by part."""
        rate = self._reads.sampling_rate
        samples = read_samples(recording, rate)
        longest = getattr(self._reads, "n_samples", None) or len(samples)
        parts = []
        for begin in range(0, len(samples), longest):
            part = self._reads(samples[begin : begin + longest], sampling_rate=rate, return_tensors="pt")
            parts.append({name: value.to(self._device) for name, value in part.items()})
        return parts

    def _options(self, wanted: Transcription) -> dict[str, Any]:
        """Further arguments of the model's `generate`."""
        given: dict[str, Any] = {}
        if wanted.temperature > 0:
            given.update(do_sample=True, temperature=wanted.temperature)
        if wanted.language is not None:
            known = getattr(self._model.generation_config, "lang_to_id", None)
            if known is None:
                raise InvalidRequest(f"The model {self.config.model_id} knows one language: name none.")
            if f"<|{wanted.language}|>" not in known:
                raise InvalidRequest(
                    f"The model {self.config.model_id} does not know the language '{wanted.language}'."
                )
            given["language"] = wanted.language
        if wanted.prompt and hasattr(self._tokenizer, "get_prompt_ids"):
            given["prompt_ids"] = self._tokenizer.get_prompt_ids(wanted.prompt, return_tensors="pt").to(
                self._device
            )
        return given

    def generate(
        self, prompt: str | list[int], sampling: Sampling, adapter: str = "", begun: Any = None
    ) -> AsyncIterator[Piece]:
        """Refused."""
        raise InvalidRequest(self._only())

    def chat_prompt(self, messages: list[dict[str, Any]]) -> str:
        """Refused."""
        raise InvalidRequest(self._only())

    async def embed(self, texts: list[str]) -> tuple[list[list[float]], int]:
        """Refused."""
        raise InvalidRequest(self._only())

    def _only(self) -> str:
        return f"The model {self.config.model_id} transcribes recordings, at /v1/audio/transcriptions, and does nothing else."


class _Work:
    """One recording under way, in a thread; what is written goes to the loop as it comes."""

    def __init__(
        self, tokenizer: Any, transformers: Any, torch: Any, loop: asyncio.AbstractEventLoop
    ) -> None:
        self.pieces: asyncio.Queue[str | None] = asyncio.Queue()
        self.ended = threading.Event()
        """Set when nobody wants the rest."""
        self.made = 0
        """How many tokens there are so far."""
        self._torch = torch
        self._transformers = transformers

        def tell(text: str | None) -> None:
            loop.call_soon_threadsafe(self.pieces.put_nowait, text)

        class Streamer(transformers.TextStreamer):  # type: ignore[misc]
            def on_finalized_text(self, text: str, stream_end: bool = False) -> None:
                if text:
                    tell(text)

        self._tell = tell
        self._streamer = Streamer(tokenizer, skip_prompt=False, skip_special_tokens=True)

    def run(self, model: Any, given: dict[str, Any]) -> None:
        """Write the recording down."""

        def look(ids: Any, _scores: Any, **_options: Any) -> Any:
            self.made = ids.shape[-1]
            return self._torch.full(
                (ids.shape[0],), self.ended.is_set(), dtype=self._torch.bool, device=ids.device
            )

        try:
            with self._torch.inference_mode():
                model.generate(
                    **given,
                    streamer=self._streamer,
                    stopping_criteria=self._transformers.StoppingCriteriaList([look]),
                )
        finally:
            self._tell(None)
