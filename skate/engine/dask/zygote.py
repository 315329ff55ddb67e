"""A single-threaded process that has imported what user code needs, and forks a process to run it in a few milliseconds.

A Dask worker has threads, so it must not fork by itself. The zygote tells how each of its children ended. It ends when its Dask
worker does, and its children with it.
"""

from __future__ import annotations

import ctypes
import gc
import importlib
import os
import select
import signal
import socket
import sys

from skate.core import serialize
from skate.core.environment.enter import run_setups
from skate.engine.dask import executor, wire

_PR_SET_PDEATHSIG = 1


def main(control: socket.socket) -> None:
    """Fork on request until the other end is gone."""
    settings = wire.receive(control)
    sys.path[:] = settings["sys_path"]
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    serialize.warm_up()
    run_setups(settings["worker_setup"])
    for module in settings["preload"]:
        importlib.import_module(module)
    libc = ctypes.CDLL(None)
    parent = os.getpid()
    gc.collect()
    gc.freeze()
    ended, wake = os.pipe()
    os.set_blocking(wake, False)
    signal.set_wakeup_fd(wake, warn_on_full_buffer=False)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    poll = select.poll()
    poll.register(control, select.POLLIN)
    poll.register(ended, select.POLLIN)
    while True:
        ready = [descriptor for descriptor, _event in poll.poll()]
        if ended in ready:
            os.read(ended, 4096)
            _bury(control)
        if control.fileno() not in ready:
            continue
        data, descriptors, _flags, _address = socket.recv_fds(control, 1, 1)
        if not data:
            return
        if os.fork() == 0:
            signal.set_wakeup_fd(-1)
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            for inherited in (ended, wake):
                os.close(inherited)
            control.close()
            libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
            if os.getppid() != parent:
                os._exit(1)
            os.setpgid(0, 0)
            executor.main(socket.socket(fileno=descriptors[0]))
        os.close(descriptors[0])


def _bury(control: socket.socket) -> None:
    """Tell of the children that have ended."""
    while True:
        try:
            pid, status = os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            return
        if not pid:
            return
        try:
            wire.send(control, (pid, os.waitstatus_to_exitcode(status)))
        except OSError:
            return  # the Dask worker is gone, as the main loop is about to see


if __name__ == "__main__":
    # By the module's own name, so that what is pickled here is found under it elsewhere.
    from skate.engine.dask import zygote

    zygote.main(socket.socket(fileno=int(sys.argv[1])))
