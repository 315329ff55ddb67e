"""The process that runs a job's command: `python _watch.py COMMAND LOG_FILE`.

It says "started PID" on its standard output, or "unstartable REASON", and in the end "ended CODE". A line on its standard input
stops the job; so does the end of that, in less time: the session is gone then. With the command go all processes of its group.

It imports nothing of Skate, to cost little, and has one thread, so that it may fork.
"""

from __future__ import annotations

import contextlib
import os
import select
import signal
import subprocess
import sys
import time

GRACE = 3.0
"""Seconds that the processes of a job have to end after SIGTERM."""
ORPHAN_GRACE = 0.5
"""The same if nobody is left who asked for it."""


def main(command: str, log: str) -> int:
    """Run the command to its end."""
    with open(log, "ab", buffering=0) as output:
        try:
            child = subprocess.Popen(
                ["/bin/sh", "-c", command],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,
            )
        except OSError as error:
            _say(f"unstartable {error}")
            return 1
    _say(f"started {child.pid}")
    try:
        if _stopped(child):
            _signal(child.pid, signal.SIGTERM)
            _await_group(child, GRACE if os.read(0, 1) else ORPHAN_GRACE)
    finally:
        _signal(child.pid, signal.SIGKILL)  # and what it has left behind
        child.wait()
    _say(f"ended {child.returncode}")
    return 0


def _stopped(child: subprocess.Popen[bytes]) -> bool:
    """Wait for the command's end, or for the word to stop it: True."""
    ended = os.pidfd_open(child.pid)
    try:
        ready, _, _ = select.select([ended, 0], [], [])
    finally:
        os.close(ended)
    return ended not in ready


def _await_group(child: subprocess.Popen[bytes], patience: float) -> None:
    deadline = time.monotonic() + patience
    while time.monotonic() < deadline:
        child.poll()  # one that has ended and was not asked for counts as there
        if not _signal(child.pid, 0):
            return
        time.sleep(0.02)


def _signal(group: int, number: int) -> bool:
    """Send a signal; False if there is nobody left."""
    try:
        os.killpg(group, number)
    except ProcessLookupError:
        return False
    return True


def _say(line: str) -> None:
    with contextlib.suppress(BrokenPipeError):  # nobody is left to hear it
        os.write(1, f"{line}\n".encode())


if __name__ == "__main__":
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # a Ctrl-C is for who runs the session
    sys.exit(main(*sys.argv[1:]))
