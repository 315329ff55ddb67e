"""JAX runs as one program over two workers: devices of both, a sum over both, and equal weights on both."""

import sys

import ray
from ray.train import RunConfig, ScalingConfig
from ray.train.v2.jax import JaxTrainer


def loop(config):
    import jax
    import jax.numpy as jnp
    import numpy as np
    from jax.experimental import multihost_utils
    from jax.sharding import Mesh, NamedSharding, PartitionSpec

    rank = ray.train.get_context().get_world_rank()
    assert jax.process_count() == 2 and jax.process_index() == rank
    assert len(jax.devices()) == 2 and len(jax.local_devices()) == 1
    ranks = multihost_utils.process_allgather(jnp.array([rank]))
    assert ranks.ravel().tolist() == [0, 1], ranks

    mesh = Mesh(np.array(jax.devices()), ("data",))
    by_worker, everywhere = NamedSharding(mesh, PartitionSpec("data")), NamedSharding(mesh, PartitionSpec())
    x = np.linspace(-1, 1, 64, dtype=np.float32)
    mine = x.reshape(2, 32)[rank]
    x = jax.make_array_from_process_local_data(by_worker, mine)
    target = jax.make_array_from_process_local_data(by_worker, 3 * mine + 1)
    weights = jax.device_put(jnp.zeros(2), everywhere)

    @jax.jit
    def step(weights, x, target):
        loss, gradient = jax.value_and_grad(lambda w: jnp.mean((w[0] * x + w[1] - target) ** 2))(weights)
        return weights - config["lr"] * gradient, loss

    for epoch in range(50):
        weights, loss = step(weights, x, target)
        ray.train.report({"epoch": epoch, "loss": float(loss)})
    return np.asarray(weights.addressable_data(0)).tolist()


ray.init(num_cpus=2)
result = JaxTrainer(
    loop,
    train_loop_config={"lr": 0.5},
    scaling_config=ScalingConfig(num_workers=2),
    run_config=RunConfig(name="line", storage_path=sys.argv[1]),
).fit()
slope, offset = result.return_value
assert abs(slope - 3) < 0.01 and abs(offset - 1) < 0.01, result
ray.shutdown()
print("ok")
