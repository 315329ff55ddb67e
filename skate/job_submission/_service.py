"""The actor that keeps a session's jobs. It answers on a Unix socket in the session's folder, to who knows the session's token."""

from __future__ import annotations

import asyncio
import codecs
import contextlib
import hmac
import json
import os
import secrets
import string
import time
from collections.abc import Awaitable, Callable
from typing import Any

import skate
from skate import exceptions
from skate.engine.local import registry
from skate.job_submission._records import JobErrorType, JobInfo, JobStatus
from skate.job_submission._states import Job
from skate.job_submission._supervisor import CommandNotStarted, Supervisor

NAME, NAMESPACE = "job_service", "_skate_jobs"
VARIABLE = "SKATE_JOB"
"""Tells the programs of a job about it, as JSON: its environment and metadata."""
_GLANCE = 0.1  # seconds between looks at a log that somebody follows
_LAST = 20_000  # bytes of a failed job's log that its message quotes
_LIMIT = 64 << 20  # bytes of one request


class Refused(Exception):
    """A request that can't be granted; the text goes to who has asked."""


def folder_of(entry: registry.Entry) -> str:
    """Where a session keeps what concerns its jobs."""
    return os.path.join(entry.session_dir, "jobs")


def start(session: str) -> None:
    """Have a session's service run: create it if need be, and wait until it answers. The main function of a process of its own."""
    skate.init(address=session, namespace=NAMESPACE, log_to_driver=False, configure_logging=False)
    try:
        service = skate.remote(JobService).options(
            name=NAME,
            lifetime="detached",
            get_if_exists=True,
            num_cpus=0,
            max_restarts=-1,
            max_task_retries=1,
        )
        skate.get(service.remote(session).serve.remote())
    finally:
        skate.shutdown()


class JobService:
    """Keeps jobs, runs each through a supervisor, and answers those who ask."""

    def __init__(self, session: str) -> None:
        entry = registry.find(session)
        self.session = entry.name
        self.token = entry.token.hex()
        self.folder = folder_of(entry)
        os.makedirs(self.folder, mode=0o700, exist_ok=True)
        self.jobs: dict[str, Job] = {}
        self.supervisors: dict[str, Any] = {}
        self.runs: dict[str, asyncio.Task[None]] = {}
        self.server: asyncio.Server | None = None
        self._answers: dict[str, Callable[[dict[str, Any]], Awaitable[Any]]] = {
            "submit": self._submit,
            "list": self._list,
            "info": self._info,
            "stop": self._stop,
            "delete": self._delete,
            "logs": self._logs,
        }
        self._take_over()

    def _take_over(self) -> None:
        """An earlier service has died, and with it the supervisors that it had: what they ran is lost."""
        for name in os.listdir(self.folder):
            if not name.endswith(".json"):
                continue
            with open(os.path.join(self.folder, name), encoding="utf-8") as file:
                job = Job.from_json(json.load(file))
            self.jobs[job.id] = job
            message = "the session's job service died, and the job with it"
            job.failed(JobErrorType.JOB_SUPERVISOR_ACTOR_DIED, message, _now())
            self._keep(job)

    async def serve(self) -> None:
        """Listen, unless it does already."""
        if self.server is not None:
            return
        path = os.path.join(self.folder, "socket")
        with contextlib.suppress(FileNotFoundError):
            os.unlink(path)  # an earlier service's
        self.server = await asyncio.start_unix_server(self._converse, path, limit=_LIMIT)
        os.chmod(path, 0o600)

    async def _converse(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One request of somebody who shows the token."""
        try:
            token = (await reader.readline()).decode(errors="replace").strip()
            if not hmac.compare_digest(token.encode(), self.token.encode()):
                return
            request = json.loads(await reader.readline())
            try:
                if request["op"] == "tail":
                    await self._tail(request, writer)
                else:
                    _say(writer, {"value": await self._answers[request["op"]](request)})
            except Refused as refusal:
                _say(writer, {"error": str(refusal)})
            await writer.drain()
        except (ConnectionError, ValueError, KeyError):
            return  # whoever it was is gone, or makes no sense
        finally:
            writer.close()

    # -- requests ----------------------------------------

    def _job(self, request: dict[str, Any]) -> Job:
        job = self.jobs.get(request["id"])
        if job is None:
            raise Refused(f"Job {request['id']} does not exist.")
        return job

    async def _submit(self, request: dict[str, Any]) -> str:
        id = request["id"] or f"raysubmit_{_random_id()}"
        if id in self.jobs:
            raise Refused(f"Job with submission_id {id} already exists. Use a different submission_id.")
        info = JobInfo(**request["info"], status=JobStatus.PENDING, start_time=_now())
        job = self.jobs[id] = Job(id, info, options=request["options"])
        self._keep(job)
        open(self._log_of(job), "wb").close()
        self.runs[id] = asyncio.ensure_future(self._run(job, request["settled"]))
        return id

    async def _list(self, _request: dict[str, Any]) -> list[Any]:
        return [job.to_json() for job in self.jobs.values()]

    async def _info(self, request: dict[str, Any]) -> Any:
        return self._job(request).to_json()

    async def _stop(self, request: dict[str, Any]) -> bool:
        job = self._job(request)
        if not job.stop():
            return False
        supervisor = self.supervisors.get(job.id)
        if supervisor is not None:
            if job.launching:
                supervisor.stop.remote()
            else:
                skate.kill(supervisor)
        return True

    async def _delete(self, request: dict[str, Any]) -> bool:
        job = self._job(request)
        if not job.info.status.is_terminal():
            raise Refused(
                f"Attempted to delete job '{job.id}', but it is in a non-terminal state {job.info.status}: stop it first."
            )
        del self.jobs[job.id]
        for path in (self._log_of(job), self._record_of(job)):
            with contextlib.suppress(FileNotFoundError):
                os.unlink(path)
        return True

    async def _logs(self, request: dict[str, Any]) -> str:
        return self._read(self._job(request)).decode(errors="replace")

    async def _tail(self, request: dict[str, Any], writer: asyncio.StreamWriter) -> None:
        job = self._job(request)
        decoder = codecs.getincrementaldecoder("utf-8")("replace")  # a character may be half written
        position = 0
        while job.id in self.jobs:
            last = job.info.status.is_terminal()
            found = self._read(job, position)
            position += len(found)
            text = decoder.decode(found, last)
            if text:
                _say(writer, {"value": text})
                await writer.drain()
            if last:
                break
            await asyncio.sleep(_GLANCE)
        _say(writer, {"end": True})

    # -- running ----------------------------------------

    async def _run(self, job: Job, settled: dict[str, Any]) -> None:
        """A job's life."""
        try:
            if job.stopping:  # there was no supervisor yet that could have been told
                job.failed(JobErrorType.JOB_SUPERVISOR_ACTOR_DIED, "stopped before it began", _now())
                return
            supervisor = self.supervisors[job.id] = _create_supervisor(job, settled)
            variables = {
                "SKATE_ADDRESS": self.session,
                "RAY_ADDRESS": self.session,
                "SKATE_ENGINE": "local",
                "PYTHONUNBUFFERED": "1",  # what a job prints is to be seen at once
                VARIABLE: json.dumps(
                    {"id": job.id, "runtime_env": settled, "metadata": job.info.metadata or {}}
                ),
            }
            paths = [
                *([settled["working_dir"]] if "working_dir" in settled else []),
                *settled.get("py_modules", ()),
            ]
            await supervisor.ready.remote()
            job.launching = True
            group, node_id = await supervisor.launch.remote(
                job.info.entrypoint, self._log_of(job), variables, paths
            )
            job.launched(group, node_id)
            self._keep(job)
            code = await supervisor.wait.remote()
            job.ended(code, self._read(job, -_LAST).decode(errors="replace"), _now())
        except exceptions.RuntimeEnvSetupError as error:
            job.failed(JobErrorType.RUNTIME_ENV_SETUP_FAILURE, f"runtime_env setup failed: {error}", _now())
        except exceptions.ActorUnschedulableError as error:
            job.failed(JobErrorType.JOB_SUPERVISOR_ACTOR_UNSCHEDULABLE, str(error), _now())
        except exceptions.RayActorError as error:
            job.failed(JobErrorType.JOB_SUPERVISOR_ACTOR_DIED, f"the job's supervisor died: {error}", _now())
        except CommandNotStarted as error:
            job.failed(JobErrorType.JOB_ENTRYPOINT_COMMAND_START_ERROR, str(error), _now())
        except (exceptions.RayError, RuntimeError, ValueError, TypeError) as error:
            job.failed(JobErrorType.JOB_SUPERVISOR_ACTOR_UNKNOWN_FAILURE, str(error), _now())
        finally:
            self._keep(job)
            gone = self.supervisors.pop(job.id, None)
            if gone is not None:
                skate.kill(gone)
            del self.runs[job.id]

    def _read(self, job: Job, position: int = 0) -> bytes:
        """What stands in a job's log from a position on; a negative one counts from its end."""
        with open(self._log_of(job), "rb") as file:
            size = file.seek(0, os.SEEK_END)
            file.seek(position if position >= 0 else max(0, size + position))
            return file.read()

    def _keep(self, job: Job) -> None:
        if job.id not in self.jobs:
            return
        draft = f"{self._record_of(job)}.new"
        with open(draft, "w", encoding="utf-8") as file:
            json.dump(job.to_json(), file)
        os.replace(draft, self._record_of(job))

    def _record_of(self, job: Job) -> str:
        return os.path.join(self.folder, f"{job.id}.json")

    def _log_of(self, job: Job) -> str:
        return os.path.join(self.folder, f"job-driver-{job.id}.log")


def _create_supervisor(job: Job, settled: dict[str, Any]) -> Any:
    wanted = job.options
    return (
        skate.remote(Supervisor)
        .options(
            num_cpus=wanted.get("num_cpus") or 0,
            num_gpus=wanted.get("num_gpus") or 0,
            memory=wanted.get("memory"),
            resources=wanted.get("resources"),
            label_selector=wanted.get("label_selector"),
            runtime_env=settled,
        )
        .remote()
    )


def _say(writer: asyncio.StreamWriter, message: dict[str, Any]) -> None:
    writer.write(json.dumps(message).encode() + b"\n")


def _random_id() -> str:
    letters = string.ascii_letters + string.digits
    return "".join(secrets.choice(letters) for _ in range(16))


def _now() -> int:
    return int(time.time() * 1000)
