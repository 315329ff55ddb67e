"""What programs ask an autoscaler for. A session has the resources that it was started with."""

from __future__ import annotations

__all__: list[str] = []
