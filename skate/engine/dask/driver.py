"""The Dask engine in a driver: it joins a cluster, or starts one of its own, and installs our parts on it."""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
from collections import deque
from typing import TYPE_CHECKING, Any

from skate.core import serialize
from skate.engine.dask import output
from skate.engine.dask.calls import Job, job_id_of, node_id_of
from skate.engine.dask.engine import DaskEngine

if TYPE_CHECKING:
    from skate.engine.base import InitConfig

try:
    from distributed import Client
except ImportError as missing:
    raise ImportError(
        f'the Dask engine needs the package "distributed" ({missing}). Install it: pip install "skate[dask]"'
    ) from missing

from skate.engine.dask.cluster import OwnCluster, cpus, memory
from skate.engine.dask.host import Host
from skate.engine.dask.hub import Hub
from skate.engine.dask.loop import LoopThread
from skate.engine.dask.registry import Registry
from skate.engine.dask.remote import CONNECTIONS, host_of

_JOIN = 10.0  # seconds that the scheduler may take to answer
_CLOSE = 10.0  # seconds that the end may take


class DriverEngine(DaskEngine):
    """A driver's part in a session on Dask. It is the port of its own hub."""

    def __init__(self, config: InitConfig, namespace: str, address: str | None) -> None:
        self._cluster: OwnCluster | None = None
        self._client: Client | None = None
        self.hub: Hub | None = None
        self._directory = tempfile.mkdtemp(prefix="skate-dask-")
        self._queue: deque[tuple[Any, ...]] = deque()
        self._scheduled = False
        self._number = int.from_bytes(os.urandom(8), "big") >> 1
        self._loop = LoopThread()
        try:
            self._loop.run(self._open(config, address))
        except BaseException:
            self._close()
            raise
        assert self.hub is not None and self._client is not None
        job_id = job_id_of(self._job)
        job = Job(
            self._client.id, job_id, namespace, dict(config.runtime_env), os.path.basename(self._directory)
        )
        super().__init__(self._send, self._number, job, self._client.scheduler.address)
        self.config = config
        self.config.spill_directory = self._directory
        serialize.warm_up()

    async def _open(self, config: InitConfig, address: str | None) -> None:
        worker = None
        resources: dict[str, float] = {}
        if address is None:
            self._cluster = OwnCluster()
            resources = _resources(config)
            await self._cluster.start(self._directory, max(1, int(resources.get("CPU", 1))))
            address, worker = self._cluster.address, self._cluster.worker
        self._client = client = Client(
            address, asynchronous=True, set_as_default=False, timeout=_JOIN, connection_limit=CONNECTIONS
        )
        try:
            await client
        except OSError as error:
            raise ConnectionError(
                f"no Dask scheduler answered at {address} within {_JOIN:g} s: {error}. Is it running, and reachable from here? "
                "`dask scheduler` starts one; leave the address out to have a cluster of this program's own."
            ) from error
        await client.register_plugin(Registry())
        await client.register_plugin(Host(config, resources, self._directory))
        self.hub = Hub(client, worker)
        self.hub.start(self.hub.guard())
        if config.log_to_driver:
            self.hub.on_print = output.show
        await self.hub.listen()
        self._node_id = node_id_of(worker.address) if worker is not None else ""
        about = {
            "number": self._number,
            "node": self._node_id or node_id_of(client.scheduler.address),
            "pid": os.getpid(),
            "ip": host_of(client.scheduler.address),
            "command": " ".join(["python", *sys.argv]),
            "env": dict(config.runtime_env),
        }
        self._job = await self.hub.registry("job", about)

    def node_id(self) -> str:
        return self._node_id or node_id_of(self.address)

    # -- speaking with the hub ----------------------------------------

    def _send(self, message: tuple[Any, ...]) -> None:
        self._queue.append(message)
        if not self._scheduled:
            self._scheduled = True
            self._loop.call_soon(self._drain)

    def _drain(self) -> None:
        self._scheduled = False
        queue, hub = self._queue, self.hub
        assert hub is not None
        while queue:
            hub.handle(self, queue.popleft())

    def deliver(self, message: tuple[Any, ...]) -> None:
        """The hub's word, in the event loop's thread."""
        self.on_message(message)

    # -- the end ----------------------------------------

    def shutdown(self) -> None:
        self.end("it was shut down.")
        self._close()

    def _close(self) -> None:
        try:
            self._loop.run(self._close_all(), _CLOSE)
        finally:
            self._loop.close()
            shutil.rmtree(self._directory, ignore_errors=True)

    async def _close_all(self) -> None:
        if self.hub is not None:
            await self.hub.close()
        if self._client is not None:
            await self._client.close(timeout=2)
        if self._cluster is not None:
            await self._cluster.close()


def _resources(config: InitConfig) -> dict[str, float]:
    """What the one worker of a cluster of our own has."""
    total = memory()
    store = config.object_store_memory
    found = {
        "CPU": float(cpus() if config.num_cpus is None else config.num_cpus),
        "GPU": float(config.num_gpus or 0),
        "memory": float(int(total * 0.7) if config.memory is None else config.memory),
        "object_store_memory": float(int(total * 0.3) if store is None else store),
        "node:127.0.0.1": 1.0,
        "node:__internal_head__": 1.0,
        **config.resources,
    }
    return {name: amount for name, amount in found.items() if amount}
