"""Files: regular ones alone are read, links lead to what they lead to, and a full disk is named."""

import os

import pytest

from videocap.extract.files import check_regular, link_or_copy, sha256, writing


def test_a_full_disk_is_named_and_other_errors_stay(tmp_path):
    with pytest.raises(ValueError, match=r"here can't be written: No space left on device; make room"), writing("here"):
        with open("/dev/full", "w") as file:
            file.write("x" * 100_000)
    with pytest.raises(FileNotFoundError), writing("here"):
        open(tmp_path / "gone")


def test_a_second_name_of_a_link_is_one_of_the_file(tmp_path):
    (tmp_path / "in").mkdir()
    (tmp_path / "file").write_text("content")
    (tmp_path / "in" / "link").symlink_to("../file")
    link_or_copy(tmp_path / "in" / "link", tmp_path / "second")
    (tmp_path / "in" / "link").unlink()
    assert (tmp_path / "second").read_text() == "content"
    assert not (tmp_path / "second").is_symlink()


def test_what_is_no_regular_file_is_not_read(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    for path in (tmp_path / "pipe", tmp_path, "/dev/zero"):
        with pytest.raises(OSError, match="is not a regular file"):
            check_regular(path)
        with pytest.raises(OSError, match="is not a regular file"):
            sha256(path)
