"""The results of an experiment for people: a table of scores, and one HTML page that needs no network."""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from jinja2 import Environment

from videocap.extract.json_files import load_json
from videocap.model.config import ASPECTS, METRICS
from videocap.model.report.curves import picture, read
from videocap.model.report.tables import Table

PARTS = ("actor", "events", "order", "all")  # of what a caption of the demo tells right
EXAMPLES = 4  # of the best captions, of those in the middle, of the worst

PAGE = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<title>Video captions</title>
<style>
:root { color-scheme: light dark }
body { font: 16px/1.5 system-ui, sans-serif; max-width: 60rem; margin: 2rem auto; padding: 0 1rem }
table { border-collapse: collapse; display: block; overflow-x: auto } td, th { padding: .3rem .8rem; text-align: right }
th:first-child, td:first-child, .words td, .words th { text-align: left }
tr { border-bottom: 1px solid #8886 } tr.paper { font-style: italic; opacity: .75 }
dt { font-weight: 600; margin-top: 1rem; overflow-wrap: anywhere } dd { margin-left: 1rem } .dim { opacity: .75 }
svg { max-width: 100%; height: auto } dd img { max-width: 100%; height: auto; border-radius: 4px }
.words td { overflow-wrap: anywhere; min-width: 6rem } .words td:first-child { white-space: nowrap }
.wide { overflow-x: auto } summary { cursor: pointer }
.curves svg { min-width: 38rem } .graph { max-width: none; fill: none; stroke: currentColor }
.graph path { opacity: .4 } .graph rect { fill: Canvas }
.graph text { fill: currentColor; stroke: none; font-size: 13px; text-anchor: middle }
</style></head><body>
<h1>Video captions <small><!-- name --></small></h1>
<p>{{ scores.videos }} videos of the {{ scores.split }} split, protocol {{ scores.protocol }}.</p>
<table><tr><th></th>{% for metric in metrics %}<th scope="col">{{ metric }}</th>{% endfor %}</tr>
{% for label, row in rows %}<tr><td>{{ label }}</td>
{% for metric in metrics %}<td>{{ "%.3f"|format(row[metric]) }}</td>{% endfor %}</tr>{% endfor %}
{% for row in paper %}<tr class="paper"><td>the paper: {{ row.label }}</td>
{% for metric in metrics %}<td>{% if metric in row.paper %}{{ "%.3f"|format(row.paper[metric] / 100) }}{% endif %}</td>
{%- endfor %}</tr>{% endfor %}</table>
<p class="dim">From … to: where the scores lie in 95 % of corpora drawn, with replacement, from these videos.
In italics: the paper's own figures (Table 1), of the 2,990 test videos of MSR-VTT
{%- if kind != "msrvtt" %}; the scores above them are of other videos, so the two can't be compared{% endif %}.</p>
{% if scores.told_right %}<h2>What the captions tell right</h2>
<p>Shares of the captions that name the actor; just the clip's events; these in their order (the same for one event);
and all of it right. Each unseen clip has an event that training never showed of its actor.</p>
<table><tr><th></th>{% for half, of in scores.told_right.items() %}
<th colspan="{{ parts|length }}">{{ half }} ({{ of.clips }} clips)</th>{% endfor %}</tr>
<tr><th></th>{% for half in scores.told_right %}{% for part in parts %}<th>{{ part }}</th>{% endfor %}{% endfor %}</tr>
{% for label, row in told %}<tr><td>{{ label }}</td>{% for of in row.told_right.values() %}
{% for part in parts %}<td>{{ "%.2f"|format(of[part]) }}</td>{% endfor %}{% endfor %}</tr>{% endfor %}
</table>{% endif %}
<h2>Training</h2><div class="wide curves">{{ curves|safe }}</div>
<h2>Captions</h2>
{% for title, items in examples.items() if items %}<h3>{{ title }}</h3><dl>
{% for item in items %}<dt>{{ item.video_id }} <span class="dim">CIDEr {{ "%.2f"|format(item.CIDEr) }}</span></dt>
<dd>{% if item.video_id in strips %}<img src="{{ strips[item.video_id] }}" alt="frames of {{ item.video_id }}"><br>
{% endif %}{{ item.caption }}
{% for aspect in aspects if aspect in item %}<br><span class="dim">{{ aspect }}: {{ item[aspect] }}</span>{% endfor %}
{% for text in references[item.video_id][:3] %}<br><span class="dim">reference: {{ text }}</span>{% endfor %}</dd>
{% endfor %}</dl>{% endfor %}
<h2>Data</h2>
<table><tr><th></th>{% for column in counts.kept[scores.split] %}<th>{{ column }}</th>{% endfor %}</tr>
{% for split, of in counts.kept.items() %}<tr><td>{{ split }}</td>
{% for column, number in of.items() %}<td>{{ number }}
{%- if number != counts.annotated[split][column] %} of {{ counts.annotated[split][column] }}{% endif %}</td>
{%- endfor %}</tr>
{% endfor %}</table>
{% if counts.left_out or counts.remarks %}<ul>
{% for row in counts.left_out %}<li>{{ row.count }} {{ row.what }}: {{ row.examples|join(", ") }}</li>{% endfor %}
{% for remark in counts.remarks %}<li>{{ remark }}</li>{% endfor %}</ul>{% endif %}
{% if failures %}<h2>Videos that failed</h2><ul>
{% for failure in failures %}<li>{{ failure.id }}: {{ failure.reason }}</li>{% endfor %}</ul>{% endif %}
<!-- made -->
</body></html>
"""


def score_rows(scores: Mapping) -> list[tuple[str, Mapping[str, float]]]:
    """Rows of scores with their labels: the model's, their interval, the aspects', the controls'."""
    low, high = ({metric: of[end] for metric, of in scores["interval"].items()} for end in (0, 1))
    aspects = [(f"{aspect} ({of['videos']} videos)", of) for aspect, of in scores["aspects"].items()]
    return [("model", scores), ("  from", low), ("  to", high), *aspects, *scores["controls"].items()]


def told_rows(scores: Mapping) -> list[tuple[str, Mapping]]:
    """Rows of what is told right of the demo's clips: the model's, the controls'."""
    return [("model", scores), *scores["controls"].items()]


def score_table(scores: Mapping) -> str:
    """The scores as plain text, with all that stands beside them."""
    lines = [f"{scores['split']} split, {scores['videos']} videos, protocol {scores['protocol']}"]
    lines.append(f"{'':<34}" + "".join(f"{metric:>9}" for metric in METRICS))
    for label, row in score_rows(scores):
        lines.append(f"{label:<34}" + "".join(f"{row[metric]:>9.3f}" for metric in METRICS))
    if halves := scores.get("told_right"):
        titles = "".join(f"  {half} ({of['clips']} clips)".ljust(2 + 8 * len(PARTS)) for half, of in halves.items())
        lines += ["", f"{'share told right':<34}{titles}".rstrip()]
        lines.append(f"{'':<34}" + "".join("  " + "".join(f"{part:>8}" for part in PARTS) for _ in halves))
        for label, row in told_rows(scores):
            shares = ("  " + "".join(f"{of[part]:>8.2f}" for part in PARTS) for of in row["told_right"].values())
            lines.append(f"{label:<34}" + "".join(shares))
    return "\n".join(lines)


def examples(captions: Sequence[Mapping], scores: Mapping[str, Mapping]) -> dict[str, list[dict]]:
    """Videos with their captions and CIDEr: the best by that, some in the middle, and the worst; each only once.

    Args:
        captions: as in captions.json.
        scores: by video id, as in video_scores.json.
    """
    ranked = [dict(item) | {"CIDEr": scores[item["video_id"]]["CIDEr"]} for item in captions]
    ranked.sort(key=lambda item: (-item["CIDEr"], item["video_id"]))
    best, rest = ranked[:EXAMPLES], ranked[EXAMPLES:]
    worst, rest = rest[::-1][:EXAMPLES], rest[:-EXAMPLES]
    middle = max(0, (len(rest) - EXAMPLES) // 2)
    return {"The best by CIDEr": best, "In the middle": rest[middle:][:EXAMPLES], "The worst": worst}


def make(
    folder: Path,
    config: Any,
    *,
    scores: Path,
    video_scores: Path,
    captions: Path,
    references: Path,
    counts: Path,
    model: Path,
    table: Path,
    videos: Path | None,
    sampling: Any,
    curves: Path,
    paper: Path,
    failures: Sequence[Mapping[str, str]],
) -> list[str]:
    """Put the results into an empty folder, with a picture of the training and report.html that shows them.

    Args:
        scores, video_scores, captions, model, curves: scores.json, video_scores.json, captions.json,
            model.safetensors and curves.csv.
        references: captions of each scored video.
        table: [[id, sha256]] of these.
        videos: the folder in which they lie, if they do.
        sampling: holder of the sections decode and encoder: which of their frames the model saw.
        counts: counts.json of the corpus.
        paper: the rows of the paper's table that stand beside the scores, see `model.report.tables`.
        failures: [{"id", "reason"}].

    Returns:
        what a person should know of it.
    """
    from videocap.model.report.strips import strips  # NumPy and Pillow, which the table of scores does without

    for file in (scores, video_scores, captions, model, curves):
        link_or_copy(file, folder / file.name)
    drawn = picture(read(curves))
    (folder / "curves.svg").write_text(drawn, encoding="utf-8")
    numbers = load_json(scores)
    shown = examples(load_json(captions), load_json(video_scores)["caption"])
    names = {item["video_id"] for items in shown.values() for item in items}
    pictures, notes = {}, []
    seen = [(name, digest) for name, digest in load_json(table) if name in names]
    if videos:
        try:
            pictures = strips(seen, videos, sampling.decode, sampling.encoder)
        except Exception as error:  # pictures are not worth a report
            notes.append(f"the report shows no frames ({type(error).__name__}: {error})")
    html = (
        Environment(autoescape=True)
        .from_string(PAGE)
        .render(
            scores=numbers,
            rows=score_rows(numbers),
            told=told_rows(numbers),
            metrics=METRICS,
            parts=PARTS,
            aspects=ASPECTS,
            examples=shown,
            strips=pictures,
            references=load_json(references),
            counts=load_json(counts),
            failures=failures,
            curves=drawn,
            paper=Table.read(paper).rows,
            kind=config.data.kind,
        )
    )
    (folder / "report.html").write_text(html, encoding="utf-8")
    return notes


def link_or_copy(source: Path, target: Path) -> None:
    """A second name for a file that never changes; a copy where the file system has no links."""
    try:
        os.link(source, target)
    except OSError:
        shutil.copyfile(source, target)
