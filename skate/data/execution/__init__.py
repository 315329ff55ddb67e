"""How a plan runs: blocks stream through stages, in this process, in tasks or in actors."""

__all__: list[str] = []
