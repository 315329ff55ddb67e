"""What an execution of a compiled graph returns."""

from __future__ import annotations

from collections.abc import Generator
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import asyncio

    from skate.dag.compiled_dag_node import CompiledDAG


class CompiledDAGRef:
    """A result of a compiled graph: `skate.get(ref)` or `ref.get()` waits for it, once.

    Args:
        dag: The graph.
        execution_index: Which execution it belongs to, from 0.
        channel_index: Which of the graph's results it is; None if it has one.
    """

    def __init__(self, dag: CompiledDAG, execution_index: int, channel_index: int | None = None) -> None:
        self._dag = dag
        self._execution_index = execution_index
        self._channel_index = channel_index
        self._taken = False

    def get(self, timeout: float | None = None) -> Any:
        """The result.

        Args:
            timeout: Seconds to wait at most; None is `DAGContext.get_timeout`, -1 waits for ever.

        Raises:
            RayChannelTimeoutError: time was up; the result can be asked for again.
            RayTaskError: a method raised; the exception is an instance of its type too.
            RayActorError: an actor of the graph has died.
            RayChannelError: the graph has been torn down.
            ValueError: the result has been taken already.
        """
        if self._taken:
            raise ValueError(
                "ray.get() can only be called once on a CompiledDAGRef, and it was already called."
            )
        value = self._dag.take(self._execution_index, self._channel_index, timeout)
        self._taken = True
        return self._dag.unwrap(value)

    def _skate_get(self, timeout: float | None) -> Any:
        return self.get(timeout)

    def __del__(self) -> None:
        if not self._taken:
            self._dag.discard(self._execution_index, self._channel_index)

    def __copy__(self) -> CompiledDAGRef:
        raise ValueError("CompiledDAGRef cannot be copied: its result can be taken once.")

    def __deepcopy__(self, memo: dict[int, Any]) -> CompiledDAGRef:
        raise ValueError("CompiledDAGRef cannot be deep copied: its result can be taken once.")

    def __reduce__(self) -> Any:
        raise ValueError(
            "CompiledDAGRef cannot be pickled: only the process that executes the graph has its results."
        )

    def __repr__(self) -> str:
        return (
            f"CompiledDAGRef({self._dag.get_id()}, execution_index={self._execution_index}, "
            f"channel_index={self._channel_index})"
        )


class CompiledDAGFuture:
    """A result of a compiled graph with `enable_asyncio=True`: `await` it, once.

    Args:
        dag: The graph.
        execution_index: Which execution it belongs to, from 0.
        fut: Ends with the execution's results.
        channel_index: Which of them it is; None if there is one.
    """

    def __init__(
        self,
        dag: CompiledDAG,
        execution_index: int,
        fut: asyncio.Future[list[Any]],
        channel_index: int | None = None,
    ) -> None:
        self._dag = dag
        self._execution_index = execution_index
        self._future: asyncio.Future[list[Any]] | None = fut
        self._channel_index = channel_index

    def __await__(self) -> Generator[Any, None, Any]:
        future, self._future = self._future, None
        if future is None:
            raise ValueError(
                "CompiledDAGFuture can only be awaited upon once, and it has already been awaited upon."
            )
        values = yield from future.__await__()
        return self._dag.unwrap(values[self._channel_index or 0])

    def __repr__(self) -> str:
        return (
            f"CompiledDAGFuture({self._dag.get_id()}, execution_index={self._execution_index}, "
            f"channel_index={self._channel_index})"
        )


__all__ = ["CompiledDAGFuture", "CompiledDAGRef"]
