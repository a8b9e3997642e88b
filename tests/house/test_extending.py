"""What docs/extending.md says is done to a copy of the project, and works."""

import json
import re
import shutil
from pathlib import Path
from typing import NamedTuple

import pytest
from pages import blocks
from project import Project
from runs import ROOT


class Change(NamedTuple):
    """A new file, or lines of one in place of others."""

    file: str
    old: str | None
    new: str


def changes(section: str) -> list[Change]:
    """What a section of docs/extending.md adds and changes."""
    text = (ROOT / "docs" / "extending.md").read_text(encoding="utf-8")
    part = text[text.index(f"\n## {section}\n") :]
    part = part[: part.find("\n## ", 1)] if "\n## " in part[1:] else part
    found = []
    for block in blocks(part):
        if block.language == "python":
            head, _, rest = block.text.partition("\n")
            found.append(Change(head.removeprefix("# "), None, rest))
        elif block.language == "diff":
            head, *hunks = block.text.split("@@\n")
            for hunk in hunks:
                lines = hunk.splitlines()
                old, new = ("\n".join(line[1:] for line in lines if not line.startswith(other)) for other in ("+", "-"))
                found.append(Change(head.removeprefix("--- ").strip(), old, new))
    return found


SECTIONS = ("A stage", "An encoder", "A kind of dataset")


@pytest.mark.parametrize("section", SECTIONS)
def test_what_is_to_be_changed_is_there_once(section):
    found = changes(section)
    assert len(found) > 1
    for file, old, _ in found:
        if old is None:
            assert not (ROOT / file).exists()
        else:
            assert (ROOT / file).read_text(encoding="utf-8").count(old) == 1, f"{file}: {old}"


def extended(folder: Path, section: str) -> Project:
    """A copy of the project, with its tests, that is extended as a section says."""
    project = Project(folder)
    shutil.copytree(ROOT / "tests", project.folder / "tests", ignore=shutil.ignore_patterns("__pycache__"))
    for file, old, new in changes(section):
        if old is None:
            (project.folder / file).write_text(new)
        else:
            project.edit(file, old, new)
    return project


def answers(project: Project, code: str) -> list:
    """What a program prints that is run with the copy, a JSON value a line."""
    (project.folder / "ask.py").write_text(code)
    status, output = project.command("ask")
    assert status == 0, output
    return [json.loads(line) for line in output.splitlines()]


@pytest.mark.slow
def test_a_stage_is_added_as_the_page_says(tiny, tmp_path):
    project = extended(tmp_path, "A stage")
    tiny.copied(project.artifacts)
    assert re.search(r"^Frequency +missing +will", project.status(), re.MULTILINE)
    run = project.run()
    assert run.ran() == {"Frequency", "Report"}
    assert "distinct words" in run.output
    assert json.loads(run.result("frequency.json"))["a"] > 10
    run = project.run("frequency.most=5")
    assert run.ran() == {"Frequency", "Report"}
    assert len(json.loads(run.result("frequency.json"))) == 5


@pytest.mark.slow
def test_what_the_page_adds_to_the_tests_is_all_that_they_lack(tmp_path):
    project = extended(tmp_path, "A stage")
    assert project.command("docs.make_config") == (0, "")
    modules = [f"tests/house/test_{name}.py" for name in ("staleness", "imports", "docs")]
    status, output = project.command("pytest", "-q", *modules)
    assert status == 0, output


@pytest.mark.slow
def test_an_encoder_is_added_as_the_page_says(tmp_path):
    project = extended(tmp_path, "An encoder")
    name, width, cosine = answers(
        project,
        """
import json
import numpy as np, torch, torchvision
from videocap.extract.config import EncoderConfig
from videocap.extract.encoders import convnext, encoder, load
geometry = {"pixels": 224, "resize": 236, "interpolation": "bilinear"}
print(json.dumps(EncoderConfig(weights="ConvNeXt-Tiny", **geometry).weights))
model = torchvision.models.convnext_tiny().eval()
torch.save(model.state_dict(), "convnext.pth")
loaded = load.load("convnext.pth", "cpu", "fp32")
frames = np.random.default_rng(0).integers(0, 255, (2, 224, 224, 3), np.uint8)
ours = torch.from_numpy(loaded.encode(frames))
model.classifier[2] = torch.nn.Identity()
theirs = model(encoder.normalize(torch.from_numpy(frames), convnext.MEAN, convnext.STD)).detach()
print(ours.shape[1])
print(torch.cosine_similarity(ours, theirs).min().item())
""",
    )
    assert (name, width) == ("ConvNeXt-Tiny", 768)
    assert cosine > 0.99999


def test_a_kind_of_dataset_is_added_as_the_page_says(tmp_path):
    project = extended(tmp_path, "A kind of dataset")
    (project.folder / "captions.tsv").write_text("a\ttrain\tA dog runs.\na\ttrain\tA dog.\nb\ttest\tA cat sleeps.\n")
    (project.folder / "bad.tsv").write_text("a\ttrain\tA dog runs.\nb\n")
    found, error = answers(
        project,
        """
import json
from videocap.extract.config import DataConfig
from videocap.extract.corpus import corpus
def read(file):
    data = DataConfig(kind="tsv", videos=".", annotations=file)
    return corpus.read(data, {"a.mp4": "0" * 64, "b.mp4": "1" * 64})[0]
print(json.dumps([[v.id, v.split, v.captions] for v in read("captions.tsv")]))
try:
    read("bad.tsv")
except corpus.CorpusError as error:
    print(json.dumps(str(error)))
""",
    )
    assert found == [["a", "train", ["A dog runs.", "A dog."]], ["b", "test", ["A cat sleeps."]]]
    assert "bad.tsv, line 2: not an id" in error
