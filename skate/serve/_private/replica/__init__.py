"""A replica: an actor that holds one instance of a deployment's class and answers requests with it.

gate.py    how many requests run at once, and which wait (pure)
user.py    the user's function or object: calling it, in the loop or in threads
actor.py   the actor
"""
