"""The local engine: this machine's cores, by a few small processes.

wire.py      frames on Unix sockets: how any two of the processes talk
poller.py    waiting for many sockets at once
protocol.py  the messages, by number
arena.py     the shared memory that every process maps
launch.py    starting and stopping a session from a driver
zygote.py    the process that forks the node and the workers
node/        what must be agreed on: resources, leases, actors, the object directory, the store
client/      what a driver or worker does to call others: submit, get, put
worker/      running tasks, and hosting an actor
"""
