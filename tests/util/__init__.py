"""Tests of skate.util, on every engine."""
