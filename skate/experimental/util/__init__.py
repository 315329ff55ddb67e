"""Types of what is experimental."""
