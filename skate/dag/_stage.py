"""What an actor does for a compiled graph: receive, run, send, in the same order for every execution."""

from __future__ import annotations

import contextvars
import inspect
import os
import socket
import sys
import threading
import traceback
from collections import deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import skate
from skate.dag._channel import ChannelClosedError, Connection, Failure

if TYPE_CHECKING:
    from skate.dag._collect import Collective

DRIVER = -1
"""The number of the process that executes the graph; actors are numbered from 0."""


@dataclass(frozen=True)
class Taken:
    """An argument that is the value of a slot, or with `part` one of the things that the slot holds."""

    slot: int
    part: int | None = None


@dataclass
class Step:
    """One method call of an actor, or with `output_of` one of a call's results, or its part of a `collective` operation.

    Attributes:
        slot: What its result is called.
        args: Values, or `Taken`.
        readers: The processes that the result is sent to.
    """

    slot: int
    method: str
    args: tuple[Any, ...]
    kwargs: dict[str, Any]
    output_of: int | None = None
    output_idx: int = 0
    num_returns: int = 1
    readers: tuple[int, ...] = ()
    device: str = "default"
    collective: Collective | None = None


@dataclass
class Plan:
    """What one actor does.

    Attributes:
        number: Its own number.
        source: For each slot that others make: who sends it.
        peers: The processes it is connected to, in the order in which their sockets come.
    """

    number: int
    steps: list[Step] = field(default_factory=list)
    source: dict[int, int] = field(default_factory=dict)
    peers: list[int] = field(default_factory=list)
    first_segment: int = 1 << 20


def whereabouts(_actor: Any) -> tuple[str, int]:
    """Which process the actor lives in."""
    return socket.gethostname(), os.getpid()


def join(actor: Any, path: str, plan: Plan) -> None:
    """Connect this actor to the graph's driver, and do its part from a thread of its own until the driver leaves.

    Raises:
        ValueError: one of its methods is a coroutine function.
    """
    for step in plan.steps:
        if (
            step.output_of is None
            and step.collective is None
            and inspect.iscoroutinefunction(getattr(actor, step.method))
        ):
            raise ValueError(
                f"{type(actor).__name__}.{step.method}() is a coroutine function: a compiled graph runs plain methods only."
            )
    control = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    try:
        control.connect(path)
        control.send(plan.number.to_bytes(4, "little"))
    except BaseException:
        control.close()
        raise
    stage = _Stage(actor, plan, control)
    # In the context of this call, so that methods learn from get_runtime_context() which actor they run in.
    run = contextvars.copy_context().run
    threading.Thread(target=run, args=(stage.run,), name="skate-dag", daemon=True).start()


class _Stage:
    def __init__(self, actor: Any, plan: Plan, control: socket.socket) -> None:
        self._actor = actor
        self._plan = plan
        self._control = control
        self._connections: dict[int, Connection] = {}
        self._waiting: dict[int, deque[Any]] = {slot: deque() for slot in plan.source}

    def run(self) -> None:
        try:
            _data, fds, _flags, _address = socket.recv_fds(self._control, 16, len(self._plan.peers))
            for peer, fd in zip(self._plan.peers, fds, strict=False):
                self._connections[peer] = Connection(socket.socket(fileno=fd), self._plan.first_segment)
            if len(fds) == len(self._plan.peers):
                if self._is_link():
                    self._run_link()
                while True:
                    self._execute_once()
        except (ChannelClosedError, OSError):
            pass  # the graph has been torn down, or a process in it has died: the driver is told by its own sockets
        finally:
            for connection in self._connections.values():
                connection.close()
            self._control.close()

    def _is_link(self) -> bool:
        """Whether all that this actor does is one call with one argument, which another process sends."""
        plan = self._plan
        step = plan.steps[0]
        plain = (
            step.output_of is None
            and step.collective is None
            and step.device == "default"
            and not step.kwargs
        )
        return (
            len(plan.steps) == 1 and len(plan.source) == 1 and plain and step.args == (Taken(*plan.source),)
        )

    def _run_link(self) -> None:
        """As `_execute_once` for ever, in fewer words: links are most of what graphs are made of, and this is their speed."""
        (step,) = self._plan.steps
        (source,) = self._plan.source.values()
        receive = self._connections[source].receive
        method = getattr(self._actor, step.method)
        while True:
            _slot, value = receive()
            if type(value) is not Failure:
                try:
                    value = method(value)
                except Exception as error:  # noqa: BLE001 -- whatever it raised goes to whoever needs the result
                    value = Failure(self._described(step, error))
            for reader in step.readers:
                self._send(reader, step, value)
            del value  # before the wait: what it holds is to be given back

    def _execute_once(self) -> None:
        values: dict[int, Any] = {}
        for step in self._plan.steps:
            result = values[step.slot] = self._perform(step, values)
            for reader in step.readers:
                self._send(reader, step, result)

    def _send(self, reader: int, step: Step, result: Any) -> None:
        connection = self._connections[reader]
        try:
            connection.send(step.slot, result)
        except ChannelClosedError:
            raise
        except Exception as error:  # noqa: BLE001 -- the reader is told that the result can't be pickled
            connection.send(step.slot, Failure(self._described(step, error)))

    def _perform(self, step: Step, values: dict[int, Any]) -> Any:
        args = [self._value(arg, values) if type(arg) is Taken else arg for arg in step.args]
        kwargs = {}
        if step.kwargs:
            kwargs = {
                key: self._value(arg, values) if type(arg) is Taken else arg
                for key, arg in step.kwargs.items()
            }
        for given in (*args, *kwargs.values()):
            if type(given) is Failure:
                return given
        try:
            if step.output_of is not None:
                return _one_of(args[0], step)
            if step.collective is not None:
                return step.collective.perform(args)
            result = getattr(self._actor, step.method)(*args, **kwargs)
            return result if step.device == "default" else move(result, step.device)
        except Exception as error:  # noqa: BLE001 -- whatever it raised goes to whoever needs the result
            return Failure(self._described(step, error))

    def _value(self, arg: Taken, values: dict[int, Any]) -> Any:
        slot = arg.slot
        if slot not in values:
            queue = self._waiting[slot]
            connection = self._connections[self._plan.source[slot]]
            while not queue:
                received, value = connection.receive()
                self._waiting[received].append(value)
            values[slot] = queue.popleft()
        value = values[slot]
        return value if arg.part is None or type(value) is Failure else value[arg.part]

    def _described(self, step: Step, error: Exception) -> BaseException:
        if isinstance(error, skate.exceptions.RayTaskError):
            return error
        frames = error.__traceback__.tb_next if error.__traceback__ is not None else None
        text = "".join(traceback.format_exception(type(error), error, frames))
        name = f"{type(self._actor).__name__}.{step.method}"
        context = skate.get_runtime_context()
        return skate.exceptions.RayTaskError(
            name, text, error, actor_repr=repr(self._actor), actor_id=context.get_actor_id()
        )


def _one_of(results: Any, step: Step) -> Any:
    found = len(results)
    if found != step.num_returns:
        raise ValueError(f"{step.method}() returned {found} values, and num_returns={step.num_returns}.")
    return results[step.output_idx]


def move(value: Any, device: str) -> Any:
    """A tensor on the device that `with_tensor_transport` named; anything else as it is."""
    torch = sys.modules.get("torch")
    if torch is None or not isinstance(value, torch.Tensor):
        return value
    return value.to("cuda" if device == "gpu" else device)
