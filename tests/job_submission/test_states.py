"""How a job's status changes, without a session."""

from __future__ import annotations

import json

from skate.job_submission import JobErrorType, JobInfo, JobStatus
from skate.job_submission._states import Job


def _job() -> Job:
    return Job("one", JobInfo(JobStatus.PENDING, "true", start_time=1))


def test_a_job_that_succeeds() -> None:
    job = _job()
    job.launched(17, "node")
    assert (job.info.status, job.info.driver_node_id) == (JobStatus.RUNNING, "node")
    job.ended(0, "", 5)
    assert (job.info.status, job.info.driver_exit_code, job.info.end_time) == (JobStatus.SUCCEEDED, 0, 5)
    assert job.info.message == "Job finished successfully."


def test_a_command_that_fails_is_quoted() -> None:
    job = _job()
    job.launched(17, "node")
    job.ended(3, "no such file\n", 5)
    assert job.info.status == JobStatus.FAILED
    assert job.info.error_type == JobErrorType.JOB_ENTRYPOINT_COMMAND_ERROR
    assert "exit code 3" in str(job.info.message) and "no such file" in str(job.info.message)


def test_one_that_was_stopped_has_not_failed() -> None:
    job = _job()
    job.launched(17, "node")
    assert job.stop()
    job.ended(-15, "", 5)
    assert (job.info.status, job.info.driver_exit_code) == (JobStatus.STOPPED, -15)
    assert not job.stop()


def test_one_that_was_stopped_before_it_began() -> None:
    job = _job()
    assert job.stop()
    job.failed(JobErrorType.JOB_SUPERVISOR_ACTOR_DIED, "killed", 5)
    assert (job.info.status, job.info.error_type) == (JobStatus.STOPPED, None)


def test_what_has_ended_stays_as_it_is() -> None:
    job = _job()
    job.ended(0, "", 5)
    job.failed(JobErrorType.JOB_SUPERVISOR_ACTOR_DIED, "late", 6)
    job.launched(1, "node")
    assert (job.info.status, job.info.end_time) == (JobStatus.SUCCEEDED, 5)


def test_it_can_be_written_down() -> None:
    job = _job()
    job.info.runtime_env = {"env_vars": {"A": "b"}}
    job.failed(JobErrorType.RUNTIME_ENV_SETUP_FAILURE, "no", 7)
    again = Job.from_json(json.loads(json.dumps(job.to_json())))
    assert again.info == job.info


def test_job_info_as_json() -> None:
    info = JobInfo(JobStatus.RUNNING, "true", runtime_env={"env_vars": {"A": "b"}})
    found = info.to_json()
    assert found["status"] == "RUNNING"
    assert json.loads(found["runtime_env_json"]) == {"env_vars": {"A": "b"}}
    assert JobInfo.from_json(found) == info


def test_statuses_are_strings() -> None:
    assert str(JobStatus.FAILED) == "FAILED" == JobStatus.FAILED
    assert JobStatus("STOPPED").is_terminal()
    assert not JobStatus.PENDING.is_terminal()
