"""Models on vLLM's engine."""

from __future__ import annotations

import dataclasses
import inspect
import itertools
import uuid
from collections.abc import AsyncIterator
from typing import Any

from skate.serve.llm._config import LLMConfig
from skate.serve.llm._engine import Engine, InvalidRequest, Piece, Sampling


class VllmEngine(Engine):
    """vLLM's asynchronous engine, which batches requests as they come."""

    def __init__(self, config: LLMConfig) -> None:
        super().__init__(config)
        try:
            import vllm
        except ImportError as error:
            raise ImportError(
                f"llm_engine='vLLM' needs a package that is not installed ({error}): pip install \"skate[serve-vllm]\". "
                "On a machine without a GPU, llm_engine='transformers' does."
            ) from error
        self._vllm: Any = vllm
        self._engine: Any = None
        self._tokenizer: Any = None
        self._adapters: dict[str, Any] = {}
        self._numbers = itertools.count(1)

    async def start(self) -> None:
        """Load the model."""
        loading, lora = self.config.model_loading_config, self.config.lora_config
        options = dict(self.config.engine_kwargs)
        named = {each.name for each in dataclasses.fields(self._vllm.AsyncEngineArgs)}
        if "task" not in named and options.pop("task", None) in ("embed", "embedding"):
            options.setdefault("runner", "pooling")
        if lora is not None:
            options = {"enable_lora": True, "max_loras": lora.max_num_adapters_per_replica, **options}
        args = self._vllm.AsyncEngineArgs(
            model=self.config.source,
            tokenizer=loading.tokenizer_source or self.config.source,
            **options,
        )
        self._engine = self._vllm.AsyncLLMEngine.from_engine_args(args)
        tokenizer = self._engine.get_tokenizer()  # a coroutine in some versions
        self._tokenizer = await tokenizer if inspect.isawaitable(tokenizer) else tokenizer

    async def load_adapter(self, name: str, folder: str) -> None:
        """See `Engine.load_adapter`: vLLM reads it with the first request for it."""
        from vllm.lora.request import LoRARequest

        self._adapters[name] = LoRARequest(name, next(self._numbers), folder)

    async def unload_adapter(self, name: str) -> None:
        """See `Engine.unload_adapter`."""
        await self._engine.remove_lora(self._adapters.pop(name).lora_int_id)

    async def generate(
        self, prompt: str | list[int], sampling: Sampling, adapter: str = "", begun: Any = None
    ) -> AsyncIterator[Piece]:
        """See `Engine.generate`."""
        given = {"prompt_token_ids": prompt} if isinstance(prompt, list) else prompt
        params = self._vllm.SamplingParams(
            max_tokens=sampling.max_tokens,
            temperature=sampling.temperature,
            top_p=sampling.top_p,
            seed=sampling.seed,
            stop=sampling.stop or None,
        )
        number = uuid.uuid4().hex
        text = ""
        done = False
        try:
            lora = self._adapters.get(adapter)
            async for output in self._engine.generate(given, params, number, lora_request=lora):
                answer = output.outputs[0]
                yield Piece(
                    answer.text[len(text) :],
                    len(output.prompt_token_ids),
                    len(answer.token_ids),
                    answer.finish_reason,
                )
                text = answer.text
            done = True
        except ValueError as error:
            raise InvalidRequest(str(error)) from error
        finally:
            if not done:
                await self._engine.abort(number)

    def chat_prompt(self, messages: list[dict[str, Any]]) -> str:
        """See `Engine.chat_prompt`."""
        return str(self._tokenizer.apply_chat_template(messages, tokenize=False, add_generation_prompt=True))

    async def embed(self, texts: list[str]) -> tuple[list[list[float]], int]:
        """See `Engine.embed`."""
        found, tokens = [], 0
        for text in texts:
            last: Any = None
            params = self._vllm.PoolingParams(task="embed")
            async for output in self._engine.encode(text, params, uuid.uuid4().hex):
                last = output
            found.append(last.outputs.data.tolist())
            tokens += len(last.prompt_token_ids)
        return found, tokens

    async def check_health(self) -> None:
        """Ask the engine."""
        await self._engine.check_health()

    async def stop(self) -> None:
        """See `Engine.stop`: the engine's own processes end."""
        if self._engine is not None:
            self._engine.shutdown()


__all__ = ["VllmEngine"]
