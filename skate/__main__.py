"""`python -m skate`: the command `skate`."""

from __future__ import annotations

import sys

from skate.cli import main

__all__: list[str] = []

if __name__ == "__main__":
    sys.exit(main())
