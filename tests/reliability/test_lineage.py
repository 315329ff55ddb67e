"""Objects that are lost with their node are made again by the tasks that made them, or raise an error that says why not."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

import skate as ray
from skate.cluster_utils import Cluster
from tests.support import wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator

_SIZE = 1_000_000
_PATIENCE = 30.0


@pytest.fixture
def cluster() -> Iterator[Cluster]:
    made = Cluster(initialize_head=True, head_node_args={"num_cpus": 1, "resources": {"head": 1}})
    ray.init(address=made.address)
    yield made
    made.shutdown()


@ray.remote
def big(log: str, text: str = "x") -> bytes:
    """A large object, and a line in a file for each time it is made."""
    with Path(log).open("a") as file:
        file.write(text)
    return text.encode() * _SIZE


@ray.remote
def longer(data: bytes, log: str) -> bytes:
    with Path(log).open("a") as file:
        file.write("+")
    return data + b"!"


@ray.remote
def length(data: bytes) -> int:
    return len(data)


def _ready(*refs: Any) -> None:
    assert ray.wait(list(refs), num_returns=len(refs), timeout=_PATIENCE)[1] == []


def _here(node: Any, function: Any, **more: Any) -> Any:
    return function.options(resources={next(n for n in node.resources if n.startswith("only")): 0.1}, **more)


def _add(cluster: Cluster, name: str = "only") -> Any:
    return cluster.add_node(num_cpus=1, resources={name: 1})


@pytest.fixture
def log(tmp_path: Path) -> str:
    return str(tmp_path / "log")


def _read(log: str) -> str:
    return Path(log).read_text()


def test_a_lost_result_is_made_again(cluster: Cluster, log: str) -> None:
    node = _add(cluster)
    ref = _here(node, big).remote(log)
    _ready(ref)
    cluster.remove_node(node)
    _add(cluster)
    assert len(ray.get(ref, timeout=_PATIENCE)) == _SIZE
    assert _read(log) == "xx"


def test_a_copy_elsewhere_is_enough(cluster: Cluster, log: str) -> None:
    node = _add(cluster)
    ref = _here(node, big).remote(log)
    assert len(ray.get(ref, timeout=_PATIENCE)) == _SIZE  # read here: this node has a copy now
    cluster.remove_node(node)
    assert len(ray.get(ref, timeout=_PATIENCE)) == _SIZE
    assert _read(log) == "x"


def test_a_small_result_lies_with_its_caller(cluster: Cluster) -> None:
    node = _add(cluster)
    ref = _here(node, length, max_retries=0).remote(b"abc")
    _ready(ref)
    cluster.remove_node(node)
    assert ray.get(ref, timeout=_PATIENCE) == 3


def test_what_two_need_is_made_again_for_both(cluster: Cluster, log: str) -> None:
    node = _add(cluster)
    first = _here(node, big).remote(log)
    one, two = (_here(node, longer).remote(first, log) for _ in range(2))
    _ready(one, two)
    del first  # nobody holds what both were made from any more
    wait_until(lambda: _stored() == 2, _PATIENCE, "what nobody holds to be gone")
    cluster.remove_node(node)
    _add(cluster)
    assert ray.get([one, two], timeout=_PATIENCE) == [b"x" * _SIZE + b"!"] * 2
    assert _read(log) == "x++" * 2


def test_it_waits_for_a_node_that_can_make_it(cluster: Cluster, log: str) -> None:
    node = _add(cluster)
    ref = _here(node, big).remote(log)
    _ready(ref)
    cluster.remove_node(node)
    assert ray.wait([ref], timeout=0.2)[0] == []
    with pytest.raises(ray.exceptions.GetTimeoutError):
        ray.get(ref, timeout=0.2)
    _add(cluster)
    assert len(ray.get(ref, timeout=_PATIENCE)) == _SIZE


def test_what_it_was_made_from_is_made_again_first(cluster: Cluster, log: str) -> None:
    node = _add(cluster)
    first = _here(node, big).remote(log)
    last = _here(node, longer).remote(_here(node, longer).remote(first, log), log)
    _ready(last)
    del first  # nobody holds what it was made from any more
    wait_until(lambda: _stored() == 1, _PATIENCE, "what nobody holds to be gone")
    cluster.remove_node(node)
    _add(cluster)
    assert ray.get(last, timeout=_PATIENCE) == b"x" * _SIZE + b"!!"
    assert _read(log) == "x++" * 2


def _stored() -> int:
    from skate.core import runtime
    from skate.engine.local import protocol

    engine: Any = runtime.current()
    return int(engine.ask(protocol.INFO, "store")[2])


def test_a_task_gets_the_argument_that_was_lost(cluster: Cluster, log: str) -> None:
    node = _add(cluster)
    ref = _here(node, big).remote(log)
    _ready(ref)
    cluster.remove_node(node)
    answer = length.remote(ref)
    _add(cluster)
    assert ray.get(answer, timeout=_PATIENCE) == _SIZE


def test_a_borrower_gets_it_too(cluster: Cluster, log: str) -> None:
    node = _add(cluster)
    ref = _here(node, big).remote(log)
    _ready(ref)

    @ray.remote(num_cpus=0)
    class Borrower:
        def __init__(self, box: list[Any]) -> None:
            self.box = box

        def size(self) -> int:
            return len(ray.get(self.box[0]))

    borrower = Borrower.options(resources={"head": 0.1}).remote([ref])
    ray.get(borrower.__ray_ready__.remote(), timeout=_PATIENCE)
    del ref
    cluster.remove_node(node)
    answer = borrower.size.remote()
    _add(cluster)
    assert ray.get(answer, timeout=_PATIENCE) == _SIZE


def test_several_results_and_only_the_lost_change(cluster: Cluster, log: str) -> None:
    node = _add(cluster)

    @ray.remote(num_returns=3)
    def three(log: str) -> tuple[Any, ...]:
        with Path(log).open("a") as file:
            file.write("3")
        return b"a" * _SIZE, 1, b"b" * _SIZE

    a, one, b = _here(node, three).remote(log)
    _ready(a, one, b)
    cluster.remove_node(node)
    _add(cluster)
    assert ray.get(b, timeout=_PATIENCE)[:1] == b"b"
    assert ray.get([a, one], timeout=_PATIENCE) == [b"a" * _SIZE, 1]
    assert _read(log) == "33"


def test_items_of_a_generator(cluster: Cluster, log: str) -> None:
    node = _add(cluster)

    @ray.remote
    def items(log: str) -> Iterator[bytes]:
        for letter in b"abc":
            with Path(log).open("a") as file:
                file.write(chr(letter))
            yield bytes([letter]) * _SIZE

    refs = list(_here(node, items).remote(log))
    _ready(*refs)
    cluster.remove_node(node)
    _add(cluster)
    assert [value[:1] for value in ray.get(refs, timeout=_PATIENCE)] == [b"a", b"b", b"c"]
    assert _read(log) == "abcabc"


def test_max_retries_bounds_it(cluster: Cluster, log: str) -> None:
    node = _add(cluster)
    ref = _here(node, big, max_retries=1).remote(log)
    _ready(ref)
    cluster.remove_node(node)
    node = _add(cluster)
    wait_until(lambda: _read(log) == "xx" and not ray.wait([ref], timeout=0)[1], _PATIENCE, "the second run")
    cluster.remove_node(node)
    with pytest.raises(
        ray.exceptions.ObjectReconstructionFailedError, match="MAX_ATTEMPTS_EXCEEDED.*max_retries=1"
    ):
        ray.get(ref, timeout=_PATIENCE)
    with pytest.raises(ray.exceptions.ObjectReconstructionFailedError):
        ray.get(length.remote(ref), timeout=_PATIENCE)


def test_a_task_without_retries_is_not_run_again(cluster: Cluster, log: str) -> None:
    node = _add(cluster)
    ref = _here(node, big, max_retries=0).remote(log)
    _ready(ref)
    cluster.remove_node(node)
    with pytest.raises(
        ray.exceptions.ObjectReconstructionFailedError, match="RETRIES_DISABLED.*max_retries=0"
    ):
        ray.get(ref, timeout=_PATIENCE)
    assert _read(log) == "x"


def test_an_actors_result_is_not_made_again(cluster: Cluster) -> None:
    node = _add(cluster)

    @ray.remote(num_cpus=0, resources={"only": 0.1})
    class Maker:
        def make(self) -> bytes:
            return b"x" * _SIZE

    maker = Maker.remote()
    ref = maker.make.remote()
    _ready(ref)
    cluster.remove_node(node)
    with pytest.raises(ray.exceptions.ObjectReconstructionFailedError, match="RETRIES_DISABLED"):
        ray.get(ref, timeout=_PATIENCE)


class _Maker:
    def __init__(self, log: str) -> None:
        self.log = log

    def make(self) -> bytes:
        with Path(self.log).open("a") as file:
            file.write("x")
        return b"x" * _SIZE

    def twice(self, data: bytes) -> bytes:
        return data * 2


def test_a_result_of_an_actor_with_retries_is_made_again(cluster: Cluster, log: str) -> None:
    node = _add(cluster)
    options = {"num_cpus": 0, "resources": {"only": 0.1}, "max_restarts": -1, "max_task_retries": 1}
    maker = ray.remote(_Maker).options(**options).remote(log)
    ref = maker.make.remote()
    double = maker.twice.remote(ref)
    _ready(ref, double)
    cluster.remove_node(node)
    node = _add(cluster)
    assert len(ray.get(double, timeout=_PATIENCE)) == 2 * _SIZE
    assert _read(log) == "xx"
    _ready(ref)
    cluster.remove_node(node)
    _add(cluster)
    with pytest.raises(ray.exceptions.ObjectReconstructionFailedError, match="max_task_retries"):
        ray.get(ref, timeout=_PATIENCE)


def test_a_result_of_an_actor_that_has_ended_is_lost(cluster: Cluster, log: str) -> None:
    node = _add(cluster)
    options = {"num_cpus": 0, "resources": {"only": 0.1}, "max_restarts": -1, "max_task_retries": -1}
    maker = ray.remote(_Maker).options(**options).remote(log)
    ref = maker.make.remote()
    _ready(ref)
    del maker  # a result keeps no actor alive
    wait_until(lambda: ray.available_resources().get("only") == 1, _PATIENCE, "the actor's end")
    cluster.remove_node(node)
    with pytest.raises(ray.exceptions.ObjectReconstructionFailedError, match="the actor has ended"):
        ray.get(ref, timeout=_PATIENCE)


def test_what_a_dead_process_had_put_is_lost_with_its_owner(cluster: Cluster) -> None:
    node = _add(cluster)

    @ray.remote
    def put() -> list[Any]:
        return [ray.put(b"x" * _SIZE)]

    (ref,) = ray.get(_here(node, put).remote(), timeout=_PATIENCE)
    cluster.remove_node(node)
    with pytest.raises(ray.exceptions.OwnerDiedError):
        ray.get(ref, timeout=_PATIENCE)


def test_nothing_is_remembered_that_nobody_holds(cluster: Cluster, log: str) -> None:
    from skate.core import runtime

    node = _add(cluster)
    ref = _here(node, longer).remote(_here(node, big).remote(log), log)
    _ready(ref)
    engine: Any = runtime.current()
    assert len(engine.lineage.records) == 2
    del ref
    wait_until(lambda: not engine.lineage.records, _PATIENCE, "the records to go")


@ray.remote(max_retries=-1)
def leaf(number: int) -> list[int]:
    return [number] * 100_000


@ray.remote(max_retries=-1)
def added(left: list[int], right: list[int]) -> list[int]:
    return [left[0] + right[0]] * 100_000


def _tree() -> Any:
    """The sum of eight leaves."""
    refs = [leaf.remote(number) for number in range(8)]
    while len(refs) > 1:
        refs = [added.remote(*refs[index : index + 2]) for index in range(0, len(refs), 2)]
    return refs[0]


def test_a_tree_of_tasks_is_right_although_nodes_die_in_the_middle_of_it() -> None:
    from skate.core import runtime

    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 0})
    nodes = [cluster.add_node(num_cpus=2) for _ in range(3)]
    ray.init(address=cluster.address)
    for done in range(4):
        ref = _tree()
        ray.wait([ref], timeout=0.02 * done)  # the node dies at another moment each time
        cluster.remove_node(nodes.pop(0))
        nodes.append(cluster.add_node(num_cpus=2))
        assert ray.get(ref, timeout=_PATIENCE)[0] == sum(range(8))
        del ref
    engine: Any = runtime.current()
    wait_until(lambda: not engine.lineage.records and not _stored(), _PATIENCE, "all to be forgotten")
    cluster.shutdown()
