"""A worker process: it runs tasks for whoever holds its lease, or hosts one actor.

main.py       the process: connections, the queue of work, the end
execute.py    one task or call: arguments, function, result
threaded.py   actors with max_concurrency: pools of threads
coroutines.py asyncio actors
breakpoints.py, debugger.py  stopping in a task, on the driver's terminal
stdio.py      marking what is printed with who prints it
"""
