"""Transformers trains a tiny model, made from its configuration, on two workers: from a data set, and from tensors."""

import os
import sys

import ray
import torch
import transformers
from ray.train import RunConfig, ScalingConfig
from ray.train.huggingface.transformers import RayTrainReportCallback, prepare_trainer
from ray.train.torch import TorchTrainer

WORDS, LENGTH = 32, 8
STEPS = 60


def make_model():
    transformers.set_seed(1)
    return transformers.BertForSequenceClassification(
        transformers.BertConfig(
            vocab_size=WORDS,
            hidden_size=16,
            num_hidden_layers=1,
            num_attention_heads=2,
            intermediate_size=16,
            max_position_embeddings=LENGTH,
            num_labels=2,
        )
    )


def samples(count):
    generator = torch.Generator().manual_seed(0)
    ids = torch.randint(WORDS, (count, LENGTH), generator=generator)
    return [{"input_ids": row, "labels": int(row[0] >= WORDS // 2)} for row in ids]


def collate(batch):
    return {
        "input_ids": torch.as_tensor(batch["input_ids"]).long(),
        "labels": torch.as_tensor(batch["labels"]).long(),
    }


def loop(config):
    arguments = transformers.TrainingArguments(
        output_dir=config["place"],
        save_strategy="steps",
        save_steps=STEPS // 2,
        logging_steps=1,
        max_steps=STEPS,
        per_device_train_batch_size=8,
        learning_rate=0.01,
        use_cpu=True,
        report_to=[],
        disable_tqdm=True,
    )
    if config["from"] == "data":
        shard = ray.train.get_dataset_shard("train")
        train = shard.iter_torch_batches(batch_size=8, collate_fn=collate)
        evaluation = ray.train.get_dataset_shard("eval").iter_torch_batches(batch_size=8, collate_fn=collate)
    else:
        train = evaluation = samples(64)
    trainer = transformers.Trainer(make_model(), arguments, train_dataset=train, eval_dataset=evaluation)
    trainer.add_callback(RayTrainReportCallback())
    trainer = prepare_trainer(trainer)
    before = trainer.evaluate()["eval_loss"]
    trainer.train()
    after = trainer.evaluate()["eval_loss"]
    assert trainer.accelerator.num_processes == 2
    return trainer.state.global_step, before, after


ray.init(num_cpus=2)
rows = [{"input_ids": row["input_ids"].numpy(), "labels": row["labels"]} for row in samples(256)]
for source in ("data", "tensors"):
    result = TorchTrainer(
        loop,
        train_loop_config={"from": source, "place": os.path.join(sys.argv[1], f"out-{source}")},
        scaling_config=ScalingConfig(num_workers=2),
        datasets={"train": ray.data.from_items(rows), "eval": ray.data.from_items(rows[:32])},
        run_config=RunConfig(name=source, storage_path=sys.argv[1]),
    ).fit()
    steps, before, after = result.return_value
    print(source, "loss before and after training", before, after)
    assert steps == STEPS and after < before / 2, result
    assert result.metrics["step"] == STEPS and "loss" in result.metrics, result.metrics
    assert len(result.best_checkpoints) == 2
    with result.checkpoint.as_directory() as directory:
        place = os.path.join(directory, RayTrainReportCallback.CHECKPOINT_NAME)
        model = transformers.BertForSequenceClassification.from_pretrained(place)
    assert model.config.hidden_size == 16
ray.shutdown()
print("ok")
