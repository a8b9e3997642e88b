"""The 7 real MSR-VTT clips with their 140 captions, through every stage."""

import json
import os
import shutil
from pathlib import Path

import pytest
from runs import luigi, status
from weights import save_random

CONFIG = """
[experiment]
name = "clips"
[data]
kind = "msrvtt"
videos = "videos"
annotations = "videodatainfo.json"
[decode]
frames = {frames}
[encoder]
weights = "clip.pt"
pixels = {pixels}
[text_encoder]
weights = "clip.pt"
[aspects]
use = []
[vocabulary]
min_count = 1
[decoder]
width = {width}
heads = 4
inner = {width}
dropout = 0.0
[train]
epochs = {epochs}
epoch = "caption"
batch_size = 35
label_smoothing = 0.0
lr = 1e-3
[score]
split = "train"
"""


def lay_out(folder: Path, data: Path, weights: str, **sizes: int) -> Path:
    """The clips in MSR-VTT's official layout, all of them for training, and a config; returns the config's path."""
    shutil.copytree(data / "msrvtt" / "videos", folder / "videos")
    shutil.copytree(data / "msrvtt" / "videos_low_fps", folder / "videos", dirs_exist_ok=True)
    info = json.loads((data / "msrvtt" / "videodatainfo_sample.json").read_text())
    for video in info["videos"]:
        video["split"] = "train"
    (folder / "videodatainfo.json").write_text(json.dumps(info))
    save_random(folder / "clip.pt", weights)
    config = folder / "clips.toml"
    config.write_text(CONFIG.format(**sizes))
    return config


def add_damaged(folder: Path, data: Path) -> None:
    shutil.copy(data / "edge_cases" / "corrupted.mp4", folder / "videos" / "video9999.mp4")
    place = folder / "videodatainfo.json"
    info = json.loads(place.read_text())
    info["videos"].append({"video_id": "video9999", "id": 9999, "split": "train"})
    info["sentences"].append({"video_id": "video9999", "caption": "something broken", "sen_id": 1})
    place.write_text(json.dumps(info))


def test_a_damaged_clip_is_named_and_the_others_go_through(data, tmp_path):
    config = lay_out(tmp_path, data, "tiny", frames=4, pixels=32, width=32, epochs=1)
    add_damaged(tmp_path, data)
    artifacts = tmp_path / "artifacts"
    refused = luigi(artifacts, "--config", str(config), "--override", "decode.max_failures=0.1")
    assert refused.status == 1
    said = refused.output.splitlines()[-2]
    assert "1 of 8 videos failed, more than decode.max_failures = 0.1 allows, such as video9999: is damaged" in said
    assert "Repair or remove them, or raise decode.max_failures" in said
    assert said.endswith("--override decode.retry_failed=1")
    run = luigi(artifacts, "--config", str(config))
    assert run.status == 0, run.output
    assert not run.ran() & {"DecodeShard", "EmbedFramesShard"}, "what decoded was kept"
    assert "warning: FrameFeatures: video9999: is damaged" in run.output
    captions = json.loads(run.result("captions.json", "clips"))
    assert [row["video_id"] for row in captions] == [
        "video7010", "video7011", "video7012", "video7013", "video7014", "video7202", "video8133",
    ]  # fmt: skip
    assert json.loads(run.result("scores.json", "clips"))["videos"] == 7
    assert b"video9999" in run.result("report.html", "clips")
    again = luigi(artifacts, "--config", str(config), "--override", "decode.max_failures=0.1")
    assert again.status == 0, "what is published stays done"
    assert again.ran() == set()
    assert "warning: FrameFeatures: video9999: is damaged" in again.output
    row = status(artifacts, "--config", str(config))["FrameFeatures"]
    assert [failure["id"] for failure in row["failures"]] == ["video9999"]
    assert row["warnings"][0].startswith("video9999: is damaged")


@pytest.mark.slow
def test_what_happens_in_the_folder_during_a_run_is_for_the_next_run(data, tmp_path):
    config = lay_out(tmp_path, data, "tiny", frames=4, pixels=32, width=32, epochs=1)
    (tmp_path / "videos" / "broken link.mp4").symlink_to("nowhere")
    odd = tmp_path / "videos" / os.fsdecode(b"latin\xe9\xe2\x80\xa8.mp4")
    shutil.copy(tmp_path / "videos" / "video7010.mp4", odd)

    def add_a_file():
        shutil.copy(tmp_path / "videos" / "video7010.mp4", tmp_path / "videos" / "new.mp4")

    run = luigi(tmp_path / "artifacts", "--config", str(config), when=("EmbedFramesShard", add_a_file))
    assert (tmp_path / "videos" / "new.mp4").exists()
    assert run.status == 0, run.output
    assert "warning: Corpus: 2 files left out" in run.output
    again = luigi(tmp_path / "artifacts", "--config", str(config))
    assert again.status == 0, again.output
    assert again.ran() == {"Corpus", "Report"}, "what follows is cut off, but for the report's counts of the data"


@pytest.mark.slow
def test_a_checkpoint_replaced_during_a_run_fills_no_store(data, tmp_path):
    config = lay_out(tmp_path, data, "tiny", frames=4, pixels=32, width=32, epochs=1)

    def replace():
        save_random(tmp_path / "clip.pt", "tiny", seed=1)

    run = luigi(tmp_path / "artifacts", "--config", str(config), when=("Corpus", replace))
    assert run.status == 1
    assert "clip.pt has changed while this ran; run the same command again" in run.output.splitlines()[-2]
    assert not list((tmp_path / "artifacts" / "stores").glob("Embed*/*.h5"))
    assert luigi(tmp_path / "artifacts", "--config", str(config)).status == 0


@pytest.mark.slow
def test_trained_until_it_fits_it_gives_a_clip_one_of_its_own_references(data, tmp_path):
    config = lay_out(tmp_path, data, "ViT-B/16", frames=20, pixels=224, width=128, epochs=200)
    run = luigi(tmp_path / "artifacts", "--config", str(config))
    assert run.status == 0, run.output
    info = json.loads((tmp_path / "videodatainfo.json").read_text())
    captions = json.loads(run.result("captions.json", "clips"))
    own = [
        row["caption"] in {s["caption"] for s in info["sentences"] if s["video_id"] == row["video_id"]}
        for row in captions
    ]
    assert sum(own) >= 6, captions
    scores = json.loads(run.result("scores.json", "clips"))
    assert scores["CIDEr"] > 3 * max(control["CIDEr"] for control in scores["controls"].values())
