"""Refs as futures of one Dask client: in the driver for itself, in a Dask worker for the processes that run user code there.

Everything here runs in the event loop of the Dask client. An engine is known by its *port*: how it is spoken to. A ref lives in
the hub for as long as a port has it, or something that is under way needs it. What the scheduler is told travels in one stream, in
order; only questions go beside it, and the registry lets those wait that are ahead of the stream.
"""

from __future__ import annotations

import asyncio
import logging
import pickle
import uuid
from collections import Counter, deque
from collections.abc import Callable, Coroutine, Sequence
from typing import Any, Protocol

import dask
from dask._expr import LLGExpr
from dask._task_spec import Task, TaskRef
from distributed import Client, Future
from distributed.spans import SpanMetadata

from skate import exceptions
from skate.core.ref import ObjectRef
from skate.engine.dask import remote
from skate.engine.dask.blob import Blob, Name, error_blob
from skate.engine.dask.calls import LARGE, ActorSpec, Call

_SETTINGS = {
    "distributed.admin.large-graph-warning-threshold": "1TB"
}  # what is large does not travel in graphs
_GLANCE = 0.2  # seconds between looks whether the scheduler is there
_LITERAL = 64 * 1024  # a blob of up to this many bytes may travel inside a graph


class Port(Protocol):
    """An engine, as its hub sees it."""

    def deliver(self, message: tuple[Any, ...]) -> None:
        """Send the engine a message."""


class Entry:
    """A ref of which this hub is asked to take care."""

    __slots__ = (
        "blob",
        "call",
        "deps",
        "done",
        "future",
        "held",
        "key",
        "needed",
        "ports",
        "submitter",
        "wanted",
    )

    def __init__(self, key: int) -> None:
        self.key = key
        self.future: Future[Any] | None = None
        self.ports: Counter[Port] = Counter()
        self.wanted: set[Port] = set()
        self.submitter: Port | None = None
        self.call: Call | None = None
        self.needed = 0
        """How many things under way need it."""
        self.held: list[Entry | Interest] = []
        """What this one needs while it is under way."""
        self.deps: list[Entry] = []
        """What it waits for before it starts."""
        self.done = False
        self.blob: Blob | None = None
        """The value, where it is known here and not (only) in Dask: an error of the engine's own."""

    def unused(self) -> bool:
        """Whether nobody needs it."""
        return not self.ports and not self.needed


class Interest:
    """This hub's interest in an actor: handles of its ports, and calls under way."""

    __slots__ = ("created", "key", "needed", "ports")

    def __init__(self, key: int) -> None:
        self.key = key
        self.ports: Counter[Port] = Counter()
        self.needed = 0
        self.created = False

    def unused(self) -> bool:
        """Whether nobody needs it."""
        return not self.ports and not self.needed


class Hub:
    """Takes care of the refs of its ports."""

    def __init__(self, client: Client, worker: Any = None) -> None:
        self.client = client
        self.worker = worker
        """The Dask worker of this process, if there is one: its data are read in place."""
        self.ports: set[Port] = set()
        self.entries: dict[int, Entry] = {}
        self.actors: dict[int, Interest] = {}
        self.streams: dict[int, tuple[Port, str]] = {}
        """Generators that ports of this hub have called: by whom, and the Dask worker where the items come from."""
        self.ended = ""
        self.on_print: Callable[[str, str, int, str], None] = lambda *_: None
        self.pinned: list[Entry | Interest] = []
        self._graph: dict[str, Task] = {}
        self._graph_group: tuple[Any, ...] = ()
        self._adopting = 0
        self._publishing = 0
        self._queue: deque[tuple[Port, tuple[Any, ...]]] = deque()
        self._dropped: list[Entry | Interest] = []
        self._settled = asyncio.Event()
        self._settled.set()
        self._tasks: set[asyncio.Task[Any]] = set()
        self._handlers: dict[str, Callable[..., None]] = {
            "task": self._submit,
            "call": self._submit,
            "put": self._put,
            "want": self._want,
            "drop": self._drop,
            "adopt": self._adopt,
            "adopt_new": self._adopt_new,
            "create": self._create,
            "cancel": self._cancel,
            "taken": self._taken,
            "drop_stream": self._drop_stream,
            "pin": self._pin,
            "ask": self._ask,
        }

    def handle(self, port: Port, message: tuple[Any, ...]) -> None:
        """A port has something to say."""
        self.ports.add(port)
        if self._publishing or self._queue:
            self._queue.append((port, message))  # it may be about a value that Dask has not heard of yet
        else:
            self._handlers[message[0]](port, *message[1:])

    def _handle_queue(self) -> None:
        while self._queue and not self._publishing:
            port, message = self._queue.popleft()
            self._handlers[message[0]](port, *message[1:])

    def start(self, work: Coroutine[Any, Any, Any]) -> asyncio.Task[Any]:
        """Do something beside the loop."""
        task = asyncio.ensure_future(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    async def registry(self, op: str, *args: Any) -> Any:
        """Ask the registry.

        Raises:
            RaySystemError: the scheduler is gone.
        """
        self.flush()
        payload = pickle.dumps((op, self.client.id, args), protocol=5)
        try:
            answer = await self.client.scheduler.skate(payload=payload)
        except (OSError, TimeoutError) as error:
            raise exceptions.RaySystemError(
                f"the Dask scheduler at {self.client.scheduler.address} can't be reached: {error}"
            ) from error
        fine, value = pickle.loads(answer)
        if not fine:
            raise value
        return value

    # -- submitting ----------------------------------------

    def _entry(self, key: int) -> Entry:
        entry = self.entries.get(key)
        if entry is None:
            entry = self.entries[key] = Entry(key)
        return entry

    def _submit(self, port: Port, call: Call, beside: list[int], nested: tuple[Name, ...]) -> None:
        call.caller = self.client.id
        entries = [self._entry(key) for key in call.outputs()] or [self._entry(call.key)]
        main = entries[0]
        for entry in entries if call.outputs() else ():
            entry.ports[port] += 1
        main.submitter = port
        main.call = call
        if call.returns == "streaming":
            self.streams[call.key] = (port, "")
            main.wanted.add(port)
        args: list[Any] = []
        held: list[Entry | Interest] = []
        deps: list[Entry] = []
        for key in beside:
            entry = self._entry(key)
            held.append(entry)
            deps.append(entry)
            args.append(entry.blob if entry.blob is not None else TaskRef(remote.name_of(key)))
        held += [self._entry(key) if kind == "ref" else self._interest(key) for kind, key in nested]
        many = isinstance(call.returns, int) and call.returns > 1
        for entry in entries:
            entry.held = held
            entry.deps = deps
            entry.needed += 1  # until it has ended: tasks run even if nobody looks at what they make
            for item in held:
                item.needed += 1
        if self.ended:
            for entry in entries:
                self._fail(entry, exceptions.RaySystemError(f"the session has ended: {self.ended}"))
            return
        name = remote.name_of(call.key)
        function = remote.call_actor if call.actor else remote.run_task
        group = (
            *sorted(call.demand.items()),
            ("retries", call.retries),
            ("nodes", call.nodes),
            ("call", bool(call.actor)),
        )
        if many:
            whole = f"{name}-all"
            self._add(group, whole, Task(whole, function, call, *args))
            for index, entry in enumerate(entries):
                part = remote.name_of(entry.key)
                self._add(group, part, Task(part, remote.pick, TaskRef(whole), index))
        else:
            self._add(group, name, Task(name, function, call, *args))

    def _put(self, port: Port, key: int, blob: Blob) -> None:
        entry = self._entry(key)
        entry.ports[port] += 1
        if self.ended:
            entry.blob, entry.done = blob, True
            return
        entry.needed += 1
        if blob.nested:
            entry.held = [self._entry(k) if kind == "ref" else self._interest(k) for kind, k in blob.nested]
            for item in entry.held:
                item.needed += 1
        if blob.size() <= _LITERAL and not blob.nested:
            name = remote.name_of(key)
            self._add((), name, Task(name, remote.keep, blob))
            return
        self._publishing += 1
        self._adopting += 1
        self._settled.clear()
        self.start(self._scatter(entry, blob))

    async def _scatter(self, entry: Entry, blob: Blob) -> None:
        """Store a large value on a Dask worker, and say what is inside."""
        name = remote.name_of(entry.key)
        try:
            self.flush()
            await self.client._scatter({name: blob}, hash=False, direct=True, local_worker=self.worker)
            entry.future = Future(name, self.client, state="memory")
            if blob.nested:
                await self.registry("contain", [(name, blob.nested)])
        except Exception as error:
            entry.blob = error_blob(_infrastructure(error))
        finally:
            self._publishing -= 1
            self._adopted()
        self._ended(entry)
        self._handle_queue()

    def _add(self, group: tuple[Any, ...], name: str, task: Task) -> None:
        """Put a task into the graph that is sent next; tasks that ask for the same share one."""
        if self._graph and group != self._graph_group:
            self.flush()
        if not self._graph:
            asyncio.get_running_loop().call_soon(self.flush)
        self._graph_group = group
        self._graph[name] = task

    def flush(self) -> None:
        """Send the graph."""
        graph, self._graph = self._graph, {}
        if not graph:
            return
        wanted = dict(self._graph_group)
        retries = wanted.pop("retries", 3)
        nodes = wanted.pop("nodes", ())
        is_call = wanted.pop("call", False)
        resources = {remote.resource_name(name): amount for name, amount in wanted.items()}
        for node in nodes:
            resources[remote.node_resource(node)] = 1
        resources[remote.ANY] = 1
        names = [name for name in graph if not name.endswith("-all")]
        try:
            with dask.annotate(skate_retries=retries, skate_call=is_call), dask.config.set(_SETTINGS):
                # As Client.submit does, but for many at once. (Client.get would have Dask order them, last first.)
                futures = self.client._graph_to_futures(
                    LLGExpr(graph, _determ_token=uuid.uuid4().hex),
                    names,
                    span_metadata=SpanMetadata(collections=[{"type": "Future"}]),
                    internal_priority={name: place for place, name in enumerate(graph)},
                    resources=resources,
                )
        except Exception as error:
            for name in names:
                self._fail(self.entries[remote.key_of(name)], _infrastructure(error))
            return
        for future in futures.values():
            entry = self.entries.get(remote.key_of(future.key))
            if entry is not None:
                entry.future = future
                self.start(self._watch(entry, future))

    # -- how it ends ----------------------------------------

    async def _watch(self, entry: Entry, future: Any) -> None:
        state = future._state
        await state.wait()
        if entry.future is not future or entry.done:
            return
        if state.status != "finished":
            entry.blob = error_blob(self._why(entry, future))
        self._ended(entry)

    def _why(self, entry: Entry, future: Future[Any]) -> BaseException:
        """What became of a future that has no value, as an error of ours."""
        error = future._state.exception
        call = entry.call
        reason = getattr(error, "reason", "")
        if self.ended:
            return exceptions.RaySystemError(f"the session has ended: {self.ended}")
        if "scheduler" in str(reason) and "lost" in str(reason):
            return exceptions.RaySystemError(
                f"the Dask scheduler at {self.client.scheduler.address} went away."
            )
        if type(error).__name__ == "KilledWorker":
            if call is not None and call.actor:
                context = exceptions.ActorDiedErrorContext(
                    error_message="The actor is dead because the Dask worker it lived on died during this call.",
                    actor_id=call.actor.to_bytes(16, "big").hex(),
                    class_name=call.name.partition(".")[0],
                )
                return exceptions.ActorDiedError(context)
            what = "the task" if call is None else f"task {call.name}"
            return exceptions.WorkerCrashedError(f"{what} was lost with the Dask worker that ran it: {error}")
        if future.status in ("cancelled", "lost"):
            return exceptions.ObjectLostError(ObjectRef(entry.key).hex())
        return _infrastructure(error)

    def _fail(self, entry: Entry, error: BaseException) -> None:
        entry.blob = error_blob(error)
        self._ended(entry)

    def _ended(self, entry: Entry) -> None:
        """A ref has a value or an error."""
        if entry.done:
            return
        entry.done = True
        held, entry.held, entry.deps = entry.held, [], []
        for item in held:
            item.needed -= 1
            self._let_go(item)
        entry.needed -= 1
        for port in {*entry.ports, entry.submitter} - {None}:
            self._tell(port, entry)
        self._let_go(entry)

    def _tell(self, port: Any, entry: Entry) -> None:
        blob = entry.blob or self._local(entry)
        if blob is not None and (port in entry.wanted or blob.size() <= LARGE):
            entry.wanted.discard(port)
            port.deliver(("value", entry.key, blob))
            return
        port.deliver(("ready", entry.key))
        if port in entry.wanted:
            self.start(self._fetch(entry))

    def _local(self, entry: Entry) -> Blob | None:
        """The value, if it lies in this process."""
        if self.worker is None:
            return None
        found: Blob | None = self.worker.data.get(remote.name_of(entry.key))
        return found

    def _want(self, port: Port, keys: list[int]) -> None:
        self.flush()
        for key in keys:
            entry = self.entries.get(key)
            if entry is None:
                port.deliver(("value", key, error_blob(exceptions.ObjectLostError(ObjectRef(key).hex()))))
                continue
            entry.wanted.add(port)
            if entry.done:
                self._tell(port, entry)

    async def _fetch(self, entry: Entry) -> None:
        """Bring a value here, and give it to those who want it."""
        entry.needed += 1
        try:
            blob = entry.blob or self._local(entry)
            if blob is None:
                (blob,) = await self.client._gather([entry.future], direct=True)
        except Exception as error:
            future: Any = entry.future
            failed = future is not None and future.status in ("error", "cancelled", "lost")
            blob = entry.blob = error_blob(self._why(entry, future) if failed else _infrastructure(error))
        finally:
            entry.needed -= 1
        wanted, entry.wanted = entry.wanted, set()
        for port in wanted:
            port.deliver(("value", entry.key, blob))
        self._let_go(entry)

    # -- who needs what ----------------------------------------

    def _drop(self, port: Port, kind: str, key: int) -> None:
        item: Entry | Interest | None = self.entries.get(key) if kind == "ref" else self.actors.get(key)
        if item is not None and port in item.ports:
            item.ports[port] -= 1
            if not item.ports[port]:
                del item.ports[port]
            self._let_go(item)

    def _let_go(self, item: Entry | Interest) -> None:
        if not item.unused():
            return
        if self._adopting:
            self._dropped.append(item)  # it may hold what is being adopted
        elif isinstance(item, Interest):
            if self.actors.pop(item.key, None) is not None and not self.ended:
                self.start(self._release_actor(item))
        elif self.entries.get(item.key) is item:
            del self.entries[item.key]
            future, item.future = item.future, None
            if future is not None:
                future.release()

    async def _release_actor(self, item: Interest) -> None:
        if item.key not in self.actors:
            try:
                await self.registry("release_actor", item.key)
            except exceptions.RaySystemError as error:
                self.end(str(error))

    def _adopted(self) -> None:
        self._adopting -= 1
        if not self._adopting:
            dropped, self._dropped = self._dropped, []
            self._settled.set()
            for item in dropped:
                self._let_go(item)

    def hold(self, names: Sequence[Name]) -> list[Entry | Interest]:
        """Keep refs and actors that are in a result, until it is Dask's."""
        held: list[Entry | Interest] = [
            self._entry(k) if kind == "ref" else self._interest(k) for kind, k in names
        ]
        for item in held:
            item.needed += 1
        return held

    def let_go(self, held: list[Entry | Interest]) -> None:
        """The inverse of `hold`."""
        for item in held:
            item.needed -= 1
            self._let_go(item)

    async def settled(self) -> None:
        """Return when the scheduler knows of every ref that came in so far."""
        while self._adopting:
            await self._settled.wait()

    def _adopt(self, port: Port, kind: str, key: int) -> None:
        """A ref or a handle has come in from elsewhere."""
        if kind == "actor":
            item = self._interest(key)
            item.ports[port] += 1
            return
        entry = self.entries.get(key)
        if entry is None:
            entry = self._entry(key)
            self._adopting += 1
            self._settled.clear()
            entry.needed += 1
            self.start(self._desire(entry))
        entry.ports[port] += 1
        if entry.done:
            self._tell(port, entry)

    async def _desire(self, entry: Entry) -> None:
        name = remote.name_of(entry.key)
        entry.future = Future(name, self.client)  # there before the scheduler tells of its state
        try:
            if await self.registry("desire", [name]):
                entry.blob = error_blob(exceptions.ObjectLostError(ObjectRef(entry.key).hex()))
        except Exception as error:
            entry.blob = error_blob(_infrastructure(error))
        finally:
            self._adopted()
        if entry.blob is not None:
            self._ended(entry)
        else:
            await self._watch(entry, entry.future)

    def _interest(self, key: int) -> Interest:
        item = self.actors.get(key)
        if item is None:
            item = self.actors[key] = Interest(key)
            self._adopting += 1
            self._settled.clear()
            self.start(self._hold_actor(item))
        return item

    async def _hold_actor(self, item: Interest) -> None:
        try:
            await self.registry("hold_actor", item.key)
        except exceptions.RaySystemError as error:
            self.end(str(error))
        finally:
            self._adopted()

    def _adopt_new(self, port: Port, key: int) -> None:
        item = self.actors[key] = Interest(key)
        item.ports[port] += 1

    def _pin(self, _port: Port, names: tuple[Name, ...]) -> None:
        for kind, key in names:
            item: Entry | Interest = self._entry(key) if kind == "ref" else self._interest(key)
            item.needed += 1
            self.pinned.append(item)

    def forget_port(self, port: Port) -> None:
        """An engine has ended: what it had, it has no more."""
        self.ports.discard(port)
        items: list[Entry | Interest] = [*self.entries.values(), *self.actors.values()]
        for item in items:
            if item.ports.pop(port, 0):
                self._let_go(item)
        for key in [key for key, (owner, _address) in self.streams.items() if owner is port]:
            self._drop_stream(port, key)

    # -- actors ----------------------------------------

    def _create(self, _port: Port, spec: ActorSpec, unplaced: str) -> None:
        self.start(self._create_actor(spec, unplaced))

    async def _create_actor(self, spec: ActorSpec, unplaced: str) -> Any:
        held: list[Entry | Interest] = [self._entry(key) for key in spec.deps]
        held += [self._entry(key) if kind == "ref" else self._interest(key) for kind, key in spec.nested]
        interest = self.actors.get(spec.key)
        for item in held:
            item.needed += 1
        if interest is not None:
            interest.needed += 1
            held.append(interest)
        literals = {
            key: entry.blob
            for key in spec.deps
            if (entry := self._entry(key)).blob is not None and entry.done
        }
        try:
            return await self.registry("create", spec, unplaced, literals)
        except exceptions.RaySystemError as error:
            self.end(str(error))
            raise
        finally:
            for item in held:
                item.needed -= 1
                self._let_go(item)

    # -- events ----------------------------------------

    async def listen(self) -> None:
        """Hear what Dask workers and the registry have to tell this hub."""
        self.client.subscribe_topic(remote.topic_of(self.client.id), lambda event: self._on_event(*event[1]))

    def _on_event(self, op: str, *args: Any) -> None:
        if op == "item":
            self._on_item(*args)
        elif op == "cancelled":
            self._cancelled(int(args[0], 16))
        elif op == "print":
            self.on_print(*args)
        elif op == "warn":
            logging.getLogger("skate").warning("%s", args[0])

    # -- generators ----------------------------------------

    def _on_item(self, hexed: str, index: int, address: str) -> None:
        """A Dask worker has announced an item of a generator that was called through this hub."""
        key = int(hexed, 16)
        found = self.streams.get(key)
        if found is None:
            # Nobody wants it: the announcement came with an interest in our name, which goes as the future does.
            Future(remote.name_of(key + index + 1), self.client).release()
            return
        port = found[0]
        self.streams[key] = (port, address)
        entry = self._entry(key + index + 1)
        if entry.future is None:
            entry.needed += 1
            entry.future = Future(remote.name_of(entry.key), self.client, state="memory")
            self.start(self._watch(entry, entry.future))
        entry.ports[port] += 1
        port.deliver(("item", key, index))

    def _taken(self, _port: Port, key: int, count: int) -> None:
        self._to_producer(key, "taken", count)

    def _drop_stream(self, _port: Port, key: int) -> None:
        self._to_producer(key, "drop_stream")
        self.streams.pop(key, None)

    def _to_producer(self, key: int, op: str, *args: Any) -> None:
        found = self.streams.get(key)
        if found is not None and found[1]:
            self.start(self._to_worker(found[1], op, key, *args))

    async def _to_worker(self, address: str, op: str, *args: Any) -> None:
        try:
            await self.client.rpc(address).skate(payload=pickle.dumps((op, args)))
        except OSError:
            return  # that worker is gone, and the generator with it

    # -- cancelling ----------------------------------------

    def _cancel(self, _port: Port, key: int, force: bool, recursive: bool) -> None:
        entry = self.entries.get(key)
        if entry is None or entry.done or entry.call is None:
            return
        self.flush()
        self.start(self._cancel_task(entry, force, recursive))

    async def _cancel_task(self, entry: Entry, force: bool, recursive: bool) -> None:
        call = entry.call
        assert call is not None
        if await self.registry("cancel", call.key, force, recursive):
            return  # it is told where it runs, and answers
        self._cancelled(call.key)

    def _cancelled(self, key: int) -> None:
        """A task was cancelled that had not started: it never will, nor will what waits for it."""
        error = exceptions.TaskCancelledError(ObjectRef(key).task_id())
        entry = self.entries.get(key)
        if entry is None or entry.done:
            return
        doomed = [self.entries.get(output) for output in entry.call.outputs()] if entry.call else [entry]
        while doomed:
            found = doomed.pop()
            if found is not None and not found.done:
                doomed += [other for other in self.entries.values() if found in other.deps]
                self._fail(found, error)

    def cancel_children(self, parent: int, force: bool) -> None:
        """Cancel what a task has called."""
        for entry in list(self.entries.values()):
            if entry.call is not None and entry.call.parent == parent and not entry.done:
                self.start(self._cancel_task(entry, force and not entry.call.actor, True))

    # -- questions ----------------------------------------

    def _ask(self, port: Port, number: int, op: str, args: tuple[Any, ...]) -> None:
        self.start(self._answer(port, number, op, args))

    async def _answer(self, port: Port, number: int, op: str, args: tuple[Any, ...]) -> None:
        try:
            value = await (self._create_actor(*args) if op == "create" else self.registry(op, *args))
        except Exception as error:
            port.deliver(("answer", number, False, error))
        else:
            port.deliver(("answer", number, True, value))

    async def guard(self) -> None:
        """End the session when the scheduler is gone: what it knew is gone with it."""
        while self.client.status == "running":
            await asyncio.sleep(_GLANCE)
        self.end(
            f"the Dask scheduler at {self.client.scheduler.address} went away. Call skate.shutdown(), then init() again."
        )

    def end(self, why: str) -> None:
        """The session is over: whatever waits fails."""
        if self.ended:
            return
        self.ended = why
        for entry in list(self.entries.values()):
            if not entry.done:
                self._fail(entry, exceptions.RaySystemError(f"the session has ended: {why}"))
        for port in self.ports:
            port.deliver(("ended", why))

    async def close(self) -> None:
        """Stop what is under way."""
        self.end("the session was shut down.")
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self.entries.clear()


def _infrastructure(error: Any) -> BaseException:
    if isinstance(error, exceptions.RayError):
        return error
    return exceptions.RaySystemError(f"Dask could not run it: {type(error).__name__}: {error}")
