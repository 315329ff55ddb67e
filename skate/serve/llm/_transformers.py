"""Models of the `transformers` library, on CPU or one GPU: a step a token, so that requests take turns and can be ended."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

from skate.serve.llm._config import LLMConfig
from skate.serve.llm._engine import Engine, InvalidRequest, Piece, Sampling

_DEFAULT_TOKENS = 128
_UNFINISHED = "\ufffd"


class TransformersEngine(Engine):
    """See the module."""

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
        self._model: Any = None
        self._tokenizer: Any = None
        kwargs = dict(config.engine_kwargs)
        self._embeds = kwargs.pop("task", "generate") in ("embed", "embedding")
        self._limit: int | None = kwargs.pop("max_model_len", None)
        kwargs.pop("tensor_parallel_size", None)
        self._device = kwargs.pop("device", "cuda" if torch.cuda.is_available() else "cpu")
        self._kwargs = kwargs

    async def start(self) -> None:
        """Load model and tokenizer."""
        await asyncio.to_thread(self._load)

    def _load(self) -> None:
        auto = self._transformers
        kind = auto.AutoModel if self._embeds else auto.AutoModelForCausalLM
        tokenizer = self.config.model_loading_config.tokenizer_source or self.config.source
        self._tokenizer = auto.AutoTokenizer.from_pretrained(tokenizer)
        self._model = kind.from_pretrained(self.config.source, **self._kwargs).to(self._device).eval()
        if self._limit is None:
            self._limit = getattr(self._model.config, "max_position_embeddings", None) or 2048

    async def generate(self, prompt: str | list[int], sampling: Sampling) -> AsyncIterator[Piece]:
        """See `Engine.generate`."""
        if self._embeds:
            raise InvalidRequest(f"The model {self.config.model_id} embeds texts: it generates none.")
        assert self._limit is not None
        ids = prompt if isinstance(prompt, list) else self._tokenizer(prompt)["input_ids"]
        if not ids:
            raise InvalidRequest("The prompt is empty.")
        room = self._limit - len(ids)
        if room < 1:
            raise InvalidRequest(
                f"The prompt has {len(ids)} tokens, and the model's context is {self._limit} tokens long: shorten it."
            )
        most = min(room, sampling.max_tokens or _DEFAULT_TOKENS)
        steps = _Steps(self._torch, self._model, self._device, ids, sampling)
        ends = _ends(self._model)
        text = ""
        made: list[int] = []
        while True:
            token = await asyncio.to_thread(steps.next)
            ended = token in ends
            if not ended:
                made.append(token)
            whole = self._tokenizer.decode(made, skip_special_tokens=True)
            reason = "stop" if ended else "length" if len(made) >= most else None
            if reason is None and whole.endswith(_UNFINISHED):
                continue  # half a character
            cut = min((at for stop in sampling.stop if (at := whole.find(stop)) >= 0), default=-1)
            if cut >= 0:
                whole, reason = whole[:cut], "stop"
            if len(whole) > len(text) or reason:
                held = 0 if reason else _held_back(whole, sampling.stop)
                shown = whole[: len(whole) - held]
                yield Piece(shown[len(text) :], len(ids), len(made), reason)
                text = max(text, shown, key=len)
            if reason:
                return

    def chat_prompt(self, messages: list[dict[str, Any]]) -> str:
        """See `Engine.chat_prompt`."""
        if getattr(self._tokenizer, "chat_template", None):
            return str(
                self._tokenizer.apply_chat_template(messages, tokenize=False, add_generation_prompt=True)
            )
        lines = [f"{message.get('role', 'user')}: {message.get('content', '')}" for message in messages]
        return "\n".join([*lines, "assistant:"])

    async def embed(self, texts: list[str]) -> tuple[list[list[float]], int]:
        """See `Engine.embed`: the mean of the last layer over each text, of length one."""
        if not self._embeds:
            raise InvalidRequest(
                f"The model {self.config.model_id} was not loaded for embeddings: set engine_kwargs={{'task': 'embed'}}."
            )
        return await asyncio.to_thread(self._embed, texts)

    def _embed(self, texts: list[str]) -> tuple[list[list[float]], int]:
        torch = self._torch
        given = self._tokenizer(
            texts, padding=True, truncation=True, max_length=self._limit, return_tensors="pt"
        )
        given = {key: value.to(self._device) for key, value in given.items()}
        with torch.inference_mode():
            hidden = self._model(**given).last_hidden_state
            mask = given["attention_mask"].unsqueeze(-1).to(hidden.dtype)
            mean = (hidden * mask).sum(1) / mask.sum(1).clamp(min=1e-9)
            found = torch.nn.functional.normalize(mean, dim=1)
        return found.float().cpu().tolist(), int(given["attention_mask"].sum())


class _Steps:
    """The steps of one request; each gives a token."""

    def __init__(self, torch: Any, model: Any, device: str, ids: list[int], sampling: Sampling) -> None:
        self._torch = torch
        self._model = model
        self._next = torch.tensor([ids], device=device)
        self._past: Any = None
        self._sampling = sampling
        self._generator = torch.Generator(device=device)
        if sampling.seed is None:
            self._generator.seed()  # a new generator has always the same one
        else:
            self._generator.manual_seed(sampling.seed)

    def next(self) -> int:
        torch = self._torch
        with torch.inference_mode():
            out = self._model(input_ids=self._next, past_key_values=self._past, use_cache=True)
            self._past = out.past_key_values
            token = self._choose(out.logits[0, -1].float())
        self._next = torch.tensor([[token]], device=self._next.device)
        return token

    def _choose(self, logits: Any) -> int:
        torch, sampling = self._torch, self._sampling
        if sampling.temperature == 0:
            return int(logits.argmax())
        chances = torch.softmax(logits / sampling.temperature, dim=-1)
        if sampling.top_p < 1:
            ordered, places = chances.sort(descending=True)
            ordered[ordered.cumsum(-1) - ordered > sampling.top_p] = 0
            chances = torch.zeros_like(chances).scatter(0, places, ordered)
        return int(torch.multinomial(chances, 1, generator=self._generator))


def _ends(model: Any) -> set[int]:
    end = model.config.eos_token_id
    return set(end) if isinstance(end, list) else set() if end is None else {end}


def _held_back(text: str, stops: list[str]) -> int:
    """How many characters at the end might be the beginning of a stop text."""
    longest = 0
    for stop in stops:
        for size in range(1, min(len(stop), len(text) + 1)):
            if text.endswith(stop[:size]):
                longest = max(longest, size)
    return longest


__all__ = ["TransformersEngine"]
