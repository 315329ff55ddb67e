"""Accelerate prepares a plain training loop for two workers, as Ray's users set it up; the weights are those of a serial run."""

import os
import sys
import tempfile

import ray
import torch
from accelerate import Accelerator
from ray.train import Checkpoint, RunConfig, ScalingConfig
from ray.train.torch import TorchTrainer
from torch.utils.data import DataLoader, TensorDataset

SAMPLES, BATCH, EPOCHS = 64, 8, 3


def make():
    torch.manual_seed(1)
    model = torch.nn.Linear(1, 1)
    x = torch.linspace(-1, 1, SAMPLES).reshape(-1, 1)
    return model, torch.optim.SGD(model.parameters(), lr=0.1), TensorDataset(x, 3 * x + 1)


def serial():
    model, optimizer, samples = make()
    for _ in range(EPOCHS):
        for x, y in DataLoader(samples, batch_size=2 * BATCH):  # what both workers see in a step
            optimizer.zero_grad()
            torch.nn.functional.mse_loss(model(x), y).backward()
            optimizer.step()
    return [parameter.item() for parameter in model.parameters()]


def loop(config):
    accelerator = Accelerator(cpu=True, gradient_accumulation_steps=1)
    context = ray.train.get_context()
    assert accelerator.num_processes == context.get_world_size() == 2
    assert accelerator.process_index == context.get_world_rank()
    assert accelerator.local_process_index == context.get_local_rank()
    assert accelerator.device == torch.device("cpu")
    model, optimizer, samples = make()
    model, optimizer, loader = accelerator.prepare(model, optimizer, DataLoader(samples, batch_size=BATCH))
    for epoch in range(EPOCHS):
        for x, y in loader:
            with accelerator.accumulate(model):
                loss = torch.nn.functional.mse_loss(model(x), y)
                accelerator.backward(loss)
                optimizer.step()
                optimizer.zero_grad()
        losses = accelerator.gather(loss.detach().reshape(1))
        assert len(losses) == 2
        with tempfile.TemporaryDirectory() as place:
            accelerator.save_state(place)
            checkpoint = Checkpoint.from_directory(place) if accelerator.is_main_process else None
            ray.train.report({"epoch": epoch, "loss": losses.mean().item()}, checkpoint=checkpoint)
            accelerator.wait_for_everyone()
    return [parameter.item() for parameter in accelerator.unwrap_model(model).parameters()]


ray.init(num_cpus=2)
result = TorchTrainer(
    loop,
    train_loop_config={},
    scaling_config=ScalingConfig(num_workers=2),
    run_config=RunConfig(name="accelerate", storage_path=sys.argv[1]),
).fit()
expected = serial()
print(result.return_value, expected)
assert torch.allclose(torch.tensor(result.return_value), torch.tensor(expected), atol=1e-5)
assert result.metrics["epoch"] == EPOCHS - 1
with result.checkpoint.as_directory() as place:
    assert any(name.startswith("model") for name in os.listdir(place)), os.listdir(place)
ray.shutdown()
print("ok")
