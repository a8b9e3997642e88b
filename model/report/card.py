"""The model card: README.md of a captioner's folder, for people and for model hubs."""

from __future__ import annotations

import json
import shlex
from collections.abc import Mapping
from typing import Any

from videocap.extract.config import MODELS
from videocap.model.config import METRICS
from videocap.model.report.text import behind_lines, quality_lines

HUB_NAMES = {"CIDEr": "cider", "METEOR": "meteor", "ROUGE-L": "rouge"} | {f"BLEU-{n}": f"bleu{n}" for n in range(1, 5)}
DATASETS = {"msrvtt": "MSR-VTT", "toyworld": "clip4videocap's rendered toy world", "folder": "videos of its makers"}


def card(name: str, about: Mapping[str, Any], scores: Mapping[str, Any]) -> str:
    """The text.

    Args:
        name: of the model.
        about: config.json.
        scores: scores.json of its experiment; {} if they are not there.
    """
    data = about.get("trained_on") or {}
    dataset = DATASETS.get(data.get("kind", ""), "videos of its makers")
    head = {
        "library_name": "clip4videocap",
        "pipeline_tag": "video-text-to-text",
        "license": about.get("license") or "unknown",
        "tags": ["video-captioning", "clip"],
        "datasets": [dataset],
        "metrics": [HUB_NAMES[metric] for metric in METRICS],
    }
    if scores:
        found = [{"type": HUB_NAMES[metric], "name": metric, "value": round(scores[metric], 4)} for metric in METRICS]
        split = {"name": dataset, "type": dataset, "split": scores["split"]}
        result = {"task": {"type": "video-captioning"}, "dataset": split, "metrics": found}
        head["model-index"] = [{"name": name, "results": [result]}]
    front = "\n".join(f"{key}: {json.dumps(value, ensure_ascii=False)}" for key, value in head.items())  # JSON is YAML
    parts = [f"---\n{front}\n---", f"# {name}", _what(about), _use(name, about), _data(data, dataset)]
    parts += [scores_part(scores)] if scores else []
    return "\n\n".join([*parts, _limits(about), _license(about)]) + "\n"


def _what(about: Mapping[str, Any]) -> str:
    network, encoder, decode = about["networks"][0], about.get("encoder"), about.get("decode")
    fusion, decoder, aspects = network["fusion"], network["decoder"], network["aspects"]["use"]
    seen = "features made by other code"
    if encoder and decode:
        rate = f"{decode['fps']:g} frames a second, at most {decode['frames']}"
        frames = f"{decode['frames']} frames of a video" if decode["sampling"] == "uniform" else rate
        seen = f"{frames}, as {encoder['weights']} embeds them at {encoder['pixels']} pixels"
    several = f"{len(about['networks'])} such networks write together. " if len(about["networks"]) > 1 else ""
    more = f"It also tells {', '.join(aspects)}. " if aspects else ""
    return (
        f"Writes a sentence about a video: a captioner on frozen features, made by {about['made_by']}. It sees {seen}, "
        f"through {fusion['scales']} temporal scale{'s' * (fusion['scales'] != 1)} ({fusion['block']}), and writes by "
        f"{decoder['layers']} decoder layers of width {decoder['width']}. {more}{several}".rstrip()
    )


def _use(name: str, about: Mapping[str, Any]) -> str:
    if not about.get("encoder"):
        return "## Use\nIts features were made by other code: `VideoCaptioner` captions no videos with it."
    along = bool(about["encoder"].get("file_sha256"))
    weights, digest = about["encoder"]["weights"], about["encoder"]["sha256"]
    if along:
        encoder = "The encoder's weights lie beside it."
    elif weights in MODELS:
        encoder = f"The encoder's weights ({weights}) are downloaded when they are first needed."
    else:
        encoder = f"The encoder's weights ({weights}, sha256 `{digest}`) must be named: `encoder=`, `--encoder`."
    return (
        "## Use\n```python\nfrom videocap import VideoCaptioner\n"
        f'captioner = VideoCaptioner.from_pretrained("{name}")  # this folder\n'
        'print(captioner("my-video.mp4")[0].caption)\n```\n'
        f"Or, in a shell: `videocap caption --model {shlex.quote(name)} my-video.mp4`. {encoder}"
    )


def _data(data: Mapping[str, Any], dataset: str) -> str:
    if not data:
        return "## Trained on\nIt is not on record."
    rows = [f"| {split} | {of['videos']:,} | {of['captions']:,} |" for split, of in data["splits"].items()]
    digests = ", ".join(f"{table} `{digest[:16]}`" for table, digest in data["sha256"].items())
    return (
        f"## Trained on\n{dataset[0].upper()}{dataset[1:]}; none of it is in this folder.\n\n"
        "| split | videos | captions |\n|---|---|---|\n" + "\n".join(rows) + "\n\n"
        f"Who has the same data has tables with the same sha256: {digests}."
    )


def scores_part(scores: Mapping[str, Any]) -> str:
    """The card's table of scores. Raises some error for what are none."""
    low, high = ({metric: of[end] for metric, of in scores["interval"].items()} for end in (0, 1))
    lines = [f"| | {' | '.join(METRICS)} |", "|---" * (len(METRICS) + 1) + "|"]

    def row(label: str, cells: list[str]) -> str:
        return f"| {label} | {' | '.join(cells)} |"

    lines.append(row("**this model**", [f"{scores[metric]:.3f}" for metric in METRICS]))
    lines.append(row("95 % of resampled videos", [f"{low[metric]:.3f} to {high[metric]:.3f}" for metric in METRICS]))
    lines += [row(name, [f"{of[metric]:.3f}" for metric in METRICS]) for name, of in scores["controls"].items()]
    said = [f"- {line}" for line in (*behind_lines(scores), *quality_lines(scores))]
    return (
        f"## Scores\n{scores['videos']:,} videos of the {scores['split']} split, protocol {scores['protocol']}. Beside "
        "it stand captioners that know less, or nothing, of the videos.\n\n" + "\n".join([*lines, "", *said])
    )


def _limits(about: Mapping[str, Any]) -> str:
    decode = about.get("decode") or {}
    seen = f"Of a video it sees {decode['frames']} frames at most, and no sound. " if decode else ""
    return (
        f"## Limits\n{seen}It knows the words of its training captions and no others, writes in their language, and "
        "repeats what is one-sided in them. On videos of another kind than those it was trained on, expect it to be "
        "wrong, and fluent. It is not fit for decisions about people."
    )


def _license(about: Mapping[str, Any]) -> str:
    told = about.get("license")
    return f"## Licence\n{told or 'Unknown: its makers have not said under which it may be used.'}"
