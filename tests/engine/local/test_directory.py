"""Who still wants an object: an entry lives exactly as long as somebody does, by comparison with a plain model."""

from __future__ import annotations

from collections import Counter
from typing import Any

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from skate.core.ref import BYTES
from skate.engine.local.node.directory import ERROR, LOST, OWNER_SHIFT, PENDING, STORED, Directory

_CLIENTS = st.integers(1, 3)
_KEYS = st.builds(lambda owner, number: (owner << OWNER_SHIFT) | number, _CLIENTS, st.integers(1, 4))


class Holds(RuleBasedStateMachine):
    """The directory beside a model that only knows who wants what."""

    @initialize()
    def begin(self) -> None:
        self.directory = Directory()
        self.live: set[int] = set()
        self.holders: Counter[tuple[int, int]] = Counter()
        self.pins: Counter[tuple[int, int]] = Counter()
        self.waiters: set[tuple[int, int]] = set()
        self.outside: Counter[int] = Counter()
        self.nested: dict[int, tuple[int, ...]] = {}
        self.state: dict[int, str] = {}
        self.used: set[int] = set()
        self.writers: dict[int, int] = {}
        self.next_offset = 0
        self.offsets: dict[int, int] = {}
        self.freed: set[int] = set()
        for client in (1, 2, 3):
            self.directory.client_joined(client)
            self.live.add(client)

    # -- the model -----------------------------------------------------------------------------------------

    def containers(self, key: int) -> int:
        return self.outside[key] + sum(inner.count(key) for inner in self.nested.values())

    def wanted(self, key: int) -> bool:
        return bool(
            any(count for (_c, k), count in self.holders.items() if k == key)
            or any(count for (_c, k), count in self.pins.items() if k == key)
            or any(k == key for _c, k in self.waiters)
            or self.containers(key)
        )

    def settle(self) -> None:
        """Free in the model what nobody wants, until nothing changes; then compare what the directory said."""
        gone = []
        while doomed := [key for key in self.state if not self.wanted(key)]:
            for key in doomed:
                gone.append(key)
                del self.state[key]
                self.nested.pop(key, None)
        said_gone = [rest[0] for what, *rest in self.directory.out if what == "gone"]
        # An entry that is made and dropped within one event may be told of too; a living one never.
        assert set(gone) <= set(said_gone)
        assert not set(said_gone) & set(self.state)
        for what, *rest in self.directory.out:
            if what == "free":
                assert rest[0] not in self.freed, "memory was freed twice"
                self.freed.add(rest[0])
            elif what == "object":
                client, key = rest
                assert (client, key) not in self.waiters or client not in self.live
        self.directory.out.clear()
        assert set(self.directory.entries) == set(self.state)

    def touch(self, key: int) -> None:
        self.state.setdefault(key, "unknown")
        self.used.add(key)

    def answer(self, key: int) -> None:
        self.waiters = {(c, k) for c, k in self.waiters if k != key}

    def older(self, key: int, candidates: list[int]) -> tuple[int, ...]:
        """Refs that the object may contain: a value can't contain itself, so only those with smaller numbers."""
        mask = (1 << OWNER_SHIFT) - 1
        return tuple(k for k in candidates if (k & mask) < (key & mask))

    # -- events --------------------------------------------------------------------------------------------

    @rule(client=_CLIENTS, key=_KEYS, delta=st.sampled_from([-2, -1, 1, 2]))
    def count(self, client: int, key: int, delta: int) -> None:
        self.directory.count(client, [(key, delta)])
        if client in self.live:
            self.touch(key)
            self.holders[client, key] += delta
        self.settle()

    @rule(key=_KEYS, has_value=st.booleans(), inner=st.lists(_KEYS, max_size=3))
    def publish(self, key: int, has_value: bool, inner: list[int]) -> None:
        client = key >> OWNER_SHIFT
        if client not in self.live:
            return
        nested = self.older(key, inner) if has_value else ()
        self.directory.publish(client, key, BYTES if has_value else PENDING, b"", nested)
        self.touch(key)
        self.holders[client, key] += 1
        if self.state[key] in ("unknown", "pending"):
            self.state[key] = "pending"
            if has_value:
                self.fill(key, nested)
        self.settle()

    @rule(key=_KEYS, inner=st.lists(_KEYS, max_size=3))
    def resolve(self, key: int, inner: list[int]) -> None:
        client = key >> OWNER_SHIFT
        if client not in self.live:
            return
        nested = self.older(key, inner)
        self.directory.resolve(client, key, BYTES, b"", nested)
        if self.state.get(key) in ("unknown", "pending"):
            self.fill(key, nested)
        self.settle()

    def fill(self, key: int, nested: tuple[int, ...]) -> None:
        self.state[key] = "known"
        self.nested[key] = nested
        for inner in nested:
            self.touch(inner)
        self.answer(key)

    @rule(client=_CLIENTS, key=_KEYS, inner=st.lists(_KEYS, max_size=3), sealed=st.booleans())
    def store(self, client: int, key: int, inner: list[int], sealed: bool) -> None:
        if client not in self.live or self.state.get(key, "unknown") not in ("unknown", "pending"):
            return
        offset, self.next_offset = self.next_offset, self.next_offset + 1
        if self.holders[client, key] < 0:
            return  # a process does not let go of what it is about to make
        assert not self.directory.exists(client, key)
        self.directory.create(client, key, offset, 10, "")
        self.offsets[offset] = key
        self.writers[key] = client
        self.touch(key)
        self.holders[client, key] += 1
        self.state[key] = "unsealed"
        if sealed:
            nested = self.older(key, inner)
            self.directory.seal(key, nested)
            self.fill(key, nested)
            self.state[key] = "sealed"
        self.settle()

    @rule(client=_CLIENTS, key=_KEYS)
    def want(self, client: int, key: int) -> None:
        if client not in self.live:
            return
        self.directory.want(client, key)
        self.touch(key)
        if self.state[key] in ("unknown", "pending", "unsealed"):
            self.waiters.add((client, key))
        if self.state[key] == "unknown" and key >> OWNER_SHIFT not in self.live:
            self.lose(key)
        answered = ("object", client, key) in self.directory.out
        assert answered == ((client, key) not in self.waiters)
        # Who wants an object that nobody holds is answered, and forgets about it: the entry was made for the answer.
        self.settle_after_answer(key)

    def settle_after_answer(self, key: int) -> None:
        if not self.wanted(key) and key in self.directory.entries:
            self.directory.count(next(iter(self.live)), [(key, 1)])
            self.directory.count(next(iter(self.live)), [(key, -1)])
        self.settle()

    @rule(key=_KEYS)
    def probed(self, key: int) -> None:
        if self.state.get(key) == "unknown" and any(k == key for _c, k in self.waiters):
            self.directory.probed(key)
            self.lose(key)
            self.settle_after_answer(key)

    def lose(self, key: int) -> None:
        self.state[key] = "lost"
        self.answer(key)

    @rule(client=_CLIENTS, key=_KEYS)
    def pin(self, client: int, key: int) -> None:
        if client not in self.live:
            return
        entry = self.directory.pin(client, key)
        assert (entry is not None) == (self.state.get(key) == "sealed")
        if entry is not None:
            self.pins[client, key] += 1
        self.settle()

    @rule(client=_CLIENTS, key=_KEYS)
    def unpin(self, client: int, key: int) -> None:
        if self.pins[client, key]:
            self.directory.unpin(client, key)
            self.pins[client, key] -= 1
        self.settle()

    @rule(keys=st.lists(_KEYS, max_size=3))
    def hold(self, keys: list[int]) -> None:
        self.directory.hold(tuple(keys))
        for key in keys:
            self.touch(key)
            self.outside[key] += 1
        self.settle()

    @rule(key=_KEYS)
    def let_go(self, key: int) -> None:
        if self.outside[key]:
            self.outside[key] -= 1
            self.directory.let_go((key,))
        self.settle()

    @rule(client=_CLIENTS)
    def client_leaves(self, client: int) -> None:
        if client not in self.live or len(self.live) == 1:
            return
        self.directory.client_left(client)
        self.live.discard(client)
        for key in [k for k in self.holders if k[0] == client]:
            del self.holders[key]
        for key in [k for k in self.pins if k[0] == client]:
            del self.pins[key]
        self.waiters = {(c, k) for c, k in self.waiters if c != client}
        for made, state in list(self.state.items()):
            half_written = state == "unsealed" and self.writers[made] == client
            if half_written:
                self.state[made] = "pending"  # its owner has it made again
            if made >> OWNER_SHIFT not in self.live and (half_written or state in ("unknown", "pending")):
                self.lose(made)
        self.settle()

    @rule()
    def somebody_joins(self) -> None:
        # No number is used twice: whose objects are still known does not come back.
        for client in {1, 2, 3} - self.live - {key >> OWNER_SHIFT for key in self.state}:
            self.directory.client_joined(client)
            self.live.add(client)

    # -- what always holds ---------------------------------------------------------------------------------

    @invariant()
    def what_a_client_is_said_to_have_it_has(self) -> None:
        for client, keys in self.directory.clients.items():
            for key in keys:
                entry = self.directory.entries[key]
                assert client in entry.holders or client in entry.pins or client in entry.waiters

    @invariant()
    def nobody_waits_for_what_is_lost_or_there(self) -> None:
        for _client, key in getattr(self, "waiters", ()):
            assert self.state[key] in ("unknown", "pending", "unsealed")

    def teardown(self) -> None:
        """When everybody has gone, so has every object, and every byte is free once."""
        if not hasattr(self, "directory"):
            return
        for client in sorted(self.live):
            self.directory.client_left(client)
        self.directory.let_go(tuple(self.outside.elements()))
        assert self.directory.entries == {}
        freed = [rest[0] for what, *rest in self.directory.out if what == "free"]
        assert sorted([*self.freed, *freed]) == sorted(self.offsets)


TestHolds = Holds.TestCase
TestHolds.settings = settings(max_examples=200, stateful_step_count=40, deadline=None)


DRIVER, WORKER, READER = 1, 2, 3
KEY = (DRIVER << OWNER_SHIFT) | 256


def _directory() -> Directory:
    directory = Directory()
    for client in (DRIVER, WORKER, READER):
        directory.client_joined(client)
    return directory


def _said(directory: Directory, what: str) -> list[tuple[Any, ...]]:
    return [instruction for instruction in directory.out if instruction[0] == what]


def test_a_count_that_is_overtaken_frees_nothing_until_it_is_made_good() -> None:
    directory = _directory()
    directory.count(WORKER, [(KEY, -1)])
    directory.publish(DRIVER, KEY, BYTES, b"x", ())
    assert KEY in directory.entries  # +1 -1 is not nothing: two processes are meant
    directory.count(WORKER, [(KEY, 1)])
    assert KEY in directory.entries
    directory.count(DRIVER, [(KEY, -1)])
    assert directory.entries == {}


def test_nested_containers_of_any_depth_go_together() -> None:
    directory = _directory()
    depth = 20_000
    previous: tuple[int, ...] = ()
    for number in range(1, depth + 1):
        key = (DRIVER << OWNER_SHIFT) | number
        directory.publish(DRIVER, key, BYTES, b"", previous)
        if previous:
            directory.count(DRIVER, [(previous[0], -1)])
        previous = (key,)
    assert len(directory.entries) == depth
    directory.count(DRIVER, [(previous[0], -1)])
    assert directory.entries == {}
    assert len(_said(directory, "gone")) == depth


def test_the_error_of_a_task_that_died_while_it_wrote_its_result_reaches_who_waits() -> None:
    directory = _directory()
    directory.publish(DRIVER, KEY, PENDING, None, ())
    directory.want(READER, KEY)
    directory.create(WORKER, KEY, 0, 10, "")
    directory.client_left(WORKER)  # between the two: killed while it copied
    directory.resolve(DRIVER, KEY, ERROR, b"WorkerCrashedError", ())
    assert _said(directory, "object") == [("object", READER, KEY)]
    assert directory.entries[KEY].kind == ERROR
    assert _said(directory, "free") == [("free", 0)]


def test_a_task_that_runs_again_after_its_result_was_stored_stores_it_once() -> None:
    directory = _directory()
    inner = (DRIVER << OWNER_SHIFT) | 512
    directory.publish(DRIVER, inner, BYTES, b"", ())
    directory.publish(DRIVER, KEY, PENDING, None, ())
    directory.create(WORKER, KEY, 0, 10, "")
    directory.seal(KEY, (inner,))
    directory.client_left(WORKER)
    assert directory.exists(READER, KEY)  # it runs there now
    directory.seal(KEY, (inner,))
    directory.count(READER, [(KEY, -1)])
    directory.count(DRIVER, [(inner, -1), (KEY, -1)])
    assert directory.entries == {}
    assert _said(directory, "free") == [("free", 0)]


def test_a_half_written_result_whose_owner_is_dead_too_is_lost_to_who_waits() -> None:
    directory = _directory()
    directory.publish(DRIVER, KEY, PENDING, None, ())
    directory.create(WORKER, KEY, 0, 10, "")
    directory.want(READER, KEY)
    directory.client_left(DRIVER)
    directory.client_left(WORKER)  # as the workers of a dead client are killed
    assert _said(directory, "object") == [("object", READER, KEY)]


def test_what_is_pinned_or_being_spilled_is_no_victim() -> None:
    directory = _directory()
    keys = [(DRIVER << OWNER_SHIFT) | number for number in (256, 512, 768)]
    for offset, key in enumerate(keys):
        directory.create(DRIVER, key, offset, 10, "")
        directory.seal(key, ())
    directory.pin(READER, keys[0])
    directory.entries[keys[1]].spilling = True
    assert [key for key, _entry in directory.victims(30)] == [keys[2]]


def test_the_least_recently_read_is_spilled_first() -> None:
    directory = _directory()
    keys = [(DRIVER << OWNER_SHIFT) | number for number in (256, 512)]
    for offset, key in enumerate(keys):
        directory.create(DRIVER, key, offset, 10, "")
        directory.seal(key, ())
    directory.pin(READER, keys[0])
    directory.unpin(READER, keys[0])
    assert [key for key, _entry in directory.victims(10)] == [keys[1]]


def test_the_objects_of_a_dead_maker_are_lost_to_who_waits_for_them() -> None:
    directory = _directory()
    directory.publish(DRIVER, KEY, PENDING, None, ())
    directory.want(READER, KEY)
    directory.count(READER, [(KEY, 1)])
    directory.client_left(DRIVER)
    assert _said(directory, "object") == [("object", READER, KEY)]
    assert directory.entries[KEY].kind == LOST


def test_what_a_dead_maker_had_finished_lives_on() -> None:
    directory = _directory()
    directory.create(DRIVER, KEY, 0, 10, "")
    directory.seal(KEY, ())
    directory.count(READER, [(KEY, 1)])
    directory.client_left(DRIVER)
    assert directory.entries[KEY].kind == STORED
    assert directory.pin(READER, KEY) is not None


def test_what_lay_on_a_dead_machine_alone_is_to_be_made_again_by_its_owner() -> None:
    directory = _directory()
    directory.create(READER, KEY, 0, 10, "", "m1")
    directory.seal(KEY, ())
    directory.count(DRIVER, [(KEY, 1)])
    directory.client_left(READER)
    directory.machine_left("m1")
    assert _said(directory, "lost") == [("lost", DRIVER, KEY)]
    assert _said(directory, "free") == [("free", 0)]
    assert directory.pin(DRIVER, KEY) is None
    assert directory.answers_later(KEY)
    directory.create(DRIVER, KEY, 0, 10, "", "m0")
    directory.seal(KEY, ())
    assert not directory.answers_later(KEY)
    assert directory.pin(DRIVER, KEY, "m0") is not None


def test_what_has_been_read_on_another_machine_is_not_lost() -> None:
    directory = _directory()
    directory.create(READER, KEY, 0, 10, "", "m1")
    directory.seal(KEY, ())
    assert directory.pin(DRIVER, KEY, "m0") is not None
    directory.client_left(READER)
    directory.machine_left("m1")
    assert _said(directory, "lost") == []
    assert directory.entries[KEY].kind == STORED


def test_what_lay_on_a_dead_machine_and_has_no_owner_is_lost() -> None:
    directory = _directory()
    key = READER << OWNER_SHIFT | 256
    directory.create(READER, key, 0, 10, "", "m1")
    directory.seal(key, ())
    directory.count(DRIVER, [(key, 1)])
    directory.client_left(READER)
    directory.machine_left("m1")
    assert directory.entries[key].kind == LOST
    assert directory.answers_later(key)
