"""How a run is driven.

    controller.py   from `fit` to `Result`: attempts, failures, and how many workers each attempt has
    attempt.py      one attempt: listening to its workers
    group.py        the actors of one attempt, and their ranks
    worker.py       the actor that runs the training function
    session.py      what a training function talks to, in its worker
    local.py        the same, for a run in the program's own process
    rounds.py       which ranks have reached the same point (pure)
    hangs.py        whether ranks wait for one another without end (pure)
    scaling.py      how many workers there is room for, and when to grow (pure)
    checkpoints.py  from a report to the list of checkpoints that are kept
    storage.py      where the run is kept, and how a checkpoint gets there whole
    validation.py   validating checkpoints in tasks beside the training
    failures.py     how what a training function raises reaches the controller

A worker's session posts messages; the controller takes them through the actor's `exchange`, and answers with `reply`.
Whatever all ranks must reach together (a report, a barrier, a broadcast) is a round, and goes through the controller:
so it always knows who waits for whom, and at which line.
"""
