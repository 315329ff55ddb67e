"""Starting a session from a driver: the arena, the zygote, and the socket to the node."""

from __future__ import annotations

import marshal
import os
import signal
import socket
import sys
import time
from typing import TYPE_CHECKING, Any, NamedTuple

from skate._memory import machine_memory
from skate.core import devices
from skate.core.ref import PROCESS_BITS
from skate.engine.local import arena
from skate.engine.local.limits import memory_limits

if TYPE_CHECKING:
    from skate.engine.base import InitConfig

_PROGRAM = "import sys; sys.path[:0] = {path!r}; from skate.engine.local.zygote import main; main({fd})"


_DETACHED: dict[str, Any] = {
    "setsid": True,
    "file_actions": [(os.POSIX_SPAWN_OPEN, fd, os.devnull, os.O_RDWR, 0) for fd in (0, 1, 2)],
}


class Session(NamedTuple):
    """What a driver holds of a session it has started."""

    config: dict[str, Any]
    node: socket.socket
    life: socket.socket
    arena_fd: int
    zygote_pid: int


def total_resources(config: InitConfig) -> dict[str, float]:
    """The resources of this machine, as asked for or as found."""
    total: dict[str, float] = {}
    cpus = config.num_cpus if config.num_cpus is not None else _count_cpus()
    if cpus:
        total["CPU"] = float(cpus)
    if config.num_gpus is None:
        gpus = float(devices.count())
    else:
        gpus = float(config.num_gpus)
    if gpus:
        total["GPU"] = gpus
    memory = machine_memory()
    store = store_bytes(config)
    total["memory"] = float(config.memory if config.memory is not None else max(0, int(memory * 0.7)))
    total["object_store_memory"] = float(store)
    total["node:127.0.0.1"] = 1.0
    total["node:__internal_head__"] = 1.0
    total.update({name: float(amount) for name, amount in config.resources.items() if amount})
    return total


def store_bytes(config: InitConfig) -> int:
    """The size of the shared-memory store: 30 % of the machine's memory (or of its control group's) unless asked for."""
    if config.object_store_memory is not None:
        return int(config.object_store_memory)
    return int(machine_memory() * 0.3) // 4096 * 4096


def start(config: InitConfig, namespace: str) -> Session:
    """Start the zygote, which starts the rest. Returns without waiting for it: messages to the node wait in its socket.

    Its interpreter is started before anything else is done or imported, as that is what the first result waits for.
    """
    limits = memory_limits(config.system_config)
    store = store_bytes(config)
    # The file is as large as the store may become; pages that are never written cost nothing.
    arena_fd = arena.create_file(max(store, 4096))
    driver_end, node_end = socket.socketpair()
    life, zygote_life = socket.socketpair()
    try:
        pid = _spawn(config, zygote_life, (node_end.fileno(), arena_fd))
        settings = _settings(config, namespace, store, arena_fd, node_end.fileno(), limits)
        body = marshal.dumps(settings, 2)
        life.sendall(len(body).to_bytes(4, "little") + body)
    except BaseException:
        for sock in (driver_end, life):  # the zygote ends when its life's other end does
            sock.close()
        os.close(arena_fd)
        raise
    finally:
        node_end.close()
        zygote_life.close()
    os.set_inheritable(arena_fd, False)
    return Session(settings, driver_end, life, arena_fd, pid)


def start_standing(config: InitConfig) -> dict[str, Any]:
    """Start a session that stands by itself: it has no driver, and lasts until it is stopped. Returns its settings.

    The zygote is its root: a session (in the system's sense) of its own, which no terminal ends, and which holds both ends of the
    socket whose closing would end it.
    """
    limits = memory_limits(config.system_config)
    store = store_bytes(config)
    arena_fd = arena.create_file(max(store, 4096))
    life, zygote_life = socket.socketpair()
    try:
        pid = _spawn(config, zygote_life, (life.fileno(), arena_fd), detached=True)
        name = f"standing-{os.urandom(8).hex()}"
        settings = _settings(config, name, store, arena_fd, -1, limits)
        settings.update(standing=True, driver_pid=pid, kept_fd=life.fileno())
        body = marshal.dumps(settings, 2)
        life.sendall(len(body).to_bytes(4, "little") + body)
    finally:
        for sock in (life, zygote_life):
            sock.close()
        os.close(arena_fd)
    return settings


def _spawn(
    config: InitConfig, life: socket.socket, inherited: tuple[int, ...], detached: bool = False
) -> int:
    for fd in (life.fileno(), *inherited):
        os.set_inheritable(fd, True)
    package_parent = os.path.dirname(
        os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
    )
    return os.posix_spawn(
        sys.executable,
        [sys.executable, "-c", _PROGRAM.format(path=[package_parent], fd=life.fileno())],
        {**os.environ, **config.runtime_env.get("env_vars", {})},
        setsigmask=[],
        **(_DETACHED if detached else {}),
    )


def _settings(
    config: InitConfig,
    namespace: str,
    store: int,
    arena_fd: int,
    node_fd: int,
    limits: tuple[float, float],
) -> dict[str, Any]:
    """What every process of the session is told; makes the session's folder."""
    import secrets
    import tempfile

    total = total_resources(config)
    cpus = int(total.get("CPU", 0))
    session_dir = tempfile.mkdtemp(prefix="skate-")
    spill_parent = config.spill_directory or session_dir
    return {
        "token": secrets.token_bytes(16),
        "session_dir": session_dir,
        # Sessions number their processes apart, so that a ref of an ended one names nothing in the next.
        "first_number": secrets.randbits(28) << PROCESS_BITS | 1,
        "node_path": os.path.join(session_dir, "node"),
        "spill_dir": os.path.join(spill_parent, f"spill-{os.path.basename(session_dir)}"),
        "resources": total,
        "labels": dict(config.labels),
        "machine_id": config.machine_id or secrets.token_hex(28),
        "variables": dict(config.machine_variables),
        "store_bytes": store,
        "arena_fd": arena_fd,
        "driver_fd": node_fd,
        "keep_idle": max(1, cpus),
        "prestart": max(1, min(cpus, int(config.system_config.get("prestart_workers", cpus)))),
        "log_to_driver": config.log_to_driver,
        "preload": list(config.preload),
        "worker_setup": list(config.worker_setup),
        "sys_path": list(sys.path),
        "argv": list(sys.argv) if hasattr(sys, "argv") else [""],
        "namespace": namespace,
        "driver_pid": os.getpid(),
        "standing": False,
        "memory_limits": limits,
        "base_env": dict(config.runtime_env),
        "system": dict(config.system_config),
        "record": config.record,
    }


def stop(session: Session, patience: float = 5.0) -> None:
    """Wait for the zygote, which ends when all the others have; end it by force after `patience` seconds."""
    session.life.close()
    try:
        _await_end(session.zygote_pid, patience)
    finally:
        import shutil

        # Usually gone by now; not if the processes were killed.
        for path in (session.config["spill_dir"], session.config["session_dir"]):
            shutil.rmtree(path, ignore_errors=True)


def _await_end(pid: int, patience: float) -> None:
    deadline = time.monotonic() + patience
    pause = 0.001
    while True:
        try:
            ended, _status = os.waitpid(pid, os.WNOHANG)
        except ChildProcessError:
            return
        if ended:
            return
        if time.monotonic() > deadline:
            os.kill(pid, signal.SIGKILL)
            deadline = float("inf")
        time.sleep(pause)
        pause = min(pause * 1.5, 0.01)


def _count_cpus() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
