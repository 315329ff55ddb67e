"""Several nodes simulated on one machine, to test where work is placed and what becomes of it when a node dies.

Each node has resources, labels and workers of its own, inside one session: its objects are lost and its workers killed when it is
removed, as on a real cluster. What is not simulated: the network, and a memory of its own.
"""

from __future__ import annotations

import itertools
import os
import time
from typing import TYPE_CHECKING, Any

import skate
from skate._init import _at_shutdown, _clusters
from skate._memory import machine_memory

if TYPE_CHECKING:
    from collections.abc import Mapping

_IGNORED = frozenset({"include_dashboard", "log_to_driver", "num_redis_shards"})
_DEFAULT_STORE = 150 << 20
_numbers = itertools.count(1)


class Node:
    """A node of a simulated cluster: what `Cluster.add_node` returns.

    Attributes:
        node_id: Its id in hex, as `skate.nodes()` shows it.
        unique_id: The same.
        node_ip_address: Where it is: all nodes of a simulated cluster are on this machine.
        address: That of its cluster.
        head: Whether it is the node that programs connect to.
        resources: What it has.
        labels: Its labels, without that of its id.
        env_vars: Environment variables of its workers.
        alive: Whether it has not been removed.
    """

    def __init__(
        self,
        address: str,
        head: bool,
        resources: Mapping[str, float],
        labels: Mapping[str, str],
        env_vars: Mapping[str, str],
    ) -> None:
        self.node_id = skate.NodeID.from_random().hex()
        self.unique_id = self.node_id
        self.node_ip_address = "127.0.0.1"
        self.address = address
        self.gcs_address = address
        self.head = head
        self.resources = dict(resources)
        self.labels = dict(labels)
        self.env_vars = dict(env_vars)
        self.alive = True

    def is_head(self) -> bool:
        """Whether it is the node that programs connect to."""
        return self.head

    def any_processes_alive(self) -> bool:
        """Whether it has not been removed."""
        return self.alive

    all_processes_alive = any_processes_alive
    remaining_processes_alive = any_processes_alive

    def __repr__(self) -> str:
        return f"Node({self.node_id}, resources={self.resources})"


class Cluster:
    """A cluster simulated on this machine. It exists for as long as a program of this process is connected to it.

    Args:
        initialize_head: Add the head node at once.
        connect: Connect this program at once; only with `initialize_head`.
        head_node_args: Arguments of `add_node` for the head.
        shutdown_at_exit: Accepted for Ray's programs: a session always ends with its program.

    Example:
        >>> import skate
        >>> from skate.cluster_utils import Cluster
        >>> cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 1})
        >>> second = cluster.add_node(num_cpus=1, resources={"disk": 1})
        >>> context = skate.init(address=cluster.address)
        >>> where = skate.remote(lambda: skate.get_runtime_context().get_node_id())
        >>> skate.get(where.options(resources={"disk": 1}).remote()) == second.node_id
        True
        >>> cluster.shutdown()
    """

    def __init__(
        self,
        initialize_head: bool = False,
        connect: bool = False,
        head_node_args: dict[str, Any] | None = None,
        shutdown_at_exit: bool = True,
    ) -> None:
        self.head_node: Node | None = None
        self.worker_nodes: set[Node] = set()
        self.connected = False
        self._address = f"simulated-{os.getpid()}-{next(_numbers)}"
        self._engine: Any = None
        self._system_config: dict[str, Any] = {}
        self._object_store_memory: int | None = None
        if not initialize_head:
            if connect:
                raise RuntimeError("Cannot connect to uninitialized cluster.")
            if head_node_args:
                raise ValueError("head_node_args needs initialize_head=True.")
            return
        self.add_node(**(head_node_args or {}))
        if connect:
            self.connect()

    @property
    def address(self) -> str:
        """What `skate.init(address=…)` takes to connect to this cluster."""
        return self._address

    @property
    def gcs_address(self) -> str:
        """The same as `address`."""
        return self._address

    def connect(self, namespace: str | None = None) -> None:
        """Connect this program.

        Raises:
            RuntimeError: there is no head node yet, or this program has a session already.
        """
        skate.init(address=self.address, namespace=namespace, ignore_reinit_error=False)

    def add_node(
        self,
        wait: bool = True,
        *,
        num_cpus: float = 1,
        num_gpus: float = 0,
        resources: Mapping[str, float] | None = None,
        labels: Mapping[str, str] | None = None,
        env_vars: Mapping[str, str] | None = None,
        memory: float | None = None,
        object_store_memory: int | None = None,
        _system_config: Mapping[str, Any] | None = None,
        **ignored: Any,
    ) -> Node:
        """Add a node: the head if there is none yet, and a further one otherwise.

        Args:
            wait: Accepted for Ray's programs: the node is there when this returns.
            num_cpus: Its CPUs.
            num_gpus: Its GPUs; they need not exist.
            resources: Its custom resources.
            labels: Its labels.
            env_vars: Environment variables of its workers, beside those of this process. If it has TPUs, those that Google's machines
                have (TPU_NAME, TPU_WORKER_ID, TPU_TOPOLOGY, TPU_ACCELERATOR_TYPE) give it the labels of a slice's host.
            memory: Its "memory" resource in bytes; default: as if it had this machine for itself.
            object_store_memory: Its "object_store_memory" resource in bytes. The head's is the size of the shared memory that all
                nodes use; default there: as for `init`.
            _system_config: Internals, as for `init`; only for the head.
            **ignored: Names of Ray's that mean nothing here, such as `dashboard_port`.

        Raises:
            TypeError: an argument is unknown, or a variable is no string.
            ValueError: an amount is negative, or a variable can't be set: its name is empty or has "=", or either has a null
                character.
        """
        unknown = [name for name in ignored if name not in _IGNORED and not name.endswith("_port")]
        if unknown:
            raise TypeError(
                f"add_node() got an unknown argument {unknown[0]!r}: help(Cluster.add_node) lists those there are."
            )
        amounts = _amounts(num_cpus, num_gpus, resources, memory, object_store_memory)
        variables = dict(env_vars or {})
        if not all(isinstance(text, str) for pair in variables.items() for text in pair):
            raise TypeError(f"env_vars={variables!r}: names and values of variables are strings.")
        for variable, text in variables.items():
            if not variable or "=" in variable or "\0" in variable + text:
                raise ValueError(
                    f"env_vars={{{variable!r}: {text!r}}} can't be set: a variable's name is not empty and has no '=', and neither name "
                    "nor value has a null character. Rename it or leave it out."
                )
        own = {**_tpu_labels(variables), **(labels or {})} if "TPU" in amounts else labels or {}
        head = self.head_node is None
        node = Node(self.address, head, amounts, own, variables)
        if head:
            self.head_node = node
            self._system_config = dict(_system_config or {})
            self._object_store_memory = object_store_memory
            _clusters[self.address] = self
            return node
        if _system_config:
            raise ValueError(
                "_system_config can only be given to the head node: it is the first that is added."
            )
        self.worker_nodes.add(node)
        if self._engine is not None:
            self._engine.add_machine(node.node_id, node.resources, node.labels, node.env_vars)
        return node

    def remove_node(self, node: Node, allow_graceful: bool = True) -> None:
        """Let a node die: its workers are killed, and the objects that were on no other node are lost.

        Args:
            node: What `add_node` returned.
            allow_graceful: Accepted for Ray's programs: no node has anything to say before it dies.

        Raises:
            ValueError: the node is not of this cluster any more, or it is the head and a program is connected to it.
        """
        if node is self.head_node:
            if self._engine is not None:
                raise ValueError(
                    "Removing a node that is connected to this program is not allowed because it will break the driver: call "
                    "skate.shutdown() before."
                )
            self.head_node = None
            _clusters.pop(self.address, None)
        elif node in self.worker_nodes:
            self.worker_nodes.discard(node)
            if self._engine is not None:
                self._engine.remove_machine(node.node_id)
        else:
            raise ValueError(
                f"{node!r} is no node of this cluster: it has been removed, or belongs to another."
            )
        node.alive = False

    def list_all_nodes(self) -> list[Node]:
        """All nodes, the head first."""
        nodes = list(self.worker_nodes)
        return nodes if self.head_node is None else [self.head_node, *nodes]

    def wait_for_nodes(self, timeout: float = 30) -> None:
        """Wait until the session shows as many nodes as this cluster has.

        Raises:
            TimeoutError: it did not within `timeout` seconds.
        """
        deadline = time.monotonic() + timeout
        while self._engine is not None:
            alive = sum(node["Alive"] for node in skate.nodes())
            if alive == len(self.list_all_nodes()):
                return
            if time.monotonic() > deadline:
                raise TimeoutError(
                    f"after {timeout} s the session has {alive} nodes; the cluster has {len(self.list_all_nodes())}."
                )
            time.sleep(0.01)

    def remaining_processes_alive(self) -> bool:
        """Whether all nodes that have not been removed are alive."""
        return all(node.all_processes_alive() for node in self.list_all_nodes())

    def shutdown(self) -> None:
        """Remove all nodes; if this program is connected, its session ends."""
        if self._engine is not None:
            skate.shutdown()
        for node in self.list_all_nodes():
            self.remove_node(node)

    # -- what `init` calls ----------------------------------------

    def _configure(self, config: Any) -> None:
        """Make the configuration of a session that of the head node."""
        head = self.head_node
        assert head is not None
        amounts = dict(head.resources)
        config.num_cpus = amounts.pop("CPU", 0)
        config.num_gpus = amounts.pop("GPU", 0)
        config.memory = int(amounts.pop("memory"))
        amounts.pop("object_store_memory")
        amounts.pop("node:127.0.0.1")
        config.object_store_memory = self._object_store_memory
        config.resources = amounts
        config.labels = head.labels
        config.machine_id = head.node_id
        config.machine_variables = head.env_vars
        config.system_config = {**self._system_config, **config.system_config}

    def _joined(self, engine: Any) -> None:
        """A session has begun: let it have the other nodes."""
        self._engine = engine
        self.connected = True
        for node in self.worker_nodes:
            engine.add_machine(node.node_id, node.resources, node.labels, node.env_vars)

    def left(self) -> None:
        """The session has ended."""
        self._engine = None
        self.connected = False


def _amounts(
    num_cpus: float,
    num_gpus: float,
    resources: Mapping[str, float] | None,
    memory: float | None,
    object_store_memory: int | None,
) -> dict[str, float]:
    machine = machine_memory()
    amounts = {
        "CPU": num_cpus,
        "GPU": num_gpus,
        "memory": int(machine * 0.7) if memory is None else memory,
        "object_store_memory": _DEFAULT_STORE if object_store_memory is None else object_store_memory,
        "node:127.0.0.1": 1.0,
        **(resources or {}),
    }
    for name, amount in amounts.items():
        if not isinstance(amount, int | float) or amount < 0:
            raise ValueError(
                f"a node can't have {name}={amount!r}: amounts are numbers that are not negative."
            )
    return {name: float(amount) for name, amount in amounts.items() if amount}


def _tpu_labels(variables: Mapping[str, str]) -> dict[str, str]:
    """What a host of Google's TPUs says of itself, by the variables that it has."""
    says = {
        "slice-name": variables.get("TPU_NAME"),
        "worker-id": variables.get("TPU_WORKER_ID"),
        "topology": variables.get("TPU_TOPOLOGY"),
        "pod-type": variables.get("TPU_ACCELERATOR_TYPE"),
    }
    return {f"ray.io/tpu-{what}": text for what, text in says.items() if text}


def _forget_session() -> None:
    for cluster in list(_clusters.values()):
        cluster.left()


_at_shutdown(_forget_session)

__all__ = ["Cluster", "Node"]
