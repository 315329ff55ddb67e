from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

import skate.data
from skate.data import preprocessors as pp
from skate.data.aggregate import Mean
from skate.data.block import BatchFormat
from skate.data.preprocessor import Preprocessor, PreprocessorNotFittedException
from skate.data.preprocessors import serialization_handlers as handlers

FRAME = pd.DataFrame(
    {
        "a": [1.0, 2.0, 3.0],
        "b": [10.0, 20.0, 30.0],
        "c": ["x", "y", "x"],
        "l": [["p", "q"], ["q"], []],
        "t": ["hi there", "hi", "there you"],
    }
)
S = 1.224744871391589


def applied(preprocessor: Preprocessor, column: str) -> list[Any]:
    """The column after fitting and applying, by way of a dataset of two blocks."""
    dataset = skate.data.from_pandas([FRAME.iloc[:2], FRAME.iloc[2:]])
    rows = preprocessor.fit_transform(dataset).take_all()
    return [row[column].tolist() if isinstance(row[column], np.ndarray) else row[column] for row in rows]


@pytest.mark.parametrize(
    ("preprocessor", "column", "expected"),
    [
        (pp.StandardScaler(["a", "b"]), "b", [-S, 0.0, S]),
        (pp.StandardScaler(["a"], output_columns=["as"]), "as", [-S, 0.0, S]),
        (pp.MinMaxScaler(["a"]), "a", [0.0, 0.5, 1.0]),
        (pp.MaxAbsScaler(["a"]), "a", [1 / 3, 2 / 3, 1.0]),
        (pp.RobustScaler(["a"]), "a", [-1.0, 0.0, 1.0]),
        (pp.Normalizer(["a", "b"]), "a", [0.09950371902099892] * 3),
        (pp.Normalizer(["a", "b"], norm="l1"), "b", [10 / 11] * 3),
        (pp.PowerTransformer(["a"], power=0.5), "a", [0.8284271247461903, 1.4641016151377544, 2.0]),
        (pp.PowerTransformer(["a"], power=2, method="box-cox"), "a", [0.0, 1.5, 4.0]),
        (pp.OrdinalEncoder(["c"]), "c", [0, 1, 0]),
        (pp.OrdinalEncoder(["l"]), "l", [[0, 1], [1], []]),
        (pp.OneHotEncoder(["c"]), "c", [[1, 0], [0, 1], [1, 0]]),
        (pp.OneHotEncoder(["c"], max_categories={"c": 1}), "c", [[1], [0], [1]]),
        (pp.MultiHotEncoder(["l"]), "l", [[1, 1], [0, 1], [0, 0]]),
        (pp.LabelEncoder("c"), "c", [0, 1, 0]),
        (pp.Categorizer(["c"]), "c", ["x", "y", "x"]),
        (pp.Concatenator(["a", "a"]), "concat_out", [[1.0, 1.0], [2.0, 2.0], [3.0, 3.0]]),
        (pp.Concatenator(["a", "b"]), "concat_out", [[1.0, 10.0], [2.0, 20.0], [3.0, 30.0]]),
        (pp.UniformKBinsDiscretizer(["a"], bins=2), "a", [0, 0, 1]),
        (pp.CustomKBinsDiscretizer(["a"], bins=[0, 1.5, 4]), "a", [0, 1, 1]),
        (pp.FeatureHasher(["a", "b"], 4, "h"), "h", [[0, 10, 0, 1], [0, 20, 0, 2], [0, 30, 0, 3]]),
        (pp.CountVectorizer(["t"]), "t", [[1, 1, 0], [1, 0, 0], [0, 1, 1]]),
        (pp.CountVectorizer(["t"], max_features=1), "t", [[1], [1], [0]]),
        (pp.HashingVectorizer(["t"], num_features=3), "t", [[1, 1, 0], [0, 1, 0], [2, 0, 0]]),
        (pp.Tokenizer(["t"]), "t", [["hi", "there"], ["hi"], ["there", "you"]]),
        (pp.Chain(pp.StandardScaler(["a"]), pp.Concatenator(["a"])), "concat_out", [[-S], [0.0], [S]]),
    ],
    ids=repr,
)
def test_preprocessors_compute(preprocessor: Preprocessor, column: str, expected: list[Any]) -> None:
    got = applied(preprocessor, column)
    for value, wanted in zip(got, expected, strict=True):
        is_text = isinstance(wanted, str) or (
            isinstance(wanted, list) and wanted[:1] and isinstance(wanted[0], str)
        )
        assert value == (wanted if is_text else pytest.approx(wanted))
    again = Preprocessor.deserialize(preprocessor.serialize())
    assert again.fit_status() in (Preprocessor.FitStatus.FITTED, Preprocessor.FitStatus.NOT_FITTABLE)
    assert again.transform_batch(FRAME).shape[0] == 3


@pytest.mark.parametrize(
    ("imputer", "column", "expected"),
    [
        (pp.SimpleImputer(["a"]), "a", [1.0, 2.0, 1.5]),
        (pp.SimpleImputer(["c"], strategy="most_frequent"), "c", ["x", "x", "x"]),
        (pp.SimpleImputer(["c"], strategy="constant", fill_value="z"), "c", ["x", "x", "z"]),
    ],
    ids=repr,
)
def test_missing_values_are_filled_in(imputer: Preprocessor, column: str, expected: list[Any]) -> None:
    dataset = skate.data.from_pandas(pd.DataFrame({"a": [1.0, 2.0, None], "c": ["x", "x", None]}))
    assert [row[column] for row in imputer.fit_transform(dataset).take_all()] == expected


def test_what_is_not_fitted_says_so() -> None:
    scaler = pp.StandardScaler(["a"])
    assert scaler.fit_status() is Preprocessor.FitStatus.NOT_FITTED
    with pytest.raises(PreprocessorNotFittedException, match="fit_transform"):
        scaler.transform(skate.data.from_pandas(FRAME))
    with pytest.raises(PreprocessorNotFittedException, match="transform_batch"):
        scaler.transform_batch(FRAME)
    chain = pp.Chain(scaler, pp.MinMaxScaler(["b"]).fit(skate.data.from_pandas(FRAME)))
    assert chain.fit_status() is Preprocessor.FitStatus.PARTIALLY_FITTED


def test_batches_come_back_as_what_they_were() -> None:
    scaler = pp.MinMaxScaler(["a"]).fit(skate.data.from_pandas(FRAME))
    assert scaler.stats_ == {"min(a)": 1.0, "max(a)": 3.0}
    given = FRAME.copy()
    assert scaler.transform_batch(given)["a"].tolist() == [0.0, 0.5, 1.0]
    assert given["a"].tolist() == [1.0, 2.0, 3.0]
    assert scaler.transform_batch({"a": np.array([2.0])})["a"].tolist() == [0.5]


def test_unknown_categories_and_nulls() -> None:
    encoder = pp.OrdinalEncoder(["c"]).fit(skate.data.from_pandas(FRAME))
    assert pd.isna(encoder.transform_batch(pd.DataFrame({"c": ["x", "new"]}))["c"][1])
    with pytest.raises(ValueError, match="contains null values"):
        pp.OneHotEncoder(["c"]).fit(skate.data.from_items([{"c": "x"}, {"c": None}]))


def test_labels_come_back() -> None:
    encoder = pp.LabelEncoder("c")
    back = encoder.inverse_transform(encoder.fit_transform(skate.data.from_pandas(FRAME)))
    assert [row["c"] for row in back.take_all()] == ["x", "y", "x"]


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: pp.StandardScaler(["a", "b"], output_columns=["x"]), "length of columns"),
        (lambda: pp.SimpleImputer(["a"], strategy="foo"), "not supported"),
        (lambda: pp.SimpleImputer(["a"], strategy="constant"), "fill_value"),
        (lambda: pp.Normalizer(["a"], norm="l7"), "not supported"),
        (lambda: pp.PowerTransformer(["a"], 1, method="other"), "not supported"),
    ],
)
def test_wrong_arguments_are_told(make: Any, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        make()


def test_preprocessors_print_what_they_are() -> None:
    assert repr(pp.StandardScaler(["a"])) == "StandardScaler(columns=['a'], output_columns=['a'])"
    assert repr(pp.Concatenator(["a"])) == "Concatenator(columns=['a'])"


def test_a_preprocessor_of_ones_own_for_arrays() -> None:
    class Double(Preprocessor):
        _is_fittable = False

        def _transform_numpy(self, data: Any) -> Any:
            return {**data, "id": data["id"] * 2}

    assert Double().transform(skate.data.range(3)).take_all() == [{"id": 0}, {"id": 2}, {"id": 4}]
    assert Double().transform_batch({"id": np.array([2])})["id"].tolist() == [4]


def test_encoders_refuse_missing_values_and_unknown_columns() -> None:
    letters = skate.data.from_items([{"c": "x"}, {"c": "y"}])
    holes = pd.DataFrame({"c": ["x", None]})
    kinds: list[Any] = [pp.OrdinalEncoder(["c"]), pp.OneHotEncoder(["c"]), pp.LabelEncoder("c")]
    for encoder in kinds:
        with pytest.raises(ValueError, match="Unable to fit column because it contains null values"):
            encoder.fit(skate.data.from_pandas(holes))
        encoder.fit(letters)
        with pytest.raises(
            ValueError, match=r"Unable to transform columns \['c'\] because they contain null"
        ):
            encoder.transform_batch(holes)
        with pytest.raises(ValueError, match="no such column"):
            encoder.fit(letters.rename_columns({"c": "d"}))
    with pytest.raises(ValueError, match=r"You set `max_categories` for z, which is not present in \['c'\]"):
        pp.OneHotEncoder(["c"], max_categories={"z": 1}).fit(letters)


def test_bins_are_checked_when_they_are_fitted() -> None:
    numbers = skate.data.from_pandas(pd.DataFrame({"a": [1.0, float("inf")], "n": [float("nan")] * 2}))
    with pytest.raises(TypeError, match="must be an integer or a dict of integers, got 2.5"):
        pp.UniformKBinsDiscretizer(["a"], bins=2.5).fit(numbers)
    with pytest.raises(ValueError, match="If `bins` is a dictionary"):
        pp.UniformKBinsDiscretizer(["a", "n"], bins={"a": 2}).fit(numbers)
    with pytest.raises(ValueError, match="contains infinity"):
        pp.UniformKBinsDiscretizer(["a"], bins=2).fit(numbers)
    with pytest.raises(ValueError, match="no values to bin"):
        pp.UniformKBinsDiscretizer(["n"], bins=2).fit(numbers)


class Double(Preprocessor):
    """One of a user's own."""

    _is_fittable = False

    def __init__(self) -> None:
        self.factor = 2

    def _transform_pandas(self, df: pd.DataFrame) -> pd.DataFrame:
        df["a"] = df["a"] * self.factor
        return df


def test_preprocessors_are_kept_as_bytes_or_text() -> None:
    scaler = pp.StandardScaler(["id"]).fit(skate.data.range(3))
    kept = scaler.serialize()
    assert kept.startswith(b"CPKL:") and Preprocessor.deserialize(kept).stats_ == scaler.stats_
    text = Double().serialize()
    assert isinstance(text, str) and Preprocessor.deserialize(text).factor == 2
    for junk in (b"junk", "anVuaw=="):
        with pytest.raises(ValueError, match="Failed to deserialize preprocessor"):
            Preprocessor.deserialize(junk)
    assert (
        pp.UniformKBinsDiscretizer.get_preprocessor_class_id()
        == "io.ray.preprocessors.uniform_kbins_discretizer"
    )
    assert pp.MaxAbsScaler.get_version() == 1


def test_columns_of_lists_stay_lists_and_batches_keep_their_kind() -> None:
    dataset = skate.data.from_pandas(pd.DataFrame({"a": [1.0], "l": [["u", "v"]]}))
    assert Double().transform(dataset).take_all() == [{"a": 2.0, "l": ["u", "v"]}]
    assert isinstance(Double().transform_batch({"a": np.array([1.0])}), pd.DataFrame)
    scaler = pp.StandardScaler(["a"]).fit(dataset)
    assert isinstance(scaler.transform_batch(pa.table({"a": [1.0]})), pa.Table)
    with pytest.raises(ValueError, match="only implemented for"):
        Double().transform_batch([1])

    class Nothing(Preprocessor):
        _is_fittable = False

    with pytest.raises(NotImplementedError, match="At least one of these"):
        Nothing().transform(dataset)


class Centred(Preprocessor):
    """Asks for its statistics, and leaves it to `fit` to compute them."""

    def _fit(self, ds: skate.data.Dataset) -> Preprocessor:
        self.stat_computation_plan.add_aggregator(
            aggregator_fn=Mean, columns=["a", "b"], post_process_fn=round
        )
        self.stat_computation_plan.add_callable_stat(
            stat_fn=lambda key: ds.max(key),
            stat_key_fn=str,
            post_key_fn=lambda key: f"most({key})",
            columns=["a"],
        )
        return self

    def _transform_pandas(self, df: pd.DataFrame) -> pd.DataFrame:
        return df.assign(a=df["a"] - self.stats_["mean(a)"])


def test_statistics_can_be_asked_for() -> None:
    centred = Centred()
    assert centred.fit_status() == Preprocessor.FitStatus.NOT_FITTED
    assert applied(centred, "a") == [-1.0, 0.0, 1.0]
    assert centred.stats_ == {"mean(a)": 2, "mean(b)": 20, "most(a)": 3.0}
    assert (
        centred.stat_computation_plan.has_custom_stat_fn() and len(list(centred.stat_computation_plan)) == 2
    )
    again = centred.fit(skate.data.from_pandas(FRAME.iloc[:1]))
    assert again.stats_["mean(a)"] == 1


def test_handlers_write_what_they_read() -> None:
    scaler = pp.StandardScaler(["a"]).fit(skate.data.from_pandas(FRAME))
    binary, text = handlers.CloudPickleSerializationHandler(), handlers.PickleSerializationHandler()
    assert binary.deserialize(binary.serialize(scaler)).stats_ == scaler.stats_
    assert text.deserialize(text.serialize(scaler)).stats_ == scaler.stats_
    assert binary.get_magic_bytes() + binary.strip_magic_bytes(binary.serialize(1)) == binary.serialize(1)
    assert Preprocessor.deserialize(scaler.serialize()).stats_ == scaler.stats_
    for wrong in (b"zzz", "text"):
        with pytest.raises(ValueError, match="CloudPickle"):
            binary.deserialize(wrong)  # type: ignore[arg-type]


class InArrow(Preprocessor):
    _is_fittable = False

    def _transform_arrow(self, table: pa.Table) -> pa.Table:
        return table.select(["a"])

    def _get_transform_config(self) -> dict[str, Any]:
        return {"batch_size": 1}


class InBoth(InArrow):
    def _transform_numpy(self, data: dict[str, Any]) -> dict[str, Any]:
        return {"a": data["a"] * 2}

    @classmethod
    def preferred_batch_format(cls) -> BatchFormat:
        return BatchFormat.NUMPY


def test_a_preprocessor_may_work_on_arrow_tables_or_on_what_it_prefers() -> None:
    assert applied(InArrow(), "a") == [1.0, 2.0, 3.0] and applied(InBoth(), "a") == [2.0, 4.0, 6.0]
    assert isinstance(InArrow().transform_batch(pa.Table.from_pandas(FRAME)), pa.Table)
    assert list(InArrow().transform_batch(FRAME).columns) == ["a"]
    assert InBoth().transform_batch({"a": np.array([1.0])}) == {"a": [2.0]}


def test_rows_of_zeros_have_no_direction() -> None:
    zeros = skate.data.from_pandas(pd.DataFrame({"z": [0.0, 2.0]}))
    assert pp.Normalizer(["z"]).transform(zeros).take_all() == [{"z": None}, {"z": 1.0}]
