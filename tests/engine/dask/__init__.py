"""Tests of skate.engine.dask beyond what every engine is held to: real clusters, and what can be tested without one."""
