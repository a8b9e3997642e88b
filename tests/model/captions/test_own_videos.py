"""Rows of a person's own videos: what is bad or gone is told and left out, and nothing else."""

from videocap.extract.video.sampler import SourceChanged
from videocap.model.captions.own_videos import make_rows, read_rows


def test_of_videos_that_stop_a_shard_only_the_one_to_blame_is_left_out(tmp_path):
    calls = []

    def embed(path, *, items, part, videos):
        calls.append(len(items))
        path.touch()
        if any(digest == "b" for _, digest in items):
            raise SourceChanged("it has changed")
        if any(digest == "c" for _, digest in items):
            raise OSError(f"{videos / items[0][0]} can't be read")
        failed = [{"id": name, "digest": digest, "reason": "is empty"} for name, digest in items]
        return {"digests": [], "failures": failed}

    files = {name: tmp_path / f"{name}.mp4" for name in "abcd"}
    made, failed = make_rows(files, embed, 3)
    assert calls == [3, 1, 1, 1, 1]
    assert made == {}
    assert failed["a"] == failed["d"] == "is empty"
    assert failed["b"].startswith("has changed while it was read")
    assert failed["c"] == f"{tmp_path / 'c.mp4'} can't be read"


def test_a_damaged_or_missing_shard_is_told_and_its_videos_are_left_out(tmp_path):
    (tmp_path / "bad.h5").write_text("no shard")
    told = []
    assert read_rows({"a": tmp_path / "bad.h5", "b": tmp_path / "gone.h5"}, told.append) == {}
    assert len(told) == 2
    assert str(tmp_path / "bad.h5") in told[0]
