"""Benchmarks: the same work on Skate and on its peers, in one run, against the bars the project keeps.

    python -m benchmarks core --peer ray --peer dask
    python -m benchmarks tune --peer ray

How the package is laid out:

    cli.py        the command line
    rows.py       what a row of a table and a bar are, and how a bar is judged
    stats.py      medians and spreads over samples and rounds
    runner.py     interleaved rounds, one fresh process a measurement
    child.py      the entry point of that process; it imports next to nothing before the clock starts
    session.py    what a benchmark is handed: which system, how much work, how to open the system
    measure.py    timing helpers, used inside the measured process
    processes.py  the processes of one measurement and the memory they hold
    raw.py        the unit: a pickled round trip over a plain socketpair
    peers.py      interpreters of the peers, in virtual environments of their own
    table.py      printing
    compare.py    two saved runs side by side
    core/         the suite of tasks, actors and objects: bars.py is its table, the rest its work
    tune/         the suite of searches
    train/        the suite of training runs
    data/         the suite of datasets
"""
