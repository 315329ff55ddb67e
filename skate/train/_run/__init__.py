"""How a run is driven.

    rounds.py      which ranks have reached the same point (pure)
    session.py     what a training function talks to, in its worker
    worker.py      the actor that runs the training function
    group.py       the actors of one attempt, and their ranks
    storage.py     where the run is kept, and how a checkpoint gets there whole
    controller.py  attempts, reports, failures: from `fit` to `Result`

A worker's session posts messages; the controller takes them through the actor's `exchange`, and answers with `reply`.
Whatever all ranks must reach together (a report, a barrier, a broadcast) is a round, and goes through the controller:
so it always knows who waits for whom, and at which line.
"""
