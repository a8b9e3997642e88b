"""What the pages say is so: the config reference, links, command lines, the store's format, and how to extend it."""

import argparse
import hashlib
import importlib.util
import json
import os
import re
import shlex
import subprocess
import sys
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from luigi.cmdline_parser import CmdlineParser
from luigi.task_register import TaskClassNotFoundException
from pages import PAGES, blocks
from pydantic import create_model
from runs import ROOT

from videocap import command_line, tasks
from videocap.extract.config import Section, What
from videocap.extract.shards import writer
from videocap.pipeline.config import fields, parse_override
from videocap.pipeline.digests import canonical
from videocap.pipeline.stores.store import Store

LINK = re.compile(r"\[[^\[\]]*\]\(([^()\s]+)\)")
PROGRAMS = ("luigi", "videocap")
ITEMS = [(name, hashlib.sha256(name.encode()).hexdigest()) for name in ("video1", "möwe", "video7010")]


def parametrized_by_page(function):
    return pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)(function)


# -- the config reference


@pytest.fixture(scope="module")
def make_config():
    spec = importlib.util.spec_from_file_location("make_config", ROOT / "docs" / "make_config.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_config_reference_is_what_the_classes_say(make_config):
    assert make_config.PLACE.read_text(encoding="utf-8") == make_config.text(), "run: python docs/make_config.py"


def test_the_config_reference_has_every_field(make_config):
    told = [line for line in make_config.text().splitlines() if line.startswith(("## [", "- `"))]
    section, found = "", []
    for line in told:
        if line.startswith("## ["):
            section = line[4:-1]
        else:
            found.append(f"{section}.{line.split('`')[1]}")
    assert found == list(fields(tasks.Config))


class Untold(Section):
    """[part]: a field has no docstring."""

    size: What[int] = 1


class Nameless(Section):
    """A docstring that does not begin with the section's name."""


class Strange(Section):
    """[part]: a field is of a type that nobody has met yet."""

    size: What[dict[str, int]] = {}  # noqa: RUF012
    """Of something."""


@pytest.mark.parametrize(
    ("kind", "says"),
    [
        (Untold, "part.size has no docstring"),
        (Nameless, "Nameless has no docstring"),
        (Strange, "no words"),
    ],
)
def test_a_field_that_the_reference_cannot_tell_of_is_named(make_config, kind, says):
    with pytest.raises(TypeError, match=says):
        make_config.text(create_model("Config", part=(kind, kind())))


# -- links


def anchors(page: Path) -> set[str]:
    """The names of a page's headings, as GitHub gives them."""
    text, found = page.read_text(encoding="utf-8"), []
    for block in reversed(blocks(text)):
        text = text[: block.start] + text[block.end :]
    for heading in re.findall(r"^#+ +(.*)$", text, re.MULTILINE):
        name = re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")
        found.append(f"{name}-{found.count(name)}" if name in found else name)
    return set(found)


@parametrized_by_page
def test_every_relative_link_leads_to_a_file_and_a_heading_that_are_there(page):
    text = page.read_text(encoding="utf-8")
    for target in LINK.findall(text):
        if re.match(r"[a-z]+:", target):
            continue
        name, _, anchor = target.partition("#")
        place = page.parent / name if name else page
        assert place.exists(), f"{page.name}: {target}"
        assert not anchor or anchor in anchors(place), f"{page.name}: {target}"


# -- places in the code: `model/scores/cider.py`, `model/scores/stage.py:make`


PLACE = re.compile(
    r"`((?:(?:pipeline|extract|model|videocap|tests|docs|benchmarks|configs)/[\w./-]*|tasks\.py))(?::(\w+))?`"
)


@parametrized_by_page
def test_every_place_in_the_code_that_a_page_names_is_there(page):
    for place, name in PLACE.findall(page.read_text(encoding="utf-8")):
        assert (ROOT / place).exists(), f"{page.name}: {place}"
        if name:
            assert re.search(rf"^(def|class) {name}\b", (ROOT / place).read_text(), re.MULTILINE), f"{place}:{name}"


def test_places_in_the_code_are_found():
    found = PLACE.findall("`tasks.py`, `model/`, `model/scores/stage.py:make`, and `data/model/x.py`")
    assert found == [("tasks.py", ""), ("model/", ""), ("model/scores/stage.py", "make")]


# -- command lines


def command_lines(text: str) -> list[list[str]]:
    """The calls of luigi and videocap in the shell blocks of a page, as lists of arguments."""
    found = []
    for block in blocks(text):
        if block.language != "sh":
            continue
        for line in block.text.replace("\\\n", " ").splitlines():
            if not re.search(r"\b(luigi|videocap) ", line):
                continue
            lexer = shlex.shlex(line, posix=True, punctuation_chars=True)
            lexer.whitespace_split = True
            words = [[]]
            for word in lexer:
                if set(word) <= set("();<>|&"):
                    words.append([])
                elif words[-1] or not re.match(r"\w+=", word):  # not what is set for the command only
                    words[-1].append(word)
            found += [[Path(one[0]).name, *one[1:]] for one in words if one and Path(one[0]).name in PROGRAMS]
    return found


def parse(program: str, arguments: list[str]) -> None:
    """Raises SystemExit, or what Luigi raises for a task that it does not know, if they are wrong."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(argparse.ArgumentParser, "_get_option_tuples", lambda *_: [])  # no abbreviations
        if program == "videocap":
            chosen = command_line.parser().parse_args(arguments)
            if chosen.command == "why" and not hasattr(tasks, chosen.stage):
                raise SystemExit(f"no stage {chosen.stage}")
        else:
            # in one process the stages are there under one name
            CmdlineParser([re.sub("^tasks$", "videocap.tasks", argument) for argument in arguments])


@parametrized_by_page
def test_every_command_line_parses(page):
    for program, *arguments in command_lines(page.read_text(encoding="utf-8")):
        line = shlex.join([program, *arguments])
        try:
            parse(program, arguments)
        except SystemExit as refusal:
            pytest.fail(f"{page.name}: {line}: refused with {refusal.code}")
        given = dict(pairwise(arguments))
        override = re.sub(r"\$\w+", "", given.get("--override", ""))
        assert set(parse_override(override)) <= set(fields(tasks.Config)), f"{page.name}: {line}"
        config = given.get("--config", "")
        assert not config.startswith("configs/") or (ROOT / config).is_file(), f"{page.name}: {line}"


@pytest.mark.parametrize(
    "line",
    [
        "videocap store psuh /nfs/team",
        "videocap why Trian",
        "VIDEOCAP_ARTIFACTS=a videocap status --overide x",
        "cd x && videocap store verify --recompute twenty  # items",
        "luigi --module tasks Pipline",
        "luigi --module tasks Pipeline --conf x > log 2>&1 &",
        "luigi --module tasks Pipeline --epochs 3",
        "luigi --module tasks Table \\\n    --numbers 3",
    ],
)
def test_a_wrong_command_line_would_be_noticed(line, capsys):
    ((program, *arguments),) = command_lines(f"```sh\n{line}\n```\n")
    with pytest.raises((SystemExit, TaskClassNotFoundException)):
        parse(program, arguments)


def test_the_command_lines_of_the_pages_are_found():
    count = {page.name: len(command_lines(page.read_text(encoding="utf-8"))) for page in PAGES}
    assert count["README.md"] >= 15
    assert count["many-machines.md"] >= 6
    assert count["concepts.md"] >= 4


# -- the store's format


@pytest.fixture(scope="module")
def documented_digest():
    """The function that docs/store-format.md defines."""
    text = (ROOT / "docs" / "store-format.md").read_text(encoding="utf-8")
    after = text.index("<!-- content digest -->")
    block = next(block for block in blocks(text) if block.start > after)
    names: dict = {}
    exec(block.text, names)
    return names["content_digest"]


@pytest.mark.parametrize("row_shape", [(16,), (8, 8, 3), None], ids=["features", "frames", "nothing"])
def test_the_content_digest_of_a_real_shard_is_that_of_the_page(documented_digest, tmp_path, row_shape):
    draw = np.random.default_rng(0)
    items = ITEMS if row_shape else []
    arrays = [draw.integers(0, 255, (rows, *row_shape), np.uint8) for _, rows in zip(items, (5000, 0, 2), strict=False)]
    if row_shape == (16,):
        arrays = [array.astype(np.float32) for array in arrays]
    info = writer.write(
        tmp_path / "a.h5", items=items, arrays=arrays, times=[np.arange(len(a)) for a in arrays], spec={}, key="0" * 64
    )
    assert documented_digest(tmp_path / "a.h5") == info.content


def test_a_published_store_is_as_the_page_says(documented_digest, tmp_path):
    spec = {"stage": "EmbedFramesShard", "version": 1, "config": {"decode.frames": 3, "ä": 0.5}, "inputs": {}}
    held, failed = ITEMS[:2], ITEMS[2]

    def write(path, key):
        info = writer.write(path, items=held, arrays=[np.ones((3, 4))] * 2, times=None, spec=spec, key=key)
        failure = {"id": failed[0], "digest": failed[1], "reason": "no frames"}
        return {"digests": [d for _, d in held], "failures": [failure], "content": info.content, "provenance": {}}

    store = Store(tmp_path / "store", spec)
    store.publish_shard(ITEMS, 1, write, {})

    def digest(value):
        return hashlib.sha256(
            json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()
        ).hexdigest()

    (shard,) = store.folder.glob("*.h5")
    (place,) = (path for path in store.folder.glob("[!.]*.json") if path.name != "store.json")
    manifest = json.loads(place.read_text())
    assert json.loads((store.folder / "store.json").read_text()) == {"format": "clip4videocap-store", "spec": spec}
    assert manifest["spec"] == digest(spec) == hashlib.sha256(canonical(spec).encode()).hexdigest()
    key = {"spec": digest(spec), "items": sorted(source for _, source in ITEMS), "retry": 1}
    assert manifest["key"] == place.stem == digest(key)
    assert manifest["payload"] == shard.name
    assert re.fullmatch(manifest["key"] + r"-[0-9a-f]{32}\.h5", shard.name)
    assert manifest["content"] == documented_digest(shard)
    assert (manifest["sha256"], manifest["size"]) == (
        hashlib.sha256(shard.read_bytes()).hexdigest(),
        shard.stat().st_size,
    )
    text = (ROOT / "docs" / "store-format.md").read_text(encoding="utf-8")
    table = text[text.index("## A manifest") : text.index("## Reading")]
    rows = [line.split("|")[1] for line in table.splitlines() if line.startswith("| `")]
    assert set(re.findall(r"`(\w+)`", "".join(rows))) == set(manifest)


@pytest.mark.slow
def test_the_examples_of_the_concepts_print_what_the_page_shows(tmp_path):
    text = (ROOT / "docs" / "concepts.md").read_text(encoding="utf-8")
    shown = blocks(text)
    script = "\n".join(f"{block.text}echo ===" for block in shown if block.language == "sh")
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    printed = subprocess.run(
        ["bash", "-c", script],
        cwd=tmp_path,
        env={**os.environ, "PATH": path, "COLUMNS": "100"},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=True,
    ).stdout.split("===\n")
    outputs = [block.text if not block.language else "" for block in shown]
    expected = [after for block, after in zip(shown, [*outputs[1:], ""], strict=True) if block.language == "sh"]
    for shows, prints in zip(expected[1:], printed[1:], strict=False):
        assert shows
        assert like(shows) == like(prints)


def like(output: str) -> list[str]:
    """Lines without what differs between runs: times, sizes, digests and the width of columns."""
    varying = r"\d{4}-\d\d-\d\d \d\d:\d\d|[\d.]+ (s|bytes|[kMG]B)\b|\b[0-9a-f]{12,}\b"
    return [" ".join(re.sub(varying, "*", line).split()) for line in output.splitlines()]
