"""Tests of skate.engine.local, most of them of its pure state machines."""
