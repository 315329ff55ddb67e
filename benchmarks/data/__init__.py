"""The suite of datasets: `python -m benchmarks data --peer ray --peer polars --peer duckdb --peer daft --peer pandas`.

bars.py        its table
files.py       the files that all systems read, made once, with the answers that all must give
jobs.py        a job timed, its memory watched and its answer checked
relational.py  reading, writing, grouping, sorting, joining, shuffling, by the API that Skate and Ray share
functions.py   users' functions over batches and rows
capped.py      the same and more under a limit of memory, a fifth of the set
tpch.py        the 22 queries of TPC-H, which tpch.sql holds
on_*.py        the same on each peer
"""

from benchmarks.data.files import prepare

__all__ = ["prepare"]
