"""Engines: what runs tasks and actors. `base` is the contract; each folder beside it keeps it in its own way."""
