"""Compiled graphs."""

from __future__ import annotations

import asyncio
import gc
import os
import signal
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.conformance.api import ray, submodule
from tests.support import wait_until

dag = submodule("dag")
np = pytest.importorskip("numpy")


@ray.remote(num_cpus=0)
class Stage:
    def __init__(self, amount: int = 0) -> None:
        self.amount = amount
        self.seen: list[Any] = []
        self.event = threading.Event()

    def echo(self, value: Any) -> Any:
        return value

    def add(self, value: Any) -> Any:
        self.seen.append(value)
        return value + self.amount

    def read(self) -> list[Any]:
        return self.seen

    def join(self, *values: Any, **more: Any) -> Any:
        return (*values, more) if more else values

    @ray.method(num_returns=2)
    def pair(self, value: int) -> Any:
        return (value, value + 1) if value >= 0 else (value,)

    def fail(self, value: Any) -> Any:
        raise ValueError(f"no {value}")

    def fail_on(self, value: int) -> int:
        if value % 2:
            raise KeyError(value)
        return value

    def lock(self, value: Any) -> Any:
        return threading.Lock()

    def hold(self, seconds: float) -> float:
        self.event.wait(seconds)
        return seconds

    def release(self) -> None:
        self.event.set()

    def die(self, value: Any) -> Any:
        if value:
            os._exit(1)
        return value

    def ident(self, value: Any) -> Any:
        return ray.get_runtime_context().get_actor_id(), os.getpid()

    def threads(self) -> int:
        return sum(thread.name == "skate-dag" for thread in threading.enumerate())

    def descriptors(self) -> int:
        return len(os.listdir("/proc/self/fd"))


@pytest.fixture
def compiled() -> Iterator[Callable[..., Any]]:
    made: list[Any] = []

    def compile_it(node: Any, **options: Any) -> Any:
        graph = node.experimental_compile(**options)
        made.append(graph)
        return graph

    yield compile_it
    for graph in made:
        graph.teardown()


def chain(*methods: Any) -> Any:
    with dag.InputNode() as given:
        node: Any = given
        for method in methods:
            node = method.bind(node)
    return node


def test_a_chain(compiled: Any) -> None:
    one, two = Stage.remote(1), Stage.remote(2)
    graph = compiled(chain(one.add, two.add))
    refs = [graph.execute(value) for value in range(5)]
    assert ray.get(refs) == [3, 4, 5, 6, 7]
    assert graph.execute(10).get() == 13
    assert ray.get(graph.execute(11), timeout=5) == 14


def test_results_are_taken_once_and_in_any_order(compiled: Any) -> None:
    graph = compiled(chain(Stage.remote(1).add))
    first, second, third = (graph.execute(value) for value in range(3))
    assert ray.get(third) == 3
    assert ray.get(first) == 1
    with pytest.raises(ValueError, match="only be called once"):
        ray.get(third)
    del second
    gc.collect()
    assert ray.get(graph.execute(5)) == 6
    with pytest.raises(TypeError):
        ray.wait([graph.execute(5)])


@pytest.mark.parametrize(
    "value",
    [
        None,
        "text" * 10,
        "long " * 100_000,
        {"a": [1, (2, 3)], "b": b"x" * 50_000},
        lambda x: x + 1,
        2**70,
        3.5,
    ],
    ids=["none", "text", "long", "nested", "function", "big", "float"],
)
def test_values_of_all_kinds(compiled: Any, value: Any) -> None:
    graph = compiled(chain(Stage.remote().echo, Stage.remote().echo))
    for _ in range(3):
        found = ray.get(graph.execute(value))
        assert found(1) == 2 if callable(value) else found == value


@pytest.mark.parametrize("size", [3, 1_000, 100_000, 3_000_000])
def test_arrays(compiled: Any, size: int) -> None:
    graph = compiled(chain(Stage.remote(1).add, Stage.remote(1).echo))
    kept = []
    for repeat in range(6):
        array = np.arange(size) + repeat
        found = ray.get(graph.execute(array))
        np.testing.assert_array_equal(found, array + 1)
        kept.append((repeat, found[:3].copy(), found[:3]))
    for _repeat, copied, view in kept:  # memory is not used again while somebody looks at it
        np.testing.assert_array_equal(copied, view)


def test_arrays_from_shared_memory_are_read_only(compiled: Any, session: str) -> None:
    graph = compiled(chain(Stage.remote().echo))
    found = ray.get(graph.execute(np.zeros(1_000_000)))
    assert not found.flags.writeable
    graph.teardown()
    assert found.sum() == 0


@pytest.mark.slow
def test_memory_is_used_again(compiled: Any, session: str) -> None:
    stage = Stage.remote(1)
    graph = compiled(chain(stage.echo, Stage.remote(1).echo))
    array = np.ones(500_000)

    def step() -> None:
        assert ray.get(graph.execute(array))[0] == 1
        gc.collect()

    ray.get(graph.execute(array))
    for _ in range(3):
        step()
    before = ray.get(stage.descriptors.remote())
    for _ in range(10):
        step()
    assert ray.get(stage.descriptors.remote()) <= before + 1


def test_branches_and_several_results(compiled: Any) -> None:
    one, two, three = Stage.remote(1), Stage.remote(10), Stage.remote()
    with dag.InputNode() as given:
        left, right = one.add.bind(given), two.add.bind(given)
        node = dag.MultiOutputNode([three.join.bind(left, right, extra=5), right])
    graph = compiled(node)
    refs = graph.execute(1)
    assert isinstance(refs, list)
    assert ray.get(refs) == [(2, 11, {"extra": 5}), 11]
    first, second = graph.execute(2)
    assert second.get() == 12
    assert first.get()[0] == 3


def test_one_actor_several_times(compiled: Any) -> None:
    one, two = Stage.remote(1), Stage.remote(10)
    with dag.InputNode() as given:
        node = one.add.bind(two.add.bind(one.add.bind(given)))
    graph = compiled(node)
    assert [ray.get(graph.execute(value)) for value in range(3)] == [12, 13, 14]
    assert ray.get(one.read.remote()) == [0, 11, 1, 12, 2, 13]


def test_parts_of_the_input(compiled: Any) -> None:
    one, two = Stage.remote(1), Stage.remote(2)
    with dag.InputNode() as given:
        node = dag.MultiOutputNode([one.add.bind(given[0]), two.join.bind(given.k, given[1], 7)])
    graph = compiled(node)
    assert ray.get(graph.execute(1, 2, k=3)) == [2, (3, 2, 7)]
    with pytest.raises(ValueError, match="must be called with kwarg `k`"):
        graph.execute(1, 2)
    with pytest.raises(ValueError, match="must be called with 2 positional args, got 1"):
        graph.execute(1, k=3)


def test_the_number_of_arguments_is_checked(compiled: Any) -> None:
    graph = compiled(chain(Stage.remote().echo))
    for args, kwargs in (((), {}), ((1, 2), {}), ((), {"x": 1})):
        with pytest.raises(ValueError, match=f"must be called with 1 positional args, got {len(args)}"):
            graph.execute(*args, **kwargs)


def test_a_method_with_several_results(compiled: Any) -> None:
    one, two = Stage.remote(), Stage.remote()
    with dag.InputNode() as given:
        first, second = one.pair.bind(given)
        node = dag.MultiOutputNode([first, second, two.join.bind(second, first)])
    graph = compiled(node)
    assert ray.get(graph.execute(1)) == [1, 2, (2, 1)]


def test_an_error_reaches_the_caller_and_the_graph_goes_on(compiled: Any) -> None:
    graph = compiled(chain(Stage.remote().fail_on, Stage.remote(1).add))
    assert ray.get(graph.execute(2)) == 3
    with pytest.raises(KeyError) as caught:
        ray.get(graph.execute(1))
    assert isinstance(caught.value, ray.exceptions.RayTaskError)
    assert "fail_on" in str(caught.value)
    assert ray.get(graph.execute(4)) == 5


def test_an_error_in_one_branch(compiled: Any) -> None:
    one, two = Stage.remote(), Stage.remote(5)
    with dag.InputNode() as given:
        node = dag.MultiOutputNode([one.fail.bind(given), two.add.bind(given)])
    graph = compiled(node)
    bad, good = graph.execute(1)
    assert good.get() == 6
    with pytest.raises(ValueError, match="no 1"):
        bad.get()


def test_a_result_that_cannot_be_pickled(compiled: Any) -> None:
    graph = compiled(chain(Stage.remote().lock))
    with pytest.raises(TypeError, match="pickle"):
        ray.get(graph.execute(1))
    with pytest.raises(TypeError, match="pickle"):
        graph.execute(threading.Lock())


def test_actors_can_be_called_meanwhile_and_afterwards(compiled: Any) -> None:
    stage = Stage.remote(1)
    node = chain(stage.add)
    graph = compiled(node)
    assert ray.get(graph.execute(1)) == 2
    assert ray.get(stage.add.remote(2), timeout=20) == 3
    assert ray.get(node.execute(3), timeout=20) == 4
    graph.teardown()
    assert ray.get(stage.add.remote(4), timeout=20) == 5
    again = compiled(chain(stage.add))
    assert ray.get(again.execute(5)) == 6


def test_the_runtime_context_of_a_stage(compiled: Any) -> None:
    stage = Stage.remote()
    graph = compiled(chain(stage.ident))
    assert ray.get(graph.execute(1)) == ray.get(stage.ident.remote(1))


def test_capacity(compiled: Any, session: str) -> None:
    graph = compiled(chain(Stage.remote().echo), _max_inflight_executions=2)
    refs = [graph.execute(value) for value in range(2)]
    with pytest.raises(ray.exceptions.RayCgraphCapacityExceeded, match="more than 2 in-flight"):
        graph.execute(2)
    assert ray.get(refs[0]) == 0
    refs.append(graph.execute(3))
    assert ray.get(refs[1:]) == [1, 3]
    for _ in range(5):  # results that nobody can ask for make room
        graph.execute(4)
    assert ray.get(graph.execute(5)) == 5


def test_buffered_results_are_limited(compiled: Any) -> None:
    graph = compiled(chain(Stage.remote().echo), _max_buffered_results=1, _max_inflight_executions=9)
    refs = [graph.execute(value) for value in range(4)]
    with pytest.raises(ray.exceptions.RayCgraphCapacityExceeded, match="buffered results"):
        ray.get(refs[3])
    assert ray.get(refs) == [0, 1, 2, 3]


def test_many_executions_under_way(compiled: Any) -> None:
    graph = compiled(chain(Stage.remote(1).add, Stage.remote(1).add), _max_inflight_executions=3000)
    refs = [graph.execute(value) for value in range(2000)]
    assert ray.get(refs) == [value + 2 for value in range(2000)]


def test_a_timeout_loses_nothing(compiled: Any, session: str) -> None:
    if session == "inline":
        pytest.skip("a call that blocks outside the API blocks everything in one process")
    stage = Stage.remote()
    graph = compiled(chain(stage.hold))
    ref = graph.execute(30)
    with pytest.raises(ray.exceptions.RayChannelTimeoutError):
        ray.get(ref, timeout=0.05)
    with pytest.raises(TimeoutError):
        ref.get(timeout=0)
    ray.get(stage.release.remote())
    assert ray.get(ref) == 30


def test_teardown(compiled: Any, session: str) -> None:
    one, two = Stage.remote(1), Stage.remote(2)
    before = ray.get([one.threads.remote(), one.descriptors.remote(), two.descriptors.remote()])
    graph = compiled(chain(one.add, two.add))
    ref = graph.execute(1)
    assert not graph.is_teardown
    graph.teardown()
    assert graph.is_teardown
    with pytest.raises(ray.exceptions.RayChannelError, match="Channel closed"):
        graph.execute(1)
    with pytest.raises(ray.exceptions.RayChannelError, match="Channel closed"):
        ref.get()
    graph.teardown()
    after = ray.get([one.threads.remote(), one.descriptors.remote(), two.descriptors.remote()])
    if session != "inline":
        assert after == before


def test_a_graph_that_is_dropped_is_torn_down(session: str) -> None:
    stage = Stage.remote(1)
    graph = chain(stage.add).experimental_compile()
    assert ray.get(graph.execute(1)) == 2
    del graph
    gc.collect()
    wait_until(lambda: ray.get(stage.threads.remote()) == 0, what="the actor's thread to end")


def test_teardown_with_actors(compiled: Any) -> None:
    stage = Stage.remote()
    graph = compiled(chain(stage.echo))
    graph.teardown(kill_actors=True)
    with pytest.raises(ray.exceptions.RayActorError):
        ray.get(stage.echo.remote(1), timeout=20)


@pytest.mark.parametrize("place", [0, 1, 2])
def test_an_actor_that_dies_ends_the_graph(compiled: Any, session: str, place: int) -> None:
    if session == "inline":
        pytest.skip("tasks share the driver's process, so one that dies takes all")
    stages = [Stage.remote() for _ in range(3)]
    methods = [stage.die if index == place else stage.echo for index, stage in enumerate(stages)]
    graph = compiled(chain(*methods))
    assert ray.get(graph.execute(0)) == 0
    ref = graph.execute(1)
    with pytest.raises(ray.exceptions.RayActorError):
        ray.get(ref)
    with pytest.raises(ray.exceptions.RayChannelError):
        graph.execute(0)
    alive = [stage for index, stage in enumerate(stages) if index != place]
    assert ray.get([stage.echo.remote(1) for stage in alive], timeout=20) == [1, 1]
    for stage in alive:
        wait_until(lambda stage=stage: ray.get(stage.threads.remote()) == 0, what="threads to end")  # type: ignore[misc]


def test_an_actor_that_is_killed_ends_the_graph(compiled: Any, session: str) -> None:
    if session == "inline":
        pytest.skip("tasks share the driver's process, so one that dies takes all")
    stage, other = Stage.remote(), Stage.remote()
    graph = compiled(chain(other.echo, stage.echo))
    _, pid = ray.get(stage.ident.remote(0))
    os.kill(pid, signal.SIGKILL)
    with pytest.raises(ray.exceptions.RayActorError):
        ray.get(graph.execute(1))


def test_asyncio(compiled: Any) -> None:
    graph = compiled(chain(Stage.remote(1).add, Stage.remote(1).fail_on), enable_asyncio=True)

    async def main() -> None:
        future = await graph.execute_async(1)
        assert await future == 2
        with pytest.raises(ValueError, match="only be awaited upon once"):
            await future
        futures = [await graph.execute_async(value) for value in (1, 3, 5)]
        assert await asyncio.gather(*futures) == [2, 4, 6]
        bad = await graph.execute_async(2)
        with pytest.raises(KeyError):
            await bad
        with pytest.raises(ValueError, match="Use execute_async"):
            graph.execute(1)
        big = await graph.execute_async(np.ones(100_000))
        with pytest.raises(ValueError, match="ambiguous"):
            await big
        graph.teardown()

    asyncio.run(main())


def test_asyncio_when_an_actor_dies(compiled: Any, session: str) -> None:
    if session == "inline":
        pytest.skip("tasks share the driver's process, so one that dies takes all")
    one, two = Stage.remote(), Stage.remote()
    with dag.InputNode() as given:
        node = dag.MultiOutputNode([one.die.bind(given), two.echo.bind(given)])
    graph = compiled(node, enable_asyncio=True)

    async def main() -> None:
        first, second = await graph.execute_async(1)
        with pytest.raises(ray.exceptions.RayActorError):
            await first
        with pytest.raises(ray.exceptions.RayActorError):
            await second

    asyncio.run(main())


def test_execute_async_needs_asyncio(compiled: Any) -> None:
    graph = compiled(chain(Stage.remote().echo))
    with pytest.raises(ValueError, match="Use execute if enable_asyncio=False"):
        asyncio.run(graph.execute_async(1))


def _task_node() -> Any:
    @ray.remote
    def task(x: Any) -> Any:
        return x

    with dag.InputNode() as given:
        return task.bind(given)


def _class_node() -> Any:
    with dag.InputNode() as given:
        return Stage.bind().echo.bind(given)


def _nested() -> Any:
    with dag.InputNode() as given:
        return Stage.remote().echo.bind([given])


def _leaf() -> Any:
    stage = Stage.remote()
    with dag.InputNode() as given:
        node = stage.echo.bind(given)
        stage.echo.bind(given)
    return node


def _two_inputs() -> Any:
    with dag.InputNode() as one, dag.InputNode() as two:
        return dag.MultiOutputNode([Stage.remote().echo.bind(one), Stage.remote().echo.bind(two)])


def _unused() -> Any:
    with dag.InputNode() as given:
        _ = given.other
        return Stage.remote().echo.bind(given.used)


@pytest.mark.parametrize(
    ("node", "error", "words"),
    [
        (_task_node, NotImplementedError, "only support actor method nodes"),
        (_class_node, ValueError, "already created with Actor.remote"),
        (_nested, ValueError, "Found 1 DAGNodes"),
        (_leaf, ValueError, "leaf nodes"),
        (_unused, ValueError, "unused"),
        (lambda: Stage.remote().echo.bind(1), ValueError, "No InputNode found"),
        (_two_inputs, AssertionError, "More than one InputNode found"),
        (lambda: dag.InputNode().__enter__(), ValueError, "result"),
        (lambda: chain(Stage.remote().echo).with_tensor_transport("nccl"), ValueError, "shared memory alone"),
    ],
)
def test_what_cannot_be_compiled(node: Any, error: type[Exception], words: str) -> None:
    with pytest.raises(error, match=words):
        node().experimental_compile()


def test_compiling_twice_and_wrong_options(compiled: Any) -> None:
    node = chain(Stage.remote().echo)
    with pytest.raises(ValueError, match="_max_inflight_executions=0"):
        node.experimental_compile(_max_inflight_executions=0)
    compiled(node)
    with pytest.raises(ValueError, match="multiple times"):
        node.experimental_compile()
    with pytest.raises(ValueError, match="Invalid transport"):
        chain(Stage.remote().echo).with_tensor_transport("pigeon")


def test_refs_stay_where_they_are(compiled: Any) -> None:
    import copy
    import pickle

    graph = compiled(chain(Stage.remote().echo))
    ref = graph.execute(1)
    for refused in (copy.copy, copy.deepcopy, pickle.dumps):
        with pytest.raises(ValueError, match="CompiledDAGRef cannot be"):
            refused(ref)
    assert "execution_index=0" in repr(ref)


def test_a_picture(compiled: Any, tmp_path: Path) -> None:
    graph = compiled(chain(Stage.remote().echo))
    assert "echo()" in graph.visualize(filename=str(tmp_path / "graph"), format="dot")
    assert (tmp_path / "graph.dot").read_text().startswith("digraph")


def test_an_actor_compiles_a_graph() -> None:
    @ray.remote(num_cpus=0)
    class Owner:
        def run(self) -> Any:
            graph = chain(Stage.remote(1).add, Stage.remote(2).add).experimental_compile()
            found = [ray.get(graph.execute(value)) for value in range(3)]
            graph.teardown()
            return found

    assert ray.get(Owner.remote().run.remote(), timeout=30) == [3, 4, 5]
