"""`skate job`: submit programs to a session that stands, and look after them."""

from __future__ import annotations

import argparse
import asyncio
import json
import shlex
import sys
from pathlib import Path
from typing import Any

from skate.cli import _show
from skate.job_submission import JobStatus, JobSubmissionClient

_COLUMNS = ("submission_id", "job_id", "type", "status", "entrypoint")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """What `skate job` takes: what to do, and with which job."""
    actions = parser.add_subparsers(dest="action", metavar="ACTION", required=True)
    submit = actions.add_parser("submit", help="run a command as a job, and follow what it prints")
    _add_submit_arguments(submit)
    for name, does in {
        "status": "show where a job is in its life",
        "stop": "end a job",
        "delete": "forget a job that has ended, and remove its log",
        "logs": "show what a job has printed",
        "list": "show the jobs, and the programs that are in the session by themselves",
    }.items():
        action = actions.add_parser(name, help=does)
        _show.add_session_arguments(action)
        if name != "list":
            action.add_argument("job_id", metavar="JOB")
        if name == "stop":
            action.add_argument("--no-wait", action="store_true", help="do not wait until it has ended")
        if name == "logs":
            action.add_argument("-f", "--follow", action="store_true", help="go on until the job has ended")
        _add_accepted(action)
    submit.set_defaults(error=submit.error)


def _add_submit_arguments(parser: argparse.ArgumentParser) -> None:
    parser.usage = "skate job submit [OPTION ...] -- COMMAND [ARGUMENT ...]"
    _show.add_session_arguments(parser)
    parser.add_argument(
        "--submission-id", "--job-id", metavar="ID", help="the job's id (default: a random one)"
    )
    parser.add_argument(
        "--runtime-env", metavar="FILE", help="a YAML or JSON file with the runtime environment"
    )
    parser.add_argument("--runtime-env-json", type=json.loads, metavar="JSON", help="the runtime environment")
    parser.add_argument("--working-dir", metavar="DIR", help="a directory or .zip file that the job runs in")
    parser.add_argument(
        "--metadata-json", type=json.loads, metavar="JSON", help="what you want to be kept about it"
    )
    parser.add_argument("--entrypoint-num-cpus", type=float, metavar="N", help="CPUs that the command holds")
    parser.add_argument("--entrypoint-num-gpus", type=float, metavar="N", help="GPUs that the command holds")
    parser.add_argument(
        "--entrypoint-memory", type=int, metavar="BYTES", help="memory that the command holds"
    )
    parser.add_argument("--entrypoint-resources", type=json.loads, metavar="JSON", help="custom resources")
    parser.add_argument(
        "--entrypoint-label-selector", type=json.loads, metavar="JSON", help="labels of its node"
    )
    parser.add_argument(
        "--no-wait", action="store_true", help="return at once, rather than follow what it prints"
    )
    _add_accepted(parser)
    parser.add_argument("entrypoint", nargs=argparse.REMAINDER, metavar="COMMAND")


def _add_accepted(parser: argparse.ArgumentParser) -> None:
    for name in ("--headers", "--verify"):
        parser.add_argument(name, help="accepted for scripts written for Ray: nothing here speaks HTTP")


def run(arguments: argparse.Namespace) -> int:
    """Do it.

    Raises:
        SystemExit: the arguments make no sense.
    """
    if arguments.action == "submit":
        arguments.entrypoint = _command(arguments)

    def work() -> int:
        try:
            return _ACTIONS[arguments.action](arguments, JobSubmissionClient(arguments.address))
        except (RuntimeError, ValueError, TypeError) as error:
            print(f"skate job {arguments.action}: {error}", file=sys.stderr)
            return 1

    return _show.answering(f"job {arguments.action}", work)


def _submit(arguments: argparse.Namespace, client: JobSubmissionClient) -> int:
    env = _environment(arguments)
    id = client.submit_job(
        entrypoint=arguments.entrypoint,
        submission_id=arguments.submission_id,
        runtime_env=env,
        metadata=arguments.metadata_json,
        entrypoint_num_cpus=arguments.entrypoint_num_cpus,
        entrypoint_num_gpus=arguments.entrypoint_num_gpus,
        entrypoint_memory=arguments.entrypoint_memory,
        entrypoint_resources=arguments.entrypoint_resources,
        entrypoint_label_selector=arguments.entrypoint_label_selector,
    )
    if arguments.format == "json":
        _show.as_json({"submission_id": id})
    else:
        print(f"Job '{id}' submitted successfully.")
        print(f"`skate job status {id}` shows how it is, `skate job stop {id}` ends it.", flush=True)
    return 0 if arguments.no_wait else _follow(client, id)


def _command(arguments: argparse.Namespace) -> str:
    """What a shell is to run: one word as it stands, several so that they stay several."""
    words: list[str] = (
        arguments.entrypoint[1:] if arguments.entrypoint[:1] == ["--"] else arguments.entrypoint
    )
    if not words:
        _show.refuse(arguments, "name the COMMAND to run, after --")
    return shlex.join(words) if len(words) > 1 else words[0]


def _environment(arguments: argparse.Namespace) -> dict[str, Any]:
    if arguments.runtime_env is not None and arguments.runtime_env_json is not None:
        _show.refuse(arguments, "--runtime-env and --runtime-env-json exclude each other")
    env: dict[str, Any] = dict(arguments.runtime_env_json or {})
    if arguments.runtime_env is not None:
        try:
            text = Path(arguments.runtime_env).read_text(encoding="utf-8")
        except OSError as error:
            raise ValueError(f"--runtime-env: {error}") from error
        env = json.loads(text) if arguments.runtime_env.endswith(".json") else _yaml(text)
    if arguments.working_dir is not None:
        env["working_dir"] = arguments.working_dir
    return env


def _yaml(text: str) -> Any:
    try:
        import yaml
    except ImportError:
        raise ValueError(
            "to read YAML, PyYAML is needed: pip install pyyaml. A file whose name ends with .json needs nothing."
        ) from None
    try:
        return yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise ValueError(f"--runtime-env: {error}") from error


def _follow(client: JobSubmissionClient, id: str) -> int:
    """Print what a job prints until it has ended, and then how it has; code 1 if it has not succeeded."""

    async def tail() -> None:
        async for text in client.tail_job_logs(id):
            print(text, end="", flush=True)

    asyncio.run(tail())
    return _conclude(client, id)


def _conclude(client: JobSubmissionClient, id: str) -> int:
    info = client.get_job_info(id)
    if info.status == JobStatus.SUCCEEDED:
        print(f"Job '{id}' succeeded.")
        return 0
    how = {JobStatus.FAILED: "failed", JobStatus.STOPPED: "was stopped"}[info.status]
    print(f"Job '{id}' {how}: {info.message}", file=sys.stderr)
    return 1


def _status(arguments: argparse.Namespace, client: JobSubmissionClient) -> int:
    info = client.get_job_info(arguments.job_id)
    if arguments.format == "json":
        _show.as_json(info.model_dump())
    else:
        print(f"Status for job '{arguments.job_id}': {info.status}")
        print(f"Status message: {info.message}")
    return 0


def _stop(arguments: argparse.Namespace, client: JobSubmissionClient) -> int:
    id = arguments.job_id
    was_there = client.stop_job(id)
    if was_there and not arguments.no_wait:
        asyncio.run(_until_end(client, id))
    status = client.get_job_status(id)
    if arguments.format == "json":
        _show.as_json({"submission_id": id, "status": status})
    else:
        print(f"Job '{id}' was stopped." if was_there else f"Job '{id}' had ended already: {status}.")
    return 0


async def _until_end(client: JobSubmissionClient, id: str) -> None:
    async for _text in client.tail_job_logs(id):
        pass


def _delete(arguments: argparse.Namespace, client: JobSubmissionClient) -> int:
    client.delete_job(arguments.job_id)
    print(f"Job '{arguments.job_id}' deleted successfully.")
    return 0


def _logs(arguments: argparse.Namespace, client: JobSubmissionClient) -> int:
    if arguments.follow:
        return _follow(client, arguments.job_id)
    print(client.get_job_logs(arguments.job_id), end="")
    return 0


def _list(arguments: argparse.Namespace, client: JobSubmissionClient) -> int:
    rows = [job.model_dump() for job in client.list_jobs()]
    if arguments.format == "json":
        _show.as_json(rows)
    else:
        _show.table(rows, _COLUMNS, "no jobs")
    return 0


_ACTIONS = {
    "submit": _submit,
    "status": _status,
    "stop": _stop,
    "delete": _delete,
    "logs": _logs,
    "list": _list,
}

__all__ = ["add_arguments", "run"]
