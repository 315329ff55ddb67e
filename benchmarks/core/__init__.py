"""Tasks, actors and objects.

bars.py        the table: every row, and the bars ours must clear
work.py        the functions that every system runs
startup.py, tasks.py, actors.py, groups.py, objects.py, graphs.py, pools.py, scale.py, jobs.py, cluster.py
the work by area, written once for every system with the API
on_pool.py, on_joblib.py, on_dask.py
the same work on systems with an API of their own, where it makes sense
on_plain.py    plain Python: what the machine itself can do
"""
