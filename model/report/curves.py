"""A picture of a training: losses, who pulls in the shared trunk, validation CIDEr; by epoch, as SVG."""

from __future__ import annotations

import csv
import html
import math
from collections.abc import Mapping, Sequence
from pathlib import Path

WIDTH, HEIGHT = 420, 220  # of a panel
LEFT, RIGHT, TOP, BOTTOM = 48, 90, 26, 34  # its margins; the legend is in the right one, where no line runs
COLOURS = ("#3d85c6", "#d9730d", "#2e9e4f", "#e0484e", "#9b6fd3", "#a5784f")  # contrast of 3 with white and with black
DARK = "@media (prefers-color-scheme: dark) { .curves { color: #ddd } .curves > rect { fill: #121212 } }"
NOT_LOSSES = ("epoch", "step", "lr", "val_cider", "reward")
PULL = "pull_"  # of columns that hold the norm of a part's gradient


def read(path: Path) -> list[dict[str, float]]:
    """The rows of a training's curves.csv."""
    with path.open(newline="") as file:
        return [{name: float(value) for name, value in row.items() if value} for row in csv.DictReader(file)]


def picture(rows: Sequence[Mapping[str, float]]) -> str:
    """Draw the losses; who pulls, where several parts do; and the validation CIDEr with its best epoch if there is one.

    Args:
        rows: of curves.csv, one an epoch.
    """
    names = [name for name in rows[0] if name not in NOT_LOSSES and not name.startswith(PULL)]
    likely = [row for row in rows if "reward" not in row]  # self-critical epochs have a loss of another kind
    panels = [_panel("mean losses of an epoch", {name: _points(likely, name) for name in names})]
    pulls = {name[len(PULL) :]: _points(rows, name) for name in rows[0] if name.startswith(PULL)}
    if len(pulls) > 1:
        panels.append(_panel("gradients in the fusion", pulls))
    if any("reward" in row for row in rows):
        panels.append(_panel("reward of samples (CIDEr-D)", {"reward": _points(rows, "reward")}))
    if any("val_cider" in row for row in rows):
        panels.append(_panel("validation CIDEr", {"CIDEr": _points(rows, "val_cider")}, best=True))
    placed = [f'<g transform="translate({number * WIDTH} 0)">{panel}</g>' for number, panel in enumerate(panels)]
    size = f'viewBox="0 0 {WIDTH * len(panels)} {HEIGHT}" width="{WIDTH * len(panels)}" height="{HEIGHT}"'
    style = 'font-family="system-ui, sans-serif" font-size="11" color="#222" fill="currentColor"'
    about = 'class="curves" role="img" aria-label="Curves of the training"'
    body = f'<style>{DARK}</style><rect width="100%" height="100%" fill="#fff"/>{"".join(placed)}'
    return f'<svg xmlns="http://www.w3.org/2000/svg" {size} {style} {about}>{body}</svg>\n'


def ticks(high: float) -> list[float]:
    """Three to seven round numbers from 0 to `high` or a little less."""
    if not high > 1e-300:  # below, powers of ten are not exact, and then 0
        return [0.0]
    unit = 10.0 ** math.floor(math.log10(high))
    step = next(unit * part for part in (0.2, 0.5, 1, 2) if high / (unit * part) <= 6)
    return [step * number for number in range(int(high / step + 1e-9) + 1)]


def _points(rows: Sequence[Mapping[str, float]], name: str) -> list[tuple[float, float]]:
    return [(row["epoch"], row[name]) for row in rows if math.isfinite(row.get(name, math.nan))]


def _panel(title: str, lines: Mapping[str, list[tuple[float, float]]], best: bool = False) -> str:
    """Axes from 0, a line a name with a legend, and a mark at the best point if asked for."""
    points = [point for line in lines.values() for point in line]
    most_x, most_y = (max((point[axis] for point in points), default=1.0) or 1.0 for axis in (0, 1))

    def x(value: float) -> str:
        return f"{LEFT + value / most_x * (WIDTH - LEFT - RIGHT):.1f}"

    def y(value: float) -> str:
        return f"{HEIGHT - BOTTOM - max(value, 0) / most_y * (HEIGHT - TOP - BOTTOM):.1f}"

    drawn = []
    for tick in ticks(most_y):
        drawn.append(f'<path d="M{x(0)} {y(tick)}H{x(most_x)}" stroke="currentColor" stroke-opacity=".15"/>')
        drawn.append(f'<text x="{LEFT - 6}" y="{y(tick)}" dy=".35em" text-anchor="end">{tick:.6g}</text>')
    for tick in filter(float.is_integer, ticks(most_x)):
        drawn.append(f'<text x="{x(tick)}" y="{HEIGHT - BOTTOM + 14}" text-anchor="middle">{tick:.6g}</text>')
    drawn.append(f'<text x="{x(most_x)}" y="{HEIGHT - 6}" text-anchor="end">epoch</text>')
    for number, (name, line) in enumerate(lines.items()):
        colour, middle = COLOURS[number % len(COLOURS)], TOP + 8 + 16 * number
        path = " ".join(f"{x(a)},{y(b)}" for a, b in line)
        drawn.append(f'<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="1.5"/>')
        if len(line) == 1:
            drawn.append(f'<circle cx="{x(line[0][0])}" cy="{y(line[0][1])}" r="2.5" fill="{colour}"/>')
        if best and line:
            # whose weights training kept: the first of equals, but the latest of zeros
            epoch, value = max(line, key=lambda point: (point[1], point[0] if point[1] == 0 else 0))
            drawn.append(f'<circle cx="{x(epoch)}" cy="{y(value)}" r="4" fill="none" stroke="currentColor"/>')
            title += f": best {value:.3f}, epoch {epoch:.0f}"
        drawn.append(f'<path d="M{WIDTH - RIGHT + 10} {middle}h14" stroke="{colour}" stroke-width="3"/>')
        # escaped, since the page shows the picture as it is
        drawn.append(f'<text x="{WIDTH - RIGHT + 30}" y="{middle}" dy=".35em">{html.escape(name)}</text>')
    drawn.append(f'<text x="{LEFT}" y="14" font-weight="600">{title}</text>')
    return "".join(drawn)
