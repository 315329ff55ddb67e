"""Batches of torch tensors, and datasets for torch."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

import skate.data
from skate.data import collate_fn as cf

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa

torch = pytest.importorskip("torch")


@pytest.fixture
def dataset() -> skate.data.Dataset:
    return skate.data.from_items([{"x": float(i), "y": i, "m": np.full((2, 2), i)} for i in range(5)])


def test_tensors_have_shapes_types_and_a_device(dataset: skate.data.Dataset) -> None:
    batches = list(dataset.iter_torch_batches(batch_size=2, device="cpu"))
    assert [tuple(batch["m"].shape) for batch in batches] == [(2, 2, 2), (2, 2, 2), (1, 2, 2)]
    assert batches[0]["x"].dtype == torch.float64 and batches[0]["x"].device.type == "cpu"
    (one,) = dataset.iter_torch_batches(dtypes={"y": torch.float16})
    assert (one["y"].dtype, one["x"].dtype) == (torch.float16, torch.float64)
    (all_,) = dataset.iter_torch_batches(dtypes=torch.float32)
    assert {tensor.dtype for tensor in all_.values()} == {torch.float32}
    assert len(list(dataset.iter_torch_batches(batch_size=2, drop_last=True))) == 2


class OfArrow(cf.ArrowBatchCollateFn):
    def __call__(self, batch: pa.Table) -> Any:
        return torch.as_tensor(batch["y"].to_numpy())


class OfPandas(cf.PandasBatchCollateFn):
    def __call__(self, batch: pd.DataFrame) -> Any:
        return torch.as_tensor(batch["y"].to_numpy())


class OfNumpy(cf.NumpyBatchCollateFn):
    def __call__(self, batch: dict[str, Any]) -> Any:
        return torch.as_tensor(np.array(batch["y"]))


@pytest.mark.parametrize(
    "collate", [OfArrow(), OfPandas(), OfNumpy(), lambda batch: torch.as_tensor(np.array(batch["y"]))]
)
def test_a_function_makes_of_a_batch_what_it_likes(dataset: skate.data.Dataset, collate: Any) -> None:
    assert [batch.tolist() for batch in dataset.iter_torch_batches(batch_size=3, collate_fn=collate)] == [
        [0, 1, 2],
        [3, 4],
    ]
    with pytest.raises(ValueError, match="collate_fn cannot be used with dtypes"):
        dataset.iter_torch_batches(collate_fn=collate, dtypes=torch.float32)


def test_what_no_tensor_can_hold_is_named() -> None:
    with pytest.raises(TypeError, match="column 's'"):
        list(skate.data.from_items([{"s": "text"}]).iter_torch_batches())


def test_batches_of_tensors_are_known() -> None:
    tensor = torch.zeros(1)
    for batch in (tensor, [tensor], {"a": tensor}, {"a": [tensor]}, [[tensor], (tensor,)]):
        assert cf.is_tensor_batch_type(batch)
    for batch in ("text", [1], {"a": 1}, [[[tensor]]]):
        assert not cf.is_tensor_batch_type(batch)


def test_pairs_of_features_and_label(dataset: skate.data.Dataset) -> None:
    pairs = list(dataset.to_torch(label_column="y", feature_columns=["x", "y"], batch_size=3))
    assert [(tuple(x.shape), tuple(y.shape)) for x, y in pairs] == [((3, 2), (3, 1)), ((2, 2), (2, 1))]
    named = dataset.to_torch(feature_columns={"a": ["x"]}, feature_column_dtypes=torch.float32, batch_size=5)
    ((features, label),) = named
    assert features["a"].dtype == torch.float32 and label is None
    several = dataset.to_torch(
        feature_columns=[["x"], ["y"]], feature_column_dtypes=[torch.float32, None], batch_size=5
    )
    (((first, second), _),) = several
    assert (first.dtype, second.dtype) == (torch.float32, torch.int64)


@pytest.mark.parametrize(
    ("columns", "dtypes", "error", "words"),
    [
        ([[]], None, ValueError, "may not be empty"),
        ({"a": []}, None, ValueError, "may not be empty"),
        ({"a": ["x"]}, {"b": None}, ValueError, "same keys"),
        ({"a": ["x"]}, [None], TypeError, "must be None"),
        ([["x"]], [None, None], ValueError, "same length"),
        ([["x"]], {"x": None}, TypeError, "or a sequence"),
    ],
)
def test_columns_and_types_must_fit(
    dataset: skate.data.Dataset, columns: Any, dtypes: Any, error: type[Exception], words: str
) -> None:
    with pytest.raises(error, match=words):
        dataset.to_torch(feature_columns=columns, feature_column_dtypes=dtypes)
