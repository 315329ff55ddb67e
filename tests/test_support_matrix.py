"""The support matrix in the documentation is the one that the tests' marks make."""

from __future__ import annotations

import subprocess
import sys

from tests.support import REPO


def test_the_page_on_engines_shows_what_the_marks_say() -> None:
    printed = subprocess.run(
        [sys.executable, "-m", "tests.conformance.support"],
        cwd=REPO,
        capture_output=True,
        text=True,
        check=True,
        timeout=50,
    )
    page = (REPO / "docs" / "engines.md").read_text()
    assert printed.stdout in page, "run `python -m tests.conformance.support --write`"
