"""Models on several replicas at once: groups that start together (DP), and prompts read by other replicas than those that go on (PD)."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from typing import Any, Self

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from skate.serve.config import AutoscalingConfig, GangSchedulingConfig
from skate.serve.deployment import Application
from skate.serve.handle import DeploymentHandle
from skate.serve.llm._builder import bind_ingress, build_llm_deployment
from skate.serve.llm._config import LLMConfig
from skate.serve.llm._engine import InvalidRequest, Piece, Sampling
from skate.serve.llm.deployment import LLMServer


def _read(value: Any) -> Any:
    return LLMConfig.from_file(value) if isinstance(value, str) else value


# -- data parallel ----------------------------------------


class DPServer(LLMServer):
    """A model of which `engine_kwargs["data_parallel_size"]` replicas form a group: they start together, and end with each other."""

    @classmethod
    def get_deployment_options(cls, llm_config: LLMConfig) -> dict[str, Any]:
        """Options of the deployment: numbers of replicas are numbers of groups.

        Raises:
            ValueError: the size of a group is no positive number.
        """
        options = super().get_deployment_options(llm_config)
        size = llm_config.engine_kwargs.get("data_parallel_size", 1)
        if not isinstance(size, int) or size < 1:
            raise ValueError(f"Invalid data_parallel_size: {size}, expecting positive integer.")
        if size == 1:
            return options
        number = options.get("num_replicas")
        if number == "auto" or (number is None and options.get("autoscaling_config") is not None):
            given = options.get("autoscaling_config") or {}
            known = given.model_dump(exclude_unset=True) if isinstance(given, AutoscalingConfig) else given
            scaling = {**AutoscalingConfig.default().model_dump(exclude_unset=True), **known}
            for name in ("min_replicas", "max_replicas", "initial_replicas"):
                if scaling.get(name) is not None:
                    scaling[name] *= size
            options["autoscaling_config"] = scaling
        else:
            options["num_replicas"] = (number or 1) * size
        options["gang_scheduling_config"] = GangSchedulingConfig(gang_size=size)
        options.pop("placement_group_strategy", None)
        return options


def build_dp_deployment(
    llm_config: LLMConfig | dict[str, Any],
    *,
    name_prefix: str | None = None,
    bind_kwargs: dict[str, Any] | None = None,
    override_serve_options: dict[str, Any] | None = None,
    deployment_cls: Any = None,
) -> Application:
    """As `build_llm_deployment`, for a model whose replicas form groups of `engine_kwargs["data_parallel_size"]`."""
    return build_llm_deployment(
        llm_config,
        name_prefix=name_prefix,
        bind_kwargs=bind_kwargs,
        override_serve_options=override_serve_options,
        deployment_cls=deployment_cls or DPServer,
    )


class DPOpenAiServingArgs(BaseModel):
    """What `build_dp_openai_app` serves.

    Args:
        llm_config: The model: a configuration, a dictionary, or the path of a YAML file.
        ingress_deployment_config: Options of the ingress's deployment.
    """

    model_config = ConfigDict(extra="forbid", arbitrary_types_allowed=True)

    llm_config: LLMConfig
    ingress_cls_config: dict[str, Any] = Field(default_factory=dict)
    ingress_deployment_config: dict[str, Any] = Field(default_factory=dict)

    _from_file = field_validator("llm_config", mode="before")(_read)


def build_dp_openai_app(dp_serving_args: DPOpenAiServingArgs | dict[str, Any]) -> Application:
    """An OpenAI-compatible server of one model, whose replicas form groups.

    Args:
        dp_serving_args: `{"llm_config": …}`; see `build_dp_deployment`.

    Example:
        ```python
        config = {**tiny, "engine_kwargs": {"data_parallel_size": 2}}
        serve.run(build_dp_openai_app({"llm_config": config}))
        ```
    """
    given = DPOpenAiServingArgs.model_validate(dp_serving_args)
    config = given.llm_config
    return bind_ingress([build_dp_deployment(config)], [config], given.ingress_deployment_config)


# -- prefill and decode ----------------------------------------


class PDPrefillServer(LLMServer):
    """Reads prompts, for replicas that go on."""

    async def prefill(self, model: str, prompt: str | list[int], sampling: Sampling) -> Any:
        """What a replica needs to go on with a prompt; or an `InvalidRequest`, as a value."""
        try:
            async with self._adapter(model) as adapter:
                return await self._engine.prefill(prompt, sampling, adapter)
        except InvalidRequest as error:
            return error


class PDDecodeServer(LLMServer):
    """Has prompts read by other replicas, and goes on with them.

    Args:
        llm_config: The model.
        prefill_server: The deployment that reads prompts.
    """

    async def __init__(self, llm_config: LLMConfig, *, prefill_server: DeploymentHandle[Any]) -> None:  # type: ignore[misc]
        await super().__init__(llm_config)
        self._prefill = prefill_server

    async def generate(
        self, model: str, prompt: str | list[int], sampling: Sampling
    ) -> AsyncGenerator[Piece]:
        """See `LLMServer.generate`."""
        handle = (
            self._prefill
            if model == self._config.model_id
            else self._prefill.options(multiplexed_model_id=model)
        )
        begun = await handle.prefill.remote(model, prompt, sampling)
        if isinstance(begun, InvalidRequest):
            raise begun
        async with self._adapter(model) as adapter:
            async for piece in self._engine.generate(prompt, sampling, adapter, begun):
                yield piece


class PDServingArgs(BaseModel):
    """What `build_pd_openai_app` serves.

    Args:
        prefill_config: The model as it reads prompts: a configuration, a dictionary, or the path of a YAML file.
        decode_config: The same model as it goes on with them.
        ingress_deployment_config: Options of the ingress's deployment.
    """

    model_config = ConfigDict(extra="forbid", arbitrary_types_allowed=True)

    prefill_config: LLMConfig
    decode_config: LLMConfig
    ingress_cls_config: dict[str, Any] = Field(default_factory=dict)
    ingress_deployment_config: dict[str, Any] = Field(default_factory=dict)

    _from_file = field_validator("prefill_config", "decode_config", mode="before")(_read)

    @model_validator(mode="after")
    def _one_model(self) -> Self:
        first, second = self.prefill_config, self.decode_config
        if first.model_id != second.model_id:
            raise ValueError(
                f"P/D model id mismatch: {first.model_id!r} reads prompts, {second.model_id!r} goes on."
            )
        folders = [c.lora_config and c.lora_config.dynamic_lora_loading_path for c in (first, second)]
        if folders[0] != folders[1]:
            raise ValueError(f"P/D prefill and decode LoRA loading paths must be the same, got {folders}.")
        if {first.llm_engine.lower(), second.llm_engine.lower()} != {"transformers"}:
            raise ValueError(
                "P/D needs llm_engine='transformers' on both sides: vLLM's transfer of what has been read is not supported here."
            )
        return self


def build_pd_openai_app(pd_serving_args: PDServingArgs | dict[str, Any]) -> Application:
    """An OpenAI-compatible server of one model: some replicas read prompts, others go on with them.

    What has been read goes from one replica to the other through shared memory. Long prompts then hold up no answers under way.

    Args:
        pd_serving_args: `{"prefill_config": …, "decode_config": …}`, of the same model.

    Example:
        ```python
        serve.run(build_pd_openai_app({"prefill_config": config, "decode_config": config}))
        ```
    """
    given = PDServingArgs.model_validate(pd_serving_args)
    prefill = build_llm_deployment(
        given.prefill_config, name_prefix="Prefill:", deployment_cls=PDPrefillServer
    )
    decode = build_llm_deployment(
        given.decode_config,
        name_prefix="Decode:",
        bind_kwargs={"prefill_server": prefill},
        deployment_cls=PDDecodeServer,
    )
    return bind_ingress([decode], [given.decode_config], given.ingress_deployment_config)
