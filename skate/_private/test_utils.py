"""More of what test suites written for Ray share; `skate._common.test_utils` has the rest."""

from __future__ import annotations

import errno
import fnmatch
import os
import pathlib
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import skate
from skate._common.test_utils import (
    FakeTimer,
    Semaphore,
    SignalActor,
    async_wait_for_condition,
    driver_command,
    is_named_tuple,
    run_string_as_driver,
    wait_for_condition,
)
from skate.exceptions import RayActorError

if TYPE_CHECKING:
    from skate.cluster_utils import Cluster, Node
    from skate.util.placement_group import PlacementGroup


def run_string_as_driver_stdout_stderr(
    driver_script: str,
    env: Mapping[str, str] | None = None,
    encode: str = "utf-8",
    timeout: float | None = 300,
) -> tuple[str, str]:
    """As `run_string_as_driver`, with what it printed and what it complained of apart."""
    done = subprocess.run(
        driver_command(),
        input=driver_script.encode(encode),
        capture_output=True,
        env=dict(os.environ if env is None else env),
        timeout=timeout,
        check=True,
    )
    return done.stdout.decode(encode), done.stderr.decode(encode)


def run_string_as_driver_nonblocking(
    driver_script: str, env: Mapping[str, str] | None = None
) -> subprocess.Popen[bytes]:
    """Start a program in a process of its own, and return that process; its output can be read."""
    process = subprocess.Popen(
        driver_command(),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=dict(os.environ if env is None else env),
    )
    assert process.stdin is not None
    process.stdin.write(driver_script.encode())
    process.stdin.close()
    return process


def check_call_subprocess(
    argv: list[str], capture_stdout: bool = False, capture_stderr: bool = False
) -> tuple[bytes, bytes] | bytes | None:
    """Run Python with arguments; returns what is captured.

    Raises:
        subprocess.CalledProcessError: it ended with another code than 0.
    """
    done = subprocess.run(
        [sys.executable, *argv],
        stdout=subprocess.PIPE if capture_stdout else None,
        stderr=subprocess.PIPE if capture_stderr else None,
        check=True,
    )
    if capture_stdout and capture_stderr:
        return done.stdout, done.stderr
    return done.stdout if capture_stdout else done.stderr


def wait_for_pid_to_exit(pid: int, timeout: float = 20) -> None:
    """Wait until a process has ended.

    Raises:
        TimeoutError: it has not in time.
    """
    _wait(lambda: not _runs(pid), timeout, f"Timed out while waiting for process {pid} to exit.")


def wait_for_children_of_pid(pid: int, num_children: int = 1, timeout: float = 20) -> None:
    """Wait until a process has at least so many children.

    Raises:
        TimeoutError: it has not in time.
    """
    late = f"Timed out while waiting for {num_children} children of process {pid}."
    _wait(lambda: len(_children(pid)) >= num_children, timeout, late)


def wait_for_children_of_pid_to_exit(pid: int, timeout: float = 20) -> None:
    """Wait until those have ended that are children of a process now.

    Raises:
        TimeoutError: they have not in time.
    """
    children = _children(pid)
    late = f"Timed out while waiting for children of process {pid} to exit."
    _wait(lambda: not any(_runs(child) for child in children), timeout, late)


def _wait(condition: Callable[[], bool], timeout: float, late: str) -> None:
    deadline = time.monotonic() + timeout
    while not condition():
        if time.monotonic() > deadline:
            raise TimeoutError(late)
        time.sleep(0.02)


def _runs(pid: int) -> bool:
    try:
        with open(f"/proc/{pid}/stat") as stat:
            return stat.read().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def _children(pid: int) -> list[int]:
    found = []
    for entry in os.listdir("/proc"):
        if entry.isdigit():
            try:
                stat = pathlib.Path(f"/proc/{entry}/stat").read_text()
            except OSError as error:
                if error.errno not in (errno.ENOENT, errno.ESRCH):
                    raise
                continue  # it has ended meanwhile
            if int(stat.rpartition(")")[2].split()[1]) == pid:
                found.append(int(entry))
    return found


def kill_actor_and_wait_for_failure(actor: Any, timeout: float = 10, retry_interval_ms: float = 100) -> None:
    """Kill an actor, and wait until calls to it fail.

    Raises:
        RuntimeError: they do not in time.
    """
    skate.kill(actor)

    def has_ended() -> bool:
        try:
            skate.get(actor.__ray_ready__.remote())
        except RayActorError:
            return True
        return False

    wait_for_condition(has_ended, timeout=timeout, retry_interval_ms=retry_interval_ms)


def wait_for_num_actors(num_actors: int, state: str | None = None, timeout: float = 10) -> None:
    """Wait until there are at least so many actors in a state, or in any.

    Raises:
        RuntimeError: there are not in time.
    """
    from skate.util.state import list_actors

    filters = None if state is None else [("state", "=", state)]
    wait_for_condition(lambda: len(list_actors(filters=filters)) >= num_actors, timeout=timeout)


def get_other_nodes(cluster: Cluster, exclude_head: bool = False) -> list[Node]:
    """The nodes of a cluster without the one that this program is connected to, and without the head if so asked."""
    own = skate.get_runtime_context().get_node_id()
    return [
        node
        for node in cluster.list_all_nodes()
        if node.node_id != own and not (exclude_head and node.is_head())
    ]


def get_non_head_nodes(cluster: Cluster) -> list[Node]:
    """The nodes of a cluster without its head."""
    return [node for node in cluster.list_all_nodes() if not node.is_head()]


def get_actor_node_id(actor_handle: Any) -> str:
    """The id of the node that an actor runs on, in hexadecimal."""
    node_id: str = skate.get(
        actor_handle.__ray_call__.remote(lambda _actor: skate.get_runtime_context().get_node_id())
    )
    return node_id


def object_memory_usage() -> float:
    """How many bytes of the object store are in use."""
    total = skate.cluster_resources()["object_store_memory"]
    free = skate.available_resources().get("object_store_memory", 0)
    return total - free


def is_placement_group_removed(pg: PlacementGroup) -> bool:
    """Whether a placement group was removed."""
    table = skate.util.placement_group_table(pg)
    return bool(table) and table["state"] == "REMOVED"


def placement_group_assert_no_leak(pgs_created: Iterable[PlacementGroup]) -> None:
    """Remove placement groups, and assert that every resource of a group is gone with them.

    Raises:
        RuntimeError: some are still there after a while.
    """
    for group in pgs_created:
        skate.util.remove_placement_group(group)
    wait_for_condition(lambda: not any("group" in name for name in skate.cluster_resources()))


def generate_system_config_map(**kwargs: Any) -> dict[str, dict[str, Any]]:
    """Settings of the system as an argument of `init`."""
    return {"_system_config": kwargs}


def wait_for_assertion(
    assertion_predictor: Callable[..., Any],
    timeout: float = 10,
    retry_interval_ms: float = 100,
    raise_exceptions: bool = False,
    **kwargs: Any,
) -> None:
    """Call a function of assertions again and again until it raises nothing.

    Raises:
        RuntimeError: it still did at the end; with the last error.
    """

    def holds() -> bool:
        assertion_predictor(**kwargs)
        return True

    wait_for_condition(holds, timeout, retry_interval_ms, raise_exceptions)


def wait_until_succeeded_without_exception(
    func: Callable[..., Any],
    exceptions: tuple[type[BaseException], ...],
    *args: Any,
    timeout_ms: float = 1000,
    retry_interval_ms: float = 100,
    raise_last_ex: bool = False,
) -> bool:
    """Call a function until it raises none of these errors; whether it came to that in time.

    Raises:
        BaseException: the last error, if `raise_last_ex` asks for it.
    """
    deadline = time.monotonic() + timeout_ms / 1000
    last: BaseException | None = None
    while time.monotonic() < deadline:
        try:
            func(*args)
        except exceptions as error:
            last = error
            time.sleep(retry_interval_ms / 1000)
        else:
            return True
    if raise_last_ex and last is not None:
        raise last
    return False


def wait_until_server_available(
    address: str, timeout_ms: float = 5000, retry_interval_ms: float = 100
) -> bool:
    """Wait until something listens at "host:port"; whether it came to that in time."""
    host, _, port = address.rpartition(":")

    def connect() -> None:
        socket.create_connection((host, int(port)), timeout=1).close()

    return wait_until_succeeded_without_exception(
        connect, (OSError,), timeout_ms=timeout_ms, retry_interval_ms=retry_interval_ms
    )


def recursive_fnmatch(dirpath: str, pattern: str) -> list[str]:
    """The files anywhere under a directory whose names match a pattern."""
    found = (os.path.join(base, name) for base, _dirs, names in os.walk(dirpath) for name in names)
    return [path for path in found if fnmatch.fnmatch(os.path.basename(path), pattern)]


def same_elements(elems_a: Iterable[Any], elems_b: Iterable[Any]) -> bool:
    """Whether two collections hold equal elements, each as often, in any order."""
    rest = list(elems_b)
    for element in elems_a:
        if element not in rest:
            return False
        rest.remove(element)
    return not rest


@skate.remote
def _put(obj: Any) -> Any:
    return obj


def put_object(obj: Any, use_ray_put: bool) -> Any:
    """A ref to an object: from `put`, or from a task that returns it."""
    return skate.put(obj) if use_ray_put else _put.remote(obj)


def client_test_enabled() -> bool:
    """Always False: there is no remote client to run tests through."""
    return False


def get_current_unused_port() -> int:
    """A port of this machine that nobody listens at now."""
    with socket.socket() as probe:
        probe.bind(("", 0))
        return int(probe.getsockname()[1])


@contextmanager
def chdir(d: str | os.PathLike[str]) -> Iterator[None]:
    """Work in another directory meanwhile."""
    before = os.getcwd()
    os.chdir(d)
    try:
        yield
    finally:
        os.chdir(before)


__all__ = [
    "FakeTimer",
    "Semaphore",
    "SignalActor",
    "async_wait_for_condition",
    "chdir",
    "check_call_subprocess",
    "client_test_enabled",
    "generate_system_config_map",
    "get_actor_node_id",
    "get_current_unused_port",
    "get_non_head_nodes",
    "get_other_nodes",
    "is_named_tuple",
    "is_placement_group_removed",
    "kill_actor_and_wait_for_failure",
    "object_memory_usage",
    "placement_group_assert_no_leak",
    "put_object",
    "recursive_fnmatch",
    "run_string_as_driver",
    "run_string_as_driver_nonblocking",
    "run_string_as_driver_stdout_stderr",
    "same_elements",
    "wait_for_assertion",
    "wait_for_children_of_pid",
    "wait_for_children_of_pid_to_exit",
    "wait_for_condition",
    "wait_for_num_actors",
    "wait_for_pid_to_exit",
    "wait_until_server_available",
    "wait_until_succeeded_without_exception",
]
