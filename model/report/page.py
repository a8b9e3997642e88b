"""The report's page: one HTML file that needs no network. Its template stands here, in code, which is in keys."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from jinja2 import Environment

from videocap.extract.words import left_out, warning
from videocap.model.config import ASPECTS, METRICS
from videocap.model.report.tables import Row
from videocap.model.report.text import PARTS, behind_lines, quality_lines, score_rows, told_rows

EXAMPLES = 4  # of the best captions, of those in the middle, of the worst

TEMPLATE = """<!doctype html>
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
.bad { border-left: 4px solid #d9730d; padding-left: .6rem } .wide { overflow-x: auto } summary { cursor: pointer }
.curves svg { min-width: 38rem } .graph { max-width: none; fill: none; stroke: currentColor }
.graph path { opacity: .4 } .graph rect { fill: Canvas }
.graph text { fill: currentColor; stroke: none; font-size: 13px; text-anchor: middle }
</style></head><body>
<h1>Video captions <small><!-- name --></small></h1>
<p>{{ scores.videos }} videos of the {{ scores.split }} split, protocol {{ scores.protocol }}.</p>
{% for line in behind %}<p class="bad">{{ line }}.</p>
{% endfor %}{% for line in quality %}<p>{{ line }}.</p>
{% endfor %}<table><tr><th></th>{% for metric in metrics %}<th scope="col">{{ metric }}</th>{% endfor %}</tr>
{% for label, row in rows %}<tr><td>{{ label }}</td>
{% for metric in metrics %}<td>{{ "%.3f"|format(row[metric]) }}</td>{% endfor %}</tr>{% endfor %}
{% for row in paper %}<tr class="paper"><td>the paper: {{ row.label }}{% if row.note %}, {{ row.note }}{% endif %}</td>
{% for metric in metrics %}<td>{% if metric in row.paper %}{{ "%.3f"|format(row.paper[metric] / 100) }}{% endif %}</td>
{%- endfor %}</tr>{% endfor %}</table>
<p class="dim">From … to: where the scores lie in 95 % of corpora drawn, with replacement, from these videos.
In italics: the paper's own figures (Table 1), of MSR-VTT's official split (2,990 test videos) and COCO's scoring, its
own system of V2C's split (2,903) and V2C's scoring: two measures that can't be compared with each other, nor with
scores of other videos.</p>
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
{% for row in counts.left_out %}<li>{{ left_out(row) }}</li>{% endfor %}
{% for row in counts.remarks %}<li>{{ warning(row) }}</li>{% endfor %}</ul>{% endif %}
{% if failures %}<h2>Videos that failed</h2><ul>
{% for failure in failures %}<li>{{ failure.id }}: {{ failure.reason }}</li>{% endfor %}</ul>{% endif %}
{%- if further %}
<h2>Further results</h2><ul>
{% for name in further %}<li><a href="{{ name|urlencode }}">{{ name }}</a></li>{% endfor %}</ul>{% endif %}
<!-- made -->
</body></html>
"""


def page(
    *,
    scores: Mapping[str, Any],
    examples: Mapping[str, Sequence[Mapping]],
    references: Mapping[str, Sequence[str]],
    strips: Mapping[str, str],
    curves: str,
    counts: Mapping[str, Any],
    failures: Sequence[Mapping[str, str]],
    paper: Sequence[Row],
    kind: str,
    further: Sequence[str] = (),
) -> str:
    """The page. How the experiment is called and how it was made is filled in later, at its two marks.

    Args:
        scores: scores.json.
        examples: see `examples`.
        references: captions of each video that is shown.
        strips: a picture's data URL by video id.
        curves: SVG.
        counts: counts.json of the corpus.
        failures: [{"id", "reason"}].
        paper: rows of the paper's table.
        kind: `data.kind`.
        further: names of files beside the page that it links to.
    """
    return (
        Environment(autoescape=True)
        .from_string(TEMPLATE)
        .render(
            scores=scores,
            rows=score_rows(scores),
            behind=behind_lines(scores),
            quality=quality_lines(scores),
            told=told_rows(scores),
            metrics=METRICS,
            parts=PARTS,
            aspects=ASPECTS,
            examples=examples,
            strips=strips,
            references=references,
            counts=counts,
            left_out=left_out,
            warning=warning,
            failures=failures,
            curves=curves,
            paper=paper,
            kind=kind,
            further=further,
        )
    )


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
