"""Tests of `skate.compat`."""
