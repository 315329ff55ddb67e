"""From configurations to applications."""

from __future__ import annotations

from typing import Any

from skate import serve
from skate.serve._private.utils import import_attr
from skate.serve.deployment import Application
from skate.serve.llm._config import LLMConfig, LLMServingArgs
from skate.serve.llm.deployment import LLMServer
from skate.serve.llm.ingress import OpenAiIngress


def build_llm_deployment(
    llm_config: LLMConfig | dict[str, Any],
    *,
    name_prefix: str | None = None,
    bind_kwargs: dict[str, Any] | None = None,
    override_serve_options: dict[str, Any] | None = None,
    deployment_cls: Any = None,
) -> Application:
    """A deployment of one model, to be called by handles or bound into an application of one's own.

    Args:
        llm_config: The model.
        name_prefix: What its deployment's name begins with.
        bind_kwargs: Further arguments of the class's constructor.
        override_serve_options: Options of the deployment that win over the configuration's.
        deployment_cls: Another class than `LLMServer`.

    Example:
        ```python
        handle = serve.run(build_llm_deployment(config), route_prefix=None)
        request = CompletionRequest(prompt="Once upon a time", max_tokens=16)
        print(next(handle.options(stream=True).completions.remote(request)))
        ```
    """
    config = llm_config if isinstance(llm_config, LLMConfig) else LLMConfig(**llm_config)
    cls = deployment_cls or config.server_cls or LLMServer
    if isinstance(cls, str):
        cls = import_attr(cls)
    options = cls.get_deployment_options(config)
    options["name"] = config.get_serve_options(name_prefix=name_prefix)["name"]
    options.update(override_serve_options or {})
    made: Application = serve.deployment(cls).options(**options).bind(config, **(bind_kwargs or {}))
    return made


def build_openai_app(llm_serving_args: LLMServingArgs | dict[str, Any]) -> Application:
    """An OpenAI-compatible server of one or several models.

    Args:
        llm_serving_args: `{"llm_configs": […]}`: configurations, dictionaries, or paths of YAML files.

    Example:
        ```python
        serve.run(build_openai_app({"llm_configs": [config]}))
        client = openai.OpenAI(base_url="http://127.0.0.1:8000/v1", api_key="none")
        client.chat.completions.create(model="tiny", messages=[{"role": "user", "content": "hello"}])
        ```
    """
    args = llm_serving_args
    given = args if isinstance(args, LLMServingArgs) else LLMServingArgs(**args)
    models = [build_llm_deployment(config) for config in given.llm_configs]
    return bind_ingress(models, given.llm_configs, given.ingress_deployment_config)


def bind_ingress(
    models: list[Application], configs: list[LLMConfig], deployment_config: dict[str, Any]
) -> Application:
    """OpenAI's paths over the deployments of models."""
    options = {"max_ongoing_requests": 1024, "ray_actor_options": {"num_cpus": 1}, **deployment_config}
    folders = {
        config.model_id: config.lora_config.dynamic_lora_loading_path
        for config in configs
        if config.lora_config is not None and config.lora_config.dynamic_lora_loading_path is not None
    }
    made: Application = (
        serve.deployment(OpenAiIngress)
        .options(name="OpenAiIngress", **options)
        .bind(models, [config.model_id for config in configs], folders)
    )
    return made
