"""The client of a session's job service."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import json
import os
import socket
import subprocess
import sys
import time
import warnings
from collections.abc import AsyncIterator, Mapping
from typing import Any

import skate
from skate import _state
from skate.core.environment import settle
from skate.engine.local import registry
from skate.job_submission._addresses import session_of
from skate.job_submission._records import DriverInfo, JobDetails, JobInfo, JobStatus, JobType

_START = "import sys; sys.path[:0] = [sys.argv[2]]; from skate.job_submission._service import start; start(sys.argv[1])"
_PATIENCE = 60.0  # seconds for an answer
_TAKE_OVER = 10.0  # seconds for another service to be there, when one has died


class JobSubmissionClient:
    """Submits programs to a session of this machine, and looks after them.

    A job is a command that runs beside the session: with its own runtime environment, as a driver of the session if it is a program
    that calls `skate.init()`. It goes on when the client has gone. Nothing listens on a port: client and session talk over a Unix
    socket that only their user can open.

    Args:
        address: A session's name or folder. None, "auto", and every http://, ray:// or HOST:PORT address of this machine, stand for
            the session of this program, or else the youngest that `skate start` has started, or else the youngest.
        create_cluster_if_needed: Accepted for Ray's programs.
        cookies: Accepted for Ray's programs: nothing here speaks HTTP.
        metadata: What is added to the metadata of each job.
        headers: Accepted for Ray's programs.
        verify: Accepted for Ray's programs.

    Raises:
        ConnectionError: there is no such session.

    Example:
        >>> import skate
        >>> from skate.job_submission import JobSubmissionClient
        >>> _ = skate.init(num_cpus=2, ignore_reinit_error=True)
        >>> client = JobSubmissionClient()
        >>> job = client.submit_job(entrypoint="echo hello")
        >>> client.get_job_info(job).entrypoint
        'echo hello'
    """

    def __init__(
        self,
        address: str | None = None,
        create_cluster_if_needed: bool = False,
        cookies: Mapping[str, Any] | None = None,
        metadata: Mapping[str, Any] | None = None,
        headers: Mapping[str, Any] | None = None,
        verify: str | bool | None = True,
        **kwargs: Any,
    ) -> None:
        self._entry = session_of(address)
        self._address = address or self._entry.name
        self._metadata = dict(metadata or {})
        self._socket = os.path.join(self._entry.session_dir, "jobs", "socket")

    def get_address(self) -> str:
        """The address that was given, or else the name of the session that was found."""
        return self._address

    def get_version(self) -> str:
        """The version of the job service's interface, in Ray's counting."""
        return "4"

    def submit_job(
        self,
        *,
        entrypoint: str,
        job_id: str | None = None,
        runtime_env: Mapping[str, Any] | None = None,
        metadata: Mapping[str, str] | None = None,
        submission_id: str | None = None,
        entrypoint_num_cpus: float | None = None,
        entrypoint_num_gpus: float | None = None,
        entrypoint_memory: int | None = None,
        entrypoint_resources: Mapping[str, float] | None = None,
        entrypoint_label_selector: Mapping[str, str] | None = None,
    ) -> str:
        """Submit a command; returns at once.

        Args:
            entrypoint: What a shell is to run, in the environment's working directory.
            job_id: An older name of `submission_id`.
            runtime_env: The environment of the command and, where that is a program of the session, of its tasks and actors.
            metadata: What you want to be kept about it.
            submission_id: Its id; default: a random one.
            entrypoint_num_cpus: CPUs that the command itself holds while it runs; default: none.
            entrypoint_num_gpus: GPUs, in the same way.
            entrypoint_memory: Bytes of the "memory" resource.
            entrypoint_resources: Custom resources.
            entrypoint_label_selector: Labels of the node where it runs.

        Returns:
            The job's id.

        Raises:
            RuntimeError: there is a job of that id.
            ValueError, TypeError: an argument is wrong.
            RuntimeEnvSetupError: a directory of the environment can't be packed.
        """
        if job_id is not None:
            warnings.warn("job_id is now called submission_id.", DeprecationWarning, stacklevel=2)
            submission_id = submission_id or job_id
        if not isinstance(entrypoint, str) or not entrypoint:
            raise TypeError(f"entrypoint={entrypoint!r}: a command is needed, as a string that is not empty.")
        given = {**self._metadata, **_strings(metadata or {})}
        _check_amounts(
            entrypoint_num_cpus=entrypoint_num_cpus,
            entrypoint_num_gpus=entrypoint_num_gpus,
            entrypoint_memory=entrypoint_memory,
            **{
                f"entrypoint_resources[{name!r}]": amount
                for name, amount in (entrypoint_resources or {}).items()
            },
        )
        if runtime_env is not None and not isinstance(runtime_env, Mapping):
            raise TypeError(
                f"runtime_env={runtime_env!r}: a dict is needed, got a {type(runtime_env).__name__}."
            )
        env = dict(runtime_env or {})
        info = {
            "entrypoint": entrypoint,
            "metadata": given,
            "runtime_env": json.loads(json.dumps(env, default=str)),
            "entrypoint_num_cpus": entrypoint_num_cpus,
            "entrypoint_num_gpus": entrypoint_num_gpus,
            "entrypoint_memory": entrypoint_memory,
            "entrypoint_resources": dict(entrypoint_resources) if entrypoint_resources else None,
        }
        options = {
            "num_cpus": entrypoint_num_cpus,
            "num_gpus": entrypoint_num_gpus,
            "memory": entrypoint_memory,
            "resources": dict(entrypoint_resources or {}),
            "label_selector": dict(entrypoint_label_selector or {}),
        }
        found: str = self._ask(
            "submit", id=_checked_id(submission_id), info=info, options=options, settled=settle(env)
        )
        return found

    def stop_job(self, job_id: str) -> bool:
        """Have a job ended: by SIGTERM to its processes, and by SIGKILL three seconds later.

        Returns:
            Whether it was still there to be ended. Its status tells when it has.

        Raises:
            RuntimeError: there is no such job.
        """
        return bool(self._ask("stop", id=job_id))

    def delete_job(self, job_id: str) -> bool:
        """Forget a job that has ended, and remove its log.

        Raises:
            RuntimeError: there is no such job, or it has not ended.
        """
        return bool(self._ask("delete", id=job_id))

    def get_job_status(self, job_id: str) -> JobStatus:
        """Where a job is in its life.

        Raises:
            RuntimeError: there is no such job.
        """
        return JobInfo.from_json(self._ask("info", id=job_id)["info"]).status

    def get_job_info(self, job_id: str) -> JobDetails:
        """What is known of a job.

        Raises:
            RuntimeError: there is no such job.
        """
        return _details(self._ask("info", id=job_id), self._drivers())

    def list_jobs(self) -> list[JobDetails]:
        """The jobs that were submitted, and the programs that are in the session by themselves."""
        drivers = self._drivers()
        jobs = (
            [_details(found, drivers) for found in self._ask("list")] if os.path.exists(self._socket) else []
        )
        known = {job.driver_info.pid for job in jobs if job.driver_info is not None}
        return jobs + [_driver_details(row) for row in drivers if row["driver_info"]["pid"] not in known]

    def get_job_logs(self, job_id: str) -> str:
        """All that a job's processes have printed so far.

        Raises:
            RuntimeError: there is no such job.
        """
        found: str = self._ask("logs", id=job_id)
        return found

    async def tail_job_logs(self, job_id: str) -> AsyncIterator[str]:
        """What a job's processes print, as they do: an asynchronous iterator that ends with the job.

        Raises:
            RuntimeError: there is no such job, or the session or its job service ends before it does.
        """
        (await asyncio.to_thread(self._ensure_service)).close()
        reader, writer = await asyncio.open_unix_connection(self._socket, limit=1 << 30)
        try:
            writer.write(self._request("tail", {"id": job_id}))
            while "end" not in (answer := await _answer(reader)):
                yield _value(answer)
        finally:
            writer.close()
            with contextlib.suppress(ConnectionError):
                await writer.wait_closed()

    # -- talking ----------------------------------------

    def _drivers(self) -> list[dict[str, Any]]:
        return _state.read("jobs", self._entry.session_dir, drivers_only=True).rows

    def _request(self, op: str, arguments: dict[str, Any]) -> bytes:
        return f"{self._entry.token.hex()}\n{json.dumps({'op': op, **arguments})}\n".encode()

    def _ask(self, op: str, **arguments: Any) -> Any:
        """Ask the service, which is started if need be.

        Raises:
            RuntimeError: it refuses.
            ConnectionError: the session has ended.
        """
        request = self._request(op, arguments)
        line = self._exchange(request)
        deadline = time.monotonic() + _TAKE_OVER
        while not line and op != "submit" and time.monotonic() < deadline:
            time.sleep(0.05)  # the service has died just now, and another takes over
            line = self._exchange(request)
        if not line:
            raise ConnectionError(f"session {self._entry.name} gave no answer: has it ended?")
        return _value(json.loads(line))

    def _exchange(self, request: bytes) -> bytes:
        """Send a request. Returns the answer; nothing if the service dies before it gives one."""
        with self._ensure_service() as conn, conn.makefile("rb") as answers:
            try:
                conn.sendall(request)
                return answers.readline()
            except (ConnectionResetError, BrokenPipeError):
                return b""
            except TimeoutError as error:
                raise ConnectionError(
                    f"the job service of session {self._entry.name} gave no answer within {_PATIENCE:g} s."
                ) from error

    def _ensure_service(self) -> socket.socket:
        conn = self._connect()
        if conn is None:
            _start_service(self._entry)
            conn = self._connect()
        if conn is None:
            raise ConnectionError(
                f"the job service of session {self._entry.name} can't be reached at {self._socket}."
            )
        return conn

    def _connect(self) -> socket.socket | None:
        conn = socket.socket(socket.AF_UNIX)
        conn.settimeout(_PATIENCE)
        try:
            conn.connect(self._socket)
        except (FileNotFoundError, ConnectionRefusedError):
            conn.close()
            return None
        return conn


def _start_service(entry: registry.Entry) -> None:
    """A process joins the session for a moment, and creates the service in it."""
    registry.find(entry.session_dir)
    parent = os.path.dirname(os.path.dirname(os.path.abspath(skate.__file__)))
    try:
        done = subprocess.run(
            [sys.executable, "-c", _START, entry.name, parent],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            timeout=_PATIENCE,
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        raise ConnectionError(
            f"the job service of session {entry.name} did not start within {error.timeout:g} s."
        ) from error
    if done.returncode:
        raise ConnectionError(
            f"the job service of session {entry.name} can't be started: {done.stderr.decode(errors='replace').strip()}"
        )


async def _answer(reader: asyncio.StreamReader) -> dict[str, Any]:
    """What the service says next.

    Raises:
        RuntimeError: it is gone.
    """
    try:
        line = await reader.readline()
    except ConnectionError:
        line = b""
    if not line.endswith(b"\n"):
        raise RuntimeError(
            "the session has ended, or its job service has died, before the job's log was at its end."
        )
    found: dict[str, Any] = json.loads(line)
    return found


def _value(answer: dict[str, Any]) -> Any:
    if "error" in answer:
        raise RuntimeError(answer["error"])
    return answer["value"]


def _details(found: dict[str, Any], drivers: list[dict[str, Any]]) -> JobDetails:
    info = JobInfo.from_json(found["info"])
    driver = next((row for row in drivers if _is_in(row["driver_info"]["pid"], found["group"])), None)
    facts = {
        field.name: getattr(info, field.name)
        for field in dataclasses.fields(info)
        if not field.name.startswith("entrypoint_")
    }
    facts["error_type"] = None if info.error_type is None else info.error_type.value
    return JobDetails(
        type=JobType.SUBMISSION,
        submission_id=found["id"],
        job_id=None if driver is None else driver["job_id"],
        driver_info=None if driver is None else DriverInfo(**driver["driver_info"]),
        **facts,
    )


def _driver_details(row: dict[str, Any]) -> JobDetails:
    return JobDetails(**row)


def _is_in(pid: str, group: int | None) -> bool:
    """Whether a process belongs to a job: its command was made the leader of a session, in the system's sense."""
    try:
        return group is not None and os.getsid(int(pid)) == group
    except ProcessLookupError:
        return False


def _checked_id(id: str | None) -> str | None:
    if id is None:
        return None
    if not isinstance(id, str):
        raise TypeError(f"submission_id={id!r}: a string is needed, got a {type(id).__name__}.")
    if not id or id.startswith(".") or "/" in id or not id.isprintable() or len(id.encode()) > 150:
        raise ValueError(
            f"submission_id={id!r}: 1 to 150 bytes of UTF-8 are needed, without '/' and with no '.' at the front."
        )
    return id


def _check_amounts(**amounts: Any) -> None:
    for name, amount in amounts.items():
        if amount is None:
            continue
        if isinstance(amount, bool) or not isinstance(amount, int | float):
            raise TypeError(f"{name}={amount!r}: a number is needed, got a {type(amount).__name__}.")
        if amount < 0:
            raise ValueError(f"{name}={amount!r}: it can't be negative.")


def _strings(metadata: Mapping[str, str]) -> dict[str, str]:
    if not isinstance(metadata, Mapping):
        raise TypeError(
            f"metadata={metadata!r}: a dict of strings is needed, got a {type(metadata).__name__}."
        )
    for name, value in metadata.items():
        if not isinstance(name, str) or not isinstance(value, str):
            raise TypeError(f"metadata={{{name!r}: {value!r}}}: names and values must be strings.")
    return dict(metadata)
