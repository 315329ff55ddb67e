"""The node: what the processes of one machine must agree on.

resources.py   counting what is free              (pure)
scheduler.py   leases, worker pool, placing actors  (pure)
lifecycle.py   actors' states, names, restarts    (pure)
directory.py   who holds which object             (pure)
allocator.py   the layout of shared memory        (pure)
spill.py       moving objects to disk, in a thread
server.py      the process: sockets in, instructions out
"""
