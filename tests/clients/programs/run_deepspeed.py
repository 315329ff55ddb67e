"""DeepSpeed trains with its optimizer's state shared out over two workers (ZeRO 1 and 2) on the CPU, as Ray's users set it up."""

import os
import sys
import tempfile

os.environ["DS_ACCELERATOR"] = "cpu"

import deepspeed
import ray
import torch
from ray.train import Checkpoint, FailureConfig, RunConfig, ScalingConfig
from ray.train.torch import TorchTrainer


def loop(config):
    context = ray.train.get_context()
    torch.manual_seed(1)
    model = torch.nn.Sequential(torch.nn.Linear(4, 16), torch.nn.Tanh(), torch.nn.Linear(16, 1))
    engine, _, _, _ = deepspeed.initialize(
        model=model,
        model_parameters=model.parameters(),
        config={
            "train_micro_batch_size_per_gpu": 8,
            "optimizer": {"type": "Adam", "params": {"lr": 0.02, "torch_adam": True}},
            "zero_optimization": {"stage": config["stage"]},
        },
    )
    assert deepspeed.comm.get_world_size() == 2 and deepspeed.comm.get_rank() == context.get_world_rank()
    begin = 0
    checkpoint = ray.train.get_checkpoint()
    if checkpoint is not None:
        with checkpoint.as_directory() as place:
            _, state = engine.load_checkpoint(place)
        begin = state["step"] + 1
    generator = torch.Generator().manual_seed(context.get_world_rank())
    for step in range(begin, 40):
        x = torch.randn(8, 4, generator=generator)
        loss = torch.nn.functional.mse_loss(engine(x), x.sum(dim=1, keepdim=True))
        engine.backward(loss)
        engine.step()
        metrics = {"step": step, "loss": loss.item(), "begin": begin}
        if step % 20 == 19:
            with tempfile.TemporaryDirectory() as place:
                engine.save_checkpoint(place, client_state={"step": step})  # every rank writes its part
                ray.train.report(metrics, checkpoint=Checkpoint.from_directory(place))
            if begin == 0 and context.get_world_rank() == 1:
                raise RuntimeError("an end in the midst of it")
        else:
            ray.train.report(metrics)
    return [parameter.detach().sum().item() for parameter in model.parameters()]


ray.init(num_cpus=2)
for stage in (1, 2):
    result = TorchTrainer(
        loop,
        train_loop_config={"stage": stage},
        scaling_config=ScalingConfig(num_workers=2),
        run_config=RunConfig(
            name=f"zero-{stage}", storage_path=sys.argv[1], failure_config=FailureConfig(max_failures=1)
        ),
    ).fit()
    print(stage, result.metrics)
    assert result.metrics["step"] == 39 and result.metrics["begin"] == 20 and result.metrics["loss"] < 1.0
    with result.checkpoint.as_directory() as place:
        inside = [name for _, _, names in os.walk(place) for name in names]
        assert sum("optim_states" in name for name in inside) == 2, inside
ray.shutdown()
print("ok")
