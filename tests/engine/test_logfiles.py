"""Workers' output, kept in files: what becomes of it where the disk does not take it."""

from __future__ import annotations

import os
from pathlib import Path

from skate.engine.logfiles import LogFiles


def test_a_folder_that_cant_be_made_keeps_nothing_until_it_can(tmp_path: Path) -> None:
    folder = tmp_path / "logs"
    folder.touch()
    files = LogFiles(str(folder))
    files.write(1, 2, "out", b"lost")
    folder.unlink()
    files.write(1, 2, "out", b"kept")
    [path] = folder.iterdir()
    assert path.read_bytes() == b"kept"
    files.close(1)


def test_a_file_that_cant_be_put_aside_is_written_to_by_nobody_else(tmp_path: Path) -> None:
    folder = tmp_path / "logs"
    files = LogFiles(str(folder), limit=8)
    files.write(1, 2, "out", b"12345")
    [path] = folder.iterdir()
    in_its_place = Path(f"{path}.old")
    in_its_place.mkdir()
    files.write(1, 2, "out", b"67890")
    other = os.open(
        tmp_path / "other", os.O_RDWR | os.O_CREAT
    )  # it may well have the number of the file that was closed
    try:
        files.write(1, 2, "out", b"ab")
        assert os.read(other, 9) == b""
        os.lseek(other, 0, os.SEEK_SET)
        in_its_place.rmdir()
        files.write(1, 2, "out", b"cdefg")
        assert (path.read_bytes(), in_its_place.read_bytes()) == (b"cdefg", b"12345ab")
    finally:
        os.close(other)
        files.close(1)
