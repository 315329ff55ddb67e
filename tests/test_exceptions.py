from __future__ import annotations

import abc
import asyncio
import copy
import copyreg
import dataclasses
import pickle
import subprocess
import sys
import traceback
from typing import Any, Self, cast

import cloudpickle
import pytest
from hypothesis import given
from hypothesis import strategies as st

from skate import exceptions
from skate.exceptions import RayError, RayTaskError

TRACEBACK = 'Traceback (most recent call last):\n  File "a.py", line 1, in f\n    g()\nValueError: y\n'

# The public names of ray.exceptions 2.60, and the built-in classes that each derives from besides Exception.
RAY_NAMES: dict[str, tuple[type, ...]] = {
    "ActorAlreadyExistsError": (ValueError,),
    "ActorDiedError": (),
    "ActorHandleNotFoundError": (ValueError,),
    "ActorPlacementGroupRemoved": (),
    "ActorUnavailableError": (),
    "ActorUnschedulableError": (),
    "AsyncioActorExit": (),
    "AuthenticationError": (),
    "CrossLanguageError": (),
    "GetTimeoutError": (TimeoutError,),
    "LocalRayletDiedError": (),
    "NodeDiedError": (),
    "ObjectFetchTimedOutError": (),
    "ObjectFreedError": (),
    "ObjectLostError": (),
    "ObjectReconstructionFailedError": (),
    "ObjectRefStreamEndOfStreamError": (),
    "ObjectStoreFullError": (),
    "OufOfBandObjectRefSerializationException": (),
    "OutOfDiskError": (),
    "OutOfMemoryError": (),
    "OwnerDiedError": (),
    "PendingCallsLimitExceeded": (),
    "PlasmaObjectNotAvailable": (),
    "RayActorError": (),
    "RayCgraphCapacityExceeded": (),
    "RayChannelError": (),
    "RayChannelTimeoutError": (TimeoutError,),
    "RayDirectTransportError": (),
    "RayError": (),
    "RaySystemError": (),
    "RayTaskError": (),
    "ReferenceCountingAssertionError": (AssertionError,),
    "RpcError": (),
    "RuntimeEnvSetupError": (),
    "StreamingGeneratorReplayInconsistentError": (),
    "TaskCancelledError": (),
    "TaskPlacementGroupRemoved": (),
    "TaskUnschedulableError": (),
    "UnserializableException": (),
    "UserCodeException": (),
    "WorkerCrashedError": (),
}

text = st.text(max_size=20)
optional_text = st.none() | text
objects_lost = st.tuples(text, optional_text, text)
# The constructor arguments of each class; those not listed take anything.
ARGUMENTS: dict[str, st.SearchStrategy[tuple[Any, ...]]] = {
    "ActorDiedError": st.tuples(
        st.none()
        | st.builds(lambda name: RayTaskError(name, TRACEBACK, ValueError(name), actor_id="ab"), text)
        | st.builds(
            exceptions.ActorDiedErrorContext,
            text,
            text | st.binary(max_size=4),
            text,
            preempted=st.booleans(),
        )
    ),
    "ActorUnavailableError": st.tuples(text, st.none() | st.binary(max_size=16)),
    "RayActorError": st.tuples(optional_text, text, st.booleans(), st.booleans()),
    "RayTaskError": st.builds(
        lambda name, error, rest: (name, TRACEBACK, error, *rest),
        text,
        st.none() | st.builds(ValueError, text) | st.builds(KeyError, st.integers()),
        st.tuples(optional_text, st.none() | st.integers(), optional_text, optional_text, optional_text),
    ),
    "RpcError": st.tuples(text, st.none() | st.integers()),
    "RuntimeEnvSetupError": st.tuples(optional_text),
    "TaskCancelledError": st.tuples(optional_text, optional_text),
    **dict.fromkeys(
        (
            "ObjectFetchTimedOutError",
            "ObjectFreedError",
            "ObjectLostError",
            "OwnerDiedError",
            "ReferenceCountingAssertionError",
        ),
        objects_lost,
    ),
    "ObjectReconstructionFailedError": st.tuples(text, optional_text, optional_text, optional_text, text),
    **dict.fromkeys(
        (
            "RayCgraphCapacityExceeded",
            "RayChannelError",
            "RayChannelTimeoutError",
            "RayDirectTransportError",
            "RaySystemError",
            "StreamingGeneratorReplayInconsistentError",
        ),
        st.tuples(text | st.integers(), optional_text),
    ),
    **dict.fromkeys(
        (
            "ActorAlreadyExistsError",
            "ActorHandleNotFoundError",
            "ActorUnschedulableError",
            "AuthenticationError",
            "CrossLanguageError",
            "NodeDiedError",
            "OutOfMemoryError",
            "TaskUnschedulableError",
            "UnserializableException",
        ),
        st.tuples(text),
    ),
}


def there_and_back(value: Any) -> Any:
    return pickle.loads(cloudpickle.dumps(value))


def state(error: BaseException) -> Any:
    """What must survive pickling; causes are compared by type and arguments."""
    return comparable({"args": error.args, **vars(error)})


def comparable(value: Any) -> Any:
    if isinstance(value, BaseException):
        return type(value), comparable(value.args), comparable(vars(value))
    if isinstance(value, (tuple, list)):
        return [comparable(each) for each in value]
    if isinstance(value, dict):
        return {key: comparable(each) for key, each in value.items()}
    return value


def test_all_of_ray_s_names_are_here() -> None:
    assert set(exceptions.__all__) == {*RAY_NAMES, "ActorDiedErrorContext", "DeadlockError"}


@pytest.mark.parametrize("name", RAY_NAMES)
def test_each_is_a_ray_error_of_this_module(name: str) -> None:
    cls = getattr(exceptions, name)
    assert issubclass(cls, RayError)
    assert cls.__module__ == "skate.exceptions"
    assert cls.__doc__
    for base in RAY_NAMES[name]:
        assert issubclass(cls, base)


@pytest.mark.parametrize("name", RAY_NAMES)
@given(data=st.data())
def test_everything_survives_pickling(name: str, data: st.DataObject) -> None:
    arguments = data.draw(ARGUMENTS.get(name, st.lists(text, max_size=2).map(tuple)))
    error = getattr(exceptions, name)(*arguments)
    copied = there_and_back(error)
    assert type(copied) is type(error)
    assert str(copied) == str(error)
    assert state(copied) == state(error)
    assert state(copy.copy(error)) == state(error)
    assert state(copy.deepcopy(error)) == state(error)


def test_a_subclass_of_the_user_s_survives_pickling() -> None:
    class MyTimeout(exceptions.GetTimeoutError):
        def __init__(self, *, needed: int) -> None:
            super().__init__("late")
            self.needed = needed

    copied = there_and_back(MyTimeout(needed=3))
    assert (type(copied), copied.needed, str(copied)) == (MyTimeout, 3, "late")


@pytest.mark.parametrize("name", sorted(set(RAY_NAMES) - {"RayTaskError"}))
def test_messages_fit_a_screen(name: str) -> None:
    needed = {"ObjectLostError": ("ab" * 28,), "ActorUnavailableError": ("restarting", b"\1" * 16)}
    cls = getattr(exceptions, name)
    try:
        error = cls(*needed.get(name, ()))
    except TypeError:
        error = cls("what happened")
    assert all(len(line) < 300 for line in str(error).splitlines())
    assert len(str(error).splitlines()) < 10


def test_fields_are_those_of_ray() -> None:
    actor = exceptions.RayActorError("ab", "gone", True, True)
    assert (actor.actor_id, actor.error_msg, actor.actor_init_failed, actor.preempted) == (
        "ab",
        "gone",
        True,
        True,
    )
    assert str(actor) == "gone"
    unavailable = exceptions.ActorUnavailableError("restarting", b"\x01\xff")
    assert unavailable.actor_id == "01ff"
    assert "restarting" in str(unavailable)
    lost = exceptions.ObjectLostError("abcd", None, "a.py:3")
    assert (lost.object_ref_hex, lost.owner_address, lost.call_site) == ("abcd", None, "a.py:3")
    assert "abcd" in str(lost)
    assert "a.py:3" in str(lost)
    assert str(exceptions.TaskCancelledError("id", "why")) == "Task: id was cancelled. why"
    assert exceptions.RpcError("m", 3).rpc_code == 3
    assert exceptions.RaySystemError("boom", "where").traceback_str == "where"
    assert "not enough" in str(exceptions.TaskUnschedulableError("not enough"))
    assert "SIGKILL" in str(exceptions.WorkerCrashedError("ended by SIGKILL"))


class TestActorDied:
    def test_of_an_error_in_the_constructor(self) -> None:
        cause = RayTaskError("A.__init__", TRACEBACK, ValueError("y"), actor_id="ab")
        error = exceptions.ActorDiedError.from_task_error(cause)
        assert error.actor_init_failed
        assert error.actor_id == "ab"
        assert error.cause is cause
        assert "ValueError: y" in str(error)

    def test_of_a_death(self) -> None:
        context = exceptions.ActorDiedErrorContext(
            "The process was ended by SIGKILL.", b"\xab", "A", "name", "space", 12, "10.0.0.1", preempted=True
        )
        error = exceptions.ActorDiedError(context)
        assert (error.actor_id, error.actor_init_failed, error.preempted) == ("ab", False, True)
        for part in ("SIGKILL", "ab", "A", "name", "space", "12", "10.0.0.1"):
            assert part in str(error)
        assert there_and_back(error).cause == context

    def test_before_it_started(self) -> None:
        assert "constructor" in str(
            exceptions.ActorDiedError(exceptions.ActorDiedErrorContext(never_started=True))
        )


class Required(Exception):
    code = 0

    def __init__(self, a: int, *, code: int) -> None:
        super().__init__("message", a)
        self.code = code


class Slots(Exception):
    __slots__ = ("__hidden", "shown")

    def __init__(self, shown: int) -> None:
        self.shown = shown
        self.__hidden = shown + 1

    def hidden(self) -> int:
        return self.__hidden


@dataclasses.dataclass(frozen=True)
class Frozen(Exception):
    a: int
    b: str = "b"


class Final(Exception):
    def __init_subclass__(cls) -> None:
        raise TypeError("no subclasses")


class Abstract(Exception, metaclass=abc.ABCMeta):
    @abc.abstractmethod
    def method(self) -> None: ...


class MyOSError(OSError):
    def __init__(self, extra: int) -> None:
        super().__init__(2, "missing", "file")
        self.extra = extra


class MyGroup(ExceptionGroup[Exception]):
    tag: str

    def __new__(cls, errors: list[Exception], tag: str) -> Self:
        made = super().__new__(cls, "mine", errors)
        made.tag = tag
        return made

    def derive(self, excs: Any) -> Any:
        return MyGroup(list(excs), self.tag)


class Dynamic(Exception):
    def __getattr__(self, name: str) -> int:
        if name == "computed":
            return 3
        raise AttributeError(name)


class OwnPickling(Exception):
    def __init__(self, a: int, b: int) -> None:
        super().__init__("own")
        self.total = a + b
        self.parts = (a, b)

    def __reduce__(self) -> Any:
        return OwnPickling, self.parts


class Clashing(Exception):
    """Has names of ours."""

    def __init__(self) -> None:
        super().__init__("clash")
        self.pid = "its pid"
        self.cause = "its cause"


class Described(Exception):
    def __init__(self, status: int) -> None:
        self.status = status

    def __str__(self) -> str:
        return f"status {self.status}"

    @property
    def twice(self) -> int:
        return 2 * self.status


def raised(code: str) -> BaseException:
    try:
        exec(code, {})
    except Exception as error:  # noqa: BLE001 -- whatever the code raises
        return error
    raise AssertionError(f"{code} raised nothing")


CASES: list[tuple[BaseException, dict[str, Any]]] = [
    (ValueError("y"), {"args": ("y",)}),
    (KeyError("k"), {"args": ("k",)}),
    (Required(1, code=4), {"code": 4, "args": ("message", 1)}),
    (Slots(3), {"shown": 3}),
    (Frozen(1, b="q"), {"a": 1, "b": "q"}),
    (cast("Any", Abstract)("abstract"), {"args": ("abstract",)}),
    (MyOSError(9), {"extra": 9, "errno": 2, "strerror": "missing", "filename": "file"}),
    (OSError(2, "missing", "file"), {"errno": 2, "filename": "file"}),
    (FileNotFoundError(2, "missing", "a", None, "b"), {"filename": "a", "filename2": "b"}),
    (SystemExit(3), {"code": 3}),
    (KeyboardInterrupt(), {}),
    (GeneratorExit(), {}),
    (asyncio.CancelledError("stop"), {"args": ("stop",)}),
    (StopIteration(4), {"value": 4}),
    (MyGroup([ValueError(1), TypeError(2)], "tag"), {"tag": "tag", "message": "mine"}),
    (Dynamic("dynamic"), {"computed": 3}),
    (OwnPickling(1, 2), {"total": 3}),
    (Described(404), {"status": 404, "twice": 808}),
    (raised("{}.absent"), {"name": "absent"}),
    (raised("absent"), {"name": "absent"}),
    (raised("import no_such_module_here"), {"name": "no_such_module_here"}),
    (raised("compile('a b', 'f.py', 'exec')"), {"filename": "f.py", "text": "a b\n"}),
    (raised("b'\\xff'.decode()"), {"object": b"\xff", "start": 0}),
    (exceptions.ObjectLostError("abcd"), {"object_ref_hex": "abcd"}),
    (exceptions.WorkerCrashedError(), {}),
    (Exception("plain"), {"args": ("plain",)}),
    (BaseException("base"), {"args": ("base",)}),
]


def of(cause: BaseException) -> RayTaskError:
    return RayTaskError("f", TRACEBACK, cause, pid=12, ip="10.0.0.1")


class TestDualInstance:
    @pytest.mark.parametrize(("cause", "attributes"), CASES, ids=lambda each: type(each).__name__)
    def test_is_of_both_types_and_reads_as_the_cause(
        self, cause: BaseException, attributes: dict[str, Any]
    ) -> None:
        dual = of(cause).as_instanceof_cause()
        assert dual.cause is cause
        for each in (dual, there_and_back(dual), copy.copy(dual)):
            assert isinstance(each, RayTaskError)
            assert isinstance(each, type(cause))
            assert type(each) is type(dual)
            assert type(each).__name__ == f"RayTaskError({type(cause).__name__})"
            assert type(each.cause) is type(cause)
            assert str(each) == str(of(cause))
            assert {name: getattr(each, name) for name in attributes} == attributes

    @pytest.mark.parametrize("cause", [case[0] for case in CASES], ids=lambda each: type(each).__name__)
    def test_can_be_raised_and_caught_by_either_type(self, cause: BaseException) -> None:
        for caught in (type(cause), RayTaskError):
            with pytest.raises(caught) as info:
                raise of(cause).as_instanceof_cause()
            assert info.value.__traceback__ is not None
            hash(info.value)
            info.value.add_note("a note")
            assert "a note" in "".join(traceback.format_exception(info.value))

    def test_its_class_is_made_once(self) -> None:
        assert type(of(KeyError("a")).as_instanceof_cause()) is type(of(KeyError("b")).as_instanceof_cause())

    def test_is_made_at_most_once_over(self) -> None:
        dual = of(KeyError("a")).as_instanceof_cause()
        assert dual.as_instanceof_cause() is dual
        assert dual.make_dual_exception_instance() is dual

    def test_of_a_task_error_is_that_error(self) -> None:
        inner = of(KeyError("a")).as_instanceof_cause()
        outer = of(inner)
        assert outer.as_instanceof_cause() is outer
        assert isinstance(there_and_back(outer).cause, KeyError)

    def test_without_a_cause(self) -> None:
        plain = RayTaskError("f", TRACEBACK)
        assert plain.as_instanceof_cause() is plain
        assert there_and_back(plain).cause is None

    @pytest.mark.parametrize("cause", [Final("final"), BaseExceptionGroup("group", [KeyboardInterrupt()])])
    def test_a_class_that_cannot_be_combined_stays_in_cause(self, cause: BaseException) -> None:
        plain = of(cause)
        for _ in range(2):
            assert plain.as_instanceof_cause() is plain
        copied = there_and_back(plain)
        assert type(copied) is RayTaskError
        assert type(copied.cause) is type(cause)
        assert [note for note in copied.__notes__ if ".cause" in note] == copied.__notes__
        assert len(copied.__notes__) == 1

    def test_groups_can_be_split(self) -> None:
        group = MyGroup([Required(1, code=5), TypeError(2)], "tag")
        seen: list[Any] = []
        try:
            raise there_and_back(of(group).as_instanceof_cause())
        except* Required as part:
            seen.append(part)
        except* TypeError as part:
            seen.append(part)
        assert [[type(each) for each in part.exceptions] for part in seen] == [[Required], [TypeError]]
        assert seen[0].tag == "tag"
        assert seen[0].exceptions[0].code == 5

    def test_private_slots_survive(self) -> None:
        dual = there_and_back(of(Slots(3)).as_instanceof_cause())
        assert dual.hidden() == 4
        assert dual.cause.hidden() == 4

    def test_names_that_clash_are_the_cause_s_except_cause(self) -> None:
        dual: Any = of(Clashing()).as_instanceof_cause()
        assert dual.pid == "its pid"
        assert isinstance(dual.cause, Clashing)
        assert dual.cause.cause == "its cause"
        assert dual.function_name == "f"
        assert "pid=12" in str(dual)

    def test_an_unknown_attribute_is_an_attribute_error(self) -> None:
        with pytest.raises(AttributeError, match="absent"):
            _ = of(ValueError()).as_instanceof_cause().absent

    def test_a_cause_that_refers_to_itself_survives(self) -> None:
        cause: Any = ValueError("cycle")
        cause.itself = cause
        copied = there_and_back(of(cause).as_instanceof_cause())
        inner = copied.cause.itself
        assert str(inner) == "cycle"
        assert inner.itself is inner

    def test_notes_survive(self) -> None:
        cause = ValueError("noted")
        cause.add_note("look here")
        assert there_and_back(of(cause).as_instanceof_cause()).__notes__ == ["look here"]

    def test_attributes_can_be_set(self) -> None:
        dual: Any = of(Frozen(1)).as_instanceof_cause()
        dual.extra = 1
        assert dual.extra == 1
        slotted: Any = of(Slots(3)).as_instanceof_cause()
        slotted.shown = 5
        assert slotted.shown == slotted.cause.shown == 5


class TestText:
    def test_shows_where_and_what(self) -> None:
        lines = str(of(ValueError("y"))).splitlines()
        assert lines[0] == "skate::f() (pid=12, ip=10.0.0.1)"
        assert lines[1:] == TRACEBACK.splitlines()[1:]

    def test_shows_the_actor(self) -> None:
        error = RayTaskError("A.f", TRACEBACK, None, pid=1, ip="h", actor_repr="A()", actor_id="ab")
        assert str(error).startswith("skate::A.f() (pid=1, ip=h, actor_id=ab, repr=A())\n")

    def test_shows_each_traceback_of_a_chain(self) -> None:
        chained = (
            f"{TRACEBACK}\nDuring handling of the above exception, another exception occurred:\n\n{TRACEBACK}"
        )
        assert str(RayTaskError("f", chained)).count("skate::f()") == 2

    def test_leaves_out_the_middle_of_a_long_one(self) -> None:
        lines = [f"  line {number}" for number in range(1000)]
        error = RayTaskError("f", "\n".join(["Traceback (most recent call last):", *lines, "ValueError: y"]))
        shown = str(error).splitlines()
        assert len(shown) == 60
        assert shown[1] == "  line 0"
        assert shown[-1] == "ValueError: y"
        left_out = 1002 - 59
        assert any(f"{left_out} lines left out" in line for line in shown)
        assert len(error.traceback_str.splitlines()) == 1002


def test_importing_is_cheap() -> None:
    code = "import skate.exceptions, sys; print(*sys.modules)"
    loaded = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    ).stdout.split()
    assert not {"asyncio", "multiprocessing", "logging", "socket", "traceback", "unittest"} & set(loaded)


def test_a_pickling_that_is_registered_for_all_exceptions_is_no_class_s_own(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    class NeedsTwo(Exception):
        def __init__(self, code: int, reason: str) -> None:
            super().__init__(reason)

    def for_all(error: BaseException) -> Any:
        return type(error), error.args

    for cls in (Exception, NeedsTwo):
        monkeypatch.setitem(copyreg.dispatch_table, cls, for_all)
    error = RayTaskError("f", "Traceback", NeedsTwo(1, "because"))
    assert cloudpickle.loads(cloudpickle.dumps(error)).cause.args == ("because",)


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (exceptions.RayActorError(), "The actor experienced an error before finishing this task"),
        (exceptions.TaskPlacementGroupRemoved(), "group corresponding to this task has been removed"),
        (exceptions.ActorPlacementGroupRemoved(), "group corresponding to this Actor has been removed"),
        (exceptions.RuntimeEnvSetupError("no pip"), "Failed to set up runtime environment.\nno pip"),
        (exceptions.ObjectLostError("ab" * 28), f"Failed to retrieve object {'ab' * 28}"),
    ],
    ids=lambda given: type(given).__name__,
)
def test_words_that_programs_match_on(error: RayError, words: str) -> None:
    assert words in str(error)
