"""What the node does about each message: the table of handlers, and those that belong to no part of it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from skate.engine.local import protocol
from skate.engine.local.node import directory as objects

if TYPE_CHECKING:
    from collections.abc import Callable

    from skate.engine.local.node.process import Process
    from skate.engine.local.node.server import Server


def info(server: Server, process: Process, request: int, what: str) -> None:
    """Answer a question about the session."""
    allocator = server.store.allocator
    answer: Any
    if what == "total":
        answer = server.clusters.amounts(free=False)
    elif what == "available":
        answer = server.clusters.amounts(free=True)
        if "object_store_memory" in answer:
            answer["object_store_memory"] = max(
                0.0, answer["object_store_memory"] - server.store.allocator.used
            )
    elif what == "nodes":
        answer = server.clusters.table()
    elif what == "actors":
        answer = server.table.named()
    elif what == "processes":
        answer = [(p.number, p.pid, p.is_driver, p.label) for p in server.processes.values()]
    elif what == "store":
        answer = (allocator.used, allocator.capacity, len(server.directory.entries))
    else:
        raise ValueError(f"unknown question {what!r}")
    server.connections.send(process.number, (protocol.REPLY, request, answer))


def key_value(
    server: Server,
    process: Process,
    request: int,
    action: str,
    key: bytes,
    value: bytes,
    namespace: bytes,
    overwrite: bool,
) -> None:
    """The small shared dictionary."""
    space = server.kv.setdefault(namespace, {})
    answer: Any
    if action == "get":
        answer = space.get(key)
    elif action == "put":
        answer = key not in space
        if answer or overwrite:
            space[key] = value
    elif action == "del":
        answer = space.pop(key, None) is not None
    elif action == "keys":
        answer = [k for k in space if k.startswith(key)]
    else:
        raise ValueError(f"unknown action {action!r}")
    server.connections.send(process.number, (protocol.REPLY, request, answer))


def probed(server: Server, _process: Process, key: int) -> None:
    """The maker of a key has no more to announce about it."""
    server.directory.probed(key)
    server.actors.unknown(key)


def cancel_elsewhere(server: Server, _process: Process, key: int, force: bool, recursive: bool) -> None:
    """Pass the wish to cancel a call on to whoever made it."""
    owner = key >> objects.OWNER_SHIFT
    server.connections.send(owner, (protocol.CANCEL_ELSEWHERE, key, force, recursive))


def attach(server: Server, process: Process, path: str, name: str) -> None:
    """A debugger in a worker wants a terminal: that of the program that it works for."""
    server.connections.send(process.job, (protocol.ATTACH, path, name, process.pid))


def join(_server: Server, process: Process, namespace: str, pid: int, command: str) -> None:
    """A driver that has joined says who it is."""
    process.namespace, process.pid, process.command = namespace, pid, command


def stop_session(server: Server, _process: Process) -> None:
    """Somebody who has the token ends the session."""
    server.stopping = True


def stop(server: Server, process: Process) -> None:
    """A driver ends its session, unless others are in it or it stands by itself."""
    if len(server.drivers()) <= 1 and not server.config["standing"]:
        server.stopping = True
    else:
        server.connections.left(process)


def sync(server: Server, process: Process, request: int) -> None:
    """All before this has been done."""
    server.connections.send(process.number, (protocol.REPLY, request, None))


HANDLERS: dict[int, Callable[..., Any]] = {
    protocol.READY: lambda server, *rest: server.leases.worker_ready(*rest),
    protocol.DEMAND: lambda server, *rest: server.leases.demand(*rest),
    protocol.RELEASE: lambda server, *rest: server.leases.release(*rest),
    protocol.CLOSE_LANE: lambda server, process, lane: server.scheduler.close_lane(process.number, lane),
    protocol.KILL_WORKER: lambda server, *rest: server.leases.kill_worker(*rest),
    protocol.BLOCKED: lambda server, process: server.scheduler.blocked(process.number),
    protocol.UNBLOCKED: lambda server, process: server.scheduler.unblocked(process.number),
    protocol.RETIRE: lambda server, process: server.scheduler.retire(process.number),
    protocol.PUBLISH: lambda server, process, *rest: server.directory.publish(process.number, *rest),
    protocol.RESOLVE: lambda server, process, *rest: server.directory.resolve(process.number, *rest),
    protocol.COUNT: lambda server, process, changes: server.directory.count(process.number, changes),
    protocol.COUNT_FOR: lambda server, _process, client, changes: server.directory.count(client, changes),
    protocol.WANT: lambda server, process, key: server.directory.want(process.number, key),
    protocol.SEAL: lambda server, _process, key, nested: server.directory.seal(key, nested),
    protocol.UNPIN: lambda server, process, key: server.directory.unpin(process.number, key),
    protocol.ALLOC: lambda server, *rest: server.store.allocate(*rest),
    protocol.PIN: lambda server, *rest: server.store.pin(*rest),
    protocol.CREATE_ACTOR: lambda server, *rest: server.actors.create(*rest),
    protocol.START_ACTOR: lambda server, *rest: server.actors.start(*rest),
    protocol.WATCH_ACTOR: lambda server, *rest: server.actors.watch(*rest),
    protocol.ACTOR_EXIT: lambda server, *rest: server.actors.exits(*rest),
    protocol.FIND_ACTOR: lambda server, *rest: server.actors.find(*rest),
    protocol.ACTOR_READY: lambda server, *rest: server.actors.ready(*rest),
    protocol.KILL_ACTOR: lambda server, _process, key, no_restart: server.table.kill(key, no_restart),
    protocol.ENV_BROKEN: lambda server, *rest: server.environments.broken(*rest),
    protocol.CREATE_GROUP: lambda server, *rest: server.groups.create(*rest),
    protocol.REMOVE_GROUP: lambda server, _process, id: server.scheduler.remove_group(id),
    protocol.WATCH_GROUP: lambda server, *rest: server.groups.watch(*rest),
    protocol.GROUP_TABLE: lambda server, *rest: server.groups.table(*rest),
    protocol.FIND_GROUP: lambda server, *rest: server.groups.find(*rest),
    protocol.ADD_MACHINE: lambda server, *rest: server.clusters.add(*rest),
    protocol.REMOVE_MACHINE: lambda server, *rest: server.clusters.remove(*rest),
    protocol.ASK_ALL: lambda server, *rest: server.inquiry.ask_all(*rest),
    protocol.TOLD: lambda server, *rest: server.inquiry.told(*rest),
    protocol.HISTORY: lambda server, *rest: server.inquiry.keep(*rest),
    protocol.LONG_WAIT: lambda server, *rest: server.waiting.begun(*rest),
    protocol.WAIT_OVER: lambda server, *rest: server.waiting.over(*rest),
    protocol.ATTACH_ME: attach,
    protocol.PROBED: probed,
    protocol.CANCEL_ELSEWHERE: cancel_elsewhere,
    protocol.INFO: info,
    protocol.KV: key_value,
    protocol.STOP: stop,
    protocol.JOIN: join,
    protocol.STOP_SESSION: stop_session,
    protocol.SYNC: sync,
}
