"""Dask's graphs as tasks."""

from __future__ import annotations

import os
from typing import Any

import pytest

from tests.conformance.api import ray, submodule

dask = pytest.importorskip("dask")
on_ray = submodule("util.dask")
get = on_ray.ray_dask_get


@dask.delayed
def add(a: Any, b: Any) -> Any:
    return a + b


@dask.delayed
def fail() -> None:
    raise KeyError("lost")


def test_delayed(session: str) -> None:
    total = add(add(1, 2), add(3, [4][0]))
    assert total.compute(scheduler=get) == 10
    pid = dask.delayed(os.getpid)()
    assert (pid.compute(scheduler=get) != os.getpid()) == (session != "inline")


def test_nested_arguments() -> None:
    assert dask.delayed(sum)([add(1, 2), add(3, 4)]).compute(scheduler=get) == 10
    assert dask.compute(add(1, 2), {"a": add(3, 4)}, scheduler=get) == (3, {"a": 7})


def test_a_plain_graph_and_its_keys() -> None:
    graph = {"a": 1, "b": (sum, ["a", "a", 5]), "c": "b", ("d", 0): (len, [[1, 2]])}
    assert get(graph, ["c", ["a", ("d", 0)]]) == [7, [1, 1]]
    assert on_ray.ray_dask_get_sync(graph, "b") == 7


def test_arrays() -> None:
    da = pytest.importorskip("dask.array")
    array = da.arange(1000, chunks=100)
    assert (array * 2).sum().compute(scheduler=get) == 999_000
    assert array.reshape(10, 100).T.mean(axis=0).compute(scheduler=get).shape == (10,)


def test_data_frames() -> None:
    pd, dd = pytest.importorskip("pandas"), pytest.importorskip("dask.dataframe")
    frame = pd.DataFrame({"k": [1, 2, 1, 3] * 25, "v": range(100)})
    lazy = dd.from_pandas(frame, npartitions=4)
    with on_ray.enable_dask_on_ray():
        found = lazy.groupby("k").v.sum().compute().sort_index()
        shuffled = lazy.set_index("v").loc[10:20].compute()
    assert found.to_dict() == frame.groupby("k").v.sum().to_dict()
    assert len(shuffled) == 11


def test_persisted_results_stay_where_they_are() -> None:
    da = pytest.importorskip("dask.array")
    array = (da.ones(20, chunks=10) + 2).persist(scheduler=get)
    assert all(isinstance(value, ray.ObjectRef) for value in dict(array.dask).values())
    assert (array * 2).sum().compute(scheduler=get) == 120
    (lazy,) = on_ray.ray_dask_persist(dask.delayed(sum)([1, 2]))
    assert lazy.compute(scheduler=get) == 3


def test_errors_reach_the_caller() -> None:
    with pytest.raises(KeyError, match="lost"):
        add(fail(), 1).compute(scheduler=get)


def test_enabled_and_disabled() -> None:
    on_ray.enable_dask_on_ray()
    try:
        assert dask.config.get("scheduler") is get
        assert add(1, 2).compute() == 3
    finally:
        on_ray.disable_dask_on_ray()
    assert dask.config.get("scheduler") is None


def test_options_of_tasks() -> None:
    @dask.delayed
    def held() -> Any:
        return ray.get_runtime_context().get_assigned_resources().get("CPU")

    assert held().compute(scheduler=get, ray_remote_args={"num_cpus": 0.5}) == 0.5


def test_callbacks_of_the_driver() -> None:
    seen: list[Any] = []

    class Watch(on_ray.RayDaskCallback):  # type: ignore[name-defined,misc]
        def _ray_presubmit(self, task: Any, key: Any, deps: Any) -> Any:
            return 100 if str(key).startswith("known") else None

        def _ray_postsubmit(self, task: Any, key: Any, deps: Any, object_ref: Any) -> None:
            seen.append(("submitted", len(deps)))

        def _ray_postsubmit_all(self, object_refs: Any, dsk: Any) -> None:
            seen.append(("all", len(object_refs)))

        def _ray_finish(self, result: Any) -> None:
            seen.append(("finished", result))

    with Watch():
        assert add(add(1, 2), add(3, 4, dask_key_name="known")).compute(scheduler=get) == 103
    assert [kind for kind, _ in seen] == ["submitted", "submitted", "all", "finished"]
    assert seen[2] == ("all", 2)
    add(1, 2).compute(scheduler=get)
    assert len(seen) == 4


def test_callbacks_in_workers() -> None:
    def before(key: Any, object_refs: Any) -> Any:
        return len(object_refs)

    def after(key: Any, result: Any, pre_state: Any) -> None:
        if pre_state != 2 or result != 3:
            raise AssertionError((key, result, pre_state))

    one, two = dask.delayed(int)("1"), dask.delayed(int)("2")
    watch = on_ray.RayDaskCallback(ray_posttask=lambda *_: None)
    assert add(one, two).compute(scheduler=get, ray_callbacks=[watch]) == 3
    strict = on_ray.RayDaskCallback(ray_pretask=before, ray_posttask=after)
    with pytest.raises(AssertionError):
        add(one, 5).compute(scheduler=get, ray_callbacks=[strict])
    with pytest.raises(TypeError, match="no hook 'ray_nothing'"):
        on_ray.RayDaskCallback(ray_nothing=1)


def test_dasks_own_callbacks() -> None:
    seen: list[str] = []
    from dask.callbacks import Callback

    with Callback(
        start=lambda dsk: seen.append("start"),
        posttask=lambda *args: seen.append("task"),
        finish=lambda dsk, state, failed: seen.append(f"failed={failed}"),
    ):
        add(1, 2).compute(scheduler=get)
    assert seen[0] == "start"
    assert seen[-1] == "failed=False"
    assert "task" in seen


def test_progress_is_shown(capfd: pytest.CaptureFixture[str]) -> None:
    with on_ray.ProgressBarCallback():
        add(add(1, 2), 3).compute(scheduler=get)
    assert "tasks" in capfd.readouterr().err
