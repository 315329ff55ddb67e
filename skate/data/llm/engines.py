"""What processors with an engine of their own share: the stages around it, and rows that may fail."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from skate.data.execution.strategies import ActorPoolStrategy
from skate.data.llm.chat import ChatTemplateStage, DetokenizeStage, TokenizeStage
from skate.data.llm.config import (
    ChatTemplateStageConfig,
    DetokenizeStageConfig,
    OfflineProcessorConfig,
    StageConfig,
    TokenizerStageConfig,
    resolve_stage,
)
from skate.data.llm.processor import Processor
from skate.data.llm.stages import ERROR_COLUMN, Stage

if TYPE_CHECKING:
    from skate.data.llm.stages import StageFunction


def around(
    config: OfflineProcessorConfig,
    engine: Stage,
    *,
    trust_remote_code: bool,
    chat_template_kwargs: dict[str, Any] | None,
    before: list[Stage] | None = None,
    **functions: Any,
) -> Processor:
    """A processor of an engine, with the stages before and after it that the configuration asks for."""
    defaults = {
        "batch_size": config.batch_size,
        "concurrency": config.concurrency,
        "runtime_env": config.runtime_env,
        "model_source": config.model_source,
    }
    stages = list(before or [])
    chat = resolve_stage(config.chat_template_stage, ChatTemplateStageConfig, defaults)
    if chat.enabled:
        given = chat.chat_template_kwargs if chat.chat_template_kwargs is not None else chat_template_kwargs
        stages.append(
            _stage(
                ChatTemplateStage,
                chat,
                trust_remote_code,
                chat_template=chat.chat_template,
                chat_template_kwargs=given,
            )
        )
    tokens = resolve_stage(config.tokenize_stage, TokenizerStageConfig, defaults)
    if tokens.enabled:
        stages.append(_stage(TokenizeStage, tokens, trust_remote_code))
    stages.append(engine)
    text = resolve_stage(config.detokenize_stage, DetokenizeStageConfig, defaults)
    if text.enabled:
        stages.append(_stage(DetokenizeStage, text, trust_remote_code))
    return Processor(config, stages, **functions)


def _stage(
    kind: type[StageFunction], config: StageConfig, trust_remote_code: bool, **arguments: Any
) -> Stage:
    model = getattr(config, "model_source", None)
    return Stage(
        kind,
        {"model": model, "trust_remote_code": trust_remote_code, **arguments},
        config.map_batches_kwargs(),
    )


def engine_arguments(config: OfflineProcessorConfig, gpus: float) -> dict[str, Any]:
    """Where and in what batches an engine runs."""
    arguments: dict[str, Any] = {
        "compute": ActorPoolStrategy(
            **config.get_concurrency(autoscaling_enabled=False),
            max_tasks_in_flight_per_actor=config.max_tasks_in_flight_per_actor,
        ),
        "batch_size": config.batch_size,
    }
    if gpus:
        arguments["num_gpus"] = gpus
    if config.runtime_env is not None:
        arguments["runtime_env"] = config.runtime_env
    if config.accelerator_type is not None:
        arguments["accelerator_type"] = config.accelerator_type
    return arguments


def failed(error: Exception) -> dict[str, Any]:
    """What is added to a row that an engine could not answer."""
    return {ERROR_COLUMN: f"{type(error).__name__}: {error}", "generated_text": "", "generated_tokens": []}


__all__ = ["around", "engine_arguments", "failed"]
