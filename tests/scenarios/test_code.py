"""What an edit of the code makes stale, by the real command on a copy of the project that is edited."""

import json

import pytest
from failures import with_failures
from project import Project
from runs import TINY

from videocap.tasks import DecodeShard

pytestmark = pytest.mark.slow
SAYS = "code changed since, not rerun"


@pytest.fixture(scope="module")
def project(tiny, tmp_path_factory) -> Project:
    project = Project(tmp_path_factory.mktemp("code"), tiny)
    run = project.run()
    assert run.ran() == set()
    assert SAYS not in run.output
    return project


def test_words_for_people_change_nothing(project):
    for file in ("model/captions/stage.py", "extract/video/frames.py", "extract/features.py"):
        project.edit(file, '"""', '"""Other words. ')
        project.edit(file, "\nfrom ", "\n# a comment\nfrom ")
    run = project.run()
    assert run.ran() == set()
    assert SAYS not in run.output + project.status()


def test_an_edited_helper_of_generation_runs_what_uses_it_again(project):
    project.edit("model/captions/search.py", "\nimport ", "\nNEW = 1\nimport ")
    assert "code changed" in project.status()
    ran = project.run().ran()
    assert {"Train", "Caption"} <= ran  # training picks its best epoch by generated captions
    assert not ran & {"Vocabulary", "Corpus", "DecodeShard", "FrameFeatures"}
    project.edit("model/captions/search.py", "NEW = 1\n", "")
    assert project.run().ran() == set()


def test_moved_modules_run_nothing_until_a_line_of_their_bodies_changes(tiny, tmp_path):
    project = Project(tmp_path, tiny)
    project.move("model/captions/search.py", "model/generation/beam.py")
    project.move("model/training/stage.py", "model/training/fitting.py")
    project.move("extract/shards/split.py", "extract/halves.py")
    project.move("extract/video/sampler.py", "extract/frames/sampling.py")
    assert SAYS not in project.status()
    run = project.run()
    assert run.ran() == set()
    assert SAYS not in run.output
    project.edit("model/generation/beam.py", "\nimport ", "\nNEW = 1\nimport ")
    ran = project.run().ran()
    assert {"Train", "Caption"} <= ran
    assert not ran & {"Vocabulary", "Corpus", "DecodeShard", "FrameFeatures"}


def test_what_is_told_of_earlier_runs_is_in_the_words_of_now(tmp_path, monkeypatch):
    """Failures, reasons and warnings are kept as data."""
    monkeypatch.setenv("VIDEOCAP_ARTIFACTS", str(tmp_path / "artifacts"))
    gather, config = with_failures(tmp_path, ["video1.mp4"])
    project = Project(tmp_path)
    status = ("videocap", "status", "--config", str(config))
    before = project.command(*status)[1]
    assert "warning: FrameFeatures: 1 videos failed and are left out; what is repaired" in before
    assert list(gather.spec.store.folder.glob("memo/*.json")), "it was remembered"
    project.edit("pipeline/words.py", "failed and are left out", "would not do")
    project.edit("pipeline/words.py", "waits for {waits}", "awaits {waits}")
    assert "warning: FrameFeatures: 1 videos would not do; what is repaired" in project.command(*status)[1]
    assert "awaits" in project.command(*status)[1]
    kept = [path.read_text() for path in (tmp_path / "artifacts").rglob("*.json")]
    assert not [text for text in kept if "left out" in text or "waits for" in text]


def test_events_of_a_run_hold_no_sentences(tiny):
    events = [json.loads(line) for log in tiny.artifacts.glob("logs/*.jsonl") for line in log.read_text().splitlines()]
    starts = [event for event in events if event["event"] == "start"]
    assert len(starts) > 10
    assert all(isinstance(reason, dict) for event in starts for reason in event.get("reasons", []))
    assert not [event for event in events if "why" in event or "reason" in event]


def test_a_new_class_of_config_runs_nothing(project):
    new = "class Later(Section):\n    epochs: What[Positive] = 1\n\n\nclass VocabularyConfig(Section)"
    project.edit("model/config.py", "class VocabularyConfig(Section)", new)
    run = project.run()
    assert run.ran() == set()
    assert SAYS not in run.output


def test_an_edited_helper_in_another_package_counts_too(project):
    project.edit("extract/shards/split.py", "\nfrom videocap", "\nNEW = 1\nfrom videocap")
    assert {"Train", "Caption"} <= project.run().ran()
    project.edit("extract/shards/split.py", "NEW = 1\n", "")
    assert project.run().ran() == set()


def test_an_edit_of_extraction_reruns_nothing_and_is_told_until_the_version_is_raised(project):
    project.edit("extract/video/frames.py", "\nimport ", "\nNEW = 1\nimport ")
    run = project.run()
    assert run.ran() == set()
    for output in (run.output, project.status()):
        line = next(line for line in output.splitlines() if line.startswith(SAYS))
        assert "DecodeShard, EmbedFramesShard" in line
        assert "Train" not in line
    before = f'decode_shard", True\n    version = {DecodeShard.version}'
    project.edit("tasks.py", before, before.replace(str(DecodeShard.version), str(DecodeShard.version + 1)))
    assert (
        "version of DecodeShard changed" in project.command("videocap", "why", "FrameFeatures", "--override", TINY)[1]
    )
    ran = project.run().ran()
    assert {"DecodeShard", "EmbedFramesShard", "Train"} <= ran
    assert "ToyClip" not in ran


def test_the_user_may_have_all_code_count_or_none(project):
    assert project.run("pipeline.code=strict").ran() >= {"Corpus", "DecodeShard", "Train"}
    project.edit("extract/video/frames.py", "NEW = 1", "NEW = 2")
    assert "DecodeShard" in project.run("pipeline.code=strict").ran()
    assert "Train" in project.run("pipeline.code=version").ran()
    project.edit("model/captions/search.py", "\nimport ", "\nNEW = 3\nimport ")
    run = project.run("pipeline.code=version")
    assert run.ran() == set()
    assert "Train, Caption" in run.output[run.output.index(SAYS) :]


def test_a_field_that_a_stage_does_not_declare_cannot_be_read(project):
    project.edit("model/captions/stage.py", "if not table:", "if not table and config.train.lr or config.train.lr < 0:")
    status, output = project.command("luigi", "--module", "tasks", "Pipeline", "--override", f"{TINY} train.seed=9")
    assert status == 1
    assert "failed: Caption: AttributeError: Caption reads train.lr, which it does not declare" in output
