"""The methods of `Dataset`, by what they do."""

__all__: list[str] = []
