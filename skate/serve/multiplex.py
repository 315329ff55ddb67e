"""Many models in one deployment: each is loaded where it is asked for, and the one used least recently makes room."""

from __future__ import annotations

import asyncio
import inspect
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from functools import wraps
from typing import Any

from skate.serve._private import client
from skate.serve._private.utils import DEFAULT
from skate.serve.context import _get_internal_replica_context

_caches: list[ModelCache] = []


def loaded_models() -> tuple[str, ...]:
    """The ids of all models that this process has loaded."""
    return tuple(sorted(model for cache in _caches for model in cache.models))


async def unload_all() -> None:
    """Let go of every model: the replica ends."""
    for cache in _caches:
        await cache.clear()


class ModelCache:
    """The models that one decorated function has loaded for one object, least recently used first.

    Args:
        load: Loads a model by its id.
        limit: How many are kept; -1: any number.
        unload: Lets go of a model; default: its own destructor does, if that is a coroutine function.
    """

    def __init__(
        self,
        load: Callable[[str], Awaitable[Any]],
        limit: int,
        unload: Callable[[Any], Awaitable[None]] | None = None,
    ) -> None:
        self._load = load
        self._unload = _destroy if unload is None else unload
        self._limit = limit
        self.models: OrderedDict[str, Any] = OrderedDict()
        self._loading: dict[str, asyncio.Task[Any]] = {}
        _caches.append(self)

    async def get(self, model_id: str) -> Any:
        """The model; requests for one that is being loaded wait for it together."""
        if model_id in self.models:
            self.models.move_to_end(model_id)
            return self.models[model_id]
        task = self._loading.get(model_id)
        if task is None:
            task = self._loading[model_id] = asyncio.create_task(self._add(model_id))
            task.add_done_callback(lambda _task: self._loading.pop(model_id, None))
        return await asyncio.shield(task)

    async def _add(self, model_id: str) -> Any:
        await self._make_room()
        model = await self._load(model_id)
        await self._make_room()  # others may have been loaded meanwhile
        self.models[model_id] = model
        _tell()
        return model

    async def _make_room(self) -> None:
        while 0 < self._limit <= len(self.models):
            _id, model = self.models.popitem(last=False)
            _tell()
            await self._unload(model)

    async def clear(self) -> None:
        """Let go of every model."""
        while self.models:
            _id, model = self.models.popitem(last=False)
            await self._unload(model)


async def _destroy(model: Any) -> None:
    """Run a model's destructor now, of either kind; Python runs it again, if at all, when nothing refers to the model."""
    destructor = getattr(type(model), "__del__", None)
    if destructor is not None and inspect.iscoroutinefunction(destructor):
        await destructor(model)


def _tell() -> None:
    """Tell the controller which models are here, so that requests for them come here."""
    replica = _get_internal_replica_context()
    controller = client.controller_or_none() if replica is not None else None
    if replica is not None and controller is not None:
        controller.models.remote(replica.app_name, replica.deployment, replica.replica_tag, loaded_models())


def multiplexed(
    func: Callable[..., Any] | None = None, max_num_models_per_replica: int = 3
) -> Callable[..., Any]:
    """Keep what an async function loads by model id; calls with that id get it back without loading.

    Args:
        func: `async def load(model_id)`, or such a method.
        max_num_models_per_replica: How many models are kept; -1: any number.

    Raises:
        TypeError: the function is not async, or does not take a model id.
        ValueError: the number is not positive.

    Example:
        ```python
        @serve.deployment
        class Models:
            @serve.multiplexed(max_num_models_per_replica=2)
            async def get_model(self, model_id: str):
                return await load_from_storage(model_id)

            async def __call__(self, request):
                model = await self.get_model(serve.get_multiplexed_model_id())
                return model.predict(await request.json())
        ```
    """
    if func is not None and not callable(func):
        raise TypeError("The `multiplexed` decorator must be used with a function or method.")
    if isinstance(max_num_models_per_replica, bool) or not isinstance(max_num_models_per_replica, int):
        raise TypeError("max_num_models_per_replica must be an integer.")
    if max_num_models_per_replica != -1 and max_num_models_per_replica <= 0:
        raise ValueError("max_num_models_per_replica must be positive.")
    if func is None:
        return lambda function: multiplexed(function, max_num_models_per_replica)
    if not inspect.iscoroutinefunction(func):
        raise TypeError("@serve.multiplexed can only be used to decorate async functions or methods.")
    names = list(inspect.signature(func).parameters)
    is_method = len(names) == 2
    if len(names) not in (1, 2):
        raise TypeError(
            "@serve.multiplexed can only be used to decorate functions or methods with at least one 'model_id: str' argument."
        )
    function_cache: list[ModelCache] = []
    attribute = f"__serve_models_of_{func.__name__}"

    @wraps(func)
    async def load(*args: Any, **kwargs: Any) -> Any:
        owner = args[0] if is_method else None
        rest = args[1:] if is_method else args
        model_id = rest[0] if rest else kwargs.get("model_id", DEFAULT.VALUE)
        if not isinstance(model_id, str):
            raise TypeError("The model ID must be a string.")
        if not model_id:
            raise ValueError(
                "The model ID cannot be empty: name one with handle.options(multiplexed_model_id=…) or the header "
                "serve_multiplexed_model_id."
            )
        if is_method:
            cache = getattr(owner, attribute, None)
            if cache is None:
                cache = ModelCache(lambda wanted: func(owner, wanted), max_num_models_per_replica)
                setattr(owner, attribute, cache)
        else:
            if not function_cache:
                function_cache.append(ModelCache(func, max_num_models_per_replica))
            cache = function_cache[0]
        return await cache.get(model_id)

    return load


__all__ = ["ModelCache", "loaded_models", "multiplexed", "unload_all"]
