"""The logical plan, the rules that rewrite it, and its native and Python stages."""

__all__: list[str] = []
