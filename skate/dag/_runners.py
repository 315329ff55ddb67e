"""How a compiled graph's executions are carried out: through channels between the actors, or by calls as usual."""

from __future__ import annotations

import asyncio
import os
import select
import socket
import time
from collections import deque
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any, Protocol

import skate
from skate.dag._channel import ChannelClosedError, Connection, Failure
from skate.dag._plan import INPUT_SLOT, GraphPlan
from skate.dag._stage import DRIVER, join, whereabouts

if TYPE_CHECKING:
    from skate.dag.dag_node import DAGNode


class Runner(Protocol):
    """Executions go in and their results come out in the same order. One thread at a time."""

    def submit(self, args: tuple[Any, ...], kwargs: dict[str, Any], timeout: float | None) -> None:
        """Begin an execution.

        Raises:
            TimeoutError: its arguments could not be handed over in `timeout` seconds.
            ChannelClosedError: a process is gone.
        """

    def receive(self, timeout: float | None) -> list[Any]:
        """The next execution's results, each a value or a `Failure`; a TimeoutError loses nothing.

        Raises:
            TimeoutError: time was up.
            ChannelClosedError: a process is gone.
        """

    def watch(self, loop: asyncio.AbstractEventLoop, callback: Callable[[], None]) -> None:
        """Have `loop` call `callback` whenever results may have come, until `close`."""

    def close(self, wait: float) -> bool:
        """Let go of everything; waits up to `wait` seconds for the actors. Whether they were done by then."""


class CallRunner:
    """Every execution makes all the calls: for actors that share this process, or live on another machine."""

    def __init__(self, dag: DAGNode, plan: GraphPlan) -> None:
        self._dag = dag
        self._single = plan.single
        self._refs: deque[list[Any]] = deque()
        self._wake: Callable[[Any], None] | None = None

    def submit(self, args: tuple[Any, ...], kwargs: dict[str, Any], timeout: float | None) -> None:
        made = self._dag.execute(*args, **kwargs)
        refs = [made] if self._single else made
        self._refs.append(refs)
        if self._wake is not None:
            for ref in refs:
                ref.future().add_done_callback(self._wake)

    def receive(self, timeout: float | None) -> list[Any]:
        refs = self._refs[0]
        ready, _ = skate.wait(list(dict.fromkeys(refs)), num_returns=len(set(refs)), timeout=timeout)
        if len(ready) < len(set(refs)):
            raise TimeoutError
        self._refs.popleft()
        return [self._outcome(ref) for ref in refs]

    @staticmethod
    def _outcome(ref: Any) -> Any:
        try:
            return skate.get(ref)
        except skate.exceptions.RayActorError as error:
            raise ChannelClosedError(str(error)) from error
        except skate.exceptions.RayError as error:
            return Failure(error)

    def watch(self, loop: asyncio.AbstractEventLoop, callback: Callable[[], None]) -> None:
        def wake(_future: Any) -> None:
            loop.call_soon_threadsafe(callback)

        self._wake = wake

    def close(self, wait: float) -> bool:
        self._refs.clear()
        return True


class ChannelRunner:
    """The actors pass values to one another through channels, without calls."""

    def __init__(self, plan: GraphPlan, first_segment: int) -> None:
        self._plan = plan
        self._controls: dict[int, socket.socket] = {}
        self._connections: dict[int, Connection] = {}
        self._loop: asyncio.AbstractEventLoop | None = None
        self._queues: dict[int, deque[Any]] = {slot: deque() for slot, _maker in plan.outputs}
        try:
            self._set_up(first_segment)
        except BaseException:
            self.close(0)
            raise

    def _set_up(self, first_segment: int) -> None:
        plan = self._plan
        for actor in plan.plans:
            actor.first_segment = first_segment
        path = os.path.join(skate.get_runtime_context().get_temp_dir(), f"dag-{os.urandom(6).hex()}")
        listener = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        try:
            listener.bind(path)
            listener.listen(len(plan.actors))
            skate.get(
                [
                    handle.__ray_call__.remote(join, path, actor)
                    for handle, actor in zip(plan.actors, plan.plans, strict=True)
                ]
            )
            for _ in plan.actors:  # all of them have connected: nothing here waits
                control, _address = listener.accept()
                self._controls[int.from_bytes(control.recv(4), "little")] = control
        finally:
            listener.close()
            os.unlink(path)
        self._connect(first_segment)

    def _connect(self, first_segment: int) -> None:
        """Make a socket pair for each two processes that have something to say to each other, and hand out the ends."""
        ends: dict[tuple[int, int], socket.socket] = {}
        try:
            for actor in self._plan.plans:
                for peer in actor.peers:
                    if (actor.number, peer) not in ends:
                        pair = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
                        ends[actor.number, peer], ends[peer, actor.number] = pair
            for actor in self._plan.plans:
                fds = [ends[actor.number, peer].fileno() for peer in actor.peers]
                socket.send_fds(self._controls[actor.number], [b"c"], fds)
            for end, peer in list(ends):
                if end == DRIVER:
                    self._connections[peer] = Connection(ends.pop((end, peer)), first_segment)
        finally:
            for sock in ends.values():
                sock.close()

    def submit(self, args: tuple[Any, ...], kwargs: dict[str, Any], timeout: float | None) -> None:
        deadline = None if timeout is None or timeout < 0 else time.monotonic() + timeout
        make_room = partial(self._make_room, deadline)
        for number in self._plan.inputs:
            value = self._plan.input_for(number, args, kwargs)
            self._connections[number].send(INPUT_SLOT, value, make_room)

    def _make_room(self, deadline: float | None) -> None:
        """A buffer is full: it empties once the actors go on, and they may be waiting for us to take their results."""
        left = None if deadline is None else deadline - time.monotonic()
        if left is not None and left <= 0:
            raise TimeoutError
        readable, _, _ = select.select(self._output_connections(), [], [], 0.005)
        for connection in readable:
            self._take_one(connection, None)

    def _output_connections(self) -> list[Connection]:
        return [self._connections[maker] for maker in dict.fromkeys(maker for _, maker in self._plan.outputs)]

    def _take_one(self, connection: Connection, timeout: float | None) -> None:
        slot, value = connection.receive(timeout)
        self._queues[slot].append(value)

    def receive(self, timeout: float | None) -> list[Any]:
        deadline = None
        for slot, maker in self._plan.outputs:
            queue = self._queues[slot]
            while not queue:
                connection = self._connections[maker]
                if timeout == 0 and not connection.readable():
                    raise TimeoutError
                left = timeout
                if timeout is not None and len(self._queues) > 1:
                    now = time.monotonic()
                    deadline = deadline or now + timeout
                    left = max(deadline - now, 1e-6)
                self._take_one(connection, left)
        taken = {slot: queue.popleft() for slot, queue in self._queues.items()}
        return [taken[slot] for slot, _maker in self._plan.outputs]

    def watch(self, loop: asyncio.AbstractEventLoop, callback: Callable[[], None]) -> None:
        self._loop = loop
        for connection in self._output_connections():
            loop.add_reader(connection.fileno(), callback)

    def close(self, wait: float) -> bool:
        if self._loop is not None and not self._loop.is_closed():
            for connection in self._output_connections():
                self._loop.remove_reader(connection.fileno())
        for connection in self._connections.values():
            connection.close()
        self._connections.clear()
        deadline = time.monotonic() + wait
        done = True
        for control in self._controls.values():
            if wait and done:
                control.settimeout(max(deadline - time.monotonic(), 1e-3))
                try:
                    control.recv(1)  # ends when the actor's thread has let go of everything
                except TimeoutError:
                    done = False
                except OSError:
                    pass  # the actor has died
            control.close()
        self._controls.clear()
        return done


def make_runner(dag: DAGNode, plan: GraphPlan, first_segment: int) -> Runner:
    """Channels where every actor has a process of its own on this machine, and calls elsewhere."""
    found = skate.get([handle.__ray_call__.remote(whereabouts) for handle in plan.actors])
    here = socket.gethostname()
    if all(host == here and pid != os.getpid() for host, pid in found):
        return ChannelRunner(plan, first_segment)
    return CallRunner(dag, plan)
