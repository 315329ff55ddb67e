"""Jobs as users submit them: to the session of the program, from Python."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

import skate as ray
from skate.job_submission import JobErrorType, JobStatus, JobSubmissionClient, JobType, _client
from skate.job_submission._watch import GRACE
from skate.util import state
from tests.leaks import guard
from tests.support import wait_until

_PATIENCE = 60.0


@pytest.fixture(scope="module")
def client() -> Iterator[JobSubmissionClient]:
    """A client of a session that all tests here share."""
    patch = pytest.MonkeyPatch()
    for name in ("SKATE_ADDRESS", "RAY_ADDRESS", "RAY_API_SERVER_ADDRESS", "SKATE_ENGINE"):
        patch.delenv(name, raising=False)
    with guard.window():
        ray.init(num_cpus=2, address="local")
        yield JobSubmissionClient("http://127.0.0.1:8265")
        ray.shutdown()
    patch.undo()


class Gate:
    """Programs that read a line of the file at `path` wait until it is opened."""

    def __init__(self, path: Path) -> None:
        self.path = path
        os.mkfifo(path)
        self.file = os.open(path, os.O_RDWR)  # as a reader too: opening it waits for nobody

    def open(self) -> None:
        os.write(self.file, b"\n")


@pytest.fixture
def gate(tmp_path: Path) -> Iterator[Gate]:
    made = Gate(tmp_path / "gate")
    yield made
    os.close(made.file)


def end_of(client: JobSubmissionClient, job: str) -> JobStatus:
    """A job's status once it has ended."""
    wait_until(lambda: client.get_job_status(job).is_terminal(), _PATIENCE, f"the end of {job}")
    return client.get_job_status(job)


def logs_with(client: JobSubmissionClient, job: str, text: str) -> str:
    """A job's log once that text is in it."""
    wait_until(lambda: text in client.get_job_logs(job), _PATIENCE, repr(text))
    return client.get_job_logs(job)


PROGRAM = """
import os, sys
import ray                      # a program written for Ray, as it is
ray.init()
@ray.remote
def where():
    return os.environ["COLOUR"], os.path.exists("data.txt")
print("answer", ray.get(where.remote()), open("data.txt").read(), ray.__version__)
"""


def test_a_program_written_for_ray_runs_in_the_session_with_its_environment(
    client: JobSubmissionClient, tmp_path: Path
) -> None:
    (tmp_path / "program.py").write_text(PROGRAM)
    (tmp_path / "data.txt").write_text("forty-two")
    job = client.submit_job(
        entrypoint="python program.py",
        runtime_env={"working_dir": str(tmp_path), "env_vars": {"COLOUR": "green"}},
        metadata={"owner": "me"},
    )
    assert job.startswith("raysubmit_")
    assert end_of(client, job) == JobStatus.SUCCEEDED, client.get_job_logs(job)
    assert "answer ('green', True) forty-two 2.60.0" in client.get_job_logs(job)
    info = client.get_job_info(job)
    assert (info.type, info.submission_id, info.status) == (JobType.SUBMISSION, job, JobStatus.SUCCEEDED)
    assert (info.metadata, info.driver_exit_code) == ({"owner": "me"}, 0)
    assert info.start_time is not None and info.end_time is not None
    assert info.start_time <= info.end_time
    assert info.driver_node_id == ray.get_runtime_context().get_node_id()


def test_the_state_api_lists_jobs_too(client: JobSubmissionClient) -> None:
    job = client.submit_job(entrypoint="true")
    end_of(client, job)
    rows = {row.submission_id: row for row in state.list_jobs()}
    assert (rows[job].type, rows[job].status, rows[job].entrypoint) == ("SUBMISSION", "SUCCEEDED", "true")
    assert rows[None].type == "DRIVER"
    assert [row.submission_id for row in state.list_jobs(filters=[("submission_id", "=", job)])] == [job]


def test_a_command_that_fails(client: JobSubmissionClient) -> None:
    job = client.submit_job(entrypoint="echo about to fail; exit 3")
    assert end_of(client, job) == JobStatus.FAILED
    info = client.get_job_info(job)
    assert info.driver_exit_code == 3
    assert info.error_type == JobErrorType.JOB_ENTRYPOINT_COMMAND_ERROR.value
    assert "exit code 3" in str(info.message) and "about to fail" in str(info.message)


def test_the_program_is_known_while_it_runs(client: JobSubmissionClient, tmp_path: Path, gate: Gate) -> None:
    code = f"import skate; skate.init(); print('in', flush=True); open({str(gate.path)!r}).readline()"
    (tmp_path / "waits.py").write_text(code)
    job = client.submit_job(entrypoint=f"python {tmp_path / 'waits.py'}")
    logs_with(client, job, "in")
    wait_until(lambda: client.get_job_info(job).driver_info, _PATIENCE, "the session to know of the program")
    info = client.get_job_info(job)
    assert info.status == JobStatus.RUNNING
    assert info.driver_info is not None and psutil.pid_exists(int(info.driver_info.pid))
    listed = client.list_jobs()
    assert [each.submission_id for each in listed].count(job) == 1
    assert any(
        each.type == JobType.DRIVER and each.driver_info.pid == str(os.getpid())
        for each in listed
        if each.driver_info
    )
    with pytest.raises(RuntimeError, match="non-terminal state RUNNING"):
        client.delete_job(job)
    gate.open()
    assert end_of(client, job) == JobStatus.SUCCEEDED, client.get_job_logs(job)


def test_stopping_ends_all_its_processes(client: JobSubmissionClient) -> None:
    job = client.submit_job(entrypoint="sleep 1000 & echo child $!; wait")
    child = int(logs_with(client, job, "child").split()[1])
    assert client.stop_job(job)
    assert end_of(client, job) == JobStatus.STOPPED
    wait_until(lambda: not psutil.pid_exists(child), _PATIENCE, "the child's end")
    assert not client.stop_job(job)


def test_a_program_may_tidy_up_when_it_is_stopped(client: JobSubmissionClient, tmp_path: Path) -> None:
    (tmp_path / "tidy.py").write_text(
        "import signal, sys\n"
        "def tidy(*_):\n    print('tidied', flush=True); sys.exit(0)\n"
        "signal.signal(signal.SIGTERM, tidy)\nprint('in', flush=True)\nsignal.pause()\n"
    )
    job = client.submit_job(entrypoint=f"python {tmp_path / 'tidy.py'}")
    logs_with(client, job, "in")
    client.stop_job(job)
    assert end_of(client, job) == JobStatus.STOPPED
    assert "tidied" in client.get_job_logs(job)


def test_one_that_does_not_listen_is_killed(client: JobSubmissionClient) -> None:
    assert GRACE < _PATIENCE
    job = client.submit_job(entrypoint="trap '' TERM; echo in; while true; do sleep 0.1; done")
    logs_with(client, job, "in")
    client.stop_job(job)
    assert end_of(client, job) == JobStatus.STOPPED
    assert client.get_job_info(job).driver_exit_code == -signal.SIGKILL


def test_one_that_waits_for_its_resources_can_be_stopped(client: JobSubmissionClient) -> None:
    job = client.submit_job(entrypoint="true", entrypoint_resources={"moon": 1})
    assert client.get_job_status(job) == JobStatus.PENDING
    assert client.stop_job(job)
    assert end_of(client, job) == JobStatus.STOPPED


def test_an_environment_that_can_not_be_made(client: JobSubmissionClient) -> None:
    job = client.submit_job(
        entrypoint="true", runtime_env={"worker_process_setup_hook": "no_such_module.no_such_function"}
    )
    assert end_of(client, job) == JobStatus.FAILED
    info = client.get_job_info(job)
    assert info.error_type == JobErrorType.RUNTIME_ENV_SETUP_FAILURE.value
    assert "no_such_module" in str(info.message)


def test_following_what_it_prints(client: JobSubmissionClient, gate: Gate) -> None:
    job = client.submit_job(entrypoint=f"echo first; read _ < {gate.path}; echo grün")

    async def follow() -> str:
        text = ""
        async for chunk in client.tail_job_logs(job):
            text += chunk
            if text == "first\n":
                gate.open()
        return text

    assert asyncio.run(follow()) == "first\ngrün\n"
    assert client.get_job_status(job) == JobStatus.SUCCEEDED


def test_ids(client: JobSubmissionClient) -> None:
    assert client.submit_job(entrypoint="true", submission_id="mine") == "mine"
    with pytest.raises(RuntimeError, match="mine already exists"):
        client.submit_job(entrypoint="true", submission_id="mine")
    end_of(client, "mine")
    assert client.delete_job("mine")
    for ask in (
        client.get_job_status,
        client.get_job_info,
        client.get_job_logs,
        client.stop_job,
        client.delete_job,
    ):
        with pytest.raises(RuntimeError, match="mine does not exist"):
            ask("mine")
    with pytest.raises(ValueError, match="without '/'"):
        client.submit_job(entrypoint="true", submission_id="../../etc")
    with pytest.raises(ValueError, match="150 bytes"):
        client.submit_job(entrypoint="true", submission_id="作" * 51)  # it is a part of a file's name


def test_bad_arguments(client: JobSubmissionClient) -> None:
    with pytest.raises(TypeError, match="a command is needed"):
        client.submit_job(entrypoint="")
    with pytest.raises(TypeError, match="must be strings"):
        client.submit_job(entrypoint="true", metadata={"n": 1})  # type: ignore[dict-item]
    with pytest.raises(TypeError, match="a number is needed"):
        client.submit_job(entrypoint="true", entrypoint_num_cpus="two")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="can't be negative"):
        client.submit_job(entrypoint="true", entrypoint_resources={"moon": -1})
    with pytest.raises(TypeError, match="a dict is needed"):
        client.submit_job(entrypoint="true", runtime_env=3)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="not supported"):
        client.submit_job(entrypoint="true", runtime_env={"conda": "env"})


def test_addresses(client: JobSubmissionClient) -> None:
    name = ray.get_runtime_context().get_session_name()
    for address in (None, "auto", "http://localhost:8265", "127.0.0.1:8265", "ray://127.0.0.1:10001", name):
        other = JobSubmissionClient(address)
        assert isinstance(other.list_jobs(), list)
        assert other.get_address() == (address or name)
    with pytest.raises(ConnectionError, match="Failed to connect"):
        JobSubmissionClient("http://cluster.example.com:8265")
    with pytest.raises(ConnectionError, match="no-such-session"):
        JobSubmissionClient("no-such-session")


def test_only_who_knows_the_token_is_heard(client: JobSubmissionClient) -> None:
    import socket

    client.submit_job(entrypoint="true")
    path = client._socket
    assert os.stat(path).st_mode & 0o077 == 0
    with socket.socket(socket.AF_UNIX) as conn:
        conn.settimeout(_PATIENCE)
        conn.connect(path)
        conn.sendall(b"00" * 16 + b'\n{"op": "list"}\n')
        assert conn.recv(1000) == b""


def test_a_command_that_the_system_refuses(client: JobSubmissionClient) -> None:
    job = client.submit_job(entrypoint="true " + "x" * 200_000)
    assert end_of(client, job) == JobStatus.FAILED
    assert client.get_job_info(job).error_type == JobErrorType.JOB_ENTRYPOINT_COMMAND_START_ERROR.value


def test_one_that_is_stopped_at_once_does_not_run(client: JobSubmissionClient, tmp_path: Path) -> None:
    client.list_jobs()
    request = {
        "id": "never",
        "info": {"entrypoint": f"touch {tmp_path / 'ran'}"},
        "options": {},
        "settled": {},
    }

    async def submit_and_stop(service: Any) -> bool:
        await service._submit(request)
        return bool(await service._stop(request))

    service = ray.get_actor("job_service", namespace="_skate_jobs")
    assert ray.get(service.__ray_call__.remote(submit_and_stop))
    assert end_of(client, "never") == JobStatus.STOPPED
    assert not (tmp_path / "ran").exists()


def test_a_service_that_does_not_start(client: JobSubmissionClient, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_client, "_PATIENCE", 0.001)
    with pytest.raises(ConnectionError, match="did not start"):
        _client._start_service(client._entry)


def test_a_service_that_dies_is_taken_over(client: JobSubmissionClient) -> None:
    done = client.submit_job(entrypoint="echo kept")
    end_of(client, done)
    running = client.submit_job(entrypoint="echo child $$; sleep 1000")
    child = int(logs_with(client, running, "child").split()[1])
    service = ray.get_actor("job_service", namespace="_skate_jobs")
    pid = ray.get(service.__ray_call__.remote(lambda _self: os.getpid()))

    async def follow() -> None:
        async for text in client.tail_job_logs(running):
            assert "child" in text
            os.kill(pid, signal.SIGKILL)

    with pytest.raises(RuntimeError, match="its job service has died"):
        asyncio.run(follow())
    assert end_of(client, running) == JobStatus.FAILED
    assert client.get_job_info(running).error_type == JobErrorType.JOB_SUPERVISOR_ACTOR_DIED.value
    assert "kept" in client.get_job_logs(done)
    wait_until(lambda: not psutil.pid_exists(child), _PATIENCE, "the end of what it ran")
    after = client.submit_job(entrypoint="true")
    assert end_of(client, after) == JobStatus.SUCCEEDED


def test_what_a_program_is_told_about_its_environment(client: JobSubmissionClient) -> None:
    code = "import ray; ray.init(); print(sorted(ray.get_runtime_context().runtime_env))"
    job = client.submit_job(entrypoint=f'python -c "{code}"', runtime_env={"env_vars": {"A": "b"}})
    assert end_of(client, job) == JobStatus.SUCCEEDED, client.get_job_logs(job)
    assert client.get_job_logs(job) == "['env_vars']\n"
    both = "import ray; ray.init(runtime_env={'env_vars': {'A': 'c'}})"
    job = client.submit_job(entrypoint=f'python -c "{both}"', runtime_env={"env_vars": {"A": "b"}})
    assert end_of(client, job) == JobStatus.FAILED
    assert "Failed to merge the Job's runtime env" in client.get_job_logs(job)
