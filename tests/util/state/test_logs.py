"""What workers have printed, and the environments that they have been made with."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import skate
from skate.engine.logfiles import LogFiles, read_from
from skate.util import state
from skate.util.state.exception import RayStateApiException
from tests.leaks import guard
from tests.util.state.test_lists import eventually


@pytest.fixture(params=("local", "dask"), scope="module", autouse=True)
def session(request: pytest.FixtureRequest) -> Iterator[Any]:
    """A session of an engine that has workers."""
    skate.shutdown()
    with guard.window(), skate.init(num_cpus=2, engine=request.param, log_to_driver=False) as started:
        yield started


@skate.remote
def say(text: str) -> int:
    print(text)
    print(text.upper(), file=sys.stderr)
    return os.getpid()


@skate.remote
class Talker:
    def say(self, text: str) -> None:
        print(text)


def test_what_was_printed_can_be_read() -> None:
    pid = skate.get(say.remote("spoken once"))
    eventually(lambda: "spoken once\n" in _log(pid=pid))
    eventually(lambda: "SPOKEN ONCE\n" in _log(pid=pid, suffix="err"))
    out = _log(pid=pid)
    names = state.list_logs()
    assert any(str(pid) in name for name in names["worker_out"]) and names["worker_err"]
    assert set(state.list_logs(glob_filter="*.err")) == {"worker_err"}
    name = next(name for name in names["worker_out"] if str(pid) in name)
    assert _log(filename=name) == out
    assert _log(filename=name, tail=1) == out.splitlines(keepends=True)[-1]


def test_an_actors_and_a_tasks_output() -> None:
    talker = Talker.remote()
    skate.get(talker.say.remote("from the actor"))
    assert eventually(lambda: "from the actor\n" in _log(actor_id=talker._actor_id.hex()))
    ref = say.remote("from the task")
    skate.get(ref)
    assert eventually(lambda: "from the task\n" in _log(task_id=ref.task_id().hex()))


def _log(**which: Any) -> str:
    try:
        return "".join(state.get_log(**which))
    except RayStateApiException:
        return ""  # the node has not read the worker's pipe yet


def test_logs_that_there_are_none_of() -> None:
    with pytest.raises(RayStateApiException, match="nope"):
        list(state.get_log(filename="nope"))
    with pytest.raises(ValueError, match="needs one of"):
        list(state.get_log())
    with pytest.raises(ValueError, match="suffix"):
        list(state.get_log(pid=1, suffix="log"))


def test_a_log_is_followed_as_it_grows() -> None:
    talker = Talker.remote()
    skate.get(talker.say.remote("the first line"))
    actor = talker._actor_id.hex()
    eventually(lambda: "the first line\n" in _log(actor_id=actor))
    pieces = state.get_log(actor_id=actor, follow=True, _interval=0.01)
    assert next(pieces) == "the first line\n"
    skate.get(talker.say.remote("the second"))
    assert next(pieces) == "the second\n"
    assert list(state.get_log(actor_id=actor, encoding=None, tail=1)) == [b"the second\n"]
    pieces.close()


def test_a_file_that_was_begun_anew_is_read_from_its_start(tmp_path: Path) -> None:
    files = LogFiles(str(tmp_path), limit=8)
    files.write(1, 2, "out", b"12345")
    [path] = map(str, tmp_path.iterdir())
    data, after = read_from(path, 2)
    assert (data, after) == (b"345", 5)
    files.write(1, 2, "out", b"6789")
    assert read_from(path, after) == (b"6789", 4)
    assert read_from(str(tmp_path / "gone"), 3) == (b"", 3)
    files.close(1)


def test_environments_that_could_and_could_not_be_made() -> None:
    talker = Talker.options(runtime_env={"env_vars": {"LISTED": "yes"}}).remote()
    skate.get(talker.say.remote("x"))  # it lives there, so that somebody does
    with pytest.raises(skate.exceptions.RuntimeEnvSetupError):
        skate.get(say.options(runtime_env={"pip": ["/there/is/none.whl"]}).remote("x"))
    rows = {str(row.runtime_env): row for row in state.list_runtime_envs(detail=True)}
    good = rows["{'env_vars': {'LISTED': 'yes'}}"]
    assert good.success and good.error is None and good.ref_cnt
    assert good.node_id in {node["NodeID"] for node in skate.nodes()}
    [bad] = [row for text, row in rows.items() if "none.whl" in text]
    assert not bad.success and bad.error is not None and "none.whl" in bad.error.splitlines()[0]
