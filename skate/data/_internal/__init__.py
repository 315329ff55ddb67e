"""Helpers of Ray Data that are not part of its public API, and that libraries written for Ray import nevertheless."""
