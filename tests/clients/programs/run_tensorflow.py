"""TensorFlow trains with MultiWorkerMirroredStrategy on two workers; both end with the same weights."""

import json
import os
import sys

os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
os.environ["CUDA_VISIBLE_DEVICES"] = ""

import numpy as np
import ray
from ray.train import RunConfig, ScalingConfig
from ray.train.tensorflow import TensorflowCheckpoint, TensorflowTrainer, prepare_dataset_shard
from ray.train.tensorflow.keras import ReportCheckpointCallback


def loop(config):
    import tensorflow as tf

    cluster = json.loads(os.environ["TF_CONFIG"])
    rank = ray.train.get_context().get_world_rank()
    assert cluster["task"] == {"type": "worker", "index": rank} and len(cluster["cluster"]["worker"]) == 2
    strategy = tf.distribute.MultiWorkerMirroredStrategy()
    assert strategy.num_replicas_in_sync == 2
    with strategy.scope():
        weight = tf.Variable(0.0)
        bias = tf.Variable(0.0)
    x = np.linspace(-1, 1, 64, dtype=np.float32)[rank::2]
    dataset = prepare_dataset_shard(tf.data.Dataset.from_tensor_slices((x, 3 * x + 1)).batch(8))

    @tf.function
    def step(features, target):
        def replica():
            with tf.GradientTape() as tape:
                loss = tf.reduce_mean((weight * features + bias - target) ** 2)
            gradients = tape.gradient(loss, [weight, bias])
            context = tf.distribute.get_replica_context()
            gradients = context.all_reduce(tf.distribute.ReduceOp.MEAN, gradients)
            for variable, gradient in zip([weight, bias], gradients, strict=True):
                variable.assign_sub(0.1 * gradient)
            return loss

        return strategy.run(replica)

    for epoch in range(20):
        for features, target in dataset:
            loss = step(features, target)
        ray.train.report({"epoch": epoch, "loss": float(loss)})
    return float(weight.numpy()), float(bias.numpy())


def keras_loop(config):
    import keras

    keras.utils.set_random_seed(0)
    model = keras.Sequential([keras.layers.Input((1,)), keras.layers.Dense(1)])
    model.compile(optimizer=keras.optimizers.SGD(0.1), loss="mse")
    x = np.linspace(-1, 1, 64, dtype=np.float32).reshape(-1, 1)
    model.fit(x, 3 * x + 1, epochs=10, batch_size=8, verbose=0, callbacks=[ReportCheckpointCallback()])
    return model.predict(np.array([[0.5]], dtype=np.float32), verbose=0).item()


ray.init(num_cpus=2)
result = TensorflowTrainer(
    loop,
    train_loop_config={},
    scaling_config=ScalingConfig(num_workers=2),
    run_config=RunConfig(name="mirrored", storage_path=sys.argv[1]),
).fit()
weight, bias = result.return_value
assert abs(weight - 3) < 0.1 and abs(bias - 1) < 0.1, (weight, bias)

result = TensorflowTrainer(
    keras_loop,
    train_loop_config={},
    scaling_config=ScalingConfig(num_workers=1),
    run_config=RunConfig(name="keras", storage_path=sys.argv[1]),
).fit()
assert result.metrics["loss"] < 0.5 and len(result.best_checkpoints) == 10, result
checkpoint = TensorflowCheckpoint(result.checkpoint.path)
found = checkpoint.get_model().predict(np.array([[0.5]], dtype=np.float32), verbose=0).item()
assert abs(found - result.return_value) < 1e-5, (found, result.return_value)
ray.shutdown()
print("ok")
