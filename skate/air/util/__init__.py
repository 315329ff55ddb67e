"""Helpers that programs written for Ray import from here."""
