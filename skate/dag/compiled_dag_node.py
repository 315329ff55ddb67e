"""Compiled graphs: set up once, executed many times."""

from __future__ import annotations

import asyncio
import logging
import threading
import time
import uuid
import weakref
from collections import deque
from pathlib import Path
from typing import TYPE_CHECKING, Any

import skate
from skate import _at_shutdown
from skate.dag._channel import ChannelClosedError, Failure
from skate.dag._plan import GraphPlan, make_plan
from skate.dag._runners import Runner, make_runner
from skate.dag.context import DAGContext
from skate.dag.vis_utils import render, to_dot
from skate.exceptions import (
    RayActorError,
    RayCgraphCapacityExceeded,
    RayChannelError,
    RayChannelTimeoutError,
    RayTaskError,
)
from skate.experimental.compiled_dag_ref import CompiledDAGFuture, CompiledDAGRef

if TYPE_CHECKING:
    from skate.dag.dag_node import DAGNode

logger = logging.getLogger(__name__)

_ASK = 5.0  # seconds to find out which actor has died, at most


class CompiledDAG:
    """A compiled graph: what `node.experimental_compile()` returns.

    While it exists its actors do their part from a thread of their own, and can be called as usual too. `teardown()` ends that, as do
    the end of the session and the end of the last reference to the graph.

    Example:
        >>> import skate
        >>> from skate.dag import InputNode
        >>> @skate.remote(num_cpus=0)
        ... class Adder:
        ...     def __init__(self, amount):
        ...         self.amount = amount
        ...     def add(self, x):
        ...         return x + self.amount
        >>> one, two = Adder.remote(1), Adder.remote(2)
        >>> with InputNode() as given:
        ...     graph = two.add.bind(one.add.bind(given)).experimental_compile()
        >>> skate.get(graph.execute(10))
        13
        >>> graph.teardown()
    """

    def __init__(
        self,
        dag: DAGNode,
        plan: GraphPlan,
        runner: Runner,
        *,
        enable_asyncio: bool,
        submit_timeout: float,
        max_inflight: int,
        max_buffered: int,
    ) -> None:
        self._dag = dag
        self._plan = plan
        self._runner = runner
        self._id = uuid.uuid4().hex
        self._asyncio = enable_asyncio
        self._submit_timeout = submit_timeout
        self._max_inflight = max_inflight
        self._max_buffered = max_buffered
        self._lock = threading.RLock()
        self._closed = False
        self._submitted = 0
        self._received = 0
        self._results: dict[int, dict[int, Any]] = {}  # by execution, then by which of the results
        self._dropped: deque[tuple[int, int]] = (
            deque()
        )  # noted by refs that went away, to be dealt with later
        self._unwanted: dict[int, set[int]] = {}
        self._futures: deque[asyncio.Future[list[Any]]] = deque()
        self._watched: asyncio.AbstractEventLoop | None = None
        _open.add(self)

    def get_id(self) -> str:
        """A name of the graph."""
        return self._id

    @property
    def is_teardown(self) -> bool:
        """Whether it has been torn down."""
        return self._closed

    @property
    def actor_refs(self) -> set[Any]:
        """Handles of its actors."""
        return set(self._plan.actors)

    # -- executing ----------------------------------------

    def execute(self, *args: Any, **kwargs: Any) -> Any:
        """Begin an execution.

        Returns:
            A `CompiledDAGRef`; a list of them for a `MultiOutputNode`.

        Raises:
            ValueError: the arguments are not those that the graph's input takes.
            RayCgraphCapacityExceeded: too many executions have begun and not ended.
            RayChannelTimeoutError: the arguments could not be handed over in time.
            RayActorError, RayChannelError: an actor has died, or the graph has been torn down.
        """
        if self._asyncio:
            raise ValueError("Use execute_async if enable_asyncio=True")
        index = self._begin(args, kwargs)
        if self._plan.single:
            return CompiledDAGRef(self, index)
        return [CompiledDAGRef(self, index, channel) for channel in range(len(self._plan.outputs))]

    async def execute_async(self, *args: Any, **kwargs: Any) -> Any:
        """Begin an execution of a graph with `enable_asyncio=True`; as `execute`.

        Returns:
            A `CompiledDAGFuture`; a list of them for a `MultiOutputNode`.
        """
        if not self._asyncio:
            raise ValueError("Use execute if enable_asyncio=False")
        loop = asyncio.get_running_loop()
        if self._watched is not loop:
            if self._watched is not None:
                raise ValueError(
                    "A compiled graph belongs to the event loop of its first execution, and this is another one."
                )
            self._runner.watch(loop, self._pump)
            self._watched = loop
        index = self._begin(args, kwargs)
        future: asyncio.Future[list[Any]] = loop.create_future()
        self._futures.append(future)
        loop.call_soon(self._pump)  # the sending side may have met results on its way
        if self._plan.single:
            return CompiledDAGFuture(self, index, future)
        return [CompiledDAGFuture(self, index, future, channel) for channel in range(len(self._plan.outputs))]

    def _begin(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> int:
        self._plan.check_arguments(args, kwargs)
        with self._lock:
            self._check_open()
            if self._dropped or self._submitted - self._received >= self._max_inflight:
                self._clear_dropped()
            if self._submitted - self._received >= self._max_inflight:
                raise RayCgraphCapacityExceeded(
                    f"The compiled graph can't have more than {self._max_inflight} in-flight executions, and you currently have "
                    f"{self._submitted - self._received} in-flight executions. Retrieve an output using ray.get before submitting "
                    "more requests or increase `_max_inflight_executions`. "
                    "`dag.experimental_compile(_max_inflight_executions=...)`"
                )
            try:
                self._runner.submit(args, kwargs, self._submit_timeout)
            except TimeoutError:
                self._close()  # part of the input may have been handed over: what follows would be out of step
                raise RayChannelTimeoutError(
                    f"The arguments could not be handed over in {self._submit_timeout} seconds, and the graph is torn down. If "
                    "executions take that long, raise _submit_timeout."
                ) from None
            except ChannelClosedError as error:
                raise self._cause(error) from error
            self._submitted += 1
            return self._submitted - 1

    def _clear_dropped(self) -> None:
        """Forget results that nobody can ask for any more, and make room by receiving those that are due next."""
        while self._dropped:
            index, channel = self._dropped.popleft()
            if index < self._received:
                self._forget(index, channel)
            else:
                self._unwanted.setdefault(index, set()).add(channel)
        while self._submitted - self._received >= self._max_inflight and self._all_unwanted(self._received):
            self._receive(self._submit_timeout)

    def _all_unwanted(self, index: int) -> bool:
        return len(self._unwanted.get(index, ())) == len(self._plan.outputs)

    def _forget(self, index: int, channel: int) -> None:
        held = self._results.get(index)
        if held is not None:
            held.pop(channel, None)
            if not held:
                del self._results[index]

    # -- results ----------------------------------------

    def take(self, index: int, channel: int | None, timeout: float | None) -> Any:
        """A result of an execution: what `CompiledDAGRef.get` returns, or a failure for `unwrap` to raise."""
        if timeout is None:
            timeout = DAGContext.get_current().get_timeout
        limit = None if timeout < 0 else timeout
        deadline = None if limit is None or index == self._received else time.monotonic() + limit
        with self._lock:
            if self._dropped:
                self._clear_dropped()
            while index >= self._received:
                self._check_open()
                if len(self._results) > self._max_buffered:
                    raise RayCgraphCapacityExceeded(
                        f"The compiled graph can't have more than {self._max_buffered} buffered results, and you currently have "
                        f"{len(self._results)} buffered results. Call `ray.get()` on CompiledDAGRef's or increase "
                        "`_max_buffered_results`."
                    )
                self._receive(limit)
                if deadline is not None:
                    limit = max(deadline - time.monotonic(), 0)
            held = self._results.get(index)
            if held is None or (channel or 0) not in held:
                raise RayChannelError("Channel closed.")
            value = held[channel or 0]
            self._forget(index, channel or 0)
            return value

    @staticmethod
    def unwrap(value: Any) -> Any:
        """The value, or raise the failure that stands for it."""
        if type(value) is Failure:
            error = value.error
            raise error.as_instanceof_cause() if isinstance(error, RayTaskError) else error
        return value

    def discard(self, index: int, channel: int | None) -> None:
        """Note that nobody will ask for a result. Called from `__del__`: does nothing else."""
        self._dropped.append((index, channel or 0))

    def _receive(self, timeout: float | None) -> None:
        """Take in the results of the next execution."""
        try:
            values = self._runner.receive(timeout)
        except TimeoutError:
            raise RayChannelTimeoutError(
                "If the execution is expected to take a long time, increase RAY_CGRAPH_get_timeout which is currently "
                f"{DAGContext.get_current().get_timeout:g} seconds. Otherwise, this may indicate that the execution is hanging."
            ) from None
        except ChannelClosedError as error:
            raise self._cause(error) from error
        unwanted = self._unwanted.pop(self._received, ())
        held = {channel: value for channel, value in enumerate(values) if channel not in unwanted}
        if held:
            self._results[self._received] = held
        self._received += 1

    def _pump(self) -> None:
        """Hand what has come to the futures, in the event loop's thread."""
        while self._futures and not self._closed:
            try:
                values = self._runner.receive(0)
            except TimeoutError:
                return
            except ChannelClosedError as error:
                self._end_futures(self._cause(error))
                return
            self._received += 1
            future = self._futures.popleft()
            if not future.done():
                future.set_result(values)

    def _end_futures(self, error: BaseException) -> None:
        while self._futures:
            future = self._futures.popleft()
            if not future.done():
                future.set_exception(error)

    # -- the end ----------------------------------------

    def _check_open(self) -> None:
        if self._closed:
            raise RayChannelError("Channel closed.")

    def _cause(self, error: ChannelClosedError) -> BaseException:
        """Close the graph after a process has gone, and say which."""
        self._close()
        waiting = [handle.__ray_ready__.remote() for handle in self._plan.actors]
        deadline = time.monotonic() + _ASK
        while waiting and (left := deadline - time.monotonic()) > 0:
            ready, waiting = skate.wait(waiting, num_returns=1, timeout=left)
            for ref in ready:
                try:
                    skate.get(ref)
                except RayActorError as death:
                    return death
        return RayChannelError(
            f"Channel closed: {error}. Compile the graph again if its actors have restarted."
        )

    def _close(self, wait: float = 0) -> None:
        with self._lock:
            if self._closed:
                return
            self._closed = True
            _open.discard(self)
            if not self._runner.close(wait):
                logger.warning(
                    "A compiled graph's actors have not ended their part %g seconds after teardown(): a method still runs.",
                    wait,
                )
        if self._futures and self._watched is not None and not self._watched.is_closed():
            self._watched.call_soon_threadsafe(self._end_futures, RayChannelError("Channel closed."))

    def teardown(self, kill_actors: bool = False) -> None:
        """End the graph. Results that have not been taken are lost; the actors live on.

        Args:
            kill_actors: Kill the actors too.
        """
        self._close(DAGContext.get_current().teardown_timeout)
        if kill_actors:
            for handle in self._plan.actors:
                skate.kill(handle)

    def __del__(self) -> None:
        if "_futures" in self.__dict__:
            self._close()

    def visualize(
        self,
        filename: str = "compiled_graph",
        format: str = "png",
        view: bool = False,
        channel_details: bool = False,
    ) -> str:
        """Draw the graph into the file `filename.format`. Returns its text in Graphviz's language.

        Args:
            filename: The file's name without its ending.
            format: "png", "svg", "pdf" … as Graphviz has them, or "dot" and "ascii" for the text alone ("ascii" writes no file).
            view: Open the picture.
            channel_details: Accepted for Ray's programs.

        Raises:
            ImportError: Graphviz is needed and not installed.
        """
        dot = to_dot(self._dag)
        if format == "ascii":
            return dot
        path = Path(f"{filename}.{format}")
        render(dot, path)
        if view:
            import webbrowser

            webbrowser.open(path.resolve().as_uri())
        return dot


_open: weakref.WeakSet[CompiledDAG] = weakref.WeakSet()


def _close_all() -> None:
    for dag in list(_open):
        dag._close()


_at_shutdown(_close_all)


def compile_dag(
    dag: DAGNode,
    submit_timeout: float | None = None,
    buffer_size_bytes: int | None = None,
    enable_asyncio: bool = False,
    max_inflight_executions: int | None = None,
    max_buffered_results: int | None = None,
) -> CompiledDAG:
    """Compile a graph: see `DAGNode.experimental_compile`."""
    context = DAGContext.get_current()
    if dag.is_compiled:
        raise ValueError(
            "It is not allowed to call `experimental_compile` on the same DAG object multiple times no matter whether `teardown` is "
            "called or not. Please reuse the existing compiled DAG or create a new one."
        )
    first_segment = _positive("_buffer_size_bytes", buffer_size_bytes, context.buffer_size_bytes)
    inflight = _positive("_max_inflight_executions", max_inflight_executions, context.max_inflight_executions)
    buffered = _positive("_max_buffered_results", max_buffered_results, context.max_buffered_results)
    timeout = context.submit_timeout if submit_timeout is None else submit_timeout
    plan = make_plan(dag)
    runner = make_runner(dag, plan, first_segment)
    dag.is_compiled = True
    return CompiledDAG(
        dag,
        plan,
        runner,
        enable_asyncio=enable_asyncio,
        submit_timeout=timeout,
        max_inflight=inflight,
        max_buffered=buffered,
    )


def _positive(name: str, given: int | None, default: int) -> int:
    if given is None:
        return default
    if not isinstance(given, int) or isinstance(given, bool) or given <= 0:
        raise ValueError(f"{name}={given!r}: a whole number above 0 is needed.")
    return given


__all__ = ["CompiledDAG", "compile_dag"]
