"""The messages: tuples whose first item is one of these numbers. Each line tells what follows it, and who sends it."""

from __future__ import annotations

from typing import Any

DRIVER = b"1"
"""What a driver that joins says instead of a number: it is given one, with the session's settings and shared memory."""
OBSERVER = b"0"
"""How somebody greets the node who only asks about the session, and is no part of it."""

# -- a caller to a worker
TASK = 1  # key, function id, flag, args, num_returns, extra
CALL = 2  # key, method name, flag, args, num_returns, extra
FUNCTION = 3  # function id, name, module, pickle
CANCEL = 4  # key, force, recursive
STEAL = 5  # (nothing): give back the tasks that have not started
TAKEN = 6  # key, count: items of a generator the caller has consumed
LEASE = 7  # resources, gpu ids, lease number, where: what the tasks that follow may use
DROP = 8  # key: the caller wants no more items of a generator

# -- a worker to a caller
RESULT = (
    20  # key, kind, payload, microseconds, when it started (of time.monotonic, which all processes share)
)
RESULTS = 21  # key, [(kind, payload), …], microseconds, start: a task with several results
ITEM = 22  # key of the generator, index, kind, payload
STOLEN = 23  # [key, …]
EXITING = 24  # [key, …]: this worker ends after max_calls; these had not started

# -- flags of TASK and CALL
ARGS_PLAIN = 0  # args: the arguments themselves, all of plain types
ARGS_PACKED = 1  # args: (payload, [(kind, payload) of each top-level ref])
ARGS_REFS = 3  # args: ((the arguments, of plain types but for the refs, positions of these), [(kind, payload) of each ref])
ARGS_STORED = 2  # args: (key in the store, [(kind, payload) of each top-level ref])

# -- a client to the node
DEMAND = 41  # lane, count, shape (first time: pickled) or None
RELEASE = 42  # worker
CLOSE_LANE = 149  # lane: nothing waits in it, and nothing is leased for it
BLOCKED = 43  # (worker's own) it waits, its CPU is free
UNBLOCKED = 44
PUBLISH = 45  # key, kind, payload, [nested keys]
RESOLVE = 46  # key, kind, payload, [nested keys]
COUNT = 47  # [(key, delta), …]
COUNT_FOR = 48  # client, [(key, delta), …]
WANT = 49  # key
ALLOC = 50  # request, key, size
SEAL = 51  # key, [nested keys]
PIN = 52  # request, key
UNPIN = 53  # key
CREATE_ACTOR = 54  # request, key, description
WATCH_ACTOR = 55  # key
KILL_ACTOR = 56  # key, no_restart
ACTOR_READY = 57  # key, error payload or None, how the instance shows itself ("" if as its class)
ACTOR_EXIT = 58  # key, cause
FIND_ACTOR = 59  # request, name, namespace
INFO = 61  # request, what
KV = 62  # request, action, key, value, namespace, overwrite
READY = 63  # a worker: listening at path
PROBED = 64  # key: answered, after which an unknown object is lost
STOP = 65  # a driver: end the session
START_ACTOR = 67  # key, [(kind, payload) of each top-level ref], [keys to hold]: the arguments are there
KILL_WORKER = 69  # worker: a lease of ours, whose task must end at once
RETIRE = 68  # a worker: it ends soon, and takes no new lease
SYNC = 66  # request: answered once all before it has been done
JOIN = 78  # a driver that has joined: namespace, pid, command
STOP_SESSION = 79  # end, whoever is there
ENV_BROKEN = 71  # a worker: text; it could not put itself into its environment, and ends
CANCEL_ELSEWHERE = 70  # key, force, recursive: for whoever made the call; passed on to it as it is
ASK_ALL = 72  # request, what, asked, seconds: a question for every process; answered with what they say
TOLD = 73  # number of a question, answer: the answer of one process
HISTORY = 74  # how many, answer: what became of calls, from a process that may be gone when somebody asks

# -- a client to the node, about places
CREATE_GROUP = 140  # request, description
REMOVE_GROUP = 141  # group id
WATCH_GROUP = 142  # request, group id: answered with its state once it is created or removed
GROUP_TABLE = 143  # request, group id or "": what is known of one, or of all
FIND_GROUP = 144  # request, name, namespace
ADD_MACHINE = 145  # request, machine id, resources, labels, environment variables
REMOVE_MACHINE = 146  # request, machine id
LONG_WAIT = 75  # serial, keys, how many, (task, actor, name, pid, line): a wait has lasted for a second
WAIT_OVER = 76  # serial
ATTACH_ME = 77  # path, name: a debugger wants a driver's terminal, and listens there

# -- the node to a client
GRANT = 81  # lane, worker, path, gpu ids, lease number, whether machines may die
RECLAIM = 82  # worker
OBJECT = 83  # key, kind, payload
REPLY = 84  # request, answer
ACTOR = 85  # key, state, path, facts
HOST = 86  # be the worker of this actor: key, description
PROBE = 87  # key
LOG = 88  # stream, prefix, lines
LOST = 89  # lane, worker, cause, why: a leased worker died
OBJECT_LOST = 147  # key: the machine that it lay on has died; make it again
FORGET = 148  # key: an object that a task of ours made, and that nobody holds any more
REFUSED = 94  # lane, why, text: what waits there will never have a place
WARN = 90  # text
EXIT = 91  # end yourself, gracefully
BYE = 92  # the session has ended
ENV_FAILED = 93  # lane, text: the runtime environment can't be made
TELL = 95  # number of a question, what, asked
DEADLOCK = 96  # serial, text: that wait would last for ever
ATTACH = 97  # path, name, pid: give a debugger your terminal


class MalformedMessage(Exception):
    """A peer sent a message that has no meaning."""


_ANY = object

TO_NODE: dict[int, tuple[type, ...]] = {
    DEMAND: (int, int, _ANY),
    RELEASE: (int,),
    CLOSE_LANE: (int,),
    BLOCKED: (),
    UNBLOCKED: (),
    PUBLISH: (int, int, _ANY, tuple),
    RESOLVE: (int, int, _ANY, tuple),
    COUNT: (list,),
    COUNT_FOR: (int, list),
    WANT: (int,),
    ALLOC: (int, int, int),
    SEAL: (int, tuple),
    PIN: (int, int),
    UNPIN: (int,),
    CREATE_ACTOR: (int, int, dict),
    START_ACTOR: (int, _ANY, tuple),
    WATCH_ACTOR: (int,),
    KILL_ACTOR: (int, bool),
    ACTOR_READY: (int, _ANY, str),
    ACTOR_EXIT: (int, str),
    FIND_ACTOR: (int, str, str),
    INFO: (int, str),
    KV: (int, str, bytes, _ANY, bytes, bool),
    READY: (str, int),
    PROBED: (int,),
    STOP: (),
    CREATE_GROUP: (int, dict),
    REMOVE_GROUP: (str,),
    WATCH_GROUP: (int, str),
    GROUP_TABLE: (int, str),
    FIND_GROUP: (int, str, str),
    ADD_MACHINE: (int, str, dict, dict, dict),
    REMOVE_MACHINE: (int, str),
    SYNC: (int,),
    RETIRE: (),
    KILL_WORKER: (int,),
    CANCEL_ELSEWHERE: (int, bool, bool),
    ENV_BROKEN: (str,),
    JOIN: (str, int, str),
    STOP_SESSION: (),
    ASK_ALL: (int, str, _ANY, float),
    TOLD: (int, bytes),
    HISTORY: (int, bytes),
    LONG_WAIT: (int, tuple, int, tuple),
    WAIT_OVER: (int,),
    ATTACH_ME: (str, str),
}
"""What follows the number in each message to the node."""

TO_WORKER: dict[int, tuple[type, ...]] = {
    TASK: (int, int, int, tuple, _ANY, _ANY),
    CALL: (int, str, int, tuple, _ANY, _ANY),
    FUNCTION: (int, str, str, _ANY),
    CANCEL: (int, bool, bool),
    STEAL: (),
    TAKEN: (int, int),
    LEASE: (dict, list, int, tuple),
    DROP: (int,),
}
"""What follows the number in each message to a worker."""


def check(message: tuple[Any, ...], shapes: dict[int, tuple[type, ...]]) -> None:
    """Refuse a message that is not of its kind's shape.

    Raises:
        MalformedMessage: it is not.
    """
    shape = shapes.get(message[0]) if isinstance(message[0], int) else None
    if shape is None:
        raise MalformedMessage(f"there is no message {message[0]!r}")
    if len(message) != len(shape) + 1 or not all(map(isinstance, message[1:], shape)):
        raise MalformedMessage(f"message {message[0]} has the wrong parts")
    if message[0] in _COUNTED and not all(
        type(pair) is tuple and len(pair) == 2 and type(pair[0]) is int and type(pair[1]) is int
        for pair in message[-1]
    ):
        raise MalformedMessage(f"message {message[0]} counts something that is no object")
    if message[0] in _NESTED and not all(type(key) is int for key in message[-1]):
        raise MalformedMessage(f"message {message[0]} names something that is no object")
    if message[0] == ALLOC and message[3] <= 0:
        raise MalformedMessage(f"{message[3]} bytes can't be allocated")


_COUNTED = frozenset({COUNT, COUNT_FOR})
_NESTED = frozenset({PUBLISH, RESOLVE, SEAL, START_ACTOR})
