"""`videocap store ls` and `store verify` on what real stages made."""

import json
from pathlib import Path

import pytest
from extracted import command, copied, store_of

from videocap.pipeline.digests import file_digest


@pytest.fixture
def place(extracted, tmp_path, monkeypatch) -> Path:
    """A copy of it to spoil."""
    return copied(extracted, tmp_path / "copy", monkeypatch)


def test_ls_tells_what_there_is_and_who_made_it(place, capsys, monkeypatch):
    for path in place.glob("artifacts/stores/*/*.h5"):
        path.write_bytes(b"")  # manifests tell it all
    assert command(place, "ls") == 0
    told = capsys.readouterr().out
    for what, held in (
        ("frames", "3 videos in 2 shards"),
        ("features", "3 videos in 2"),
        ("captions", "2 captions in 1"),
    ):
        assert f"{store_of(place, what).folder.name}  {held}" in told
    weights = file_digest(place / "clip.pt")
    assert "frames 3, placement centres, sampling uniform, square_pixels True" in told
    assert f"pixels 32, weights {weights[:12]}, version" in told
    assert "for demo on " in told
    assert "computed on cpu fp32, clip4videocap " in told
    assert "by ffmpeg " in told
    assert command(place, "ls", "--json", store_of(place, "features").folder.name) == 0
    (row,) = json.loads(capsys.readouterr().out)
    assert row["spec"]["outside"] == {"weights": weights}
    assert (row["shards"], row["items"], row["failures"], row["made"][0]["shards"]) == (2, 3, 0, 2)
    assert row["made"][0]["first"] < row["made"][0]["last"]
    assert "h5py" in row["made"][0]["versions"]
    assert command(place, "ls", "nowhere") == 2
    assert "there is no store nowhere" in capsys.readouterr().err


def test_verify_passes_what_the_stages_made_and_made_again(place, capsys):
    assert command(place, "verify", "--recompute", "2") == 0
    told = capsys.readouterr().out
    assert told.count("good: 3 items in 2 shards") == 2
    assert told.count(", 2 recomputed") == 3
    assert told.endswith("3 stores are good\n")
    assert not list((place / "artifacts" / "scratch").glob("verify-*"))


def test_a_damaged_shard_is_named_and_the_others_are_checked(place, capsys):
    store = store_of(place, "features")
    payload = store.folder / next(iter(store.manifests().values()))["payload"]
    content = payload.read_bytes()
    payload.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    assert command(place, "verify", "--recompute", "3") == 1
    told = capsys.readouterr().out
    assert f"  {payload} is damaged" in told
    assert f"{store.folder.name}: BAD" in told
    assert told.count(": good: ") == 2
    assert "1 of 3 stores are bad" in told
