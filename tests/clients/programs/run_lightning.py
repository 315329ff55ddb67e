"""PyTorch Lightning trains on two workers, as Ray's users set it up; the checkpoint goes on where it was."""

import os
import sys

import lightning.pytorch as pl
import ray
import torch
from ray.train import CheckpointConfig, FailureConfig, RunConfig, ScalingConfig
from ray.train.lightning import (
    RayDDPStrategy,
    RayLightningEnvironment,
    RayTrainReportCallback,
    prepare_trainer,
)
from ray.train.torch import TorchTrainer
from torch.utils.data import DataLoader, TensorDataset


class Line(pl.LightningModule):
    def __init__(self, lr):
        super().__init__()
        self.layer = torch.nn.Linear(1, 1)
        self.lr = lr

    def training_step(self, batch, index):
        loss = torch.nn.functional.mse_loss(self.layer(batch[0]), batch[1])
        self.log("loss", loss, on_step=False, on_epoch=True, sync_dist=True)
        return loss

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), lr=self.lr)


def loop(config):
    pl.seed_everything(1)
    x = torch.linspace(-1, 1, 64).reshape(-1, 1)
    loader = DataLoader(TensorDataset(x, 3 * x + 1), batch_size=8, shuffle=True)
    trainer = pl.Trainer(
        max_epochs=config["epochs"],
        accelerator="cpu",
        devices="auto",
        strategy=RayDDPStrategy(),
        plugins=[RayLightningEnvironment()],
        callbacks=[RayTrainReportCallback()],
        enable_progress_bar=False,
        enable_checkpointing=False,
        enable_model_summary=False,
        logger=False,
    )
    trainer = prepare_trainer(trainer)
    checkpoint = ray.train.get_checkpoint()
    path = None
    with checkpoint.as_directory() if checkpoint else open(os.devnull) as directory:
        if checkpoint:
            path = os.path.join(directory, RayTrainReportCallback.CHECKPOINT_NAME)
        if path is None and config["fails"] and ray.train.get_context().get_world_rank() == 1:

            class Fail(pl.Callback):
                def on_train_epoch_start(self, trainer, module):
                    if trainer.current_epoch == 2:
                        raise RuntimeError("an end in the midst of it")

            trainer.callbacks.append(Fail())
        trainer.fit(Line(config["lr"]), train_dataloaders=loader, ckpt_path=path, weights_only=False)
    assert trainer.world_size == 2 and trainer.strategy.root_device == torch.device("cpu")
    return trainer.current_epoch, path is not None


ray.init(num_cpus=2)
result = TorchTrainer(
    loop,
    train_loop_config={"epochs": 5, "lr": 0.2, "fails": True},
    scaling_config=ScalingConfig(num_workers=2),
    run_config=RunConfig(
        name="line",
        storage_path=sys.argv[1],
        checkpoint_config=CheckpointConfig(
            num_to_keep=2, checkpoint_score_attribute="loss", checkpoint_score_order="min"
        ),
        failure_config=FailureConfig(max_failures=1),
    ),
).fit()
assert result.return_value == (5, True), result.return_value
assert result.metrics["epoch"] == 4 and result.metrics["loss"] < 0.1, result.metrics
assert len(result.best_checkpoints) == 2
with result.checkpoint.as_directory() as directory:
    saved = torch.load(
        os.path.join(directory, RayTrainReportCallback.CHECKPOINT_NAME),
        weights_only=False,
        map_location="cpu",
    )
assert saved["epoch"] == 4 and "layer.weight" in saved["state_dict"]


def wrong():
    prepare_trainer(pl.Trainer(accelerator="cpu", devices=1, logger=False, enable_checkpointing=False))


try:
    TorchTrainer(wrong, run_config=RunConfig(storage_path=sys.argv[1])).fit()
except ray.train.TrainingFailedError as error:
    assert "Invalid strategy class" in str(error), error
else:
    raise AssertionError("a trainer with processes of its own was taken")
ray.shutdown()
print("ok")
