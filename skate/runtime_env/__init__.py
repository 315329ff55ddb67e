"""Runtime environments as objects, under Ray's name of the module; plain dictionaries do as well."""

from __future__ import annotations

from skate.runtime_env.runtime_env import RuntimeEnv, RuntimeEnvConfig

__all__ = ["RuntimeEnv", "RuntimeEnvConfig"]
