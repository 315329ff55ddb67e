"""Where work goes: machines, what they have, and groups of reservations on them. Pure, and shared by the engines.

resources.py   counting what one machine (or one bundle of a group) has, exactly
where.py       what a task, an actor or a bundle asks of its place, as plain tuples
machines.py    the machines of a session
packing.py     which machine each bundle of a group gets
groups.py      placement groups' lives: pending, created, rescheduling, removed
choice.py      the places that a task or actor may take, best first
"""
