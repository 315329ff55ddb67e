"""Every Python block in the documentation and every example in a docstring runs and says what it promises."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support import REPO, run_python

_PAGES = [page for page in [REPO / "README.md", *sorted((REPO / "docs").glob("**/*.md"))] if page.exists()]
_SOURCES = sorted((REPO / "skate").glob("**/*.py"))


def _blocks(page: Path) -> str:
    """The page as a program: its Python blocks where they stand, blank lines elsewhere."""
    lines: list[str] = []
    inside = False
    for line in page.read_text().splitlines():
        fence = line.strip()
        if fence.startswith("```"):
            inside = fence == "```python"
            lines.append("")
        else:
            lines.append(line if inside else "")
    return "\n".join(lines)


def _module(source: Path) -> str:
    return ".".join(source.relative_to(REPO).with_suffix("").parts).removesuffix(".__init__")


@pytest.mark.timeout(180)
@pytest.mark.parametrize(
    "page", [page for page in _PAGES if _blocks(page).strip()], ids=lambda page: str(page.relative_to(REPO))
)
def test_the_blocks_of_a_page_run_in_order(page: Path, tmp_path: Path) -> None:
    program = tmp_path / f"{page.stem}.py"
    program.write_text(_blocks(page))
    # The slowest page, which trains with XGBoost and LightGBM, takes 9 s on two cores that do nothing else.
    finished = run_python(program, timeout=150)
    assert finished.returncode == 0, finished.stdout + finished.stderr


@pytest.mark.parametrize("module", [_module(source) for source in _SOURCES if ">>> " in source.read_text()])
def test_the_examples_in_docstrings_are_true(module: str) -> None:
    finished = run_python("-m", "tests.docstrings", module)
    assert finished.returncode == 0, finished.stdout + finished.stderr


def test_only_fenced_python_is_run(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text("text\n```python\nx = 1\n```\n```text\nnot code\n```\n")
    assert _blocks(page) == "\n\nx = 1\n\n\n\n"
