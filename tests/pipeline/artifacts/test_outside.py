"""Files outside: each is read once for its place, size and mtime, and never while it changes."""

import os

import pytest

from videocap.pipeline.artifacts.outside import stat_file


def test_files_outside_are_read_once_for_a_place_size_and_mtime(artifacts, tmp_path):
    a, b = tmp_path / "a", tmp_path / "b"
    a.write_text("a")
    b.write_text("b")

    def digests(compute, *paths):
        return artifacts.outside.digests("Corpus", {path.name: stat_file(path) for path in paths}, compute)

    assert digests(False, a, b) is None
    known = digests(True, a, b)
    assert digests(False, a, b) == known
    os.utime(a, ns=(1, 1))
    assert digests(False, a, b) is None
    assert digests(True, a, b) == known
    (tmp_path / "moved").mkdir()
    moved = [path.rename(tmp_path / "moved" / path.name) for path in (a, b)]
    assert digests(False, *moved) is None
    assert digests(True, *moved) == known
    moved[1].write_text("c")
    assert digests(True, *moved) != known


def test_a_file_that_changes_while_it_is_read_is_an_error(artifacts, tmp_path):
    file = tmp_path / "a"
    file.write_text("a")
    before = stat_file(file)
    file.write_text("longer")
    with pytest.raises(ValueError, match="has changed while this ran"):
        artifacts.outside.digests("Corpus", {"a": before}, compute=True)
