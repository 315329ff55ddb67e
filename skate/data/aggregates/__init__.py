"""Aggregate functions. Their public names are in `skate.data.aggregate`."""

__all__: list[str] = []
