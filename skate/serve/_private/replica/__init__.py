"""A replica: an actor that holds one instance of a deployment's class and answers requests with it.

gate.py     how many requests run at once, and which wait (pure)
journal.py  which requests have begun, for when the replica has died
user.py     the user's function or object: calling it, in the loop or in threads
actor.py    the actor
"""
