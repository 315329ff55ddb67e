"""A search that a test kills: run as a program, it begins in a directory, or goes on with what is there.

Each trial writes a line to a log outside of the experiment when it begins, at each step and at its end, so that the test
knows what has really been done.
"""

from __future__ import annotations

import os
import sys
import tempfile
from pathlib import Path
from typing import Any

import skate
from skate import tune

TRIALS = 30
STEPS = 6


def write(log: str, line: str) -> None:
    with open(log, "a") as file:
        file.write(line + "\n")


def work(config: dict[str, Any]) -> None:
    step, checkpoint = 0, tune.get_checkpoint()
    if checkpoint is not None:
        with checkpoint.as_directory() as directory:
            step = int(Path(directory, "step").read_text())
    write(config["log"], f"begin {config['number']} {step}")
    while step < STEPS:
        step += 1
        with tempfile.TemporaryDirectory() as directory:
            Path(directory, "step").write_text(str(step))
            tune.report(
                {"value": config["number"] * step + config["drawn"]},
                checkpoint=tune.Checkpoint.from_directory(directory),
            )
        write(config["log"], f"step {config['number']} {step}")
    write(config["log"], f"end {config['number']} {config['drawn']}")


def main(directory: str, log: str) -> None:
    skate.init(num_cpus=2, log_to_driver=False)
    place = os.path.join(directory, "run")
    if tune.Tuner.can_restore(place):
        tuner = tune.Tuner.restore(place, work)
    else:
        tuner = tune.Tuner(
            work,
            param_space={
                "number": tune.grid_search(list(range(TRIALS))),
                "drawn": tune.uniform(0, 1),
                "log": log,
            },
            tune_config=tune.TuneConfig(metric="value", mode="max"),
            run_config=tune.RunConfig(
                name="run",
                storage_path=directory,
                verbose=0,
                checkpoint_config=tune.CheckpointConfig(num_to_keep=1),
            ),
        )
    tuner.fit()
    skate.shutdown()


if __name__ == "__main__":
    main(*sys.argv[1:])
