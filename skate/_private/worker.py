"""This process as a part of the session: `global_worker`, and the public functions under their old path."""

from __future__ import annotations

from typing import Any

import skate
from skate import (
    LOCAL_MODE,
    SCRIPT_MODE,
    WORKER_MODE,
    ActorID,
    ClientContext,
    JobID,
    NodeID,
    TaskID,
    WorkerID,
    cancel,
    get,
    get_actor,
    get_gpu_ids,
    init,
    is_initialized,
    kill,
    put,
    remote,
    shutdown,
    wait,
)
from skate.core import runtime
from skate.util.node import get_node_ip_address


class Node:
    """This machine, as libraries ask about it."""

    @property
    def node_ip_address(self) -> str:
        """Its address."""
        return get_node_ip_address()

    @property
    def unique_id(self) -> str:
        """Its id, in hex."""
        return skate.get_runtime_context().get_node_id()

    @property
    def address_info(self) -> dict[str, Any]:
        """What `init` says about the session."""
        return dict(skate.ClientContext(runtime.current()).address_info)

    def get_session_dir_path(self) -> str:
        """The session's directory."""
        return skate.get_runtime_context().get_temp_dir()


class Worker:
    """This process. What it says is what `get_runtime_context()` says, as ids."""

    @property
    def connected(self) -> bool:
        """Whether a session runs."""
        return skate.is_initialized()

    def check_connected(self) -> None:
        """Raise unless a session runs.

        Raises:
            RaySystemError: none runs.
        """
        if not self.connected:
            raise skate.exceptions.RaySystemError("no session runs: call skate.init() first.")

    @property
    def mode(self) -> int | None:
        """SCRIPT_MODE in a driver, WORKER_MODE in a worker, LOCAL_MODE on the inline engine; None without a session."""
        engine = runtime.engine
        if engine is None:
            return None
        if engine.name == "inline":
            return LOCAL_MODE
        return SCRIPT_MODE if engine.task_info().mode == "driver" else WORKER_MODE

    @property
    def node(self) -> Node | None:
        """This machine; None without a session."""
        return Node() if self.connected else None

    @property
    def node_ip_address(self) -> str:
        """This machine's address."""
        return get_node_ip_address()

    @property
    def namespace(self) -> str:
        """Where names of actors are looked up."""
        return skate.get_runtime_context().namespace

    @property
    def runtime_env(self) -> str:
        """The environment of this task or actor as JSON."""
        return skate.get_runtime_context().get_runtime_env_string()

    @property
    def current_job_id(self) -> JobID:
        """The program."""
        return skate.get_runtime_context().job_id

    @property
    def current_node_id(self) -> NodeID:
        """This machine."""
        return skate.get_runtime_context().node_id

    @property
    def current_task_id(self) -> TaskID:
        """The task that asks; nil in a driver."""
        return skate.get_runtime_context().task_id or TaskID.nil()

    @property
    def actor_id(self) -> ActorID:
        """The actor that asks; nil outside one."""
        return skate.get_runtime_context().actor_id or ActorID.nil()

    @property
    def worker_id(self) -> bytes:
        """This process."""
        return WorkerID.from_hex(skate.get_runtime_context().get_worker_id()).binary()

    def put_object(self, value: Any) -> skate.ObjectRef[Any]:
        """The same as `put`."""
        return skate.put(value)

    def get_objects(self, object_refs: list[Any], timeout: float | None = None) -> tuple[list[Any], bytes]:
        """The values of the refs, and the id of a breakpoint, of which there is none."""
        return skate.get(object_refs, timeout=timeout), b""


global_worker = Worker()
RayContext = ClientContext
"""What `init` returns."""


def __getattr__(name: str) -> Any:
    if name == "_global_node":
        return global_worker.node
    raise AttributeError(f"module 'skate._private.worker' has no attribute {name!r}")


__all__ = [
    "LOCAL_MODE",
    "Node",
    "RayContext",
    "SCRIPT_MODE",
    "WORKER_MODE",
    "Worker",
    "cancel",
    "get",
    "get_actor",
    "get_gpu_ids",
    "global_worker",
    "init",
    "is_initialized",
    "kill",
    "put",
    "remote",
    "shutdown",
    "wait",
]
