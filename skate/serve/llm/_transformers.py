"""Models of the `transformers` library, on CPU or one GPU: a step a token, so that requests take turns and can be ended."""

from __future__ import annotations

import asyncio
import functools
import importlib.util
import itertools
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Any

from skate.serve.llm._config import LLMConfig
from skate.serve.llm._engine import Engine, InvalidRequest, Piece, Sampling

_DEFAULT_TOKENS = 128
_OF_VLLM = ("tensor_parallel_size", "data_parallel_size", "kv_transfer_config", "enable_lora", "max_loras")
"""Options of the other engine that mean nothing here: one replica is one process, and adapters need no announcement."""
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
        for name in _OF_VLLM:
            kwargs.pop(name, None)
        if config.lora_config is not None and importlib.util.find_spec("peft") is None:
            raise ImportError("lora_config with llm_engine='transformers' needs a package: pip install peft")
        self._adapters = _Chosen(config.lora_config is not None)
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

    async def load_adapter(self, name: str, folder: str) -> None:
        """See `Engine.load_adapter`."""
        await asyncio.to_thread(self._adapters.load, self._model, name, folder)

    async def unload_adapter(self, name: str) -> None:
        """See `Engine.unload_adapter`."""
        await asyncio.to_thread(self._adapters.unload, name)

    def _ids(self, prompt: str | list[int]) -> list[int]:
        """The tokens of a prompt that the model can read."""
        if self._embeds:
            raise InvalidRequest(f"The model {self.config.model_id} embeds texts: it generates none.")
        assert self._limit is not None
        ids: list[int] = prompt if isinstance(prompt, list) else self._tokenizer(prompt)["input_ids"]
        if not ids:
            raise InvalidRequest("The prompt is empty.")
        if len(ids) >= self._limit:
            raise InvalidRequest(
                f"The prompt has {len(ids)} tokens, and the model's context is {self._limit} tokens long: shorten it."
            )
        return ids

    def _steps(self, ids: list[int], sampling: Sampling, adapter: str) -> _Steps:
        using = functools.partial(self._adapters.use, adapter)
        return _Steps(self._torch, self._model, self._device, ids, sampling, using)

    async def prefill(self, prompt: str | list[int], sampling: Sampling, adapter: str = "") -> Any:
        """See `Engine.prefill`."""
        steps = self._steps(self._ids(prompt), sampling, adapter)
        return await asyncio.to_thread(steps.first)

    async def generate(
        self, prompt: str | list[int], sampling: Sampling, adapter: str = "", begun: Any = None
    ) -> AsyncIterator[Piece]:
        """See `Engine.generate`."""
        ids = self._ids(prompt)
        assert self._limit is not None
        most = min(self._limit - len(ids), sampling.max_tokens or _DEFAULT_TOKENS)
        steps = self._steps(ids, sampling, adapter)
        if begun is not None:
            steps.go_on(begun, self._transformers)
        ends = _ends(self._model)
        text = ""
        made: list[int] = []
        while True:
            token = steps.begun.pop() if steps.begun else await asyncio.to_thread(steps.next)
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

    def __init__(
        self,
        torch: Any,
        model: Any,
        device: str,
        ids: list[int],
        sampling: Sampling,
        using: Callable[[], AbstractContextManager[None]],
    ) -> None:
        self._torch = torch
        self._model = model
        self._using = using
        self.begun: list[int] = []
        """A token that another process has chosen, and that is not given yet."""
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
        with torch.inference_mode(), self._using():
            out = self._model(input_ids=self._next, past_key_values=self._past, use_cache=True)
            self._past = out.past_key_values
            token = self._choose(out.logits[0, -1].float())
        self._next = torch.tensor([[token]], device=self._next.device)
        return token

    def first(self) -> tuple[int, list[tuple[Any, Any]], Any]:
        """Do the first step: its token, what the layers remember of the prompt, and how chance goes on."""
        token = self.next()
        layers = [(layer.keys.cpu(), layer.values.cpu()) for layer in self._past.layers]
        return token, layers, self._generator.get_state()

    def go_on(self, begun: tuple[int, list[tuple[Any, Any]], Any], transformers: Any) -> None:
        """Take over what `first` has given in another process."""
        torch, device = self._torch, self._next.device
        token, layers, chance = begun
        self._past = transformers.DynamicCache()
        for number, (keys, values) in enumerate(layers):
            self._past.update(keys.to(device), values.to(device), number)
        self._generator.set_state(chance)
        self._next = torch.tensor([[token]], device=device)
        self.begun = [token]

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


class _Chosen:
    """The adapters of a model. Which one it uses is a state of the model: if it may have some, only one request computes at a time."""

    def __init__(self, allowed: bool) -> None:
        self._allowed = allowed
        self._lock = threading.Lock()
        self._holder: Any = None
        """What puts them into the layers of the model, which is then called as before."""
        self._names: dict[str, str] = {}
        """What the model calls each: its own names have no dots."""
        self._numbers = itertools.count(1)

    def load(self, model: Any, name: str, folder: str) -> None:
        """Load one from a folder."""
        import peft

        own = f"adapter{next(self._numbers)}"
        with self._lock:
            if self._holder is None:
                self._holder = peft.PeftModel.from_pretrained(model, folder, adapter_name=own)
            else:
                self._holder.load_adapter(folder, adapter_name=own)
            self._names[name] = own

    def unload(self, name: str) -> None:
        """Let go of one."""
        with self._lock:
            self._holder.delete_adapter(self._names.pop(name))

    @contextmanager
    def use(self, name: str) -> Iterator[None]:
        """Have a step of the model be made with that adapter; empty: without any."""
        if not self._allowed:
            yield
            return
        with self._lock:
            if name:
                self._holder.set_adapter(self._names[name])
                yield
            elif not self._names:
                yield
            else:
                # One that is there, as the one used last may have gone since.
                self._holder.set_adapter(next(iter(self._names.values())))
                with self._holder.disable_adapter():
                    yield


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
