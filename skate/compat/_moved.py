"""Modules of Ray's that Skate has under another path, such as `ray.data._internal.datasource.csv_datasource`."""

from __future__ import annotations

_MODULES = {
    "data._internal.compute": "data.execution.strategies",
    "data._internal.random_config": "data.options",
    "data._internal.savemode": "data.options",
    "data._internal.stats": "data.stats",
}
_DATASOURCES = "data._internal.datasource."

_FILES = {
    "audio": "media",
    "video": "media",
    "databricks_credentials": "databricks",
    "databricks_uc": "databricks",
    "parquet_datasink": "parquet_datasink",
    "range": "datasource",
    "zarrv2": "zarr",
}
"""Those whose file is not named as the format is."""


def path_in_skate(rest: str) -> str:
    """The path under `skate` of what is `rest` under `ray`."""
    if not rest.startswith(_DATASOURCES):
        return _MODULES.get(rest, rest)
    name = rest.removeprefix(_DATASOURCES)
    kind = name.removesuffix("_datasource").removesuffix("_datasink")
    return f"data.datasource.{_FILES.get(name) or _FILES.get(kind, kind)}"


__all__ = ["path_in_skate"]
