"""The zygote: what becomes of a worker that can't begin."""

from __future__ import annotations

import subprocess
import sys

from tests.support import REPO

_PROGRAM = """
import os, socket
from skate.engine.local.zygote import _Zygote

life, _driver = socket.socketpair()
control, _node = socket.socketpair()
zygote = _Zygote({"standing": False}, life, control, 0, lambda *_: 0)
pid = os.fork()
if pid == 0:
    try:
        zygote.become_worker(1, {}, {"variables": {"A=B": "x"}}, [os.dup(1), os.dup(2)])
    finally:
        os._exit(7)
print(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
"""


def test_a_worker_whose_variables_cant_be_set_ends_as_a_worker_does() -> None:
    done = subprocess.run(
        [sys.executable, "-c", _PROGRAM], cwd=REPO, capture_output=True, text=True, timeout=60, check=True
    )
    assert done.stdout == "1\n"  # and does not go on as a second zygote
    assert "ValueError: illegal environment variable name" in done.stderr
