"""The table of the training suite: every row, and the bars that ours must clear."""

from __future__ import annotations

from benchmarks.rows import AtMost, Row, Within

__all__ = ["ROWS"]

ROWS: tuple[Row, ...] = (
    Row(
        "gloo.cold",
        "two workers, one all-reduce and one report, from fit to the result, PyTorch not yet imported",
        "gloo.reduce",
        "cold",
        "s",
        (AtMost(1.6), Within(1.0)),
        "two bare processes",
    ),
    Row(
        "gloo.warm",
        "the same, in a session whose processes have imported PyTorch",
        "gloo.reduce",
        "warm",
        "s",
        (AtMost(0.5),),
    ),
    Row(
        "gloo.memory",
        "the memory of all processes meanwhile (PSS)",
        "gloo.memory",
        "pss",
        "B",
        (AtMost(700e6),),
    ),
    Row(
        "ddp.cnn",
        "a step of a small convolutional network on digits, two workers over gloo; losses equal to torchrun's",
        "ddp.steps",
        "cnn",
        "s",
        (Within(1.02),),
        "torchrun",
    ),
    Row(
        "ddp.mlp",
        "a step of a small perceptron on flights, two workers over gloo; losses equal to torchrun's",
        "ddp.steps",
        "mlp",
        "s",
        (Within(1.02),),
        "torchrun",
    ),
    Row(
        "ingest.epoch",
        "an epoch over features of flights through get_dataset_shard, in batches of 1,024",
        "ddp.ingest",
        "epoch",
        "s",
        (Within(1.0),),
        "DataLoader",
    ),
    Row(
        "upload.stall",
        "the longest step, less the usual one, of a run that reports checkpoints of 64 MB copied in the background",
        "upload.stall",
        "stall",
        "s",
        (AtMost(0.05),),
    ),
    Row(
        "recovery.again",
        "from the kill of a worker to the next all-reduce of the new group",
        "ddp.recovery",
        "again",
        "s",
        (AtMost(3.0),),
    ),
)
