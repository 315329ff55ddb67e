"""Models of the package `transformers` in this machine's processes: texts and embeddings, without another server."""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
from pydantic import Field

from skate.data.interop import require_module
from skate.data.llm.config import OfflineProcessorConfig
from skate.data.llm.engines import around, engine_arguments, failed
from skate.data.llm.processor import Processor, ProcessorBuilder
from skate.data.llm.stages import Stage, StageFunction


class TransformersEngineProcessorConfig(OfflineProcessorConfig):
    """A processor that runs a model with `transformers`.

    Attributes:
        task_type: `"generate"` adds `generated_text` and `generated_tokens` to each row; `"embed"` adds `embeddings`, the mean
            over the tokens of the model's last layer, of length 1.
        engine_kwargs: Arguments of `from_pretrained`.
        device: Where the model lies: `"cpu"`, `"cuda"`.
        tokenize_stage: Not needed: the engine makes tokens of a batch as one.
        detokenize_stage: Not needed.
    """

    task_type: Literal["generate", "embed"] = "generate"
    engine_kwargs: dict[str, Any] = Field(default_factory=dict)
    device: str = "cpu"
    chat_template_stage: Any = False
    tokenize_stage: Any = False
    detokenize_stage: Any = False


class TransformersEngineStage(StageFunction):
    """Holds a model, and answers the `prompt` of each row, by the row's `sampling_params` where it has some.

    Args:
        model: A folder, or a name of the model hub.
        task_type: `"generate"` or `"embed"`.
        engine_kwargs: Arguments of `from_pretrained`.
        device: Where the model lies.
        should_continue_on_error: Whether a row that fails is marked, and does not end the run.
    """

    required = {"prompt": "The text."}  # noqa: RUF012 - of the class
    optional = {"sampling_params": "Arguments of the model's `generate`, such as `max_new_tokens`."}  # noqa: RUF012

    def __init__(
        self,
        model: str,
        task_type: str,
        engine_kwargs: dict[str, Any],
        device: str,
        should_continue_on_error: bool,
    ) -> None:
        transformers = require_module("transformers")
        self._torch = require_module("torch")
        trust = bool(engine_kwargs.get("trust_remote_code", False))
        self._tokenizer = transformers.AutoTokenizer.from_pretrained(model, trust_remote_code=trust)
        kind = transformers.AutoModel if task_type == "embed" else transformers.AutoModelForCausalLM
        self._model = kind.from_pretrained(model, **engine_kwargs).to(device).eval()
        self._task, self._device, self._goes_on = task_type, device, should_continue_on_error
        if task_type == "generate":
            self._tokenizer.padding_side = "left"  # so that each text goes on where its prompt ends
            if self._tokenizer.pad_token is None:
                self._tokenizer.pad_token = self._tokenizer.eos_token

    def answer(self, rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
        """The texts or the embeddings."""
        one = self._embedded if self._task == "embed" else self._generated
        try:
            with self._torch.no_grad():
                return one(rows)
        except Exception as error:
            if not self._goes_on:
                raise
            if len(rows) == 1:
                return [failed(error)]
        return [found for row in rows for found in self.answer([row])]

    def _tokens(self, rows: list[dict[str, Any]]) -> Any:
        texts = [row["prompt"] for row in rows]
        return self._tokenizer(texts, return_tensors="pt", padding=True, truncation=True).to(self._device)

    def _embedded(self, rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
        tokens = self._tokens(rows)
        last = self._model(**tokens).last_hidden_state
        mask = tokens["attention_mask"].unsqueeze(-1).to(last.dtype)
        means = (last * mask).sum(1) / mask.sum(1).clamp(min=1)
        vectors = self._torch.nn.functional.normalize(means, dim=1)
        return [{"embeddings": np.asarray(vector.float().cpu())} for vector in vectors]

    def _generated(self, rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
        answers: list[dict[str, Any]] = [{} for _ in rows]
        for arguments, places in _by_arguments(rows):
            tokens = self._tokens([rows[place] for place in places])
            arguments.setdefault("pad_token_id", self._tokenizer.pad_token_id)
            made = self._model.generate(**tokens, **arguments)[:, tokens["input_ids"].shape[1] :].cpu()
            texts = self._tokenizer.batch_decode(made, skip_special_tokens=True)
            for place, ids, text in zip(places, made.tolist(), texts, strict=True):
                answers[place] = {"generated_text": text, "generated_tokens": ids}
        return answers


def _by_arguments(rows: list[dict[str, Any]]) -> list[tuple[dict[str, Any], list[int]]]:
    """The places of the rows that ask for the same, together: they run as one batch."""
    groups: dict[str, tuple[dict[str, Any], list[int]]] = {}
    for place, row in enumerate(rows):
        given = dict(row.get("sampling_params") or {})
        arguments = {
            ("max_new_tokens" if name == "max_tokens" else name): value for name, value in given.items()
        }
        groups.setdefault(repr(sorted(arguments.items())), (arguments, []))[1].append(place)
    return list(groups.values())


def _build(
    config: TransformersEngineProcessorConfig,
    chat_template_kwargs: dict[str, Any] | None = None,
    **functions: Any,
) -> Processor:
    require_module("transformers")
    require_module("torch")
    engine = Stage(
        TransformersEngineStage,
        {
            "model": config.model_source,
            "task_type": config.task_type,
            "engine_kwargs": config.engine_kwargs,
            "device": config.device,
            "should_continue_on_error": config.should_continue_on_error,
        },
        engine_arguments(config, 0 if config.device == "cpu" else 1),
    )
    trust = bool(config.engine_kwargs.get("trust_remote_code", False))
    return around(
        config, engine, trust_remote_code=trust, chat_template_kwargs=chat_template_kwargs, **functions
    )


ProcessorBuilder.register(TransformersEngineProcessorConfig, _build)

__all__ = ["TransformersEngineProcessorConfig", "TransformersEngineStage"]
