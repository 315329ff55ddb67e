"""Tests of skate.core."""
