"""Helpers for functions on batches."""
