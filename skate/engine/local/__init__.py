"""The local engine: this machine's cores, by a few small processes.

wire.py      frames on Unix sockets: how any two of the processes talk
poller.py    waiting for many sockets at once
protocol.py  the messages, by number
arena.py     the shared memory that every process maps
limits.py    when the memory monitor acts
duplicates.py  lines that several workers print alike
printer.py   workers' output, on the driver's own
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
        from skate.engine.local.driver import StarterEngine

        serialize.warm_up()
        return StarterEngine(config, namespace, session)
    except BaseException:
        session.node.close()
        launch.stop(session)
        raise


def join_session(config: InitConfig, namespace: str, address: str) -> Engine:
    """Join a session of this machine that runs.

    Raises:
        ConnectionError: there is none of that address, or it does not answer.
    """
    from skate.engine.local import registry
    from skate.engine.local.driver import join

    return join(config, namespace, registry.find(address))


def standing_session() -> str | None:
    """The address of the youngest session that `skate start` has started; None if there is none."""
    from skate.engine.local import registry

    found = registry.standing()
    return None if found is None else found.name


def start_standing_session(config: InitConfig) -> str:
    """Start a session that stands by itself, and wait until it answers. Returns its address.

    Raises:
        ConnectionError: it does not come up.
    """
    import time

    from skate.engine.local import launch, protocol, registry

    settings = launch.start_standing(config)
    registry.register(settings, settings["driver_pid"])
    entry = registry.find(settings["session_dir"])
    deadline = time.monotonic() + 30
    while True:
        try:
            observer = registry.Observer(entry)
        except ConnectionError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.01)  # until it listens
            continue
        observer.ask(protocol.SYNC)
        observer.close()
        return entry.name


def stop_session(address: str) -> str:
    """End a session of this machine, and wait until its processes have ended. Returns its name.

    Raises:
        ConnectionError: there is none of that address, or it does not end.
    """
    import time

    from skate.engine.local import protocol, registry

    entry = registry.find(address)
    observer = registry.Observer(entry)
    observer.tell(protocol.STOP_SESSION)
    observer.close()
    deadline = time.monotonic() + 10
    while any(other.name == entry.name for other in registry.sessions()):
        if time.monotonic() > deadline:
            raise ConnectionError(f"session {entry.name} (pid {entry.pid}) has not ended within 10 s.")
        time.sleep(0.01)  # until the last of its processes is gone
    return entry.name


def session_folder(address: str | None) -> str:
    """The folder of a session of this machine.

    Raises:
        ConnectionError: there is none of that address.
    """
    from skate.engine.local import registry

    return registry.find(address).session_dir


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
