"""Crashes, leaks, limits: what must hold when things go wrong."""
