"""Datasets for torch: pairs of features and a label."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from skate.data.collate_fn import to_tensors
from skate.data.interop import require_module

if TYPE_CHECKING:
    from collections.abc import Iterator

    from skate.data.iterator import DataIterator


def to_torch(
    iterator: DataIterator,
    *,
    label_column: str | None = None,
    feature_columns: Any = None,
    label_column_dtype: Any = None,
    feature_column_dtypes: Any = None,
    batch_size: int = 1,
    prefetch_batches: int = 1,
    drop_last: bool = False,
    local_shuffle_buffer_size: int | None = None,
    local_shuffle_seed: int | None = None,
    unsqueeze_label_tensor: bool = True,
    unsqueeze_feature_tensors: bool = True,
) -> Any:
    """A torch `IterableDataset` of pairs of a feature tensor and a label tensor.

    Args:
        iterator: What to go over.
        label_column: The label; None gives None in its place.
        feature_columns: Names; lists of names for several tensors; a dict of lists for named ones; None for all.
        label_column_dtype: The type of the label.
        feature_column_dtypes: The type of the features, shaped like `feature_columns`.
        batch_size: Rows of a batch.
        prefetch_batches: Batches that are made ready beforehand.
        drop_last: Whether to leave out a last batch that is smaller.
        local_shuffle_buffer_size: Rows from which the next is drawn at random.
        local_shuffle_seed: Makes that the same each time.
        unsqueeze_label_tensor: Whether the label gets a second dimension of size 1.
        unsqueeze_feature_tensors: Whether each feature column becomes a column of a matrix.

    Raises:
        ImportError: torch is missing.
    """
    torch = require_module("torch")
    _check(feature_columns, feature_column_dtypes)

    def matrix(batch: dict[str, Any], names: list[str], dtype: Any) -> Any:
        tensors = to_tensors({name: batch[name] for name in names}, dtype)
        parts = [t.unsqueeze(1) if unsqueeze_feature_tensors and t.ndim == 1 else t for t in tensors.values()]
        if not unsqueeze_feature_tensors and len(parts) == 1:
            return parts[0]
        return torch.cat(parts, dim=1) if all(p.ndim > 1 for p in parts) else torch.stack(parts, dim=1)

    def features(batch: dict[str, Any]) -> Any:
        chosen = feature_columns or [name for name in batch if name != label_column]
        if isinstance(chosen, dict):
            kinds = feature_column_dtypes
            kinds = kinds if isinstance(kinds, dict) else dict.fromkeys(chosen, kinds)
            return {key: matrix(batch, names, kinds.get(key)) for key, names in chosen.items()}
        if chosen and isinstance(chosen[0], (list, tuple)):
            kinds_list = feature_column_dtypes
            if not isinstance(kinds_list, (list, tuple)):
                kinds_list = [kinds_list] * len(chosen)
            return [matrix(batch, list(n), k) for n, k in zip(chosen, kinds_list, strict=True)]
        return matrix(batch, list(chosen), feature_column_dtypes)

    class Batches(torch.utils.data.IterableDataset):  # type: ignore[misc, name-defined]
        def __iter__(self) -> Iterator[Any]:
            batches = iterator.iter_batches(
                prefetch_batches=prefetch_batches,
                batch_size=batch_size,
                drop_last=drop_last,
                local_shuffle_buffer_size=local_shuffle_buffer_size,
                local_shuffle_seed=local_shuffle_seed,
            )
            for batch in batches:
                label = None
                if label_column is not None:
                    label = to_tensors({"y": batch[label_column]}, label_column_dtype)["y"]
                    label = label.unsqueeze(1) if unsqueeze_label_tensor and label.ndim == 1 else label
                yield features(batch), label

    return Batches()


def _check(columns: Any, dtypes: Any) -> None:
    """Check that there are types for the columns, and columns at all.

    Raises:
        TypeError, ValueError: there are not.
    """
    if isinstance(columns, dict):
        if isinstance(dtypes, dict) and set(dtypes) != set(columns):
            raise ValueError(
                f"`feature_columns` and `feature_column_dtypes` must have the same keys, got {set(columns)} and {set(dtypes)}."
            )
        if isinstance(dtypes, (list, tuple)):
            raise TypeError(
                f"If `feature_columns` is a dict, `feature_column_dtypes` must be None, `torch.dtype`, or dict, got {type(dtypes)}."
            )
        groups = list(columns.values())
    elif columns and isinstance(columns[0], (list, tuple)):
        if isinstance(dtypes, (list, tuple)) and len(dtypes) != len(columns):
            raise ValueError(
                f"`feature_columns` and `feature_column_dtypes` must have the same length, got {len(columns)} and {len(dtypes)}."
            )
        if isinstance(dtypes, dict):
            raise TypeError(
                "If `feature_columns` is a list of lists, `feature_column_dtypes` must be None, `torch.dtype`, or a sequence, got "
                f"{type(dtypes)}."
            )
        groups = list(columns)
    else:
        return
    if any(not group for group in groups):
        raise ValueError("column list may not be empty")


__all__ = ["to_torch"]
