"""Processors: a dataset is prepared, goes through stages, and is taken apart again."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any, ClassVar

from skate.data.llm.stages import DATA_COLUMN, ERROR_COLUMN, Carried, Stage

if TYPE_CHECKING:
    from collections.abc import Callable

    from skate.data.dataset import Dataset
    from skate.data.llm.config import ProcessorConfig

_log = logging.getLogger("skate.data")
_RESERVED = {"preprocess", "postprocess", "preprocess_map_kwargs", "postprocess_map_kwargs"}


class _Prepare:
    """Makes of a row one on its way: its columns, and what the user's function adds."""

    def __init__(self, fn: Callable[[dict[str, Any]], dict[str, Any]] | None) -> None:
        self._fn = fn
        self.__name__ = getattr(fn, "__name__", "prepare")

    def __call__(self, row: dict[str, Any]) -> dict[str, Any]:
        added = {} if self._fn is None else self._fn(row)
        return {DATA_COLUMN: Carried({**row, **added})}


class _Take:
    """Makes of a row on its way what the user's function takes of it; a row that failed stays as it is."""

    def __init__(self, fn: Callable[[dict[str, Any]], dict[str, Any]] | None, with_errors: bool) -> None:
        self._fn, self._with_errors = fn, with_errors
        self.__name__ = getattr(fn, "__name__", "take")

    def __call__(self, row: dict[str, Any]) -> dict[str, Any]:
        carried: Carried = row[DATA_COLUMN]
        if carried.failed:
            return carried.values
        result = dict(carried.values if self._fn is None else self._fn(carried.values))
        return {**result, ERROR_COLUMN: ""} if self._with_errors else result


class Processor:
    """A function from a dataset to a dataset, which runs when that does.

    Args:
        config: The configuration.
        stages: The stages, in order.
        preprocess: Takes a row, and returns what is added to it for the first stage.
        postprocess: Takes a row with what all stages added, and returns the row of the result; default: all of it.
        preprocess_map_kwargs: Arguments of `Dataset.map` for `preprocess`.
        postprocess_map_kwargs: Arguments of `Dataset.map` for `postprocess`.
    """

    DATA_COLUMN: ClassVar[str] = DATA_COLUMN

    def __init__(
        self,
        config: ProcessorConfig,
        stages: list[Stage],
        preprocess: Callable[[dict[str, Any]], dict[str, Any]] | None = None,
        postprocess: Callable[[dict[str, Any]], dict[str, Any]] | None = None,
        preprocess_map_kwargs: dict[str, Any] | None = None,
        postprocess_map_kwargs: dict[str, Any] | None = None,
    ) -> None:
        self.config = config
        self.preprocess = _Prepare(preprocess)
        self.postprocess = _Take(postprocess, bool(getattr(config, "should_continue_on_error", False)))
        self.preprocess_map_kwargs = preprocess_map_kwargs or {}
        self.postprocess_map_kwargs = postprocess_map_kwargs or {}
        self.stages: dict[str, Stage] = {}
        for stage in stages:
            name = stage.fn.__name__
            count = sum(other.fn.__name__ == name for other in self.stages.values())
            self.stages[f"{name}_{count + 1}" if count else name] = stage

    def __call__(self, dataset: Dataset) -> Dataset:
        """The dataset of the answers."""
        dataset = dataset.map(self.preprocess, **self.preprocess_map_kwargs)
        for stage in self.stages.values():
            arguments = {"batch_size": self.config.batch_size, **stage.map_batches_kwargs}
            dataset = dataset.map_batches(
                stage.fn, fn_constructor_kwargs=stage.fn_constructor_kwargs, **arguments
            )
        return dataset.map(self.postprocess, **self.postprocess_map_kwargs)

    def list_stage_names(self) -> list[str]:
        """Names of the stages, in order."""
        return list(self.stages)

    def get_stage_by_name(self, name: str) -> Stage:
        """A stage.

        Raises:
            ValueError: there is none of this name.
        """
        if name not in self.stages:
            raise ValueError(f"Stage {name} not found: the processor has {list(self.stages)}.")
        return self.stages[name]

    def log_input_column_names(self) -> None:
        """Log which columns the first stage needs: `preprocess` must return those that the dataset lacks."""
        name, stage = next(iter(self.stages.items()))
        lines = [f"The first stage of the processor is {name}."]
        for title, keys in (
            ("Required", stage.get_required_input_keys()),
            ("Optional", stage.get_optional_input_keys()),
        ):
            if keys:
                lines += [f"{title} input columns:", *(f"\t{key}: {text}" for key, text in keys.items())]
        _log.info("\n".join(lines))


class ProcessorBuilder:
    """Which function builds the processor of which configuration. An engine of your own is registered here.

    Example:
        >>> from skate.data.llm import Processor, ProcessorBuilder, ProcessorConfig, Stage, StageFunction, build_processor
        >>> class Shout(StageFunction):
        ...     required = {"prompt": "A text."}
        ...     def answer(self, rows):
        ...         return [{"generated_text": row["prompt"].upper()} for row in rows]
        >>> class ShoutConfig(ProcessorConfig):
        ...     pass
        >>> def build(config, **functions):
        ...     return Processor(config, [Stage(Shout, map_batches_kwargs={"concurrency": 1})], **functions)
        >>> ProcessorBuilder.register(ShoutConfig, build)
        >>> import skate.data
        >>> processor = build_processor(ShoutConfig(), postprocess=lambda row: {"text": row["generated_text"]})
        >>> processor(skate.data.from_items([{"prompt": "hello"}])).take_all()
        [{'text': 'HELLO'}]
    """

    _registry: ClassVar[dict[str, Callable[..., Processor]]] = {}

    @classmethod
    def register(cls, config_type: type[ProcessorConfig], builder: Callable[..., Processor]) -> None:
        """Let a function build the processors of a type of configuration.

        Raises:
            ValueError: the type has one already.
        """
        if config_type.__name__ in cls._registry:
            raise ValueError(f"Processor config type {config_type.__name__} already registered.")
        cls._registry[config_type.__name__] = builder

    @classmethod
    def clear_registry(cls) -> None:
        """Forget all of them."""
        cls._registry.clear()

    @classmethod
    def validate_builder_kwargs(cls, builder_kwargs: dict[str, Any] | None) -> None:
        """Check that nothing in them has an argument of its own.

        Raises:
            ValueError: something has.
        """
        twice = _RESERVED & set(builder_kwargs or {})
        if twice:
            raise ValueError(
                f"builder_kwargs cannot contain {sorted(twice)} as these are arguments of build_processor: pass them there."
            )

    @classmethod
    def build(cls, config: ProcessorConfig, override_stage_config_fn: Any = None, **kwargs: Any) -> Processor:
        """A processor.

        Args:
            config: Its configuration.
            override_stage_config_fn: Called with the name of each stage and the stage, which it may change.
            kwargs: Arguments of the function that is registered for the configuration.

        Raises:
            ValueError: none is.
        """
        name = type(config).__name__
        if name not in cls._registry:
            raise ValueError(
                f"Processor config type {name} not registered. Available types: {list(cls._registry)}"
            )
        processor = cls._registry[name](config, **kwargs)
        if override_stage_config_fn is not None:
            for stage_name, stage in processor.stages.items():
                override_stage_config_fn(stage_name, stage)
        return processor


def build_processor(
    config: ProcessorConfig,
    preprocess: Callable[[dict[str, Any]], dict[str, Any]] | None = None,
    postprocess: Callable[[dict[str, Any]], dict[str, Any]] | None = None,
    preprocess_map_kwargs: dict[str, Any] | None = None,
    postprocess_map_kwargs: dict[str, Any] | None = None,
    builder_kwargs: dict[str, Any] | None = None,
) -> Processor:
    """A processor: a function from a dataset to the dataset of the engine's answers.

    Args:
        config: Which engine, and how.
        preprocess: Takes a row, and returns what the first stage needs. The row's own columns stay.
        postprocess: Takes a row with what all stages added, and returns the row of the result.
        preprocess_map_kwargs: Arguments of `Dataset.map` for `preprocess`.
        postprocess_map_kwargs: Arguments of `Dataset.map` for `postprocess`.
        builder_kwargs: Further arguments of the engine's own function, such as `chat_template_kwargs`.

    Raises:
        ValueError: there is no engine for the configuration, or an argument is given twice.
        ImportError: the engine's package is missing.
    """
    ProcessorBuilder.validate_builder_kwargs(builder_kwargs)
    return ProcessorBuilder.build(
        config,
        preprocess=preprocess,
        postprocess=postprocess,
        preprocess_map_kwargs=preprocess_map_kwargs,
        postprocess_map_kwargs=postprocess_map_kwargs,
        **(builder_kwargs or {}),
    )


build_llm_processor = build_processor

__all__ = [
    "Processor",
    "ProcessorBuilder",
    "build_llm_processor",
    "build_processor",
]
