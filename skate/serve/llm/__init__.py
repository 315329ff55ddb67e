"""Language models behind OpenAI's API: `build_openai_app`, from a configuration of each model.

_config.py             LLMConfig and its parts
openai_api_models.py   what clients send and get
ingress.py             the paths
deployment.py          LLMServer: a model in a replica; _adapters.py: the adapters that it loads
_patterns.py           replicas that start together, and prompts read by other replicas than those that go on
_engine.py             the contract of an engine; _transformers.py, _vllm.py: engines
request_router.py      requests that begin alike go to the same replica
"""

from __future__ import annotations

from skate.serve.llm._builder import build_llm_deployment, build_openai_app
from skate.serve.llm._config import (
    CloudMirrorConfig,
    LLMConfig,
    LLMServingArgs,
    LoraConfig,
    ModelLoadingConfig,
)
from skate.serve.llm._patterns import build_dp_deployment, build_dp_openai_app, build_pd_openai_app
from skate.serve.llm.deployment import LLMServer

__all__ = [
    "CloudMirrorConfig",
    "LLMConfig",
    "LLMServer",
    "LLMServingArgs",
    "LoraConfig",
    "ModelLoadingConfig",
    "build_dp_deployment",
    "build_dp_openai_app",
    "build_llm_deployment",
    "build_openai_app",
    "build_pd_openai_app",
]
