"""Files are written whole or not at all."""

import os
import stat

import pytest

from renderers.files import atomic_write, replacing


def test_a_file_takes_its_name_when_all_of_it_is_written(tmp_path):
    path = tmp_path / "a.bin"
    atomic_write(path, b"old")
    with replacing(path, ".bin") as part:
        assert (part.parent, part.suffix) == (tmp_path, ".bin")
        part.write_bytes(b"new")
        assert path.read_bytes() == b"old"
    assert path.read_bytes() == b"new"
    assert os.listdir(tmp_path) == ["a.bin"]


@pytest.mark.parametrize("error", [OSError(28, "No space left on device"), KeyboardInterrupt()])
def test_a_broken_writing_leaves_the_old_file_and_no_other(tmp_path, error):
    path = tmp_path / "a.bin"
    path.write_bytes(b"old")

    def broken():
        with replacing(path) as part:
            part.write_bytes(b"half")
            raise error

    with pytest.raises(type(error)):
        broken()
    assert path.read_bytes() == b"old"
    assert os.listdir(tmp_path) == ["a.bin"]


def test_the_bytes_are_on_the_disk_before_the_name_is(tmp_path, monkeypatch):
    """Or else a power cut could leave an empty file under the name."""
    path, synced = tmp_path / "a.bin", []
    monkeypatch.setattr(os, "fsync", lambda handle: synced.append((os.fstat(handle).st_size, path.exists())))
    atomic_write(path, b"12345")
    assert synced == [(5, False)]


def test_others_may_read_it_as_the_umask_says(tmp_path):
    before = os.umask(0o027)
    try:
        atomic_write(tmp_path / "a.bin", b"x")
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "a.bin").stat().st_mode) == 0o640


def test_a_missing_folder_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"no folder .*none to write a\.bin to"):
        atomic_write(tmp_path / "none" / "a.bin", b"x")
