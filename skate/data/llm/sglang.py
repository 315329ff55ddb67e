"""SGLang as the engine, where it is installed."""

from __future__ import annotations

import asyncio
from typing import Any, Literal

from pydantic import Field

from skate.data.interop import require_module
from skate.data.llm.config import OfflineProcessorConfig
from skate.data.llm.engines import around, engine_arguments, failed
from skate.data.llm.processor import Processor, ProcessorBuilder
from skate.data.llm.stages import Stage, StageFunction


class SGLangEngineProcessorConfig(OfflineProcessorConfig):
    """A processor that runs a model with SGLang.

    Attributes:
        engine_kwargs: Arguments of SGLang's `Engine`.
        task_type: What the engine is to do; it adds `generated_text` and `generated_tokens` to each row.
    """

    engine_kwargs: dict[str, Any] = Field(default_factory=dict)
    task_type: Literal["generate"] = "generate"


class SGLangEngineStage(StageFunction):
    """Holds an engine of SGLang, and answers rows, all of a batch at a time.

    Args:
        model: The model.
        engine_kwargs: Arguments of `Engine`.
        should_continue_on_error: Whether a row that fails is marked, and does not end the run.
    """

    required = {"prompt": "The text prompt (str)."}  # noqa: RUF012 - of the class
    optional = {  # noqa: RUF012
        "tokenized_prompt": "The tokenized prompt.",
        "sampling_params": "SGLang's sampling parameters.",
    }

    def __init__(self, model: str, engine_kwargs: dict[str, Any], should_continue_on_error: bool) -> None:
        sglang = require_module("sglang")
        self._engine = sglang.Engine(model_path=model, **engine_kwargs)
        self._goes_on = should_continue_on_error

    async def answer(self, rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
        """The texts."""
        return list(await asyncio.gather(*(self._one(row) for row in rows)))

    async def _one(self, row: dict[str, Any]) -> dict[str, Any]:
        tokens = row.get("tokenized_prompt")
        asked = {"prompt": row["prompt"]} if tokens is None else {"input_ids": list(tokens)}
        try:
            answer = await self._engine.async_generate(
                **asked, sampling_params=dict(row.get("sampling_params") or {})
            )
        except Exception as error:
            if not self._goes_on:
                raise
            return failed(error)
        return {"generated_text": answer["text"], "generated_tokens": list(answer.get("output_ids") or [])}


def _build(
    config: SGLangEngineProcessorConfig, chat_template_kwargs: dict[str, Any] | None = None, **functions: Any
) -> Processor:
    require_module("sglang")
    require_module("transformers")
    gpus = int(config.engine_kwargs.get("tp_size", 1)) * int(config.engine_kwargs.get("dp_size", 1))
    engine = Stage(
        SGLangEngineStage,
        {
            "model": config.model_source,
            "engine_kwargs": config.engine_kwargs,
            "should_continue_on_error": config.should_continue_on_error,
        },
        engine_arguments(config, gpus),
    )
    trust = bool(config.engine_kwargs.get("trust_remote_code", False))
    return around(
        config, engine, trust_remote_code=trust, chat_template_kwargs=chat_template_kwargs, **functions
    )


ProcessorBuilder.register(SGLangEngineProcessorConfig, _build)

__all__ = ["SGLangEngineProcessorConfig", "SGLangEngineStage"]
