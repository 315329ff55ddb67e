"""What a model is served with."""

from __future__ import annotations

import re
from typing import Any, Self

import yaml
from pydantic import BaseModel, ConfigDict, Field, PositiveInt, field_validator, model_validator


class CloudMirrorConfig(BaseModel):
    """Where a model is copied from.

    Args:
        bucket_uri: The folder, in any file system that Arrow knows.
        extra_files: Further files.
    """

    model_config = ConfigDict(extra="forbid")

    bucket_uri: str | None = None
    extra_files: list[dict[str, str]] = Field(default_factory=list)


class ModelLoadingConfig(BaseModel):
    """Which model it is.

    Args:
        model_id: What clients call it.
        model_source: A folder, or a name that the engine knows; default: `model_id`.
        tokenizer_source: The same for its tokenizer; default: `model_source`.
    """

    model_config = ConfigDict(extra="forbid", protected_namespaces=())

    model_id: str
    model_source: str | CloudMirrorConfig | None = None
    tokenizer_source: str | None = None


class LoraConfig(BaseModel):
    """Adapters that are loaded for single requests.

    Args:
        dynamic_lora_loading_path: The folder that has one folder an adapter: of this machine, or such as "s3://bucket/adapters".
        max_num_adapters_per_replica: How many a replica keeps.
        download_timeout_s: Seconds that a download may take.
        max_download_tries: How often it is tried.
    """

    model_config = ConfigDict(extra="forbid")

    dynamic_lora_loading_path: str | None = None
    max_num_adapters_per_replica: PositiveInt = 16
    download_timeout_s: float | None = 30.0
    max_download_tries: PositiveInt = 3

    @field_validator("dynamic_lora_loading_path")
    @classmethod
    def validate_dynamic_lora_loading_path(cls, value: str | None) -> str | None:
        """Take a path with a slash at its end too."""
        return value if value is None else value.rstrip("/")


class LLMConfig(BaseModel):
    """A model, its engine, and the deployment that serves it.

    Args:
        model_loading_config: Which model.
        llm_engine: "transformers" (on CPU or GPU, needs `transformers`) or "vLLM" (needs `vllm`).
        engine_kwargs: Options of the engine, such as `dtype`, `max_model_len`, `task="embed"` for a model of embeddings,
            or `task="transcribe"` for one that writes down what is said.
        accelerator_type: The kind of GPU that each replica needs.
        placement_group_config: `{"bundles": […], "strategy": …}` for each replica.
        deployment_config: Options of `serve.deployment`.
        runtime_env: The environment of replicas.
        lora_config: Adapters, which clients name as "model:adapter".
        server_cls: Another class than `LLMServer`, or its import path.

    Example:
        ```python
        config = LLMConfig(
            model_loading_config={"model_id": "tiny", "model_source": "/models/tiny"},
            llm_engine="transformers",
            deployment_config={"autoscaling_config": {"min_replicas": 1, "max_replicas": 4}},
        )
        serve.run(build_openai_app({"llm_configs": [config]}))
        ```
    """

    model_config = ConfigDict(extra="forbid", protected_namespaces=(), arbitrary_types_allowed=True)

    runtime_env: dict[str, Any] | None = None
    model_loading_config: ModelLoadingConfig
    llm_engine: str = "vLLM"
    engine_kwargs: dict[str, Any] = Field(default_factory=dict)
    accelerator_type: str | None = None
    accelerator_config: dict[str, Any] | None = None
    placement_group_config: dict[str, Any] | None = None
    lora_config: LoraConfig | None = None
    deployment_config: dict[str, Any] = Field(default_factory=dict)
    server_cls: Any = None
    experimental_configs: dict[str, Any] = Field(default_factory=dict)
    log_engine_metrics: bool | None = True

    @field_validator("llm_engine")
    @classmethod
    def _known_engine(cls, value: str) -> str:
        if value.lower() not in ("vllm", "transformers"):
            raise ValueError(f"Unsupported engine: {value}. It is one of 'vLLM' and 'transformers'.")
        return value

    @model_validator(mode="after")
    def _known_options(self) -> Self:
        from skate.serve import deployment

        deployment(**{key: value for key, value in self.deployment_config.items() if key != "name"})
        return self

    @classmethod
    def from_file(cls, path: str) -> LLMConfig:
        """Read one from a YAML file."""
        with open(path, encoding="utf-8") as file:
            return cls(**yaml.safe_load(file))

    @property
    def model_id(self) -> str:
        """What clients call the model."""
        return self.model_loading_config.model_id

    @property
    def source(self) -> str:
        """Where the model is loaded from.

        Raises:
            ValueError: it is to be copied from somewhere first.
        """
        given = self.model_loading_config.model_source
        if isinstance(given, CloudMirrorConfig):
            raise ValueError(
                f"model_source={given.bucket_uri!r}: models are loaded from a folder. Copy the bucket to one that replicas see."
            )
        return given or self.model_id

    @property
    def deployment_name(self) -> str:
        """The model's name as a part of a deployment's."""
        return re.sub(r"[^\w.-]", "--", self.model_id)

    def get_serve_options(self, *, name_prefix: str | None = None) -> dict[str, Any]:
        """Options of the deployment that serves it."""
        options = dict(self.deployment_config)
        options.setdefault("name", f"{name_prefix or 'LLMServer:'}{self.deployment_name}")
        options.setdefault("max_ongoing_requests", 64)
        actor = dict(options.get("ray_actor_options") or {})
        if self.runtime_env:
            actor.setdefault("runtime_env", self.runtime_env)
        if self.placement_group_config:
            options["placement_group_bundles"] = self.placement_group_config["bundles"]
            if "strategy" in self.placement_group_config:
                options["placement_group_strategy"] = self.placement_group_config["strategy"]
        elif self.accelerator_type:
            actor.setdefault("accelerator_type", self.accelerator_type)
            actor.setdefault("num_gpus", int(self.engine_kwargs.get("tensor_parallel_size", 1)))
        if actor:
            options["ray_actor_options"] = actor
        return options


class LLMServingArgs(BaseModel):
    """What `build_openai_app` serves.

    Args:
        llm_configs: Models: configurations, dictionaries, or paths of YAML files.
        ingress_deployment_config: Options of the ingress's deployment.
    """

    model_config = ConfigDict(extra="forbid", arbitrary_types_allowed=True)

    llm_configs: list[LLMConfig] = Field(min_length=1)
    ingress_deployment_config: dict[str, Any] = Field(default_factory=dict)
    ingress_cls_config: dict[str, Any] = Field(default_factory=dict)

    @field_validator("llm_configs", mode="before")
    @classmethod
    def _read(cls, value: Any) -> Any:
        if not isinstance(value, list):
            return value
        return [LLMConfig.from_file(each) if isinstance(each, str) else each for each in value]

    @model_validator(mode="after")
    def _unique(self) -> Self:
        names = [config.model_id for config in self.llm_configs]
        twice = sorted({name for name in names if names.count(name) > 1})
        if twice:
            raise ValueError(f"Duplicate models found. Make sure model ids are unique: {', '.join(twice)}.")
        return self
