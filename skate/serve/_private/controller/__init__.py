"""The controller: what should run, what does, and what to do about the difference.

    deployment_state.py   one deployment's replicas: rollout, failures, status (pure)
    application_state.py  applications and their statuses (pure)
    autoscaling.py        how many replicas the load asks for, and when (pure)
    replicas.py           carrying it out: starting, watching, draining replicas
    builds.py             applications that a config file names by their import path
    details.py            statuses, as users and the REST API see them
    actor.py              the actor: its loop, and what others ask it

State machines are told what happened and what time it is, and answer with what is to be done; they read no clock and start nothing.
"""
