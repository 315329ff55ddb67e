"""vLLM as the engine, where it is installed."""

from __future__ import annotations

import asyncio
import itertools
import time
from typing import Any, Literal

from pydantic import Field

from skate.data.interop import require_module
from skate.data.llm.config import (
    OfflineProcessorConfig,
    PrepareMultimodalStageConfig,
    resolve_stage,
)
from skate.data.llm.engines import around, engine_arguments, failed
from skate.data.llm.processor import Processor, ProcessorBuilder
from skate.data.llm.stages import Stage, StageFunction


class vLLMEngineProcessorConfig(OfflineProcessorConfig):  # noqa: N801 -- its name in the API
    """A processor that runs a model with vLLM.

    Attributes:
        engine_kwargs: Arguments of vLLM's `AsyncEngineArgs`.
        task_type: `"generate"` adds `generated_text` and `generated_tokens` to each row, the others `embeddings`.
        log_engine_metrics: Whether vLLM logs its statistics.
        dynamic_lora_loading_path: A folder with LoRA adapters, named by the `model` of a row.
        placement_group_config: Accepted for Ray's programs: an engine's workers are on one machine.
    """

    engine_kwargs: dict[str, Any] = Field(default_factory=dict)
    task_type: Literal["generate", "embed", "classify", "score"] = "generate"
    log_engine_metrics: bool = True
    dynamic_lora_loading_path: str | None = None
    placement_group_config: dict[str, Any] | None = None


class vLLMEngineStage(StageFunction):  # noqa: N801
    """Holds an engine of vLLM, and answers rows, all of a batch at a time.

    Args:
        model: The model.
        engine_kwargs: Arguments of `AsyncEngineArgs`.
        task_type: What the engine is to do.
        max_pending_requests: Requests that may wait in the engine.
        lora_path: A folder with LoRA adapters.
        log_metrics: Whether the engine logs its statistics.
        should_continue_on_error: Whether a row that fails is marked, and does not end the run.
    """

    optional = {  # noqa: RUF012 - of the class
        "prompt": "The text prompt (str). Required if tokenized_prompt is not provided.",
        "tokenized_prompt": "The tokenized prompt. Required if prompt is not provided.",
        "sampling_params": "Arguments of vLLM's SamplingParams.",
        "pooling_params": "Arguments of vLLM's PoolingParams.",
        "model": "The LoRA adapter to use, if it is not the model itself.",
        "multimodal_data": "Images and the like, for models that take them.",
    }

    def __init__(
        self,
        model: str,
        engine_kwargs: dict[str, Any],
        task_type: str,
        max_pending_requests: int | None,
        lora_path: str | None,
        log_metrics: bool,
        should_continue_on_error: bool,
    ) -> None:
        self._vllm = require_module("vllm")
        engine = require_module("vllm.v1.engine.async_llm", "vllm")
        given = {"model": model, "disable_log_stats": not log_metrics, **engine_kwargs}
        self._engine = engine.AsyncLLM.from_engine_args(self._vllm.AsyncEngineArgs(**given))
        self._model, self._task, self._lora_path = model, task_type, lora_path
        self._slots = asyncio.Semaphore(max_pending_requests) if max_pending_requests else None
        self._goes_on = should_continue_on_error
        self._numbers = itertools.count(1)
        self._adapters: dict[str, int] = {}

    async def answer(self, rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
        """The texts or the embeddings."""
        return list(await asyncio.gather(*(self._bounded(row) for row in rows)))

    async def _bounded(self, row: dict[str, Any]) -> dict[str, Any]:
        try:
            if self._slots is None:
                return await self._one(row)
            async with self._slots:
                return await self._one(row)
        except Exception as error:
            if not self._goes_on:
                raise
            return failed(error)

    async def _one(self, row: dict[str, Any]) -> dict[str, Any]:
        if "tokenized_prompt" in row:
            prompt: dict[str, Any] = {"prompt_token_ids": list(row["tokenized_prompt"])}
        elif "prompt" in row:
            prompt = {"prompt": row["prompt"]}
        else:
            raise ValueError(
                f"Either prompt or tokenized_prompt must be provided; the row has {sorted(row)}."
            )
        if row.get("multimodal_data"):
            prompt["multi_modal_data"] = row["multimodal_data"]
        number = str(next(self._numbers))
        started = time.perf_counter()
        if self._task == "generate":
            parameters = self._vllm.SamplingParams(**dict(row.get("sampling_params") or {}))
            stream = self._engine.generate(
                prompt, parameters, number, lora_request=self._lora(row.get("model"))
            )
        else:
            parameters = self._vllm.PoolingParams(**dict(row.get("pooling_params") or {}))
            stream = self._engine.encode(
                prompt, parameters, number, lora_request=self._lora(row.get("model"))
            )
        last: Any = None
        async for part in stream:
            last = part
        found = {
            "request_id": number,
            "prompt_token_ids": list(last.prompt_token_ids or []),
            "num_input_tokens": len(last.prompt_token_ids or []),
            "time_taken_llm": time.perf_counter() - started,
        }
        if self._task != "generate":
            return {**found, "embeddings": last.outputs.data.cpu().numpy()}
        answer = last.outputs[0]
        tokens = list(answer.token_ids)
        return {
            **found,
            "generated_text": answer.text,
            "generated_tokens": tokens,
            "num_generated_tokens": len(tokens),
        }

    def _lora(self, name: str | None) -> Any:
        if name is None or name == self._model:
            return None
        kind = require_module("vllm.lora.request", "vllm").LoRARequest
        number = self._adapters.setdefault(name, len(self._adapters) + 1)
        path = f"{self._lora_path}/{name}" if self._lora_path else name
        return kind(name, number, path)


class PrepareMultimodalStage(StageFunction):
    """Loads the images and the like that `messages` name, by vLLM's own rules, as `multimodal_data`.

    Args:
        model_config_kwargs: Arguments of vLLM's `ModelConfig`.
        chat_template_content_format: The form of messages.
    """

    required = {"messages": "A list of messages in OpenAI's chat format."}  # noqa: RUF012 - of the class

    def __init__(self, model_config_kwargs: dict[str, Any], chat_template_content_format: str | None) -> None:
        config = require_module("vllm.config", "vllm")
        self._parse = require_module("vllm.entrypoints.chat_utils", "vllm").parse_chat_messages
        self._config = config.ModelConfig(**model_config_kwargs)
        self._format = chat_template_content_format or "string"

    def answer(self, rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
        """The messages with places for what was loaded, and what was loaded."""
        found = []
        for row in rows:
            messages, data, *_ = self._parse(row["messages"], self._config, content_format=self._format)
            found.append({"messages": messages, "multimodal_data": data})
        return found


def _build(
    config: vLLMEngineProcessorConfig, chat_template_kwargs: dict[str, Any] | None = None, **functions: Any
) -> Processor:
    require_module("vllm")
    require_module("transformers")
    gpus = int(config.engine_kwargs.get("tensor_parallel_size", 1)) * int(
        config.engine_kwargs.get("pipeline_parallel_size", 1)
    )
    engine = Stage(
        vLLMEngineStage,
        {
            "model": config.model_source,
            "engine_kwargs": config.engine_kwargs,
            "task_type": config.task_type,
            "max_pending_requests": config.max_pending_requests,
            "lora_path": config.dynamic_lora_loading_path,
            "log_metrics": config.log_engine_metrics,
            "should_continue_on_error": config.should_continue_on_error,
        },
        engine_arguments(config, 0 if config.engine_kwargs.get("device") == "cpu" else gpus),
    )
    defaults = {
        "batch_size": config.batch_size,
        "concurrency": config.concurrency,
        "runtime_env": config.runtime_env,
    }
    media = resolve_stage(config.prepare_multimodal_stage, PrepareMultimodalStageConfig, defaults)
    before = []
    if media.enabled:
        arguments = {
            "model_config_kwargs": {**(media.model_config_kwargs or {}), "model": config.model_source},
            "chat_template_content_format": media.chat_template_content_format,
        }
        before.append(Stage(PrepareMultimodalStage, arguments, media.map_batches_kwargs()))
    return around(
        config,
        engine,
        trust_remote_code=bool(config.engine_kwargs.get("trust_remote_code", False)),
        chat_template_kwargs=chat_template_kwargs,
        before=before,
        **functions,
    )


ProcessorBuilder.register(vLLMEngineProcessorConfig, _build)

__all__ = ["PrepareMultimodalStage", "vLLMEngineProcessorConfig", "vLLMEngineStage"]
