"""The messages: tuples whose first item is one of these numbers. Each line tells what follows it, and who sends it."""

from __future__ import annotations

# -- a caller to a worker
TASK = 1  # key, function id, flag, args, num_returns, extra
CALL = 2  # key, method name, flag, args, num_returns, extra
FUNCTION = 3  # function id, name, pickle
CANCEL = 4  # key, force, recursive
STEAL = 5  # (nothing): give back the tasks that have not started
TAKEN = 6  # key, count: items of a generator the caller has consumed
LEASE = 7  # resources, gpu ids, lease number: what the tasks that follow may use
DROP = 8  # key: the caller wants no more items of a generator

# -- a worker to a caller
RESULT = 20  # key, kind, payload, microseconds
RESULTS = 21  # key, [(kind, payload), …], microseconds: a task with several results
ITEM = 22  # key of the generator, index, kind, payload
STOLEN = 23  # [key, …]
EXITING = 24  # [key, …]: this worker ends after max_calls; these had not started

# -- flags of TASK and CALL
ARGS_PLAIN = 0  # args: the arguments themselves, all of plain types
ARGS_PACKED = 1  # args: (payload, [(kind, payload) of each top-level ref])
ARGS_STORED = 2  # args: (key in the store, [(kind, payload) of each top-level ref])

# -- a client to the node
HELLO = 40  # role, pid, …
DEMAND = 41  # lane, count, shape (first time: pickled) or None
RELEASE = 42  # worker
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
ACTOR_READY = 57  # key, error payload or None
ACTOR_EXIT = 58  # key, cause
FIND_ACTOR = 59  # request, name, namespace
LIST_ACTORS = 60  # request
INFO = 61  # request, what
KV = 62  # request, action, key, value, namespace, overwrite
READY = 63  # a worker: listening at path
PROBED = 64  # key: answered, after which an unknown object is lost
STOP = 65  # a driver: end the session
START_ACTOR = 67  # key, [(kind, payload) of each top-level ref], [keys to hold]: the arguments are there
RETIRE = 68  # a worker: it ends soon, and takes no new lease
SYNC = 66  # request: answered once all before it has been done

# -- the node to a client
WELCOME = 80  # client number, facts
GRANT = 81  # lane, worker, path, gpu ids, lease number
RECLAIM = 82  # worker
OBJECT = 83  # key, kind, payload
REPLY = 84  # request, answer
ACTOR = 85  # key, state, path, facts
HOST = 86  # be the worker of this actor: key, description
PROBE = 87  # key
LOG = 88  # stream, prefix, lines
LOST = 89  # lane, worker, cause: a leased worker died
WARN = 90  # text
EXIT = 91  # end yourself, gracefully
BYE = 92  # the session has ended
ENV_FAILED = 93  # lane, text: the runtime environment can't be made
