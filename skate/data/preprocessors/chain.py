"""Several preprocessors, one after the other."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from skate.data.preprocessor import Preprocessor, SerializablePreprocessorBase

if TYPE_CHECKING:
    import pandas

    from skate.data.dataset import Dataset


class Chain(SerializablePreprocessorBase):
    """Each preprocessor learns from what those before it made.

    Args:
        preprocessors: The preprocessors.
    """

    preprocessors: tuple[Preprocessor, ...]

    def __init__(self, *preprocessors: Preprocessor) -> None:
        self.preprocessors = preprocessors

    def fit_status(self) -> Preprocessor.FitStatus:
        """That of its parts that can be fitted, together."""
        kinds = Preprocessor.FitStatus
        states = [p.fit_status() for p in self.preprocessors]
        fittable = [state for state in states if state is not kinds.NOT_FITTABLE]
        if not fittable:
            return kinds.NOT_FITTABLE
        if all(state is kinds.FITTED for state in fittable):
            return kinds.FITTED
        return (
            kinds.PARTIALLY_FITTED if any(state is kinds.FITTED for state in fittable) else kinds.NOT_FITTED
        )

    def _fit(self, ds: Dataset) -> Preprocessor:
        for preprocessor in self.preprocessors[:-1]:
            ds = preprocessor.fit_transform(ds)
        if self.preprocessors:
            self.preprocessors[-1].fit(ds)
        return self

    def fit_transform(self, ds: Dataset, **options: Any) -> Dataset:
        """Learn from a dataset, and apply that to it."""
        for preprocessor in self.preprocessors:
            ds = preprocessor.fit_transform(ds, **options)
        return ds

    def _transform_pandas(self, df: pandas.DataFrame) -> pandas.DataFrame:
        for preprocessor in self.preprocessors:
            df = preprocessor._transform_pandas(df)
        return df

    def get_input_columns(self) -> list[str]:
        """The columns that the first one reads."""
        return self.preprocessors[0].get_input_columns() if self.preprocessors else []

    def get_output_columns(self) -> list[str]:
        """The columns that the last one makes."""
        return self.preprocessors[-1].get_output_columns() if self.preprocessors else []

    def __repr__(self) -> str:
        return f"Chain({', '.join(repr(p) for p in self.preprocessors)})"


__all__ = ["Chain"]
