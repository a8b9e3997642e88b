"""The scores as text for the terminal, and the rows that the page has, too."""

from __future__ import annotations

from collections.abc import Mapping

from videocap.model.config import METRICS

PARTS = ("actor", "events", "order", "all")  # of what a caption of the demo tells right


def score_rows(scores: Mapping) -> list[tuple[str, Mapping[str, float]]]:
    """Rows of scores with their labels: the model's, their interval, the aspects', the controls'."""
    low, high = ({metric: of[end] for metric, of in scores["interval"].items()} for end in (0, 1))
    aspects = [(f"{aspect} ({of['videos']} videos{_right(of)})", of) for aspect, of in scores["aspects"].items()]
    return [("model", scores), ("  from", low), ("  to", high), *aspects, *scores["controls"].items()]


def _right(aspect: Mapping[str, float]) -> str:
    """Of the demo, whose truth is known."""
    return f", {aspect['right']:.0%} right" if "right" in aspect else ""


def told_rows(scores: Mapping) -> list[tuple[str, Mapping]]:
    """Rows of what is told right of the demo's clips: the model's, the controls'."""
    return [("model", scores), *scores["controls"].items()]


def score_table(scores: Mapping) -> str:
    """The scores as plain text, with all that stands beside them."""
    lines = [f"{scores['split']} split, {scores['videos']} videos, protocol {scores['protocol']}"]
    lines += [*behind_lines(scores), *quality_lines(scores), ""]
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


def behind_lines(scores: Mapping) -> list[str]:
    """What the model is not ahead of, a sentence each."""
    return [
        f"The model is not ahead of: {name} (CIDEr {row['CIDEr']:.3f}; the difference lies between "
        f"{row['ahead'][0]:+.3f} and {row['ahead'][1]:+.3f})"
        for name, row in scores["controls"].items()
        if row["ahead"][0] <= 0
    ]


def quality_lines(scores: Mapping) -> list[str]:
    """What the model's captions are like, whatever the references are."""
    of = scores["quality"]
    first = (
        f"Captions: {of['distinct']:.0%} distinct, {of['words']:,} of {of['known']:,} known words used, "
        f"{of['copied']:.0%} copied from training, {of['broken_off']:.0%} break off"
    )
    return [first, *(f"{share:.0%} of the videos have the same caption: {text!r}" for text, share in of["repeated"])]
