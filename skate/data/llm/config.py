"""Configurations of processors and of their stages."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal, Self, TypeVar

from pydantic import BaseModel, ConfigDict, field_validator

from skate.data.execution.strategies import ActorPoolStrategy
from skate.data.interop import require_module

_T = TypeVar("_T", bound="StageConfig")


class YamlModel(BaseModel):
    """A configuration that YAML can hold."""

    @classmethod
    def parse_yaml(cls, file: Any, **kwargs: Any) -> Self:
        """A configuration from YAML.

        Args:
            file: Text, or an open file.
            kwargs: Accepted for Ray's programs, which may give none.

        Raises:
            TypeError: further arguments are given.
            ValueError: the YAML holds no mapping, or values that can't be used.
        """
        if kwargs:
            raise TypeError(f"parse_yaml() got an unexpected keyword argument {next(iter(kwargs))!r}.")
        found = require_module("yaml", "pyyaml").safe_load(file)
        if not isinstance(found, dict):
            raise ValueError(
                f"{cls.__name__} is read from a mapping of names to values, and the YAML holds {found!r}."
            )
        return cls.model_validate(found)

    @classmethod
    def from_file(cls, path: str, **kwargs: Any) -> Self:
        """A configuration from a YAML file.

        Args:
            path: The file.
            kwargs: As for `parse_yaml`.

        Raises:
            FileNotFoundError: there is no such file.
            ValueError: it holds no mapping, or values that can't be used.
        """
        with Path(path).open(encoding="utf-8") as file:
            return cls.parse_yaml(file, **kwargs)


class ProcessorConfig(YamlModel):
    """What all processors have.

    Attributes:
        batch_size: Rows of a batch.
        accelerator_type: The kind of accelerator that the engine needs; None for CPUs.
        concurrency: Workers of the engine; a pair for a pool that grows and shrinks.
    """

    model_config = ConfigDict(
        validate_assignment=True, arbitrary_types_allowed=True, extra="forbid", protected_namespaces=()
    )

    batch_size: int = 32
    accelerator_type: str | None = None
    concurrency: int | tuple[int, int] = 1

    @field_validator("concurrency")
    @classmethod
    def validate_concurrency(cls, concurrency: int | tuple[int, int]) -> int | tuple[int, int]:
        """A number of workers, or the least and the greatest one.

        Raises:
            ValueError: it is not positive, or the least is above the greatest.
        """
        value = concurrency
        least, most = (value, value) if isinstance(value, int) else value
        if isinstance(value, int) and value < 1:
            raise ValueError(f"A positive integer for `concurrency` is expected! Got: `{value}`.")
        if least < 1 or most < 1:
            raise ValueError(f"`concurrency` tuple items must be positive integers! Got: `{value}`.")
        if least > most:
            raise ValueError(f"min > max in the concurrency tuple `{value}`!")
        return value

    def get_concurrency(self, autoscaling_enabled: bool = True) -> dict[str, Any]:
        """The arguments of an `ActorPoolStrategy`.

        Args:
            autoscaling_enabled: Whether a number is the greatest size of a pool, and not its fixed one.
        """
        if isinstance(self.concurrency, int):
            if autoscaling_enabled:
                return {"min_size": 1, "max_size": self.concurrency}
            return {"size": self.concurrency}
        return {"min_size": self.concurrency[0], "max_size": self.concurrency[1]}


class OfflineProcessorConfig(ProcessorConfig):
    """What processors with an engine of their own have.

    Attributes:
        model_source: The model: a folder, or a name of the model hub.
        runtime_env: The environment of the stages.
        max_pending_requests: Requests that may wait in the engine; None leaves it to the engine.
        max_concurrent_batches: Accepted for Ray's programs: an engine gets batches as long as there are some, up to 64 at a time.
        max_tasks_in_flight_per_actor: Batches that may wait or run at an engine.
        should_continue_on_error: Whether a row that fails gets a text in `__inference_error__`, and does not end the run.
        chat_template_stage: Whether messages are made a prompt; or how.
        tokenize_stage: Whether prompts are made tokens before they reach the engine; or how.
        detokenize_stage: Whether tokens are made text after it; or how.
        prepare_multimodal_stage: Whether images and the like are prepared; or how.
    """

    model_source: str
    runtime_env: dict[str, Any] | None = None
    max_pending_requests: int | None = None
    max_concurrent_batches: int = 8
    max_tasks_in_flight_per_actor: int | None = None
    should_continue_on_error: bool = False
    chat_template_stage: Any = True
    tokenize_stage: Any = True
    detokenize_stage: Any = True
    prepare_multimodal_stage: Any = False


class StageConfig(YamlModel):
    """What all stages have; what is None is as the processor says.

    Attributes:
        enabled: Whether there is such a stage.
        batch_size: Rows of a batch.
        concurrency: Workers; a pair for a pool that grows and shrinks.
        runtime_env: The environment of its workers.
        num_cpus: CPUs of each worker.
        memory: Bytes of memory of each worker.
    """

    model_config = ConfigDict(arbitrary_types_allowed=True, extra="forbid", protected_namespaces=())

    enabled: bool = True
    batch_size: int | None = None
    concurrency: int | tuple[int, int] | None = None
    runtime_env: dict[str, Any] | None = None
    num_cpus: float | None = None
    memory: float | None = None

    def map_batches_kwargs(self) -> dict[str, Any]:
        """Where and in what batches it runs."""
        size = self.concurrency or 1
        least, most = (1, size) if isinstance(size, int) else size
        given = {"runtime_env": self.runtime_env, "num_cpus": self.num_cpus, "memory": self.memory}
        return {
            "compute": ActorPoolStrategy(min_size=least, max_size=most),
            "batch_size": self.batch_size,
            **{name: value for name, value in given.items() if value is not None},
        }


class ChatTemplateStageConfig(StageConfig):
    """How messages are made a prompt.

    Attributes:
        model_source: The model whose template it is.
        chat_template: Another template.
        chat_template_kwargs: Further arguments of the template.
    """

    model_source: str | None = None
    chat_template: str | None = None
    chat_template_kwargs: dict[str, Any] | None = None


class TokenizerStageConfig(StageConfig):
    """How prompts are made tokens.

    Attributes:
        model_source: The model whose tokens they are.
    """

    model_source: str | None = None


class DetokenizeStageConfig(StageConfig):
    """How tokens are made text.

    Attributes:
        model_source: The model whose tokens they are.
    """

    model_source: str | None = None


class PrepareMultimodalStageConfig(StageConfig):
    """How images and the like are prepared, by vLLM.

    Attributes:
        model_config_kwargs: Arguments of vLLM's `ModelConfig`.
        chat_template_content_format: The form of messages.
        apply_sys_msg_formatting: Whether system messages are formatted too.
    """

    model_config_kwargs: dict[str, Any] | None = None
    chat_template_content_format: Literal["string", "openai"] | None = "string"
    apply_sys_msg_formatting: bool | None = False


class HttpRequestStageConfig(StageConfig):
    """How requests are sent."""


def resolve_stage(value: Any, kind: type[_T], defaults: dict[str, Any]) -> _T:
    """The configuration of a stage, from True, False, a dict or itself; what it leaves open is as `defaults` say.

    Raises:
        TypeError: it is none of these.
    """
    if isinstance(value, kind):
        found = value.model_copy()
    elif isinstance(value, bool):
        found = kind(enabled=value)
    elif isinstance(value, dict):
        found = kind(**value)
    else:
        raise TypeError(
            f"Unsupported type for stage config: {type(value).__name__}. Expected bool, dict, or {kind.__name__} instance. Got: "
            f"{value!r}"
        )
    for name, default in defaults.items():
        if getattr(found, name, default) is None:
            setattr(found, name, default)
    return found


__all__ = [
    "ChatTemplateStageConfig",
    "DetokenizeStageConfig",
    "HttpRequestStageConfig",
    "OfflineProcessorConfig",
    "PrepareMultimodalStageConfig",
    "ProcessorConfig",
    "StageConfig",
    "TokenizerStageConfig",
    "YamlModel",
    "resolve_stage",
]
