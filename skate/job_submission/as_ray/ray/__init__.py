"""The module `ray` in the processes of a job: it gives its place to Skate.

A job's PYTHONPATH starts with the folder above this one, so that a script which says `import ray` runs unedited.
"""

from __future__ import annotations

import sys

del sys.modules[__name__]

import skate.compat  # noqa: E402  # the name must be free first

skate.compat.install()

import ray  # noqa: E402, F401  # what the import that has led here gives
