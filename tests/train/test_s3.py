"""A run that is kept on S3: a server of moto's in this process."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import skate
from skate import train
from skate.train.v2.api.data_parallel_trainer import DataParallelTrainer
from tests.leaks import guard

pytest.importorskip("moto")
fs = pytest.importorskip("pyarrow.fs")
fs.S3FileSystem(
    anonymous=True, region="us-east-1"
)  # what AWS' library opens once for the process is nobody's leak


@pytest.fixture(scope="module")
def endpoint() -> Iterator[str]:
    from moto.server import ThreadedMotoServer

    with guard.window():
        server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
        server.start()
        host, port = server.get_host_and_port()
        yield f"{host}:{port}"
        server.stop()


@pytest.fixture(scope="module")
def session(endpoint: str) -> Iterator[None]:
    with guard.window():
        skate.init(num_cpus=2)
        yield
        skate.shutdown()


def _bucket(endpoint: str) -> Any:
    return fs.S3FileSystem(
        access_key="a",
        secret_key="b",
        endpoint_override=endpoint,
        scheme="http",
        region="us-east-1",
        allow_bucket_creation=True,
    )


def _function() -> int:
    checkpoint = train.get_checkpoint()
    begin = 0
    if checkpoint is not None:
        with checkpoint.as_directory() as place:
            begin = json.loads(Path(place, "rank1.json").read_text()) + 1
    rank = train.get_context().get_world_rank()
    for step in range(begin, begin + 3):
        if step == 2 and rank == 1 and begin == 0:
            raise RuntimeError("an end in the midst of it")
        with tempfile.TemporaryDirectory() as place:
            Path(place, f"rank{rank}.json").write_text(json.dumps(step))
            mode = train.CheckpointUploadMode.SYNC if step % 2 else train.CheckpointUploadMode.ASYNC
            if mode is train.CheckpointUploadMode.ASYNC:
                place = tempfile.mkdtemp()
                Path(place, f"rank{rank}.json").write_text(json.dumps(step))
            train.report({"step": step}, train.Checkpoint(place), checkpoint_upload_mode=mode)
    return begin


@pytest.mark.usefixtures("session")
@pytest.mark.parametrize("how", ["filesystem", "uri"])
def test_a_run_is_kept_on_s3(endpoint: str, how: str) -> None:
    bucket = _bucket(endpoint)
    bucket.create_dir(f"runs-{how}")
    if how == "uri":
        query = f"endpoint_override={endpoint}&scheme=http&region=us-east-1"
        place: dict[str, Any] = {"storage_path": f"s3://a:b@runs-{how}/all?{query}"}
    else:
        place = {"storage_path": f"runs-{how}/all", "storage_filesystem": bucket}
    result = DataParallelTrainer(
        _function,
        scaling_config=train.ScalingConfig(num_workers=2),
        run_config=train.RunConfig(
            name="one",
            failure_config=train.FailureConfig(max_failures=1),
            checkpoint_config=train.CheckpointConfig(num_to_keep=2),
            **place,
        ),
    ).fit()
    assert result.return_value == 2 and result.metrics == {"step": 4}
    assert result.path == f"runs-{how}/all/one"
    assert result.checkpoint is not None
    with result.checkpoint.as_directory() as directory:
        assert sorted(path.name for path in Path(directory).iterdir()) == ["rank0.json", "rank1.json"]
    names = [info.base_name for info in bucket.get_file_info(fs.FileSelector(result.path))]
    assert sum(name.startswith("checkpoint_2") for name in names) == 2, "the others are deleted"
    again = train.Result.from_path(result.path, storage_filesystem=bucket)
    assert again.metrics == {"step": 4} and again.checkpoint is not None
    assert again.checkpoint.path == result.checkpoint.path
