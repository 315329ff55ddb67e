"""Preprocessors: what is learnt from a dataset once (`fit`), and applied to it and to later batches."""

from __future__ import annotations

import abc
import base64
import enum
import re
from typing import TYPE_CHECKING, Any

import cloudpickle
import numpy as np
import pyarrow as pa

from skate.data import convert
from skate.data.block import BatchFormat

if TYPE_CHECKING:
    from collections.abc import Sequence

    import pandas

    from skate.data.dataset import Dataset
    from skate.data.preprocessors.utils import StatComputationPlan


_MAGIC = b"CPKL:"  # stands before a pickle


class SerializationFormat(enum.Enum):
    """How a preprocessor is written down: as bytes, or as text, as earlier versions did."""

    CLOUDPICKLE = "cloudpickle"
    PICKLE = "pickle"


class PreprocessorNotFittedException(RuntimeError):
    """A preprocessor is used before it was fitted."""


class Preprocessor(abc.ABC):  # noqa: B024 - a subclass has a transform for pandas or for NumPy
    """Base of preprocessors. A subclass implements `_fit`, if it learns something, and `_transform_pandas`.

    Example:
        >>> import skate.data
        >>> from skate.data.preprocessors import StandardScaler
        >>> scaler = StandardScaler(columns=["id"])
        >>> [row["id"] for row in scaler.fit_transform(skate.data.range(3)).take_all()]
        [-1.224744871391589, 0.0, 1.224744871391589]
    """

    class FitStatus(str, enum.Enum):  # noqa: UP042 - prints as Ray's does
        """Whether there is something to learn, and whether it was learnt."""

        NOT_FITTABLE = "NOT_FITTABLE"
        NOT_FITTED = "NOT_FITTED"
        PARTIALLY_FITTED = "PARTIALLY_FITTED"
        FITTED = "FITTED"

    _is_fittable = True
    _gives_tables = False  # whether batches that are no DataFrames come back as Arrow tables
    stats_: dict[str, Any] = {}  # noqa: RUF012 - replaced, and never changed

    @property
    def stat_computation_plan(self) -> StatComputationPlan:
        """Statistics that `_fit` asks for, and that `fit` then computes into `stats_`."""
        from skate.data.preprocessors.utils import StatComputationPlan

        plan: StatComputationPlan = self.__dict__.setdefault("_stat_computation_plan", StatComputationPlan())
        return plan

    def fit_status(self) -> Preprocessor.FitStatus:
        """Whether it can be used."""
        if not self._is_fittable:
            return Preprocessor.FitStatus.NOT_FITTABLE
        return Preprocessor.FitStatus.FITTED if self._fitted else Preprocessor.FitStatus.NOT_FITTED

    @property
    def _fitted(self) -> bool:
        return "stats_" in self.__dict__

    def has_stats(self) -> bool:
        """Whether something was learnt."""
        return bool(self.__dict__.get("stats_"))

    def fit(self, ds: Dataset) -> Preprocessor:
        """Learn from a dataset; what was learnt before is forgotten.

        Args:
            ds: The dataset.

        Returns:
            Itself.
        """
        if self._is_fittable:
            self.stat_computation_plan.reset()
            self._fit(ds)
            found = self.stat_computation_plan.compute(ds)
            if found:
                self.stats_ = {**self.stats_, **found}
        return self

    def fit_transform(
        self,
        ds: Dataset,
        *,
        transform_num_cpus: float | None = None,
        transform_memory: float | None = None,
        transform_batch_size: int | None = None,
        transform_concurrency: int | None = None,
    ) -> Dataset:
        """Learn from a dataset, and apply that to it.

        Args:
            ds: The dataset.
            transform_num_cpus: CPUs of each task that applies it.
            transform_memory: Bytes of memory of each task that applies it.
            transform_batch_size: Rows of a batch.
            transform_concurrency: How many tasks apply it at a time.
        """
        self.fit(ds)
        return self.transform(
            ds,
            batch_size=transform_batch_size,
            num_cpus=transform_num_cpus,
            memory=transform_memory,
            concurrency=transform_concurrency,
        )

    def transform(
        self,
        ds: Dataset,
        *,
        batch_size: int | None = None,
        num_cpus: float | None = None,
        memory: float | None = None,
        concurrency: int | None = None,
    ) -> Dataset:
        """Apply it to a dataset.

        Args:
            ds: The dataset.
            batch_size: Rows of a batch.
            num_cpus: CPUs of each task.
            memory: Bytes of memory of each task.
            concurrency: How many tasks at a time.

        Raises:
            PreprocessorNotFittedException: it has to be fitted first.
        """
        self._require_fitted(
            "`fit` must be called before `transform`, or simply use fit_transform() to run both steps"
        )
        kind = self._determine_transform_to_use()
        given = {
            "batch_size": batch_size,
            "num_cpus": num_cpus,
            "memory": memory,
            "concurrency": concurrency,
        }
        options: dict[str, Any] = {"batch_size": None, **self._get_transform_config()}
        options.update({name: value for name, value in given.items() if value is not None})
        batch_format = "numpy" if kind is BatchFormat.NUMPY else "pyarrow"
        return ds.map_batches(_Apply(self, kind), batch_format=batch_format, **options)

    def transform_batch(self, data: Any) -> Any:
        """Apply it to a batch, as when a model is served.

        Args:
            data: A DataFrame, an Arrow table or a dict of arrays.

        Returns:
            A DataFrame; an Arrow table of the scalers and encoders that Ray lets have one, if the batch was no DataFrame; a dict of
            arrays of a preprocessor for NumPy.

        Raises:
            PreprocessorNotFittedException: it has to be fitted first.
            ValueError: it is no batch.
        """
        self._require_fitted("`fit` must be called before `transform_batch`.")
        import pandas

        kind = self._determine_transform_to_use()
        if not convert.is_batch(data) and not isinstance(data, np.ndarray):
            raise ValueError(
                "`transform_batch` is currently only implemented for Pandas DataFrames, pyarrow Tables, NumPy ndarray and "
                f"dictionary of ndarray. Got {type(data)}."
            )
        if isinstance(data, pandas.DataFrame) and kind is BatchFormat.PANDAS:
            return self._transform_pandas(data.copy(deep=False))
        if isinstance(data, np.ndarray):
            data = {"data": data}
        table = convert.table_from_batch(data)
        if kind is BatchFormat.ARROW:
            made = self._transform_arrow(table)
            return _plain_frame(made) if isinstance(data, pandas.DataFrame) else made
        if kind is BatchFormat.NUMPY:
            arrays = self._transform_numpy(convert.table_to_batch(table, "numpy", copy=True))
            return arrays if isinstance(data, dict) else convert.table_from_batch(arrays)
        frame = self._transform_pandas(_plain_frame(table))
        return convert.table_from_pandas(frame).replace_schema_metadata() if self._gives_tables else frame

    def _require_fitted(self, message: str) -> None:
        if self.fit_status() in (Preprocessor.FitStatus.NOT_FITTED, Preprocessor.FitStatus.PARTIALLY_FITTED):
            raise PreprocessorNotFittedException(message)

    def _determine_transform_to_use(self) -> BatchFormat:
        """The format of batches that there is a transform for; of several, the preferred one."""
        kinds = [kind for kind, name in _TRANSFORMS.items() if name in _overridden(type(self))]
        if not kinds:
            raise NotImplementedError(
                "None of `_transform_numpy`, `_transform_pandas` or `_transform_arrow` are implemented. At least one of these "
                "transform functions must be implemented for Preprocessor transforms."
            )
        return kinds[0] if len(kinds) == 1 else BatchFormat(self.preferred_batch_format())

    def _get_transform_config(self) -> dict[str, Any]:
        """Arguments of `map_batches` for applying it to a dataset."""
        return {}

    def _fit(self, ds: Dataset) -> Preprocessor:
        """Learn from a dataset: set `stats_`."""
        raise NotImplementedError

    def _transform_pandas(self, df: pandas.DataFrame) -> pandas.DataFrame:
        """Apply it to a DataFrame, which may be changed."""
        raise NotImplementedError

    def _transform_numpy(self, data: Any) -> Any:
        """Apply it to a dict of arrays."""
        raise NotImplementedError

    def _transform_arrow(self, table: pa.Table) -> pa.Table:
        """Apply it to an Arrow table."""
        raise NotImplementedError

    def get_input_columns(self) -> list[str]:
        """The columns that it reads."""
        return list(getattr(self, "columns", []))

    def get_output_columns(self) -> list[str]:
        """The columns that it makes."""
        return list(getattr(self, "output_columns", None) or self.get_input_columns())

    @classmethod
    def preferred_batch_format(cls) -> BatchFormat:
        """The format in which batches reach it, if it has a transform for several."""
        return BatchFormat.PANDAS

    def serialize(self) -> Any:
        """Itself as text, to be kept with a model; those that come with Skate give bytes."""
        return base64.b64encode(cloudpickle.dumps(self)).decode("ascii")

    @staticmethod
    def deserialize(serialized: bytes | str) -> Preprocessor:
        """A preprocessor from what `serialize` gave. It runs code: read only what you have written.

        Raises:
            ValueError: it is nothing of that kind.
        """
        try:
            data = base64.b64decode(serialized) if isinstance(serialized, str) else serialized
            found = cloudpickle.loads(data.removeprefix(_MAGIC))
        except Exception as error:
            raise ValueError(
                f"Failed to deserialize preprocessor. Data preview: {serialized[:50]!r}... ({type(error).__name__}: {error})"
            ) from error
        if not isinstance(found, Preprocessor):
            raise ValueError(
                f"Failed to deserialize preprocessor: the data holds {type(found)}, which is none."
            )
        return found

    def __repr__(self) -> str:
        shown = ", ".join(f"{name}={_shown(getattr(self, name))}" for name in self._shown_fields())
        return f"{type(self).__name__}({shown})"

    def _shown_fields(self) -> Sequence[str]:
        return [name for name in self.__dict__ if not name.startswith("_") and name != "stats_"]


class SerializablePreprocessorBase(Preprocessor):
    """Base of the preprocessors that come with Skate: what `serialize` gives are bytes with their kind in front."""

    SerializationFormat = SerializationFormat
    MAGIC_CLOUDPICKLE = _MAGIC
    SERIALIZER_FORMAT_VERSION = 1
    _identifier: str | None = None
    _version = 1

    def serialize(self) -> bytes:
        """Itself as bytes, to be kept with a model.

        Example:
            >>> from skate.data.preprocessor import Preprocessor
            >>> from skate.data.preprocessors import Normalizer
            >>> Preprocessor.deserialize(Normalizer(columns=["x"]).serialize())
            Normalizer(columns=['x'], norm='l2', output_columns=['x'])
        """
        return _MAGIC + bytes(cloudpickle.dumps(self))

    @classmethod
    def get_preprocessor_class_id(cls) -> str:
        """The name of its kind, the same in every version."""
        if cls._identifier is not None:
            return cls._identifier
        return "io.ray.preprocessors." + re.sub("(?<=[a-z])(?=[A-Z])", "_", cls.__name__).lower()

    @classmethod
    def set_preprocessor_class_id(cls, identifier: str) -> None:
        """Give its kind another name."""
        cls._identifier = identifier

    @classmethod
    def get_version(cls) -> int:
        """The version of its kind."""
        return cls._version

    @classmethod
    def set_version(cls, version: int) -> None:
        """Give its kind another version."""
        cls._version = version


_TRANSFORMS = {
    BatchFormat.PANDAS: "_transform_pandas",
    BatchFormat.NUMPY: "_transform_numpy",
    BatchFormat.ARROW: "_transform_arrow",
}


def _overridden(kind: type[Preprocessor]) -> set[str]:
    """Which of the transforms a subclass has."""
    return {n for n in _TRANSFORMS.values() if getattr(kind, n) is not getattr(Preprocessor, n)}


def _shown(value: Any) -> str:
    return value.__name__ if callable(value) and not isinstance(value, type) else repr(value)


def _plain_frame(table: Any) -> Any:
    frame = convert.table_to_pandas(table.replace_schema_metadata({b"skate.pandas": b"1"}))
    for place, column in enumerate(table.columns):
        if pa.types.is_list(column.type) or pa.types.is_large_list(column.type):
            frame[table.column_names[place]] = column.to_pylist()  # lists, and no arrays: they stay lists
    return frame


class _Apply:
    """What `transform` gives to `map_batches`."""

    def __init__(self, preprocessor: Preprocessor, kind: BatchFormat) -> None:
        self._preprocessor, self._kind = preprocessor, kind
        self.__name__ = type(preprocessor).__name__

    def __call__(self, batch: Any) -> Any:
        if self._kind is BatchFormat.NUMPY:
            return self._preprocessor._transform_numpy(batch)
        if self._kind is BatchFormat.ARROW:
            return self._preprocessor._transform_arrow(batch)
        return self._preprocessor._transform_pandas(_plain_frame(batch))


def output_names(columns: list[str], output_columns: list[str] | None) -> list[str]:
    """The columns to make: those given, or the ones that are read.

    Raises:
        ValueError: there are more or fewer of them.
    """
    if output_columns is None:
        return list(columns)
    if len(columns) != len(output_columns):
        raise ValueError(
            "Invalid output_columns: Got len(columns) != len(output_columns). The length of columns and output_columns "
            f"must match: {columns} and {output_columns}."
        )
    return list(output_columns)


__all__ = [
    "Preprocessor",
    "PreprocessorNotFittedException",
    "SerializablePreprocessorBase",
    "SerializationFormat",
    "output_names",
]
