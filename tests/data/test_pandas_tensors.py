"""Columns of tensors in pandas, as users compute on them, and on their way through datasets."""

from __future__ import annotations

import pickle
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

import skate.data
from skate.data.extensions import (
    ArrowPythonObjectArray,
    ArrowTensorArray,
    ArrowVariableShapedTensorArray,
    PythonObjectArray,
    PythonObjectDtype,
    TensorArray,
    TensorArrayElement,
    TensorDtype,
    column_needs_tensor_extension,
)

VALUES = np.arange(12).reshape(3, 2, 2)


@pytest.fixture
def column() -> pd.Series[Any]:
    return pd.Series(TensorArray(VALUES))


def test_a_column_computes_on_its_tensors(column: pd.Series[Any]) -> None:
    np.testing.assert_array_equal((column * 2 + column).to_numpy(), VALUES * 3)
    np.testing.assert_array_equal((column == 3).to_numpy(), VALUES == 3)
    np.testing.assert_array_equal(np.sqrt(column).to_numpy(), np.sqrt(VALUES))
    np.testing.assert_array_equal(column.sum().to_numpy(), VALUES.sum(axis=0))
    np.testing.assert_array_equal(column.mean().to_numpy(), VALUES.mean(axis=0))
    first = column.iloc[0]
    assert isinstance(first, TensorArrayElement) and first.numpy_shape == (2, 2)
    np.testing.assert_array_equal((first + 1).to_numpy(), VALUES[0] + 1)
    with pytest.raises(NotImplementedError, match="'kurt' aggregate"):
        column.array._reduce("kurt")


def test_a_column_is_cut_joined_and_shown(column: pd.Series[Any]) -> None:
    assert column.dtype == TensorDtype((2, 2), np.int64) and column.dtype == str(column.dtype)
    np.testing.assert_array_equal(column[1:].to_numpy(), VALUES[1:])
    np.testing.assert_array_equal(column[[True, False, True]].to_numpy(), VALUES[[0, 2]])
    joined = pd.concat([column, column], ignore_index=True)
    assert joined.dtype == column.dtype and len(joined) == 6
    filled = column.reindex([0, 7])
    assert np.isnan(filled.iloc[1].to_numpy()).all() and filled.isna().tolist() == [False, True]
    assert "0  [[0, 1], [2, 3]]" in repr(pd.DataFrame({"x": column}).head(1))
    copied = pickle.loads(pickle.dumps(column))
    np.testing.assert_array_equal(copied.to_numpy(), VALUES)
    changed = column.copy()
    changed.iloc[0] = TensorArrayElement(np.full((2, 2), 9))
    assert changed.iloc[0].to_numpy().sum() == 36 and column.iloc[0].to_numpy().sum() == 6


def test_shapes_may_differ() -> None:
    rows = [np.zeros((1, 2)), np.ones((2, 2))]
    ragged = TensorArray(rows)
    assert ragged.is_variable_shaped and ragged.dtype == TensorDtype((None, None), np.float64)
    np.testing.assert_array_equal((ragged + 1)[1].to_numpy(), np.full((2, 2), 2.0))
    back = pa.array(ragged)
    assert isinstance(back, ArrowVariableShapedTensorArray)
    np.testing.assert_array_equal(back.to_numpy()[1], rows[1])


def test_types_are_read_from_text() -> None:
    for kind in (TensorDtype((2,), np.int64), TensorDtype((), np.bool_), TensorDtype((None, 3), "float32")):
        assert TensorDtype.construct_from_string(kind.name) == kind
    for wrong in ("int64", "TensorDtype(shape=(x,), dtype=int64)", "TensorDtype(shape=(2,), dtype=no)"):
        with pytest.raises(TypeError, match="Cannot construct a 'TensorDtype'"):
            TensorDtype.construct_from_string(wrong)
    with pytest.raises(TypeError, match="Expected a numpy.ndarray"):
        TensorArray({"a": 1})


def test_arrow_and_pandas_exchange_them(column: pd.Series[Any]) -> None:
    table = pa.Table.from_pandas(pd.DataFrame({"x": column}))
    assert isinstance(table.column("x").chunk(0), ArrowTensorArray)
    assert table.to_pandas()["x"].dtype == column.dtype
    scalar = table.column("x")[1]
    np.testing.assert_array_equal(scalar.as_py(), VALUES[1])
    wide = table.column("x").chunk(0).to_var_shaped_tensor_array(3)
    assert wide.to_numpy()[0].shape == (1, 2, 2)


def test_datasets_take_them_and_give_arrays(column: pd.Series[Any]) -> None:
    dataset = skate.data.from_pandas(pd.DataFrame({"x": column}))
    np.testing.assert_array_equal(dataset.take_batch()["x"], VALUES)
    assert column_needs_tensor_extension(dataset.to_pandas()["x"])
    made = skate.data.range(2).map_batches(
        lambda frame: pd.DataFrame({"v": TensorArray(np.ones((len(frame), 3)))}), batch_format="pandas"
    )
    assert made.take_batch()["v"].shape == (2, 3)


def test_they_stay_tensors_in_pandas_if_the_settings_say_so(
    column: pd.Series[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(skate.data.DataContext.get_current(), "enable_tensor_extension_casting", False)
    frame = skate.data.from_numpy(VALUES).to_pandas()
    assert frame["data"].dtype == column.dtype


def test_objects_stay_objects_in_pandas() -> None:
    column = pd.Series(PythonObjectArray([{1}, None, "a"]))
    assert (
        column.dtype == PythonObjectDtype()
        and str(column.dtype) == "python_object()"
        and column.isna().tolist()
        == [
            False,
            True,
            False,
        ]
    )
    arrow = pa.array(column)
    assert isinstance(arrow, ArrowPythonObjectArray) and arrow[0].as_py() == {1} and arrow[1].as_py() is None
    assert pa.table({"o": arrow}).to_pandas()["o"].tolist() == [{1}, None, "a"]
