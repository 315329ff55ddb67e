"""Routers for particular needs, named in `RequestRouterConfig(request_router_class=…)`.

consistent_hash_router.py   a session's requests go to the same replica
round_robin_router.py       replicas take turns
"""

from __future__ import annotations

__all__: list[str] = []
