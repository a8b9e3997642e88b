"""`VideoCaptioner`: known and unknown videos get the captions of the pipeline, within its limits."""

import shutil
from pathlib import Path

import numpy as np
import pytest
from captioned import SOME, clips, listing, said

from videocap import tasks
from videocap.captioner import VideoCaptioner
from videocap.extract.shards import shard
from videocap.model.captions import own_videos
from videocap.model.captions.own_videos import make_rows, read_rows


@pytest.fixture
def hidden(demo, tmp_path, monkeypatch) -> Path:
    """A copy of the artifacts whose rows of frames are no rows, and whose decoded frames are gone."""
    copy = tmp_path / "hidden"
    shutil.copytree(demo.artifacts, copy, symlinks=True)
    poisoned = list(copy.glob("stores/EmbedFramesShard-*/*.h5"))
    assert poisoned
    for path in poisoned:
        path.chmod(0o644)
        path.write_bytes(b"poison")
    for path in copy.glob("stores/DecodeShard-*/*"):
        path.unlink() if path.is_file() else shutil.rmtree(path)
    monkeypatch.setenv("VIDEOCAP_ARTIFACTS", str(copy))
    return copy


@pytest.mark.slow
def test_known_videos_get_the_captions_of_the_pipeline_and_no_encoder_is_loaded(artifacts, monkeypatch):
    monkeypatch.setattr(own_videos, "load_encoder", lambda *_: pytest.fail("an encoder was loaded"))
    expected, files, before = said(artifacts), clips(artifacts), listing(artifacts)
    found = VideoCaptioner(tasks.DEFAULT_CONFIG, SOME)([files[name] for name in expected])
    assert [{"caption": one.caption, **one.aspects} for one in found] == list(expected.values())
    assert len({one.caption for one in found}) > 1
    assert all(one.known and len(one.times) == 6 for one in found)
    assert listing(artifacts) == before


@pytest.mark.slow
def test_unknown_videos_get_the_same_captions_as_known_ones(artifacts, hidden, tmp_path):
    files = clips(artifacts)
    own = tmp_path / "own"
    own.mkdir()
    for name in said(artifacts):
        shutil.copy(files[name], own / f"my {name}")
    told, before = [], listing(hidden)
    found = VideoCaptioner(tasks.DEFAULT_CONFIG, SOME, told.append)(own)
    assert [Path(one.video).name for one in found] == sorted(f"my {name}" for name in said(artifacts))
    assert [{"caption": one.caption, **one.aspects} for one in found] == list(said(artifacts).values())
    assert not any(one.known for one in found)
    assert told
    assert all("is damaged" in text for text in told)
    assert listing(hidden) == before


@pytest.mark.slow
def test_rows_that_are_made_are_those_that_the_store_would_hold(artifacts):
    captioner = VideoCaptioner(tasks.DEFAULT_CONFIG, SOME)
    index = captioner._store
    digests = {name: digest for path in set(index.rows.values()) for name, digest in items(path)}
    files = {path: digests[name] for name, path in clips(artifacts).items()}
    known = read_rows({digest: index.rows[digest] for digest in files.values()}, pytest.fail)
    made = dict(make_rows(list(files), captioner._embed, captioner.decode, captioner.encoder, pytest.fail))
    assert list(made) == list(files)
    for file, rows in made.items():
        assert rows.times.tolist() == known[files[file]].times.tolist()
        np.testing.assert_allclose(rows.values, known[files[file]].values, rtol=1e-2, atol=1e-2)


def items(path: Path) -> list[tuple[str, str]]:
    held = shard.read(path)
    return list(zip(held.ids, held.digests, strict=True))


@pytest.mark.slow
def test_limits_of_decoding_hold_for_own_videos_too(artifacts, tmp_path):
    whole = next(iter(clips(artifacts).values())).read_bytes()
    (tmp_path / "own.mp4").write_bytes(whole + b"\0\0\0\x08free")  # the same frames, another digest
    (fine,) = VideoCaptioner(tasks.DEFAULT_CONFIG, SOME)(tmp_path / "own.mp4")
    assert fine.caption
    assert not fine.known
    (large,) = VideoCaptioner(tasks.DEFAULT_CONFIG, SOME + " decode.max_pixels=100")([str(tmp_path / "own.mp4")])
    assert large.caption is None
    assert "pixels" in large.error
    (slow,) = VideoCaptioner(tasks.DEFAULT_CONFIG, SOME + " decode.timeout=0.001")(tmp_path / "own.mp4")
    assert "longer than" in slow.error
