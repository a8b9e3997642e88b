"""The notebooks in examples/ run from their first cell to their last, and show what they promise."""

import nbformat
import pytest
from captioned import SOME
from nbclient import NotebookClient
from runs import ROOT, luigi


@pytest.mark.slow
def test_the_notebook_exports_loads_and_captions(tiny, tmp_path, monkeypatch):
    artifacts = tiny.copied(tmp_path / "artifacts").artifacts
    run = luigi(artifacts, "--override", SOME)
    assert run.status == 0, run.output
    monkeypatch.setenv("VIDEOCAP_ARTIFACTS", str(artifacts))
    monkeypatch.setenv("JUPYTER_PLATFORM_DIRS", "1")
    place = ROOT / "examples" / "caption.ipynb"
    notebook = nbformat.read(place, as_version=4)
    notebook.metadata["kernelspec"] = {"name": "python3", "display_name": "Python", "language": "python"}
    NotebookClient(notebook, timeout=300, resources={"metadata": {"path": str(place.parent)}}).execute()
    said = [output for cell in notebook.cells for output in cell.get("outputs", ())]
    assert not [output for output in said if output.output_type == "error"]
    pictures = [output for output in said if "image/jpeg" in output.get("data", {})]
    assert len(pictures) == 3
    text = "".join(output.text for output in said if output.get("name") == "stdout")
    for promised in (
        "config.json",
        "encoder.safetensors",
        "Writes a sentence about a video",
        "sample: ",
        " to  1.00 s",
    ):
        assert promised in text
