"""Datasets for TensorFlow: pairs of features and labels."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pyarrow as pa

from skate.data.extensions.tensor import ArrowVariableShapedTensorType, is_tensor_type
from skate.data.interop import require_module

if TYPE_CHECKING:
    from collections.abc import Iterator

    from skate.data.iterator import DataIterator


def to_tf(
    iterator: DataIterator,
    feature_columns: str | list[str],
    label_columns: str | list[str],
    *,
    additional_columns: str | list[str] | None = None,
    prefetch_batches: int = 1,
    batch_size: int = 1,
    drop_last: bool = False,
    local_shuffle_buffer_size: int | None = None,
    local_shuffle_seed: int | None = None,
    feature_type_spec: Any = None,
    label_type_spec: Any = None,
    additional_type_spec: Any = None,
) -> Any:
    """A `tf.data.Dataset` of pairs of features and labels: a tensor for a name, a dict of tensors for a list.

    Args:
        iterator: What to go over.
        feature_columns: The features.
        label_columns: The labels.
        additional_columns: A third part of each item, for weights and the like.
        prefetch_batches: Batches that are made ready beforehand.
        batch_size: Rows of a batch.
        drop_last: Whether to leave out a last batch that is smaller.
        local_shuffle_buffer_size: Rows from which the next is drawn at random.
        local_shuffle_seed: Makes that the same each time.
        feature_type_spec: The type of the features; default: by the schema.
        label_type_spec: The type of the labels; default: by the schema.
        additional_type_spec: The type of the third part; default: by the schema.

    Raises:
        ImportError: TensorFlow is missing.
        ValueError: there is no such column.
    """
    tf = require_module("tensorflow")
    found = iterator.schema()
    schema: pa.Schema = pa.schema([]) if found is None else found.base_schema
    groups = [
        feature_columns,
        label_columns,
        *([additional_columns] if additional_columns is not None else []),
    ]
    given = [feature_type_spec, label_type_spec, additional_type_spec]
    for group in groups:
        for name in [group] if isinstance(group, str) else group:
            if name not in schema.names:
                raise ValueError(
                    f"You specified '{name}' in `feature_columns`, `label_columns`, or `additional_columns`, but there's no "
                    f"column named '{name}' in the dataset. Valid column names are: {schema.names}."
                )

    # Columns whose rows differ in shape, with their numbers of dimensions.
    ragged = {field.name: _ragged_dimensions(field.type) for field in schema}
    ragged = {name: dimensions for name, dimensions in ragged.items() if dimensions}

    def spec(name: str) -> Any:
        kind = schema.field(name).type
        if name in ragged:
            item = kind.scalar_type if is_tensor_type(kind) else kind.value_type
            sizes = (None,) * (1 + ragged[name])
            return tf.RaggedTensorSpec(sizes, tf.as_dtype(item.to_pandas_dtype()), ragged[name])
        if is_tensor_type(kind):
            return tf.TensorSpec((None, *kind.shape), tf.as_dtype(kind.scalar_type.to_pandas_dtype()), name)
        if pa.types.is_string(kind):
            return tf.TensorSpec((None,), tf.string, name)
        return tf.TensorSpec((None,), tf.as_dtype(kind.to_pandas_dtype()), name)

    def specs(group: Any) -> Any:
        return spec(group) if isinstance(group, str) else {name: spec(name) for name in group}

    def tensor(batch: dict[str, Any], name: str) -> Any:
        found = batch[name]
        if name in ragged and not isinstance(found, tf.RaggedTensor):
            return tf.RaggedTensor.from_tensor(
                found, ragged_rank=ragged[name]
            )  # rows that happen to have one shape
        return found

    def part(batch: dict[str, Any], group: Any) -> Any:
        if isinstance(group, str):
            return tensor(batch, group)
        return {name: tensor(batch, name) for name in group}

    def items() -> Iterator[Any]:
        batches = iterator.iter_tf_batches(
            prefetch_batches=prefetch_batches,
            batch_size=batch_size,
            drop_last=drop_last,
            local_shuffle_buffer_size=local_shuffle_buffer_size,
            local_shuffle_seed=local_shuffle_seed,
        )
        for batch in batches:
            yield tuple(part(batch, group) for group in groups)

    signature = tuple(own if own is not None else specs(g) for own, g in zip(given, groups, strict=False))
    return tf.data.Dataset.from_generator(items, output_signature=signature)


def _ragged_dimensions(kind: pa.DataType) -> int:
    """The number of dimensions of rows that may differ in shape; 0 if they do not."""
    if isinstance(kind, ArrowVariableShapedTensorType):
        return kind.ndim
    return int(pa.types.is_list(kind) or pa.types.is_large_list(kind))


__all__ = ["to_tf"]
