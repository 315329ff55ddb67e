"""How data sets are split over workers."""

from __future__ import annotations

from typing import Any, Literal

__all__ = [
    "DataConfig",
]


class DataConfig:
    """How the data sets of a run reach its workers.

    Args:
        datasets_to_split: The names of those that are split; "all": all of them. Every worker gets the whole of others.
        execution_options: How they are executed; one for all, or by name.
        enable_shard_locality: Accepted for Ray's programs.

    Raises:
        TypeError: `datasets_to_split` is neither "all" nor a list.
    """

    def __init__(
        self,
        datasets_to_split: Literal["all"] | list[str] = "all",
        execution_options: Any = None,
        enable_shard_locality: bool = True,
    ) -> None:
        if not (isinstance(datasets_to_split, list) or datasets_to_split == "all"):
            raise TypeError(
                "`datasets_to_split` should be a 'all' or a list of strings of dataset names. Received "
                f"{type(datasets_to_split).__name__} with value {datasets_to_split}."
            )
        self._datasets_to_split = datasets_to_split
        self._execution_options = execution_options
        self._enable_shard_locality = enable_shard_locality

    def configure(
        self,
        datasets: dict[str, Any],
        world_size: int,
        worker_handles: list[Any] | None,
        worker_node_ids: list[str] | None,
        **kwargs: Any,
    ) -> list[dict[str, Any]]:
        """Make every worker's part. Subclasses may do it in another way.

        Args:
            datasets: The data sets by name.
            world_size: How many workers there are.
            worker_handles: Their actors.
            worker_node_ids: Their hosts.
            **kwargs: For what later versions pass.

        Returns:
            For each worker, an iterator by name.

        Raises:
            TypeError: one is no `skate.data.Dataset`.
        """
        shards: list[dict[str, Any]] = [{} for _ in range(world_size)]
        for name, given in datasets.items():
            dataset = given
            if not hasattr(dataset, "streaming_split"):
                raise TypeError(
                    f"datasets[{name!r}] is a {type(dataset).__name__}, not a skate.data.Dataset: make one, for example "
                    "with skate.data.from_items(list), or read the data in the training function."
                )
            options = self._execution_options
            options = options.get(name) if isinstance(options, dict) else options
            if options is not None:
                dataset = dataset.copy(dataset)
                dataset.context.execution_options = options
            if self._datasets_to_split == "all" or name in self._datasets_to_split:
                parts = dataset.streaming_split(world_size, equal=True, locality_hints=worker_node_ids)
            else:
                parts = [dataset.iterator() for _ in range(world_size)]
            for shard, part in zip(shards, parts, strict=True):
                shard[name] = part
        return shards

    @staticmethod
    def default_ingest_options() -> Any:
        """The execution options that data sets have if none are given."""
        from skate.data import DataContext

        return DataContext.get_current().execution_options
