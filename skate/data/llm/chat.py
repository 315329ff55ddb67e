"""Messages to prompts, prompts to tokens, and tokens to text, by a model's own tokenizer."""

from __future__ import annotations

from typing import Any

from skate.data.interop import require_module
from skate.data.llm.stages import StageFunction


def load_tokenizer(model: str, trust_remote_code: bool = False) -> Any:
    """A model's tokenizer.

    Raises:
        ImportError: transformers is missing.
    """
    transformers = require_module("transformers")
    return transformers.AutoTokenizer.from_pretrained(model, trust_remote_code=trust_remote_code)


class _WithTokenizer(StageFunction):
    def __init__(self, model: str, trust_remote_code: bool = False) -> None:
        self._tokenizer = load_tokenizer(model, trust_remote_code)


class ChatTemplateStage(_WithTokenizer):
    """Makes the `messages` of each row a `prompt`.

    Args:
        model: The model.
        chat_template: A template in place of the model's.
        chat_template_kwargs: Further arguments of the template.
        trust_remote_code: Whether code that comes with the model may run.
    """

    required = {"messages": "A list of messages in OpenAI's chat format."}  # noqa: RUF012 - of the class

    def __init__(
        self,
        model: str,
        chat_template: str | None = None,
        chat_template_kwargs: dict[str, Any] | None = None,
        trust_remote_code: bool = False,
    ) -> None:
        super().__init__(model, trust_remote_code)
        self._template, self._arguments = chat_template, chat_template_kwargs or {}

    def answer(self, rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
        """The prompts, as `prompt`."""
        found = []
        for row in rows:
            messages = [dict(message) for message in row["messages"]]
            goes_on = messages[-1]["role"] == "assistant"  # the model is to finish what it has begun
            arguments = {
                "add_generation_prompt": not goes_on,
                "continue_final_message": goes_on,
                **self._arguments,
            }
            if self._template is not None:
                arguments["chat_template"] = self._template
            found.append(
                {"prompt": self._tokenizer.apply_chat_template(messages, tokenize=False, **arguments)}
            )
        return found


class TokenizeStage(_WithTokenizer):
    """Makes the `prompt` of each row tokens.

    Args:
        model: The model.
        trust_remote_code: Whether code that comes with the model may run.
    """

    required = {"prompt": "The text prompt (str) to tokenize."}  # noqa: RUF012 - of the class

    def answer(self, rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
        """The tokens, as `tokenized_prompt`."""
        tokens = self._tokenizer([row["prompt"] for row in rows])["input_ids"]
        return [{"tokenized_prompt": ids} for ids in tokens]


class DetokenizeStage(_WithTokenizer):
    """Makes the `generated_tokens` of each row text.

    Args:
        model: The model.
        trust_remote_code: Whether code that comes with the model may run.
    """

    required = {"generated_tokens": "A list of generated tokens (int) to detokenize."}  # noqa: RUF012 - of the class

    def answer(self, rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
        """The texts, as `generated_text`."""
        texts = self._tokenizer.batch_decode(
            [row["generated_tokens"] for row in rows], skip_special_tokens=True
        )
        return [{"generated_text": text} for text in texts]


__all__ = ["ChatTemplateStage", "DetokenizeStage", "TokenizeStage", "load_tokenizer"]
