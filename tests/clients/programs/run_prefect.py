"""A flow of prefect whose tasks run on Ray through prefect-ray."""

import os

import ray
from prefect import flow, task
from prefect_ray import RayTaskRunner
from prefect_ray.context import remote_options


@task
def double(x):
    return 2 * x, os.getpid()


@task
def add(a, b):
    return a[0] + b[0]


@task
def fails(x):
    raise KeyError(x)


@flow(task_runner=RayTaskRunner(init_kwargs={"num_cpus": 2}))
def study():
    doubled = double.map(range(4))
    with remote_options(num_cpus=1):
        total = add.submit(doubled[0], doubled[3])
    results = [future.result() for future in doubled]
    failed = fails.submit("missing")
    failed.wait()
    assert failed.state.is_failed(), failed.state
    assert [value for value, _pid in results] == [0, 2, 4, 6]
    assert os.getpid() not in {pid for _value, pid in results}
    return total.result()


if __name__ == "__main__":
    assert study() == 6
    assert not ray.is_initialized()
    print("ok")
