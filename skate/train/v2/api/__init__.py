"""The public names of Train, one concept a module."""
