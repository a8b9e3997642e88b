"""`videocap status`: what is missing, and of what failed the first by name and as JSON all."""

import json

from failures import with_failures

import videocap


def test_of_many_failures_status_names_the_first_and_as_json_all(tmp_path, capsys, monkeypatch):
    monkeypatch.setenv("VIDEOCAP_ARTIFACTS", str(tmp_path / "artifacts"))
    gather, config = with_failures(tmp_path, [f"video{number}.mp4" for number in range(100, 200)], failed=12)
    failed = [{"id": name, "digest": d, "reason": "is damaged"} for name, d in sorted(gather.rows.items())[:12]]
    arguments = ["status", "--config", str(config)]
    for _ in range(2):  # as it is read from manifests, and as it was remembered
        assert videocap.main(arguments) == 0
        told = [line for line in capsys.readouterr().out.splitlines() if line.startswith("warning")]
        assert told[0] == "warning: FrameFeatures: video100.mp4: is damaged"
        assert told[9] == "warning: FrameFeatures: video109.mp4: is damaged"
        assert "FrameFeatures: 12 videos failed and are left out; `videocap status --json` names them all" in told[10]
        assert told[10].endswith("--override decode.retry_failed=4")
        assert len(told) == 11
    assert videocap.main([*arguments, "--json"]) == 0
    row = next(row for row in json.loads(capsys.readouterr().out) if row["stage"] == "FrameFeatures")
    assert row["failures"] == [{**failure, "retry": 3} for failure in failed]


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
