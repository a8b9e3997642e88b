"""The demo from nothing to scores, as a user runs it: small in everything but its stages."""

import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest
from runs import LUIGI, TINY, Run, environment, kill_once_in_each, luigi

from videocap import tasks

STAGES = [
    "ToyWorld", "Corpus", "ToyClip", "DecodeShard", "EmbedFramesShard", "EmbedCaptionsShard",
    "Vocabulary", "Train", "Caption", "References", "Score", "Report",
]  # fmt: skip


@pytest.fixture(scope="module")
def demo(tiny, tmp_path_factory) -> Run:
    """The tiny demo, to which the runs below add."""
    return tiny.copied(tmp_path_factory.mktemp("demo") / "artifacts")


def test_every_stage_runs_and_the_scores_are_printed(tiny):
    assert tiny.ran() >= set(STAGES)
    for words in ("CIDEr", "METEOR", "ROUGE-L", "BLEU-4", "most frequent train caption", "captions shuffled"):
        assert words in tiny.output
    assert str(tiny.artifacts / "runs" / "demo") in tiny.output


def test_where_there_is_no_terminal_plain_lines_say_what_begins_and_what_is_left(tiny):
    lines = [line for line in tiny.output.splitlines() if re.match(r"\d\d:\d\d:\d\d ", line)]
    said = "\n".join(line[9:] for line in lines)
    assert re.search(r"^\[1/16\] ToyWorld\n\[1/16\] ToyWorld: done in [\d.]+ s$", said, re.MULTILINE)
    assert re.search(r"^\[4/16\] DecodeShard 1 of 2: 16 videos in [\d.]+ s", said, re.MULTILINE)
    assert re.search(r"^\[5/16\] EmbedFramesShard 2 of 2: 8 videos in [\d.]+ s$", said, re.MULTILINE)
    assert "\r" not in tiny.output
    [file] = tiny.artifacts.glob("logs/*.log")
    log = file.read_text()
    assert "luigi --module tasks Pipeline --override" in log
    assert all(line[9:] in log for line in lines)
    assert "CIDEr" in log


def test_the_results_have_the_promised_formats(demo):
    captions = json.loads(demo.result("captions.json"))
    assert [row["video_id"] for row in captions] == sorted(row["video_id"] for row in captions)
    assert all(set(row) == {"video_id", "caption", "intention", "effect", "attribute"} for row in captions)
    scores = json.loads(demo.result("scores.json"))
    assert scores["protocol"] == "coco"
    assert scores["split"] == "test"
    assert scores["videos"] == len(captions)
    metrics = {"CIDEr", "METEOR", "ROUGE-L", "BLEU-1", "BLEU-2", "BLEU-3", "BLEU-4"}
    assert metrics <= set(scores)
    assert len(scores["controls"]) == 3
    assert set(scores["interval"]) == metrics
    assert set(scores["aspects"]) == {"intention", "effect", "attribute"}
    videos = json.loads(demo.result("video_scores.json"))
    assert sorted(videos["caption"]) == sorted(videos["effect"]) == [row["video_id"] for row in captions]
    assert all({*metrics, "told_right", "ahead"} == set(control) for control in scores["controls"].values())
    assert b"<svg" in demo.result("report.html")
    assert demo.result("curves.svg").startswith(b"<svg")
    assert demo.result("curves.csv").startswith(b"epoch,")
    assert b'name = "demo"' in demo.result("config.toml")
    assert demo.result("model.safetensors")


def test_the_report_says_how_it_was_made_also_where_another_experiment_has_the_same_results(demo):
    page = demo.result("report.html").decode()
    assert "<small>demo</small>" in page
    assert "<td>toyworld.clips</td><td>24</td><td>900</td>" in page
    assert "<td>train.seed</td>" not in page, "that is as by default"
    for stage in STAGES:
        assert f">{stage}</text>" in page
    assert re.search(r"<td>Train/[0-9a-f]+</td><td>\d{4}-\d\d-\d\d \d\d:\d\d UTC on ", page)
    assert re.search(r"Versions: python 3.*torch \d", page)
    assert "<!--" not in page
    again = luigi(demo.artifacts, "--override", f"{TINY} experiment.name=other encoder.batch_size=7")
    assert again.ran() == set()
    other = again.result("report.html", "other").decode()
    assert "<small>other</small>" in other
    assert "<td>encoder.batch_size</td><td>7</td><td>32</td>" in other
    assert demo.result("report.html").decode() == page


def test_a_second_run_executes_nothing(demo):
    again = luigi(demo.artifacts, "--override", TINY)
    assert again.status == 0
    assert again.ran() == set()
    assert "CIDEr" in again.output
    assert len(list(demo.artifacts.glob("logs/*"))) == 2, "who does nothing logs nothing"


def test_status_says_fresh_and_then_what_a_change_makes_stale(demo):
    def status(override):
        command = [sys.executable, "-m", "videocap", "status", "--json", "--override", override]
        return json.loads(subprocess.check_output(command, env=environment(demo.artifacts)))

    assert {row["state"] for row in status(TINY)} == {"fresh"}
    rows = {row["stage"]: row for row in status(TINY + " train.lr=0.003")}
    assert rows["Vocabulary"]["state"] == "fresh"
    assert rows["Train"]["state"] == "stale"
    assert rows["Train"]["will_run"]
    assert rows["Train"]["reasons"] == [{"what": "config", "field": "train.lr", "old": 0.002, "new": 0.003}]
    assert rows["Report"]["may_run"]
    rows = {row["stage"]: row for row in status(TINY + " decode.frames=5")}
    assert rows["FrameFeatures"]["state"] == "stale"
    assert {"what": "config", "field": "decode.frames", "old": 6, "new": 5} in rows["FrameFeatures"]["reasons"]
    assert rows["CaptionFeatures"]["state"] == "fresh"


def test_a_changed_field_reruns_only_what_it_touches(demo):
    changed = luigi(demo.artifacts, "--override", TINY + " generate.beam=1 experiment.name=greedy")
    assert changed.status == 0, changed.output
    assert "Caption" in changed.ran()
    assert changed.ran() <= {"Caption", "Score", "Model", "Report"}
    assert b"beam = 1" in changed.result("config.toml", "greedy")
    assert b"beam = 2" in changed.result("config.toml", "demo")
    back = luigi(demo.artifacts, "--override", TINY + " experiment.name=greedy")
    assert back.ran() == set()
    assert back.result("captions.json", "greedy") == demo.result("captions.json")
    assert b"beam = 2" in back.result("config.toml", "greedy")


def test_a_table_s_row_is_the_demo_itself_beside_the_paper_s(demo):
    arguments = ("--number", "1", "--override", TINY)
    run = luigi(demo.artifacts, *arguments, root="Table")
    assert run.status == 0, run.output
    assert run.ran() == set()
    text = (demo.artifacts / "tables" / "demo-table1-seeds1.md").read_text()
    assert text in run.output
    assert "| VNS-GRU | – | 52.0 | – | 29.5 | – | 63.3 |" in text
    scores = json.loads(run.result("scores.json", "demo-table1-model-seed0"))
    assert scores == json.loads(demo.result("scores.json"))
    assert f"| Clip4VideoCap (paper: V2C's split and scoring) | {100 * scores['CIDEr']:.1f} | 62.2 |" in text
    file = demo.artifacts / "tables" / "demo-table1-seeds1.csv"
    whole = file.read_text()
    assert f"Clip4VideoCap,METEOR,31.5,{100 * scores['METEOR']}," in whole
    file.write_text("harmed")
    assert luigi(demo.artifacts, *arguments, root="Table").ran() == set()
    assert file.read_text() == whole
    shutil.rmtree(file.parent)
    file.parent.write_text("in the way")
    run = luigi(demo.artifacts, *arguments, root="Table")
    file.parent.unlink()
    assert run.status == 1
    assert "failed: Table: the results can't be shown: " in run.output
    assert f"{demo.artifacts / 'tables'} is in the way, which no run made; move it away and run again" in run.output
    assert "So far:\n**Table 1" in run.output


def test_two_experiments_are_compared(demo):
    override = TINY + " generate.beam=1 experiment.name=greedy"
    assert luigi(demo.artifacts, "--override", override).status == 0

    def compare(*arguments: str) -> subprocess.CompletedProcess:
        command = [sys.executable, "-m", "videocap", "compare", *arguments]
        return subprocess.run(command, env=environment(demo.artifacts), capture_output=True, text=True, check=False)

    found = json.loads(compare("demo", "greedy", "--json").stdout)
    one, two = (json.loads(demo.result("scores.json", name)) for name in ("demo", "greedy"))
    assert found["metrics"]["METEOR"]["difference"] == two["METEOR"] - one["METEOR"]
    assert len(found["differ"]) == found["videos"] == one["videos"]
    assert found["aspects"]["effect"]["CIDEr"]["first"] == one["aspects"]["effect"]["CIDEr"]
    said = compare("demo", "greedy", "--videos", "1")
    assert "95 % of draws" in said.stdout
    assert found["differ"][0]["video_id"] in said.stdout
    command = [sys.executable, "-m", "videocap", "compare", "demo", "greedy"]
    ascii = {**environment(demo.artifacts), "PYTHONIOENCODING": "ascii"}
    assert b"95 % of draws" in subprocess.check_output(command, env=ascii), "a terminal that knows few letters"
    absent = compare("demo", "gredy")
    assert absent.returncode == 2
    assert "no experiment gredy" in absent.stderr
    assert "demo, " in absent.stderr


@pytest.mark.slow
def test_controls_are_trained_for_less_and_stand_beside_the_model(demo):
    controls = "score.controls=['one_frame','no_subdecoders'] experiment.name=controlled"
    run = luigi(demo.artifacts, "--override", f"{TINY} {controls}")
    assert run.status == 0, run.output
    trained = {"TrainOneFrame", "CaptionOneFrame", "TrainNoSubdecoders", "CaptionNoSubdecoders"}
    assert run.ran() == {*trained, "Score", "Report"}
    scores = json.loads(run.result("scores.json", "controlled"))
    assert {"trained: one frame", "trained: no subdecoders"} < set(scores["controls"])
    for row in (scores, *scores["controls"].values()):
        assert [row["told_right"][half]["clips"] for half in ("seen", "unseen")] == [2, 2]
    frequent = scores["controls"]["most frequent train caption"]["told_right"]
    assert sum(frequent[half]["all"] for half in frequent) <= 1, "one caption can't be right for all"
    assert "share told right" in run.output
    made = {stage: next((demo.artifacts / stage).glob("*/manifest.json")) for stage in trained}
    recipes = {stage: json.loads(file.read_text())["recipe"]["config"] for stage, file in made.items()}
    assert recipes["TrainOneFrame"]["fusion.frames"] == "one"
    assert recipes["TrainNoSubdecoders"]["aspects.use"] == []
    again = luigi(demo.artifacts, "--override", f"{TINY} {controls} generate.length_penalty=0.5")
    assert again.status == 0, again.output
    captions = {"Caption", "CaptionOneFrame", "CaptionNoSubdecoders"}
    assert captions <= again.ran() <= {*captions, "Score", "Model", "Report"}
    why = [sys.executable, "-m", "videocap", "why", "TrainOneFrame", "--override", f"{TINY} {controls} train.lr=0.5"]
    said = subprocess.check_output(why, env=environment(demo.artifacts), text=True)
    assert "TrainOneFrame is stale and will run" in said
    assert "train.lr: 0.002 → 0.5" in said


def test_two_workers_and_dropped_frames_give_the_same_result(demo, tmp_path, monkeypatch):
    monkeypatch.setenv("PYTHONPROFILEIMPORTTIME", "1")
    both = luigi(tmp_path / "artifacts", "--workers", "2", "--override", TINY + " decode.keep=false")
    assert both.status == 0, both.output
    assert len(re.findall(r"\| +torch$", both.output, re.MULTILINE)) == 1, "a fork has what was imported before"
    frames = next((tmp_path / "artifacts" / "stores").glob("DecodeShard-*"))
    assert not list(frames.glob("*.h5"))
    ours, theirs = (json.loads(run.result("captions.json")) for run in (both, demo))
    assert [row["video_id"] for row in ours] == [row["video_id"] for row in theirs]


@pytest.mark.slow
def test_killed_in_every_stage_it_ends_in_the_same_results(demo, tmp_path):
    artifacts = tmp_path / "artifacts"
    kill_once_in_each(STAGES, artifacts, "--override", TINY)
    run = luigi(artifacts, "--override", TINY)
    assert run.status == 0, run.output
    for name in ("captions.json", "scores.json", "model.safetensors"):
        assert run.result(name) == demo.result(name), name


def test_a_failing_stage_is_named_in_the_last_lines_and_the_status_is_not_0(tmp_path):
    run = luigi(tmp_path / "artifacts", "--override", TINY + " encoder.device=cuda:9", cwd="/")
    assert run.status == 1
    assert run.outcome("ToyWorld") == "ran"
    assert run.outcome("EmbedFramesShard") == "failed"
    assert run.outcome("Train") == "not reached"
    assert "failed: EmbedFramesShard: there is no device 'cuda:9'" in "".join(run.output.splitlines()[-3:])
    assert "Traceback" not in run.output
    told = re.search(r" Its log: (.*\.log)$", run.output.splitlines()[-1])
    assert "Traceback" in Path(told[1]).read_text()


@pytest.mark.slow
def test_where_there_is_no_room_it_says_so_and_goes_on_when_there_is(demo):
    command = [*LUIGI, "Pipeline", "--override", f"{TINY} score.protocol=v2c experiment.name=full"]
    limited = ["bash", "-c", 'ulimit -f 100; exec "$@"', "bash", *command]  # no file over 100 KiB
    options = {"env": environment(demo.artifacts), "capture_output": True, "text": True, "check": False}
    done = subprocess.run(limited, **options)
    assert done.returncode == 1
    assert f"failed: References: there is no room in {demo.artifacts} (File too large): make some, or" in done.stdout
    assert subprocess.run(command, **options).returncode == 0


def test_a_config_mistake_is_refused_before_anything_runs(tmp_path):
    run = luigi(tmp_path / "artifacts", "--override", "train.lrr=1")
    assert run.status == 2
    assert run.output.strip() == "--override: train.lrr: unknown key; did you mean train.lr?"
    assert not (tmp_path / "artifacts").exists()


@pytest.mark.parametrize("does", ["pass", "assert tasks.Pipeline(override=sys.argv[1]).complete()"])
def test_the_scheduling_process_loads_nothing_heavy(demo, does):
    code = f"import sys; from videocap import tasks; {does}; "
    code += "print({'torch', 'h5py', 'numpy', 'clip', 'av'} & set(sys.modules))"
    command = [sys.executable, "-c", code, TINY]
    assert subprocess.check_output(command, env=environment(demo.artifacts), cwd="/", text=True).strip() == "set()"


@pytest.mark.slow
def test_two_experiments_in_one_process(demo):
    code = (
        "import luigi, sys\nfrom videocap import tasks\n"
        "some = [tasks.Pipeline(override=sys.argv[1] + name) for name in (' experiment.name=a', ' experiment.name=b"
        " generate.length_penalty=0.0')]\n"
        "sys.exit(not luigi.build(some, local_scheduler=True))"
    )
    command = [sys.executable, "-c", code, TINY]
    jobs = demo.artifacts / "scratch" / "jobs"
    before = set(jobs.iterdir())  # of runs that did not end well
    subprocess.run(command, env=environment(demo.artifacts), check=True, timeout=120)
    assert demo.result("captions.json", "a") == demo.result("captions.json")
    assert b"length_penalty = 0.0" in demo.result("config.toml", "b")
    assert set(jobs.iterdir()) == before


def test_a_stage_that_another_experiment_of_the_process_needs_is_not_skipped(demo, monkeypatch):
    monkeypatch.setenv("VIDEOCAP_ARTIFACTS", str(demo.artifacts))
    whole = tasks.Pipeline(override=TINY).experiment
    words = tasks.Vocabulary.of(whole)
    shutil.rmtree(words.product.payload())
    shards = list(demo.artifacts.glob("stores/EmbedFramesShard-*/*.h5"))
    for shard in shards:
        shard.rename(shard.with_suffix(".aside"))
    rows = tasks.FrameFeatures.of(whole)
    words.run()
    assert not words.complete(), "an experiment that is done needs none"
    assert list(rows.run()) == []
    other = tasks.Pipeline(override=f"{TINY} train.seed=9").experiment
    assert tasks.Vocabulary.of(other).id == words.id
    words.run()
    assert words.complete()
    assert len(next(rows.run())) == 2, "packs"
    for shard in shards:
        shard.with_suffix(".aside").rename(shard)


@pytest.fixture
def read_only(demo):
    """A copy of the results in a folder that can't be written, and what to run a command with that may only read."""
    folder = Path(tempfile.mkdtemp(prefix="read-only-"))
    shutil.copytree(demo.artifacts, folder / "artifacts", symlinks=True)
    for path in [folder, *folder.rglob("*")]:
        if not path.is_symlink():
            path.chmod(0o555 if path.is_dir() else 0o444)
    # root may write anything, unless it lays that power down
    lay_down = ["setpriv", "--bounding-set=-dac_override,-dac_read_search"] if os.geteuid() == 0 else []
    if lay_down and not shutil.which("setpriv"):
        pytest.skip("root needs setpriv for this")
    yield folder / "artifacts", lay_down
    for path in folder.rglob("*"):
        if path.is_dir() and not path.is_symlink():
            path.chmod(0o755)
    folder.chmod(0o755)
    shutil.rmtree(folder)


def test_who_may_only_read_sees_what_is_there_and_is_told_what_to_do(read_only):
    artifacts, lay_down = read_only

    def run(*command: str) -> subprocess.CompletedProcess:
        command = [*lay_down, sys.executable, "-m", *command]
        return subprocess.run(command, env=environment(artifacts), cwd="/", check=False, capture_output=True, text=True)

    pipeline = ("luigi", "--module", "tasks", "Pipeline", "--override")
    assert run(*pipeline, TINY).returncode == 0
    rows = json.loads(run("videocap", "status", "--json", "--override", TINY).stdout)
    assert {row["state"] for row in rows} == {"fresh"}
    assert run("videocap", "why", "Train", "--override", TINY + " train.seed=8").returncode == 0
    assert run("videocap", "store", "gc").returncode == 0
    verified = run("videocap", "store", "verify", "--recompute", "1", "--override", TINY)
    assert verified.returncode == 0, verified.stdout + verified.stderr
    assert verified.stdout.count("1 recomputed") == 3
    refused = run(*pipeline, TINY + " train.seed=8")
    assert refused.returncode == 2
    assert "name another by VIDEOCAP_ARTIFACTS" in refused.stderr
