"""How many models are kept."""

from __future__ import annotations

import asyncio

from skate.serve.multiplex import ModelCache


def test_models_that_are_loaded_side_by_side_do_not_exceed_the_limit() -> None:
    loaded: list[str] = []
    gone: list[str] = []

    async def scenario() -> None:
        opened = asyncio.Event()

        async def load(model_id: str) -> str:
            loaded.append(model_id)
            await opened.wait()
            return model_id

        async def unload(model: str) -> None:
            gone.append(model)

        cache = ModelCache(load, 2, unload)
        asked = [asyncio.create_task(cache.get(name)) for name in "abcda"]
        while len(loaded) < 4:
            await asyncio.sleep(0)
        opened.set()
        assert await asyncio.gather(*asked) == list("abcda")  # whoever asked has its model, kept or not
        assert loaded == list("abcd")  # each once
        assert len(cache.models) == 2
        await cache.clear()

    asyncio.run(scenario())
    assert sorted(gone) == list("abcd")
