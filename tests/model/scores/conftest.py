"""Real captions and references, and a Java that does as a test says."""

import json
from pathlib import Path

import pytest

from videocap.model.scores import java


@pytest.fixture(scope="module")
def msrvtt(data):
    """The 497 validation videos: the caption of the lowest sen_id, and the 19 others."""
    videos = json.loads((data / "msrvtt/val.json").read_text(encoding="utf-8"))
    first = {video: min(sentences, key=int) for video, sentences in videos.items()}
    captions = {video: sentences[first[video]] for video, sentences in videos.items()}
    references = {v: [text for i, text in sentences.items() if i != first[v]] for v, sentences in videos.items()}
    return captions, references


@pytest.fixture
def fake_java(tmp_path, monkeypatch):
    """Puts a shell script in the place of Java; `$0.pid` holds its process."""

    def install(script: str) -> Path:
        path = tmp_path / "java"
        path.write_text(f"#!/bin/sh\necho $$ > {path}.pid\n{script}\n")
        path.chmod(0o755)
        monkeypatch.setattr(java, "JAVA", path)
        return path.with_suffix(".pid")

    return install
