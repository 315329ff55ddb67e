"""Skate Serve, as its users use it: handles and real HTTP clients; and its state machines, without either."""
