"""Transformers searches the learning rate of a tiny model, made from its configuration, by its own `hyperparameter_search`."""

import os
import sys

import ray
import torch
import transformers
from ray import tune
from ray.tune.schedulers import ASHAScheduler

WORDS, LENGTH = 32, 8


def make_model(trial=None):
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


def make_trainer(**settings):
    arguments = transformers.TrainingArguments(
        output_dir=os.path.join(sys.argv[1], "out"),
        num_train_epochs=3,
        per_device_train_batch_size=16,
        logging_strategy="no",
        use_cpu=True,
        report_to=[],
        disable_tqdm=True,
        **settings,
    )
    data = samples(128)
    return transformers.Trainer(
        args=arguments, train_dataset=data[:96], eval_dataset=data[96:], model_init=make_model
    )


def space(trial):
    return {"learning_rate": tune.choice([1e-6, 3e-2]), "seed": tune.randint(0, 5)}


ray.init(num_cpus=2)
common = {
    "backend": "ray",
    "hp_space": space,
    "direction": "minimize",
    "storage_path": sys.argv[1],
    "verbose": 0,
}

# The model is looked at after each epoch, and kept: a scheduler may stop it.
trainer = make_trainer(eval_strategy="epoch", save_strategy="epoch")
points = [{"learning_rate": 3e-2}, {"learning_rate": 1e-6}]
best = trainer.hyperparameter_search(
    n_trials=4,
    name="halved",
    search_alg=tune.search.BasicVariantGenerator(points_to_evaluate=points, max_concurrent=1),
    scheduler=ASHAScheduler(metric="objective", mode="min", max_t=3, grace_period=1, reduction_factor=2),
    **common,
)
print("halved", best.run_id, best.objective, best.hyperparameters)
trials = best.run_summary.trials
assert len(trials) == 4 and {trial.status for trial in trials} == {"TERMINATED"}
assert best.hyperparameters["learning_rate"] == 3e-2
assert best.objective == min(trial.last_result["objective"] for trial in trials)
assert [trial.last_result["training_iteration"] for trial in trials][:2] == [3, 1]
assert {"eval_loss", "epoch"} <= set(trials[0].last_result)

# It is looked at only at the end; the best parameters are those of a model that can be trained again.
trainer = make_trainer(eval_strategy="no", save_strategy="no")
best = trainer.hyperparameter_search(n_trials=4, name="whole", **common)
print("whole", best.run_id, best.objective, best.hyperparameters)
assert len(best.run_summary.trials) == 4
for name, value in best.hyperparameters.items():
    setattr(trainer.args, name, value)
trainer.train()
assert abs(trainer.evaluate()["eval_loss"] - best.objective) < 0.05
ray.shutdown()
print("ok")
