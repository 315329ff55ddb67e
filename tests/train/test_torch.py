"""PyTorch on two workers. One session, whose workers are forked with PyTorch already imported."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from typing import Any

import pytest

import skate
from skate import train
from skate.train.torch import TorchConfig, TorchTrainer
from tests.leaks import guard

torch = pytest.importorskip("torch")
_TWO = train.ScalingConfig(num_workers=2)


@pytest.fixture(scope="module", autouse=True)
def session() -> Iterator[None]:
    with guard.window():
        skate.init(num_cpus=2, preload=["torch"])
        yield
        skate.shutdown()


def _everyone(value: Any) -> list[Any]:
    import torch.distributed as dist

    found: list[Any] = [None] * dist.get_world_size()
    dist.all_gather_object(found, value)
    return found


def _fit(function: Any, run_config: train.RunConfig, config: Any = None, **options: Any) -> Any:
    return TorchTrainer(
        function, train_loop_config=config, scaling_config=_TWO, run_config=run_config, **options
    ).fit()


def test_the_process_group_and_its_environment(run_config: train.RunConfig) -> None:
    threads = os.environ.get("OMP_NUM_THREADS", "1")

    def function() -> list[Any]:
        import torch.distributed as dist

        context = train.get_context()
        names = ["RANK", "LOCAL_RANK", "WORLD_SIZE", "LOCAL_WORLD_SIZE", "NODE_RANK", "MASTER_ADDR"]
        names += ["ROLE_RANK", "ROLE_WORLD_SIZE", "ROLE_NAME", "GROUP_RANK", "GROUP_WORLD_SIZE"]
        names += ["TORCH_NCCL_ASYNC_ERROR_HANDLING"]
        assert dist.get_backend() == "gloo" and dist.get_rank() == context.get_world_rank()
        assert train.torch.get_device().type == "cpu"
        assert str(torch.get_num_threads()) == os.environ["OMP_NUM_THREADS"] == threads
        return _everyone([os.environ[name] for name in names])

    found = _fit(function, run_config, torch_config=TorchConfig(timeout_s=60)).return_value
    assert found == [
        [rank, rank, "2", "2", "0", "127.0.0.1", rank, "2", "default", "0", "1", "1"] for rank in ("0", "1")
    ]


def test_workers_stay_equal_and_share_the_samples(run_config: train.RunConfig) -> None:
    def function() -> tuple[list[Any], list[int]]:
        import torch
        from torch.utils.data import DataLoader, TensorDataset

        train.torch.enable_reproducibility(seed=1)
        model = train.torch.prepare_model(torch.nn.Linear(1, 1))
        x = torch.arange(8.0).reshape(8, 1)
        loader = train.torch.prepare_data_loader(
            DataLoader(TensorDataset(x, 2 * x), batch_size=2, shuffle=True)
        )
        assert isinstance(loader, DataLoader) and loader.batch_size == 2
        optimizer = torch.optim.SGD(model.parameters(), lr=0.01)
        seen = []
        for epoch in range(2):
            loader.sampler.set_epoch(epoch)
            for a, b in loader:
                seen += [int(value) for value in a.flatten()] if epoch == 0 else []
                optimizer.zero_grad()
                torch.nn.functional.mse_loss(model(a), b).backward()
                optimizer.step()
        assert type(model).__name__ == "DistributedDataParallel" and len(loader) == 2
        return _everyone([parameter.item() for parameter in model.parameters()]), [
            each for part in _everyone(seen) for each in part
        ]

    weights, seen = _fit(function, run_config).return_value
    assert weights[0] == weights[1] and sorted(seen) == list(range(8))


def test_a_rank_that_fails_ends_the_others_collective(run_config: train.RunConfig) -> None:
    def function() -> None:
        import torch.distributed as dist

        if dist.get_rank() == 1:
            raise ValueError("boom")
        dist.barrier()  # would wait for half an hour

    with pytest.raises(train.WorkerGroupError, match="Rank 1 Error Snippet[^$]*ValueError: boom"):
        _fit(function, run_config)


def _waits_for_nobody() -> None:
    import torch.distributed as dist

    if dist.get_rank() == 0:
        dist.all_reduce(torch.ones(1))
    else:
        train.report({})


def test_ranks_that_wait_for_one_another_are_named(
    run_config: train.RunConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SKATE_TRAIN_HANG_S", "0.5")
    with pytest.raises(train.NCCLHangError) as caught:
        _fit(_waits_for_nobody, run_config)
    begin = _waits_for_nobody.__code__.co_firstlineno
    found = re.search(
        r"rank 0 has waited for \d+ s in all_reduce\(\) at (\S+):(\d+); rank 1 waits for the others in report\(\) at \1:(\d+)",
        str(caught.value),
    )
    assert found is not None and found[1] == __file__, caught.value
    assert (int(found[2]), int(found[3])) == (begin + 4, begin + 6)
    assert list(caught.value.worker_failures) == [0]


def test_a_group_is_made_again_after_a_failure(run_config: train.RunConfig, tmp_path: Any) -> None:
    def function(config: dict[str, str]) -> list[Any]:
        mark = os.path.join(config["place"], "failed")
        if train.get_context().get_world_rank() == 1 and not os.path.exists(mark):
            open(mark, "w").close()
            os._exit(1)
        return _everyone(train.get_context().get_world_rank())

    run_config.failure_config = train.FailureConfig(max_failures=1)
    assert _fit(function, run_config, {"place": str(tmp_path)}).return_value == [0, 1]


def test_what_is_refused(run_config: train.RunConfig) -> None:
    with pytest.raises(ValueError, match="init_method"):
        TorchConfig(init_method="file")
    with pytest.raises(RuntimeError, match="`get_device` cannot be used outside"):
        train.torch.get_device()
    with pytest.raises(DeprecationWarning):
        train.torch.backward(torch.ones(1))

    def function() -> None:
        import torch

        train.torch.prepare_model(torch.nn.Linear(1, 1), parallel_strategy="fsdq")

    with pytest.raises(train.WorkerGroupError, match="parallel_strategy='fsdq' is not known"):
        _fit(function, run_config)
