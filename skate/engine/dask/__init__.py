"""The Dask engine: tasks are Dask tasks, objects are Dask futures, and actors live on Dask workers.

    driver.py      joins a cluster, or starts one of its own, and installs what follows on it
    engine.py      the engine's contract, the same in the driver and in the processes that run user code
    hub.py         in the driver and in each Dask worker: refs as futures of one Dask client
    registry.py    in the scheduler: actors, names, which object holds which, key-value pairs
    host.py        in each Dask worker: the processes that run user code
    remote.py      the functions that run as Dask tasks
    executor.py    a process that runs tasks, or is one actor

Only `driver.py`, `hub.py`, `registry.py`, `host.py` and `remote.py` import Dask: a process that runs user code does not.
"""
