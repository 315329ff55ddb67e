"""Tests of `skate.cli`."""
