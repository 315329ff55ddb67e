"""Names of `ray._private` that published libraries import all the same: a few, each for what it truly does.

docs/compatibility.md lists them, with who needs them. They are for programs written for Ray; Skate itself uses none of them.
"""
