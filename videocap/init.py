"""`videocap init FOLDER`: writes a config for the videos and captions in a folder, and says what is missing."""

from __future__ import annotations

import argparse
import json
import os
import re
import shlex
from collections.abc import Iterable
from pathlib import Path

from videocap import tasks
from videocap.extract.corpus.rows import ASPECTS
from videocap.extract.corpus.survey import SPLITS, Survey, survey
from videocap.pipeline.config import load
from videocap.pipeline.stages.experiment import artifacts_of
from videocap.pipeline.words import printable

MOST_TOLD = 8  # lines of a kind
FEW = 512  # videos for training: below, batches are smaller, so that an epoch has some steps, and every word is known

TEMPLATE = """\
# Relative paths start from this file's folder. Fields that are not here have their defaults.

[experiment]
name = {name}  # results come to runs/ in the artifacts folder, under this name

[data]
kind = {kind}
videos = {videos}
annotations = {annotations}
{more}
[decode]
frames = 20  # of a video, evenly over its length

[encoder]
weights = "ViT-B/16"  # downloaded when first needed; or the path of a checkpoint
device = "auto"  # CUDA where there is one; or "cpu", "cuda:1"

[text_encoder]
weights = "ViT-B/16"

[aspects]
use = {use}  # commonsense sub-decoders: of intention, effect and attribute those that are annotated

[vocabulary]
min_count = {min_count}  # a word is known if the training captions have it at least so often

[train]
epochs = 20  # the rate decays to the last of them; which one is kept, validation chooses
epoch = "{epoch}"  # an epoch is every caption once, which few videos need, or ("video") one of each video
batch_size = {batch_size}
device = "auto"
"""
DRAWN = """\
# Videos are drawn 80/10/10 by their names. To say it yourself: a column `split` (train, val, test) of the captions, or
# lists of ids, whose names tell the split:
"""
GIVEN = "# Other splits than these: lists of ids, whose names tell the split:\n"


def init(chosen: argparse.Namespace) -> int:
    """Write a config, unless there are no captioned videos; 0 if it can be run as it is, 1 if something is missing."""
    folder, output = chosen.folder, chosen.output or chosen.folder / "videocap.toml"
    if not folder.is_dir():
        raise ValueError(f"{folder}: is no folder: name the one that holds your videos and captions")
    if os.path.lexists(output):
        raise ValueError(f"{output}: is there already and stays as it is: remove it, or name another by --output")
    if not output.parent.is_dir():
        raise ValueError(f"{output.parent}: is no folder: make it, or name another place by --output")
    about = survey(folder, [artifacts_of(load(tasks.Config, tasks.DEFAULT_CONFIG)).root])
    tell(about)
    if not about.annotations:
        print("\nNo config was written. With that done, run this again.")
        return 1
    text = config_text(about, output, Path(os.path.abspath(folder)).name).encode()
    with open(output, "xb") as file:
        file.write(text)
    print("\nWritten:", printable(str(output)))
    print("With that done, next:" if about.missing else "Next:")
    for command in ("videocap status", "videocap run"):
        print(printable(f"  {command} --config {shlex.quote(str(output))}"))
    return 1 if about.missing else 0


def tell(about: Survey) -> None:
    """Print what was found."""
    if about.videos:
        print(printable(f"videos    {about.files} in {about.videos}, {about.total('videos')} of them to be used"))
    if about.annotations:
        print(printable(f"captions  {about.total('captions')} in {', '.join(map(str, about.annotations))}"))
        counts = ", ".join(f"{split} {about.kept[split]['videos']}" for split in SPLITS)
        how = "drawn by name" if about.drawn else "as " + (", ".join(map(str, about.split)) or "annotated")
        print(printable(f"splits    {counts} ({how})"))
        aspects = [f"{aspect} of {about.total(aspect)} videos" for aspect in ASPECTS if about.total(aspect)]
        print(f"aspects   {', '.join(aspects) or 'none annotated: trained without'}")
    for title, lines in ("Note", about.warnings), ("Passed over", about.passed_over), ("Missing", about.missing):
        more = [f"… and {len(lines) - MOST_TOLD} more"] * (len(lines) > MOST_TOLD)
        told = "\n".join(lines[:MOST_TOLD] + more).split("\n")
        print(f"\n{title}:\n" + "".join(f"  {printable(line)}\n" for line in told) if lines else "", end="")


def config_text(about: Survey, output: Path, name: str) -> str:
    """The config as a person would write it, with comments on what is changed first."""
    more = f"commonsense = {_places(output, [about.commonsense])}\n" if about.commonsense else ""
    lists = _places(output, about.lists) if about.lists else '["train_list.txt", "val_list.txt", "test_list.txt"]'
    more += f"split = {lists}\n" if about.split else f"{DRAWN if about.drawn else GIVEN}# split = {lists}\n"
    few = about.kept["train"]["videos"] < FEW
    return TEMPLATE.format(
        name=_toml(re.sub(r"[^A-Za-z0-9._-]+", "-", name).strip("._-") or "videos"),
        kind=_toml(about.kind),
        videos=_places(output, [about.videos]),
        annotations=_places(output, about.annotations),
        more=more,
        use=_toml([aspect for aspect in ASPECTS if about.total(aspect)]),
        min_count=1 if few else 3,
        epoch="caption" if few else "video",
        batch_size=8 if few else 64,
    )


def _places(output: Path, paths: Iterable[Path]) -> str:
    """A path, or a list of them, from the config's folder, as TOML."""
    folder, places = output.absolute().parent, []
    for path in (path.absolute() for path in paths):
        inside = path.is_relative_to(folder)
        real = path.parent.resolve() / path.name  # `..` of a link leads to another place than it seems
        place = path.relative_to(folder) if inside else os.path.relpath(real, folder.resolve())
        places.append(str(path if str(place).startswith("~") else place))  # "~" is the home folder
    return _toml(places[0] if len(places) == 1 else places)


def _toml(value: str | list[str]) -> str:
    # a JSON string is a TOML string, but for one character
    return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
