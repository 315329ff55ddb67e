"""Objects: arrays read in place, frames, serializers, and code from anywhere."""

from __future__ import annotations

import collections
import dataclasses
import datetime
import decimal
import enum
import gc
import pathlib
import threading
from typing import Any

import numpy as np
import pytest

from .api import ray, submodule
from .helpers import get, run_script
from .support import differs_from_ray

util = submodule("util")

BIG = 1_000_000


@dataclasses.dataclass
class Point:
    x: int
    y: list[int]


class Colour(enum.Enum):
    RED = 1


Pair = collections.namedtuple("Pair", "left right")  # noqa: PYI024 -- the plain kind is what is tested


@ray.remote
def same(x: Any) -> Any:
    return x


@ray.remote
def total(x: Any) -> float:
    return float(x.sum())


# Arrays


def test_a_large_array_comes_back_equal() -> None:
    array = np.arange(BIG, dtype=np.float64)
    assert np.array_equal(get(ray.put(array)), array)


def test_arrays_from_get_are_read_only() -> None:
    array = get(ray.put(np.zeros(BIG)))
    assert not array.flags.writeable
    with pytest.raises(ValueError, match="read-only"):
        array[0] = 1.0


def test_small_arrays_are_read_only_too() -> None:
    array = get(ray.put(np.zeros(10)))
    assert not array.flags.writeable


def test_results_of_tasks_are_read_only() -> None:
    @ray.remote
    def make() -> Any:
        return np.ones(BIG)

    array = get(make.remote())
    assert not array.flags.writeable and array.sum() == BIG


def test_array_arguments_are_read_only_in_the_task() -> None:
    @ray.remote
    def tries(array: Any) -> str:
        try:
            array[0] = 1.0
        except ValueError as error:
            return str(error)
        return "wrote"

    assert "read-only" in get(tries.remote(ray.put(np.zeros(BIG))))
    assert "read-only" in get(tries.remote(np.zeros(BIG)))


def test_a_copy_can_be_written() -> None:
    array = get(ray.put(np.zeros(BIG))).copy()
    array[0] = 1.0
    assert array[0] == 1.0


def test_the_array_that_was_put_stays_writable_and_apart() -> None:
    array = np.zeros(BIG)
    ref = ray.put(array)
    array[0] = 5.0
    assert get(ref)[0] == 0.0


def test_two_gets_share_memory() -> None:
    ref = ray.put(np.zeros(BIG))
    assert np.shares_memory(get(ref), get(ref))


def test_a_view_survives_its_ref() -> None:
    ref = ray.put(np.full(BIG, 7.0))
    array = get(ref)
    del ref
    gc.collect()
    others = [ray.put(np.zeros(BIG)) for _ in range(5)]
    assert float(array.sum()) == 7.0 * BIG
    assert len(others) == 5


def test_a_slice_survives_its_array_and_ref() -> None:
    ref = ray.put(np.arange(BIG))
    part = get(ref)[10:20]
    del ref
    gc.collect()
    others = [ray.put(np.zeros(BIG)) for _ in range(5)]
    assert part.tolist() == list(range(10, 20))
    assert len(others) == 5


def test_an_array_kept_by_an_actor_survives_its_ref() -> None:
    @ray.remote
    class Keeper:
        def keep(self, array: Any) -> None:
            self.array = array

        def total(self) -> float:
            return float(self.array.sum())

    keeper = Keeper.remote()
    get(keeper.keep.remote(ray.put(np.ones(BIG))))
    gc.collect()
    others = [ray.put(np.zeros(BIG)) for _ in range(5)]
    assert get(keeper.total.remote()) == BIG
    assert len(others) == 5


def test_arrays_inside_containers_are_read_only() -> None:
    value = get(ray.put({"a": np.zeros(BIG), "b": [np.ones(3)]}))
    assert not value["a"].flags.writeable
    assert value["b"][0].tolist() == [1.0, 1.0, 1.0]


@pytest.mark.parametrize(
    "array",
    [
        np.zeros((0,)),
        np.array(5),
        np.arange(24).reshape(2, 3, 4),
        np.asfortranarray(np.arange(6).reshape(2, 3)),
        np.arange(10)[::2],
        np.array([True, False]),
        np.array(["a", "bc"]),
        np.array([1, "x", None], dtype=object),
        np.array(["2020-01-01"], dtype="datetime64[D]"),
        np.zeros(2, dtype=[("a", "i4"), ("b", "f8")]),
    ],
    ids=["empty", "scalar", "3d", "fortran", "strided", "bool", "text", "object", "date", "record"],
)
def test_arrays_of_any_kind(array: Any) -> None:
    for back in (get(ray.put(array)), get(same.remote(array))):
        assert back.dtype == array.dtype and back.shape == array.shape
        assert np.array_equal(back, array)


def test_one_array_for_many_tasks() -> None:
    ref = ray.put(np.ones(BIG))
    assert get([total.remote(ref) for _ in range(5)]) == [float(BIG)] * 5


def test_the_same_array_twice_in_one_value_stays_one() -> None:
    array = np.zeros(BIG)
    a, b = get(ray.put([array, array]))
    assert a is b


@pytest.mark.parametrize("size", [3, BIG])
def test_bytes(size: int) -> None:
    assert get(ray.put(b"x" * size)) == b"x" * size


@differs_from_ray("it comes back as bytes")
def test_a_bytearray_stays_one() -> None:
    assert type(get(ray.put([bytearray(3)]))[0]) is bytearray
    back = get(ray.put(bytearray(b"y" * BIG)))
    assert type(back) is bytearray and back == bytearray(b"y" * BIG)


def test_pandas_frames() -> None:
    pandas = pytest.importorskip("pandas")
    frame = pandas.DataFrame(
        {"a": range(1000), "b": [str(i) for i in range(1000)], "c": np.linspace(0, 1, 1000)}
    )
    pandas.testing.assert_frame_equal(get(same.remote(frame)), frame)
    assert get(total.remote(frame["a"])) == 499500


def test_arrow_tables() -> None:
    arrow = pytest.importorskip("pyarrow")
    table = arrow.table({"a": list(range(1000)), "b": [str(i) for i in range(1000)]})
    assert get(same.remote(table)).equals(table)


# Values of many kinds


@pytest.mark.parametrize(
    "value",
    [
        Point(1, [2]),
        Colour.RED,
        Pair(1, "b"),
        datetime.datetime(2024, 2, 29, tzinfo=datetime.UTC),
        decimal.Decimal("1.10"),
        pathlib.PurePosixPath("/a/b"),
        frozenset({1, 2}),
        collections.OrderedDict(a=1),
        range(3),
        slice(1, 2),
        float("inf"),
        "\N{SNOWMAN}\ud800",
        {(1, 2): {3: None}},
        int,
        len,
        Ellipsis,
    ],
    ids=lambda value: type(value).__name__,
)
def test_put_of_many_kinds(value: object) -> None:
    for back in (get(ray.put(value)), get(same.remote(value))):
        assert back == value and type(back) is type(value)


def test_a_value_that_holds_itself() -> None:
    loop: list[Any] = [1]
    loop.append(loop)
    back = get(ray.put(loop))
    assert back[1] is back


def test_lambdas_closures_and_local_classes_as_values() -> None:
    offset = 10

    class Local:
        def __init__(self, x: int) -> None:
            self.x = x

    back = get(same.remote([lambda x: x + offset, Local(3), Local]))
    assert back[0](1) == 11
    assert back[1].x == 3 and back[2](4).x == 4


def test_generators_cannot_be_put() -> None:
    with pytest.raises(TypeError, match="generator"):
        ray.put(x for x in range(3))


def test_exceptions_and_tracebacks_as_values() -> None:
    back = get(ray.put(ValueError("v", 1)))
    assert isinstance(back, ValueError) and back.args == ("v", 1)


# Serializers


class Socket:
    """Something that pickle refuses."""

    def __init__(self, port: int) -> None:
        self.port = port
        self.lock = threading.Lock()


def test_a_registered_serializer_is_used() -> None:
    util.register_serializer(Socket, serializer=lambda s: s.port, deserializer=lambda port: Socket(port))

    @ray.remote
    def port(box: list[Any]) -> int:
        return int(box[0].port)

    try:
        assert get(ray.put(Socket(80))).port == 80
        assert get(port.remote([Socket(81)])) == 81
    finally:
        util.deregister_serializer(Socket)


def test_a_serializer_is_registered_in_each_process_that_serializes() -> None:
    """What travels is the value and how to read it, so only the writer's process must know the type."""
    util.register_serializer(Socket, serializer=lambda s: s.port, deserializer=lambda port: Socket(port))
    try:

        @ray.remote
        def shift(socket: Any) -> Any:
            util.register_serializer(type(socket), serializer=lambda s: s.port, deserializer=type(socket))
            return type(socket)(socket.port + 1)

        assert get(shift.remote(Socket(1))).port == 2
    finally:
        util.deregister_serializer(Socket)


def test_a_deregistered_serializer_is_not_used() -> None:
    util.register_serializer(Socket, serializer=lambda s: s.port, deserializer=lambda port: Socket(port))
    util.deregister_serializer(Socket)
    with pytest.raises(TypeError, match="lock"):
        ray.put(Socket(80))


def test_deregistering_what_is_not_registered_does_nothing() -> None:
    util.deregister_serializer(Socket)


def test_inspect_serializability_of_something_fine(capsys: pytest.CaptureFixture[str]) -> None:
    fine, failures = util.inspect_serializability([1, 2], name="fine")
    assert fine is True and failures == set()


def test_inspect_serializability_names_the_culprit(capsys: pytest.CaptureFixture[str]) -> None:
    lock = threading.Lock()

    def uses_lock() -> None:
        with lock:
            pass

    fine, failures = util.inspect_serializability(uses_lock, name="uses_lock")
    assert fine is False
    assert [failure.obj for failure in failures] == [lock]
    assert "lock" in capsys.readouterr().out


# Code from anywhere


def module_level(x: int) -> int:
    return helper(x) * 2


def helper(x: int) -> int:
    return x + 1


def test_a_function_of_a_module() -> None:
    assert get(ray.remote(module_level).remote(1)) == 4


def test_a_class_of_a_module() -> None:
    back = get(same.remote(Point(1, [2])))
    assert type(back) is Point


def test_functions_and_classes_of_main(engine: str, tmp_path: Any) -> None:
    body = """
        import dataclasses

        @dataclasses.dataclass
        class Point:
            x: int

        FACTOR = 3

        def helper(p):
            return Point(p.x * FACTOR)

        @ray.remote
        def scale(p):
            return helper(p)

        @ray.remote
        class Store:
            def __init__(self):
                self.points = []

            def add(self, p):
                self.points.append(helper(p))
                return self.points

        assert ray.get(scale.remote(Point(2))) == Point(6)
        store = Store.remote()
        assert ray.get(store.add.remote(Point(1))) == [Point(3)]

        class Failure(Exception):
            pass

        @ray.remote
        def fail():
            raise Failure("of main")

        try:
            ray.get(fail.remote())
        except Failure as error:
            print("caught", isinstance(error, ray.exceptions.RayTaskError))
    """
    assert "caught True" in run_script(engine, tmp_path, body)


def test_recursion_between_functions_of_main(engine: str, tmp_path: Any) -> None:
    body = """
        @ray.remote
        def even(n):
            return n == 0 or ray.get(odd.remote(n - 1))

        @ray.remote
        def odd(n):
            return n != 0 and ray.get(even.remote(n - 1))

        print("even", ray.get(even.remote(4)))
    """
    assert "even True" in run_script(engine, tmp_path, body)


def test_a_module_next_to_the_program(engine: str, tmp_path: Any) -> None:
    (tmp_path / "neighbour.py").write_text("def triple(x):\n    return 3 * x\n", encoding="utf-8")
    body = """
        import neighbour

        @ray.remote
        def f(x):
            return neighbour.triple(x)

        print("tripled", ray.get(f.remote(2)))
    """
    assert "tripled 6" in run_script(engine, tmp_path, body)


def test_globals_of_main_are_those_of_the_first_call(engine: str, tmp_path: Any) -> None:
    """A function of ``__main__`` travels with the globals it uses, as they are when it is first called."""
    body = """
        LEVEL = 1

        @ray.remote
        def read():
            return LEVEL

        LEVEL = 2
        first = ray.get(read.remote())
        LEVEL = 3
        print("levels", first, ray.get(read.remote()))
    """
    assert "levels 2 2" in run_script(engine, tmp_path, body)


def test_a_function_redefined_is_a_new_function() -> None:
    answers = []
    for i in range(3):

        @ray.remote
        def f(i: int = i) -> int:
            return i

        answers.append(get(f.remote()))
    assert answers == [0, 1, 2]
