"""The local engine: this machine's cores, by a few small processes.

wire.py      frames on Unix sockets: how any two of the processes talk
poller.py    waiting for many sockets at once
protocol.py  the messages, by number
arena.py     the shared memory that every process maps
limits.py    when the memory monitor acts
launch.py    starting and stopping a session from a driver
registry.py  finding a session from another terminal
state.py     lists of tasks, actors, objects, …, from what the processes answer
zygote.py    the process that forks the node and the workers
node/        what must be agreed on: resources, leases, actors, the object directory, the store
client/      what a driver or worker does to call others: submit, get, put
worker/      running tasks, and hosting an actor
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from skate.engine.base import Engine, InitConfig, StateAnswer


def start_session(config: InitConfig, namespace: str) -> Engine:
    """Start the processes of a session; returns the driver's engine, without waiting for them."""
    from skate.engine.local import launch

    session = launch.start(config, namespace)
    try:
        # While the other processes start, this one imports its half, and what the first call needs.
        from skate.core import serialize
        from skate.engine.local.driver import DriverEngine

        serialize.warm_up()
        return DriverEngine(config, namespace, session)
    except BaseException:
        session.node.close()
        launch.stop(session)
        raise


def observe(what: str, address: str | None, timeout: float) -> StateAnswer:
    """What a session of this machine that this process is no part of says about itself, as `Engine.state` does.

    Raises:
        ConnectionError: no session has that address, or it does not answer.
    """
    from skate.engine.local import registry
    from skate.engine.local.state import StateReader

    observer = registry.Observer(registry.find(address), timeout)
    try:
        return StateReader(observer.ask, None).read(what, timeout)
    finally:
        observer.close()
