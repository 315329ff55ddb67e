"""Batch inference with language models: processors that a dataset passes through.

A processor is a function from a dataset to a dataset: it prepares each row, sends it through stages, and takes what it wants
of the result. Which engine answers is the configuration's choice:

    HttpRequestProcessorConfig          any HTTP endpoint that takes and gives JSON
    TransformersEngineProcessorConfig   a model of `transformers` in this machine's processes; texts and embeddings
    vLLMEngineProcessorConfig           vLLM, where it is installed
    SGLangEngineProcessorConfig         SGLang, where it is installed
    ServeDeploymentProcessorConfig      a deployment of `skate.serve`

`ProcessorBuilder.register` adds an engine of your own.
"""

try:
    import pydantic as _pydantic  # noqa: F401 - whether it is there
except ImportError as _error:
    raise ImportError(
        f'skate.data.llm needs packages that are not installed ({_error}): pip install "skate[llm]"'
    ) from _error

from skate.data.llm.chat import ChatTemplateStage, DetokenizeStage, TokenizeStage
from skate.data.llm.config import (
    ChatTemplateStageConfig,
    DetokenizeStageConfig,
    HttpRequestStageConfig,
    OfflineProcessorConfig,
    PrepareMultimodalStageConfig,
    ProcessorConfig,
    TokenizerStageConfig,
)
from skate.data.llm.http import HttpRequestProcessorConfig, HttpRequestStage
from skate.data.llm.processor import Processor, ProcessorBuilder, build_llm_processor, build_processor
from skate.data.llm.serving import ServeDeploymentProcessorConfig, ServeDeploymentStage
from skate.data.llm.sglang import SGLangEngineProcessorConfig
from skate.data.llm.stages import Stage, StageFunction
from skate.data.llm.transformers import TransformersEngineProcessorConfig
from skate.data.llm.vllm import vLLMEngineProcessorConfig

__all__ = [
    "ChatTemplateStage",
    "ChatTemplateStageConfig",
    "DetokenizeStage",
    "DetokenizeStageConfig",
    "HttpRequestProcessorConfig",
    "HttpRequestStage",
    "HttpRequestStageConfig",
    "OfflineProcessorConfig",
    "PrepareMultimodalStageConfig",
    "Processor",
    "ProcessorBuilder",
    "ProcessorConfig",
    "SGLangEngineProcessorConfig",
    "ServeDeploymentProcessorConfig",
    "ServeDeploymentStage",
    "Stage",
    "StageFunction",
    "TokenizeStage",
    "TokenizerStageConfig",
    "TransformersEngineProcessorConfig",
    "build_llm_processor",
    "build_processor",
    "vLLMEngineProcessorConfig",
]
