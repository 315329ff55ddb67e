"""Tests of skate.engine."""
