"""The command line beside luigi."""

import json
import subprocess
import sys

import pytest

import videocap


def run(*arguments: str, **options) -> subprocess.CompletedProcess:
    return subprocess.run([sys.executable, "-m", "videocap", *arguments], capture_output=True, text=True, **options)


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


def test_score_takes_an_msrvtt_file(data, tmp_path):
    info = data / "msrvtt" / "videodatainfo_sample.json"
    first = {s["video_id"]: s["caption"] for s in reversed(json.loads(info.read_text())["sentences"])}
    captions = [{"video_id": name, "caption": caption} for name, caption in first.items()]
    (tmp_path / "captions.json").write_text(json.dumps(captions[:3]))
    done = run("score", "captions.json", str(info), "--json", cwd=tmp_path)
    assert json.loads(done.stdout)["BLEU-1"] == pytest.approx(1.0)


@pytest.mark.parametrize(
    ("captions", "says"),
    [
        ('[{"video_id": "b", "caption": "x"}]', "no caption for 1 video (a); no references for 1 video (b)"),
        ("[{", "captions.json: can't be read as JSON"),
        ('{"a": "x"}', "captions.json: is not a list of"),
    ],
)
def test_a_wrong_file_is_named(tmp_path, captions, says, capsys):
    (tmp_path / "captions.json").write_text(captions)
    (tmp_path / "references.json").write_text('{"a": ["x"]}')
    status = videocap.main(["score", str(tmp_path / "captions.json"), str(tmp_path / "references.json")])
    assert status == 2
    assert says in capsys.readouterr().err


def test_status_names_what_is_missing_and_a_wrong_key(tmp_path, capsys, monkeypatch):
    monkeypatch.setenv("VIDEOCAP_ARTIFACTS", str(tmp_path / "artifacts"))
    assert videocap.main(["status", "--json"]) == 0
    rows = {row["stage"]: row for row in json.loads(capsys.readouterr().out)}
    assert {row["state"] for row in rows.values()} == {"missing"}
    assert rows["ToyWorld"]["will_run"]
    assert rows["Train"]["may_run"]
    assert not rows["Train"]["will_run"]
    assert videocap.main(["status", "--override", "train.lrr=1"]) == 2
    assert "did you mean train.lr?" in capsys.readouterr().err
