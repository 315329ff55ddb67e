"""What readers have in common: the arguments that say how files are found and how the tasks run that read them.

A reader's signature names all that it takes, as users see it. Its body hands `locals()` to the functions here, which pick what
is theirs by name, and its docstring describes what is its own: `documented` adds what is described here.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from skate.data.creation import read_source
from skate.data.datasource.file_based_datasource import FileBasedDatasource
from skate.data.datasource.partitioning import Partitioning, PartitionStyle
from skate.data.documentation import documented
from skate.data.methods.base import options_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    from skate.data.dataset import Dataset
    from skate.data.datasource.datasource import Datasource

# Default of readers whose files may lie in folders named `name=value`.
HIVE = Partitioning(PartitionStyle.HIVE)

_FILES = {
    "filesystem": "An Arrow or fsspec file system; None finds one by the address.",
    "partition_filter": "Which files to read, by the values in their paths.",
    "partitioning": "How to read values from paths, as columns.",
    "include_paths": "Whether to add the path of the file, as a column `path`.",
    "ignore_missing_paths": "Whether paths with nothing at them are left out.",
    "shuffle": '`"files"` or a `FileShuffleConfig`: read the files in random order.',
    "file_extensions": "Endings of names; other files are left out. None reads all.",
}
_TASKS = {
    "num_cpus": "CPUs of each task that reads.",
    "num_gpus": "GPUs of each task that reads.",
    "memory": "Bytes of memory of each task that reads.",
    "label_selector": "Labels of the machine to run on.",
    "fallback_strategy": "Other options to try.",
    "max_calls": "After so many calls a worker is replaced.",
    "resources": "Custom resources of each task that reads.",
    "accelerator_type": "The kind of accelerator.",
    "runtime_env": "The environment of each task that reads.",
}
_SHARED = {
    "paths": "Files, folders or patterns: local paths or addresses.",
    **_FILES,
    "arrow_open_stream_args": "Arguments of the file system's `open_input_stream`.",
    "arrow_open_file_args": "Arguments of the file system's `open_input_stream`.",
    "parallelism": "The old name of `override_num_blocks`; -1 leaves it open.",
    "concurrency": "How many tasks read at a time.",
    "override_num_blocks": "How many blocks to read into.",
    "storage_options": "Credentials and settings of the store, as its package takes them.",
    **_TASKS,
    "ray_remote_args": "Further options of the tasks that read.",
}


def file_arguments(given: Mapping[str, Any]) -> dict[str, Any]:
    """Of a reader's arguments, those that `FileBasedDatasource` takes."""
    chosen = {name: given[name] for name in _FILES if name in given}
    for name in ("arrow_open_stream_args", "arrow_open_file_args"):
        if name in given:
            chosen["open_stream_args"] = given[name]
    return chosen


def read_from(source: Datasource, given: Mapping[str, Any], **known: Any) -> Dataset:
    """The dataset of a source, read as a reader's arguments say.

    Args:
        source: What to read.
        given: The reader's arguments.
        known: What is known of the data beforehand, as `read_source` takes it.
    """
    if isinstance(source, FileBasedDatasource):
        known.setdefault("rows", source.rows)
    return read_source(
        source,
        parallelism=given.get("parallelism", -1),
        override_num_blocks=known.pop("override_num_blocks", given.get("override_num_blocks")),
        concurrency=given.get("concurrency"),
        options=task_arguments(given),
        files=getattr(source, "files", ()),
        **known,
    )


def task_arguments(given: Mapping[str, Any]) -> dict[str, Any]:
    """Of a reader's arguments, the options of its tasks that were given."""
    named = {name: given[name] for name in _TASKS if given.get(name) is not None}
    return options_of(**{**(given.get("ray_remote_args") or {}), **named})


reader = documented(_SHARED)

__all__ = ["HIVE", "file_arguments", "read_from", "reader", "task_arguments"]
