"""Training with the libraries of Hugging Face."""

from __future__ import annotations

__all__: list[str] = []
