"""What a driver or a worker does to call others.

loop.py      who reads the sockets: the thread that waits, or one in the background
calls.py     a call, its arguments, its results
lanes.py     tasks: leases, pipelines, stealing
actors.py    actor calls: order, restarts
objects.py   put, get, and counting the refs that escape
engine.py    all of it as an Engine
"""
