"""Adapters (LoRA) of a model: which there are, where they are, and which are loaded here."""

from __future__ import annotations

import asyncio
import itertools
import os
import re
import shutil
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

from skate.serve.llm._config import LoraConfig
from skate.serve.llm._engine import Engine, UnknownModel
from skate.serve.multiplex import ModelCache

_NAME = re.compile(r"[\w-][\w.-]*")


def split_model_id(model_id: str) -> tuple[str, str]:
    """The model and the adapter that "model:adapter" names; the adapter is empty if there is none."""
    base, _, adapter = model_id.partition(":")
    return base, adapter


def adapter_names(folder: str) -> list[str]:
    """The adapters in a folder of this machine, or one that Arrow's file systems know; each is a folder there."""
    if "://" not in folder:
        return sorted(entry.name for entry in os.scandir(folder) if entry.is_dir())
    files, path = _file_system(folder)
    from pyarrow.fs import FileSelector, FileType

    return sorted(
        info.base_name for info in files.get_file_info(FileSelector(path)) if info.type == FileType.Directory
    )


def _file_system(uri: str) -> tuple[Any, str]:
    try:
        from pyarrow.fs import FileSystem
    except ImportError as error:
        raise ImportError(f"adapters at {uri} need a package: pip install pyarrow") from error
    files, path = FileSystem.from_uri(uri)
    return files, path


@dataclass
class _Adapter:
    """An adapter that is loaded; it goes when it has made room for others and nobody uses it any more."""

    key: str
    """What the engine knows it by: one of the same name may be loaded anew while this one is still used."""
    users: int = 0
    dropped: bool = False


class Adapters:
    """The adapters of one replica, least recently used first; those that are asked for are loaded, and others make room.

    Args:
        engine: What loads them.
        model_id: The model that they are for.
        config: Where they are, and how many are kept.
    """

    def __init__(self, engine: Engine, model_id: str, config: LoraConfig) -> None:
        self._engine = engine
        self._model_id = model_id
        self._config = config
        self._copies = tempfile.mkdtemp(prefix="adapters-")
        self._numbers = itertools.count(1)
        self._cache = ModelCache(self._load, config.max_num_adapters_per_replica, self._drop)

    @asynccontextmanager
    async def use(self, name: str) -> AsyncIterator[str]:
        """Have an adapter loaded, for as long as the context lasts, which is what the engine knows it by.

        Raises:
            UnknownModel: there is none of that name.
        """
        while (adapter := await self._cache.get(f"{self._model_id}:{name}")).dropped:
            pass  # it has made room in the moment between
        adapter.users += 1
        try:
            yield adapter.key
        finally:
            adapter.users -= 1
            if adapter.dropped and not adapter.users:
                await self._engine.unload_adapter(adapter.key)

    async def close(self) -> None:
        """Let go of all."""
        await self._cache.clear()
        await asyncio.to_thread(shutil.rmtree, self._copies, ignore_errors=True)

    async def _load(self, model_id: str) -> _Adapter:
        name = split_model_id(model_id)[1]
        folder = await self._fetch(name)
        adapter = _Adapter(f"{name}-{next(self._numbers)}")
        await self._engine.load_adapter(adapter.key, folder)
        return adapter

    async def _drop(self, adapter: _Adapter) -> None:
        adapter.dropped = True
        if not adapter.users:
            await self._engine.unload_adapter(adapter.key)

    async def _fetch(self, name: str) -> str:
        """The folder of an adapter on this machine; it is copied if it is elsewhere."""
        folder = self._config.dynamic_lora_loading_path
        # A client chooses the name: it must not lead out of the folder.
        if folder is None or not _NAME.fullmatch(name):
            raise UnknownModel(f"The model '{self._model_id}' has no adapter '{name}'.")
        for attempt in range(self._config.max_download_tries):
            try:
                copying = asyncio.to_thread(self._copy, folder, name)
                return await asyncio.wait_for(copying, self._config.download_timeout_s)
            except OSError:
                if attempt == self._config.max_download_tries - 1:
                    raise
        raise AssertionError("unreachable")

    def _copy(self, folder: str, name: str) -> str:
        if name not in adapter_names(folder):
            raise UnknownModel(
                f"The model '{self._model_id}' has no adapter '{name}': there is no such folder."
            )
        if "://" not in folder:
            return os.path.join(folder, name)
        from pyarrow.fs import LocalFileSystem, copy_files

        files, path = _file_system(folder)
        copy = os.path.join(self._copies, name)
        copy_files(f"{path}/{name}", copy, source_filesystem=files, destination_filesystem=LocalFileSystem())
        return copy
