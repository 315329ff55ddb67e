"""Experiments kept on S3, against a server of its protocol on this machine."""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import skate
from skate import tune
from skate.tune import CheckpointConfig, RunConfig, Trainable, TuneConfig, Tuner
from tests.leaks import guard

moto_server = pytest.importorskip("moto.server")

_KEYS = {
    "AWS_ACCESS_KEY_ID": "test",
    "AWS_SECRET_ACCESS_KEY": "test",
    "AWS_DEFAULT_REGION": "us-east-1",
    "AWS_EC2_METADATA_DISABLED": "true",
}


@pytest.fixture(scope="module")
def bucket() -> Iterator[str]:
    """The URI of a bucket, up to the directory; "{}" stands for it."""
    from pyarrow import fs

    before = dict(os.environ)
    os.environ.update(_KEYS)
    # Whatever pyarrow keeps open for S3 until the process ends is opened by the first request.
    once = fs.AwsStandardS3RetryStrategy(max_attempts=1)
    nobody = fs.S3FileSystem(
        scheme="http", endpoint_override="127.0.0.1:1", connect_timeout=1, retry_strategy=once
    )
    with contextlib.suppress(OSError):
        nobody.get_file_info("bucket/nothing")
    with guard.window():
        server = moto_server.ThreadedMotoServer(ip_address="127.0.0.1", port=0)
        server.start()
        host, port = server.get_host_and_port()
        where = f"scheme=http&endpoint_override={host}:{port}"
        fs.S3FileSystem(
            scheme="http", endpoint_override=f"{host}:{port}", allow_bucket_creation=True
        ).create_dir("bucket")
        skate.init(num_cpus=2)
        yield f"s3://bucket/{{}}?{where}"
        skate.shutdown()
        server.stop()
        os.environ.clear()
        os.environ.update(before)


def counts(config: dict[str, Any]) -> None:
    step = 0
    checkpoint = tune.get_checkpoint()
    if checkpoint is not None:
        with checkpoint.as_directory() as place:
            step = json.loads(Path(place, "deep", "step.json").read_text())
    while step < 4:
        step += 1
        Path("deep").mkdir(exist_ok=True)
        Path("deep", "step.json").write_text(json.dumps(step))
        tune.report({"step": step}, checkpoint=tune.Checkpoint.from_directory("."))
        if step == 2 and not Path(config["mended"]).exists():
            raise RuntimeError("not mended")


class Counter(Trainable):
    def setup(self, config: dict[str, Any]) -> None:
        self.count = 0

    def step(self) -> dict[str, Any]:
        self.count += 1
        return {"count": self.count}

    def save_checkpoint(self, checkpoint_dir: str) -> None:
        Path(checkpoint_dir, "count").write_text(str(self.count))

    def load_checkpoint(self, checkpoint: Any) -> None:
        self.count = int(Path(checkpoint, "count").read_text())


def test_a_search_is_kept_there_and_gone_on_with(bucket: str, tmp_path: Path) -> None:
    mended = tmp_path / "mended"
    results = Tuner(
        counts,
        param_space={"x": tune.grid_search([1, 2]), "mended": str(mended)},
        tune_config=TuneConfig(metric="step", mode="max"),
        run_config=RunConfig(
            name="run",
            storage_path=bucket.format("runs"),
            verbose=0,
            checkpoint_config=CheckpointConfig(num_to_keep=1),
        ),
    ).fit()
    assert results.num_errors == 2 and results.experiment_path == "bucket/runs/run"
    place = bucket.format("runs/run")
    assert [type(error).__name__ for error in Tuner.restore(place, counts).get_results().errors] == [
        "RayTaskError(RuntimeError)"
    ] * 2
    assert Tuner.can_restore(place) and not Tuner.can_restore(bucket.format("runs/other"))
    mended.touch()
    results = Tuner.restore(place, counts, resume_errored=True).fit()
    assert results.num_errors == 0
    best = results.get_best_result()
    assert best.metrics_dataframe is not None and list(best.metrics_dataframe["step"]) == [1, 2, 3, 4]
    assert best.checkpoint is not None and best.checkpoint.path.endswith("checkpoint_000003")
    with best.checkpoint.as_directory() as directory:
        assert Path(directory, "deep", "step.json").read_text() == "4"
    copy = best.checkpoint.to_directory(tmp_path / "copy")
    assert Path(copy, "deep", "step.json").exists()
    analysis = tune.ExperimentAnalysis(place, default_metric="step", default_mode="max")
    assert analysis.best_result["step"] == 4 and len(analysis.trials) == 2
    assert analysis.best_checkpoint == best.checkpoint
    names = [name for name in best.filesystem.get_file_info(_below(best.path)) if "checkpoint_" in name.path]
    assert {name.path.split("checkpoint_")[1][:6] for name in names} == {"000003"}  # the others are gone
    again = tune.Result.from_path(best.path, storage_filesystem=best.filesystem)
    assert again.metrics is not None and again.metrics["step"] == 4


def _below(path: str) -> Any:
    from pyarrow import fs

    return fs.FileSelector(path, recursive=True)


def test_class_trainables_too(bucket: str) -> None:
    from pyarrow import fs

    filesystem, path = fs.FileSystem.from_uri(bucket.format("classes"))
    results = Tuner(
        Counter,
        run_config=RunConfig(
            name="run",
            storage_path=path,
            storage_filesystem=filesystem,
            verbose=0,
            stop={"count": 3},
            checkpoint_config=CheckpointConfig(checkpoint_frequency=1, checkpoint_at_end=True),
        ),
    ).fit()
    checkpoint = results[0].checkpoint
    assert checkpoint is not None
    with checkpoint.as_directory() as directory:
        assert Path(directory, "count").read_text() == "3"


def test_a_bucket_that_is_not_there_is_said(bucket: str) -> None:
    config = RunConfig(storage_path=bucket.replace("bucket", "nosuch", 1).format("runs"), verbose=0)
    with pytest.raises(RuntimeError, match="can't be written to"):
        Tuner(counts, run_config=config).fit()
