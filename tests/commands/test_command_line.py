"""The command line beside luigi: who reads only the beginning, stages that are none, and `videocap score`."""

import json
import os
import subprocess
import sys

import pytest

import videocap


def run(*arguments: str, **options) -> subprocess.CompletedProcess:
    return subprocess.run([sys.executable, "-m", "videocap", *arguments], capture_output=True, text=True, **options)


def test_who_reads_only_the_beginning_breaks_nothing():
    read, write = os.pipe()
    os.close(read)  # nobody will read
    done = subprocess.run(
        [sys.executable, "-m", "videocap", "status"], stdout=write, stderr=subprocess.PIPE, text=True, check=False
    )
    os.close(write)
    assert done.stderr == ""
    assert done.returncode in (141, 1)  # by us or by rich, whoever wrote last


def test_a_stage_that_is_none_is_told_with_those_that_are(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("VIDEOCAP_ARTIFACTS", str(tmp_path))
    assert videocap.main(["why", "Trian"]) == 2
    assert "this experiment has no stage Trian; it has ToyWorld, Corpus," in capsys.readouterr().err


def test_score_gives_the_published_figures(data, tmp_path):
    folder = data / "scoring" / "nlgeval"
    lines = {name: (folder / f"{name}.txt").read_text().splitlines() for name in ("hyp", "ref1", "ref2")}
    captions = [{"video_id": str(i), "caption": caption} for i, caption in enumerate(lines["hyp"])]
    references = {str(i): list(pair) for i, pair in enumerate(zip(lines["ref1"], lines["ref2"], strict=True))}
    (tmp_path / "captions.json").write_text(json.dumps(captions))
    (tmp_path / "references.json").write_text(json.dumps(references))
    done = run("score", "captions.json", "references.json", "--json", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    expected = json.loads((data / "scoring" / "expected.json").read_text())
    published = expected["nlgeval (published by Maluuba/nlg-eval)"]
    names = {"CIDEr": "CIDEr", "METEOR": "METEOR", "ROUGE-L": "ROUGE_L", "BLEU-1": "Bleu_1", "BLEU-4": "Bleu_4"}
    scores = json.loads(done.stdout)
    assert {name: round(scores[name], 6) for name in names} == {n: published[theirs] for n, theirs in names.items()}


@pytest.mark.slow
def test_score_takes_an_msrvtt_file(data, tmp_path):
    info = data / "msrvtt" / "videodatainfo_sample.json"
    first = {s["video_id"]: s["caption"] for s in reversed(json.loads(info.read_text())["sentences"])}
    captions = [{"video_id": name, "caption": caption} for name, caption in first.items()]
    (tmp_path / "captions.json").write_text(json.dumps({"version": "VERSION 1.0", "result": captions}))
    done = run("score", "captions.json", str(info), "--json", cwd=tmp_path)
    assert json.loads(done.stdout)["BLEU-1"] == pytest.approx(1.0)


def test_a_test_video_of_msrvtt_that_is_missing_or_surplus_is_named(data, tmp_path, capsys):
    info = data / "msrvtt" / "videodatainfo_sample.json"
    names = [video["video_id"] for video in json.loads(info.read_text())["videos"]]
    file = tmp_path / "captions.json"
    for captioned, says in (
        (names[1:], f"no caption for 1 video ({names[0]})"),
        ([*names, "video3"], "has no references for 1 captioned videos (video3)"),
    ):
        file.write_text(json.dumps(dict.fromkeys(captioned, "a man")))
        assert videocap.main(["score", str(file), str(info)]) == 2
        assert says in capsys.readouterr().err


@pytest.mark.parametrize(
    ("captions", "says"),
    [
        ('[{"video_id": "b", "caption": "x"}]', "no caption for 1 video (a); no references for 1 video (b)"),
        ("[{", "captions.json: can't be read as JSON"),
        ('{"a": ["x"]}', "captions.json: is neither a list of"),
        ('{"b": "x"}', "no caption for 1 video (a); no references for 1 video (b)"),
        ('[{"video_id": "a", "caption": "x"}, {"video_id": "a", "caption": "y"}]', "has two captions for a"),
    ],
)
def test_a_wrong_file_is_named(tmp_path, captions, says, capsys):
    (tmp_path / "captions.json").write_text(captions)
    (tmp_path / "references.json").write_text('{"a": ["x"]}')
    status = videocap.main(["score", str(tmp_path / "captions.json"), str(tmp_path / "references.json")])
    assert status == 2
    assert says in capsys.readouterr().err
