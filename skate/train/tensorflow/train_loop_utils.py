"""What a training function of TensorFlow calls."""

from __future__ import annotations

from typing import Any

__all__ = [
    "prepare_dataset_shard",
]


def prepare_dataset_shard(tf_dataset_shard: Any) -> Any:
    """Keep TensorFlow from splitting once more what is one worker's part already.

    Args:
        tf_dataset_shard: A `tf.data.Dataset` with this worker's samples alone.

    Returns:
        The data set, with auto-sharding off.
    """
    import tensorflow as tf

    options = tf.data.Options()
    options.experimental_distribute.auto_shard_policy = tf.data.experimental.AutoShardPolicy.OFF
    return tf_dataset_shard.with_options(options)
