"""`videocap store push` and `pull`, and `pull-model`: features, results and captioners travel between people."""

from __future__ import annotations

import argparse
import fnmatch
import json
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from rich.filesize import decimal

from videocap import tasks
from videocap.extract.config import MODELS
from videocap.extract.shards.checks import check_arrived
from videocap.pipeline.artifacts.shapes import is_manifest
from videocap.pipeline.config import load
from videocap.pipeline.sharing import push_pull
from videocap.pipeline.sharing.address import place_of
from videocap.pipeline.sharing.copying import File, copy_all, manifest_or_reason
from videocap.pipeline.sharing.folder import Folder
from videocap.pipeline.sharing.merging import CURE_THERE
from videocap.pipeline.sharing.place import Place
from videocap.pipeline.stages.declared import Declared
from videocap.pipeline.stages.experiment import Experiment
from videocap.pipeline.words import printable
from videocap.words import shards


def push(chosen: argparse.Namespace) -> int:
    """Copy to a place what it lacks."""
    experiment, there = _sides(chosen)
    return _tell(chosen, experiment, push_pull.push(experiment, chosen.stages, there, chosen.dry_run))


def pull(chosen: argparse.Namespace) -> int:
    """Copy from a place what is lacking here."""
    experiment, there = _sides(chosen)
    return _tell(chosen, experiment, push_pull.pull(experiment, chosen.stages, there, check_arrived, chosen.dry_run))


MODEL = ("config.json", "vocabulary.json", "model*.safetensors", "encoder.safetensors", "scores.json")
"""What goes into a captioner's folder of a Report's files."""


def pull_model(chosen: argparse.Namespace) -> int:
    """Copy a captioner from a place, which needs neither its config nor its videos."""
    from videocap.model.captioner import saved
    from videocap.model.captions.export import check_free, export

    check_free(chosen.folder)
    there = place_of(chosen.place)
    found: dict[str, dict] = {}
    for key in there.folders("Report"):
        manifest = manifest_or_reason(there, f"Report/{key}/manifest.json")
        if is_manifest(manifest) and MODEL[0] in manifest["files"]:
            name = str(manifest["provenance"].get("experiment"))
            if name not in found or found[name]["created"] < manifest["created"]:
                found[name] = manifest | {"folder": f"Report/{key}/{manifest['payload']}"}
    if not found:
        raise ValueError(there.missing() or f"{there} has no captioner: who has one pushes it by --stages Report")
    name = chosen.experiment or (next(iter(found)) if len(found) == 1 else "")
    if name not in found:
        asked = f"no captioner {name!r}" if name else "several captioners"
        raise ValueError(f"{there} has {asked}: name one of {', '.join(sorted(found))}")
    files = {
        file: File(f"{found[name]['folder']}/{file}", one["size"], one["sha256"])
        for file, one in found[name]["files"].items()
        if any(fnmatch.fnmatch(file, pattern) for pattern in MODEL)
    }
    with tempfile.TemporaryDirectory(prefix="videocap-") as work:
        if problems := copy_all("model", there, Folder(Path(work), mine=True), files, CURE_THERE):
            raise ValueError("\n".join(problems.values()))
        export(Path(work, found[name]["folder"]), chosen.folder)
    who = printable(str(found[name]["provenance"].get("host", "somewhere")))
    print(f"{chosen.folder}: the captioner of {printable(name)}, made on {who}; `videocap caption --model` takes it")
    encoder = saved.read(chosen.folder).encoder
    if encoder and not encoder.file_sha256 and encoder.weights not in MODELS:
        told = f"warning: its encoder, {encoder.weights!r}, did not come along: name the file by --encoder"
        print(printable(told), file=sys.stderr)
    return 0


def _sides(chosen: argparse.Namespace) -> tuple[Experiment, Place]:
    """The experiment, whose artifacts are here, and the place."""
    config = load(tasks.Config, Path(chosen.config), chosen.override)
    return Experiment(config, tasks.Report), place_of(chosen.place)


def _tell(chosen: argparse.Namespace, experiment: Experiment, found: Iterator[push_pull.Sent]) -> int:
    """Say what travelled; what could not is named, and the rest goes on."""
    rows, kinds = [], {kind.__name__: kind for kind in experiment.order}
    for sent in found:
        rows.append(vars(sent))
        if not chosen.json and (sent.files or sent.there or not sent.problems):
            print(sent_text(sent, kinds[sent.stage], chosen.dry_run), flush=True)
        lines = [f"{sent.stage}: {line}" for line in sent.notes + sent.problems]
        print("".join(f"{printable(line)}\n" for line in lines), file=sys.stderr, end="", flush=True)
    print(json.dumps(rows, indent=1) + "\n" if chosen.json else "", end="")
    return 1 if any(row["problems"] for row in rows) else 0


def sent_text(sent: push_pull.Sent, stage: type[Declared], dry_run: bool) -> str:
    """What travelled of a stage, in a line."""
    files = shards(sent.files) + f", {sent.items} {stage.holds[0]}" if stage.holds else f"{sent.files} files"
    there = f"; there already: {shards(sent.there) if stage.holds else 'the result'}" if sent.there else ""
    done = (
        f"{'to be copied' if dry_run else 'copied'}: {files}, {decimal(sent.size)}" if sent.files else "nothing to copy"
    )
    return f"{sent.stage}: {done}{there}"
