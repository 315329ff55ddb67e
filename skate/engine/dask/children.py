"""The processes that run user code for one Dask worker: forked by a zygote, kept while they may be of use, gone with the worker."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import subprocess
import sys
import time
from typing import TYPE_CHECKING, Any

from skate.engine.dask import wire

if TYPE_CHECKING:
    from skate.engine.dask.blob import Blob
    from skate.engine.dask.calls import Call
    from skate.engine.dask.host import Host
    from skate.engine.dask.stacks import Threads


_SHOWN = 5.0  # seconds that a process has to say what its threads do
_WORD = 1.0  # seconds that the word how a process ended may be behind the end of its connection


class Child:
    """One of them, as the Dask worker sees it. It is a port of the hub."""

    def __init__(self, host: Host, number: int, env: str) -> None:
        self.host = host
        self.number = number
        self.env = env
        self.since = time.time()
        self.what = "idle"
        """What it runs, or ran last, in words."""
        self.pid = 0
        self.actor = 0
        """The actor that lives here; 0 for none."""
        self.dead = asyncio.Event()
        self.hosted: asyncio.Future[Blob | None] = asyncio.get_running_loop().create_future()
        self.calls: dict[int, asyncio.Future[tuple[Blob, bool] | None]] = {}
        self.started: set[int] = set()
        self.made: dict[int, int] = {}
        """How many calls of each function it has run."""
        self._shown: asyncio.Future[Threads] | None = None
        """What its threads do, once it says so."""
        self.ending = ""
        """Why it ends of its own will."""
        self.broken = ""
        """Why it could not put itself into its environment."""
        self.end = "its process died"
        """How it ended, as far as known."""
        self._writer: asyncio.StreamWriter | None = None
        self._early: list[Any] = []
        """What it is to be told once it is connected."""
        self._kill_when_known = False

    async def serve(self, sock: socket.socket, hello: dict[str, Any]) -> None:
        """Read what it says until it is gone."""
        reader, self._writer = await asyncio.open_unix_connection(sock=sock, limit=1 << 20)
        self.deliver(hello)
        early, self._early = self._early, []
        for message in early:
            self.deliver(message)
        try:
            while True:
                self._on_message(await wire.receive_async(reader))
        except (asyncio.IncompleteReadError, OSError):
            pass  # it has ended: what it left unanswered is settled below
        finally:
            self._writer.close()
            await self.host.children.end_of(self)
            self._gone()

    def _gone(self) -> None:
        self.kill()  # it may have started processes of its own
        self.dead.set()
        for future in self.calls.values():
            if not future.done():
                future.set_result(None)
        if not self.hosted.done():
            self.hosted.cancel()
        self.host.child_ended(self)

    def deliver(self, message: Any) -> None:
        """Send it a message."""
        if self._writer is None:
            self._early.append(message)
        elif not self.dead.is_set():
            for part in wire.encode(message):
                self._writer.write(part)

    def kill(self) -> None:
        """End it at once, with the processes that it started."""
        if not self.pid:
            self._kill_when_known = True
            return
        try:
            os.killpg(self.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass  # gone already

    async def run(
        self, call: Call, deps: list[Blob], resources: dict[str, int], gpus: list[int]
    ) -> tuple[Blob, bool] | None:
        """Have it run a call: the result and whether to retry, or None if it died."""
        if self.dead.is_set():
            return None
        future: asyncio.Future[tuple[Blob, bool] | None] = asyncio.get_running_loop().create_future()
        self.calls[call.key] = future
        self.deliver(("run", call, deps, resources, gpus))
        try:
            return await future
        finally:
            self.calls.pop(call.key, None)
            self.started.discard(call.key)

    async def stacks(self) -> Threads | None:
        """What its threads do now; None if it does not say in time: it has ended, or something in it holds Python up."""
        if self._shown is None or self._shown.done():
            self._shown = asyncio.get_running_loop().create_future()
            self.deliver(("stacks",))
        try:
            return await asyncio.wait_for(asyncio.shield(self._shown), _SHOWN)
        except TimeoutError:
            return None

    def _on_message(self, message: tuple[Any, ...]) -> None:
        op = message[0]
        if op == "done":
            future = self.calls.get(message[1])
            if future is not None and not future.done():
                self.host.results.hold(message[1], message[2])
                future.set_result((message[2], message[3]))
        elif op == "started":
            self.started.add(message[1])
            self.host.started(message[1], self)
        elif op == "hello":
            self.pid = message[1]
            if self._kill_when_known:
                self.kill()
        elif op == "hosted":
            if not self.hosted.done():
                self.hosted.set_result(message[1])
        elif op == "broken":
            self.broken = message[1]
        elif op == "ending":
            self.ending = message[1]
        elif op in ("blocked", "unblocked"):
            self.host.lend(message[1], self, op == "blocked")
        elif op == "stacks":
            if self._shown is not None and not self._shown.done():
                self._shown.set_result(message[1])
        elif op == "span":
            self.host.history.span(message[1])
        elif op == "print":
            self.host.printed(self, *message[1:])
        elif op == "item":
            self.host.results.item(*message[1:])
        else:
            self.host.hub.handle(self, message)


class Children:
    """All of them."""

    def __init__(self, host: Host, keep: int, settings: dict[str, Any]) -> None:
        self._host = host
        self._keep = keep
        self._idle: dict[str, list[Child]] = {}
        self.all: set[Child] = set()
        ours, theirs = socket.socketpair()
        self._control = ours
        self._writer: asyncio.StreamWriter | None = None
        self._closing = False
        self._exits: dict[int, int] = {}
        self._ended = asyncio.Event()
        with theirs:
            command = [sys.executable, "-m", "skate.engine.dask.zygote", str(theirs.fileno())]
            self._zygote = subprocess.Popen(command, pass_fds=(theirs.fileno(),), stdin=subprocess.DEVNULL)
        wire.send(ours, {"sys_path": [path or os.getcwd() for path in sys.path], **settings})

    async def watch(self) -> None:
        """Hear from the zygote how its children ended."""
        reader, self._writer = await asyncio.open_unix_connection(sock=self._control)
        try:
            while True:
                pid, code = await wire.receive_async(reader)
                self._exits[pid] = code
                self._ended.set()
        except (asyncio.IncompleteReadError, OSError):
            return  # the zygote has ended, and the children with it

    async def end_of(self, child: Child) -> None:
        """Wait a moment to hear how a child ended."""
        deadline = time.monotonic() + (0 if self._closing else _WORD)
        while child.pid and child.pid not in self._exits and time.monotonic() < deadline:
            self._ended.clear()
            try:
                await asyncio.wait_for(self._ended.wait(), 0.1)
            except TimeoutError:
                continue
        code = self._exits.pop(child.pid, None)
        if code is not None:
            how = (
                f"was killed by {signal.Signals(-code).name}" if code < 0 else f"ended with exit code {code}"
            )
            child.end = f"its process {how}"

    def take(self, env: str, settled: dict[str, Any], fresh: bool = False) -> Child:
        """An idle process with this environment, or a new one."""
        idle = self._idle.get(env)
        while idle:
            child = idle.pop()
            if not child.dead.is_set() and not (fresh and child.made):
                return child
        return self._fork(env, settled)

    def give_back(self, child: Child) -> None:
        """It has nothing to do."""
        if child.dead.is_set():
            return
        idle = self._idle.setdefault(child.env, [])
        if len(idle) >= self._keep:
            child.kill()
        else:
            idle.append(child)

    def _fork(self, env: str, settled: dict[str, Any]) -> Child:
        child = Child(self._host, int.from_bytes(os.urandom(8), "big") >> 1, env)
        self.all.add(child)
        ours, theirs = socket.socketpair()
        with theirs:
            socket.send_fds(self._control, [b"f"], [theirs.fileno()])
        hello = {
            "number": child.number,
            "environ": self._host.environ,
            "env": settled,
            "address": self._host.address,
            "labels": self._host.labels,
            "directory": self._host.directory,
        }
        self._host.hub.start(child.serve(ours, hello))
        return child

    async def close(self) -> None:
        """End all of them."""
        self._closing = True
        if self._writer is not None:
            self._writer.close()
        for child in list(self.all):
            child.kill()
        deadline = time.monotonic() + 5
        while self._zygote.poll() is None:
            if time.monotonic() > deadline:
                self._zygote.kill()
            await asyncio.sleep(0.005)
