"""For every test: temporary files of this run's own, and a check that nothing is left behind."""

from __future__ import annotations

import contextlib
import os
import shutil
import sys
import tempfile
from collections.abc import Iterator

import psutil
import pytest

from tests.leaks import guard, mark_this_run, our_processes, report

# The conformance tests also run on the peer that sets the meaning (tests/conformance/api.py): its
# environment has no hypothesis, and what it leaves behind is not ours to mend.
_ON_PEER = bool(os.environ.get("SKATE_CONFORMANCE_PEER"))
_PRIVATE_TEMP = pytest.StashKey[str]()


def pytest_configure(config: pytest.Config) -> None:
    """Give this run a directory for temporary files, so that what is left in it is known to be ours."""
    if _ON_PEER:
        guard.open()
        return
    os.environ.setdefault("PYTEST_DEBUG_TEMPROOT", tempfile.gettempdir())  # pytest's own stay where they were
    config.stash[_PRIVATE_TEMP] = os.environ["TMPDIR"] = tempfile.mkdtemp(prefix="sk-")
    tempfile.tempdir = None  # so that it is looked up again
    mark_this_run()
    _set_up_hypothesis()


def _set_up_hypothesis() -> None:
    import hypothesis

    # How long an example takes says more about the machine's other work than about the code.
    hypothesis.settings.register_profile("skate", deadline=None)
    hypothesis.settings.load_profile("skate")


def pytest_unconfigure(config: pytest.Config) -> None:
    """Remove this run's temporary files; what tests should have removed, they have been told."""
    if not _ON_PEER:
        shutil.rmtree(config.stash[_PRIVATE_TEMP], ignore_errors=True)


@pytest.hookimpl(trylast=True)
def pytest_sessionfinish(session: pytest.Session) -> None:
    """End what outlived the run, and fail the run for it."""
    outlived = [] if _ON_PEER else our_processes()
    for process in outlived:
        print(f"outlived the tests, killed: {process}", file=sys.stderr)
        with contextlib.suppress(psutil.NoSuchProcess):
            process.kill()
    psutil.wait_procs(outlived, timeout=5)
    if outlived:
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


@pytest.fixture(autouse=True)
def _leaves_nothing_behind(request: pytest.FixtureRequest) -> Iterator[None]:
    """Fail a test that leaves a process, thread, descriptor, segment or directory behind."""
    guard.start_test()
    yield
    leaked = guard.end_test()
    if leaked:
        pytest.fail(report(leaked, request.node.nodeid), pytrace=False)
