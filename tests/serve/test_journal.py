"""What a replica has begun, as its files say it after its death."""

from __future__ import annotations

from pathlib import Path

from skate.serve._private.replica.journal import Journal, has_begun


def test_only_what_was_begun_has_begun(tmp_path: Path) -> None:
    folder = str(tmp_path / "replica")
    journal = Journal(folder)
    for number in (1, 3, 5000):
        journal.begin("one", number)
    assert [has_begun(folder, "one", number) for number in (1, 2, 3, 4, 5000, 5001)] == [
        *(True, False, True, False),
        *(True, False),
    ]
    assert not has_begun(folder, "two", 1)  # a router of which it has begun nothing


def test_what_can_not_be_told_counts_as_begun(tmp_path: Path) -> None:
    folder = str(tmp_path / "replica")
    journal = Journal(folder)
    journal.begin("one", 4096 + 7)
    assert has_begun(folder, "one", 7)  # its place was used again
    assert has_begun(str(tmp_path / "another machine"), "one", 1)


def test_many_routers_keep_few_files_mapped(tmp_path: Path) -> None:
    folder = str(tmp_path / "replica")
    journal = Journal(folder)
    for router in range(300):
        journal.begin(f"router{router}", 1)
    journal.begin("router0", 2)
    assert len(journal._rings) <= 256
    assert all(has_begun(folder, f"router{router}", 1) for router in range(300))
    assert has_begun(folder, "router0", 2)
    assert not has_begun(folder, "router1", 2)
