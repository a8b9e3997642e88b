"""The picture of a training shows its rows, whatever these are."""

import math
import xml.etree.ElementTree as ElementTree

import pytest
from hypothesis import given
from hypothesis import strategies as st

from videocap.model.report import curves

SVG = "{http://www.w3.org/2000/svg}"


def parts(svg, tag):
    return ElementTree.fromstring(svg).iter(SVG + tag)


def texts(svg):
    return [text.text for text in parts(svg, "text")]


numbers = st.floats(allow_nan=True, allow_infinity=True)


@given(
    st.lists(st.fixed_dictionaries({"loss": numbers, "caption": numbers}, optional={"val_cider": numbers}), min_size=1)
)
def test_any_rows_give_a_picture_inside_its_frame(rows):
    svg = curves.picture([{"epoch": float(epoch), **row} for epoch, row in enumerate(rows, 1)])
    width = float(ElementTree.fromstring(svg).attrib["width"])
    assert width == curves.WIDTH * (2 if any("val_cider" in row for row in rows) else 1)
    assert not {"nan", "inf", "-inf"} & set(texts(svg))
    for line in parts(svg, "polyline"):
        for point in line.attrib["points"].split():
            x, y = map(float, point.split(","))
            assert curves.LEFT <= x <= curves.WIDTH - curves.RIGHT
            assert curves.TOP - 0.1 <= y <= curves.HEIGHT - curves.BOTTOM + 0.1


@given(st.floats(1e-6, 1e6))
def test_ticks_are_few_and_round(high):
    found = curves.ticks(high)
    assert 3 <= len(found) <= 7
    assert found[0] == 0
    assert found[-1] <= high * (1 + 1e-6)
    assert all(f"{tick:.6g}" == f"{tick:.2g}" or float(f"{tick:.2g}") == float(f"{tick:.6g}") for tick in found)


def test_lines_the_legend_and_the_best_epoch(tmp_path):
    (tmp_path / "curves.csv").write_text(
        "epoch,step,lr,loss,caption,val_cider\n1,10,0.1,4.0,3.0,0.2\n2,20,0.1,2.0,1.5,0.8\n3,30,0.1,1.0,1.0,0.5\n"
    )
    rows = curves.read(tmp_path / "curves.csv")
    svg = curves.picture(rows)
    assert {"loss", "caption", "mean losses of an epoch", "validation CIDEr: best 0.800, epoch 2"} <= set(texts(svg))
    assert "lr" not in texts(svg)
    loss, caption, cider = ([p.split(",") for p in line.attrib["points"].split()] for line in parts(svg, "polyline"))
    assert [len(line) for line in (loss, caption, cider)] == [3, 3, 3]
    heights = [float(y) for _, y in loss]
    assert heights == sorted(heights), "losses fall: y grows downwards"
    assert math.isclose(float(loss[0][1]), curves.TOP, abs_tol=0.1)
    assert svg == curves.picture(rows)


def test_one_epoch_is_a_point_and_no_validation_no_panel():
    svg = curves.picture([{"epoch": 1.0, "step": 3.0, "loss": 2.0}])
    assert len(list(parts(svg, "circle"))) == 1
    assert not any("CIDEr" in text for text in texts(svg))


@pytest.mark.parametrize(
    ("scores", "kept"), [([0.0, 0.0, 0.0], 3), ([0.0, 0.5, 0.5], 2), ([0.3, 0.1, 0.2], 1), ([math.nan, 0.1, 0.0], 2)]
)
def test_the_epoch_marked_is_the_one_whose_weights_were_kept(scores, kept):
    svg = curves.picture([{"epoch": float(e), "loss": 1.0, "val_cider": s} for e, s in enumerate(scores, 1)])
    assert any(text.startswith("validation CIDEr: best") and text.endswith(f"epoch {kept}") for text in texts(svg))
    (mark,) = (circle for circle in parts(svg, "circle") if circle.attrib["fill"] == "none")
    across = curves.WIDTH - curves.LEFT - curves.RIGHT
    assert float(mark.attrib["cx"]) == pytest.approx(curves.LEFT + kept / 3 * across, abs=0.1)


def test_the_legend_lies_beside_the_lines():
    names = ["loss", "caption", "distill", "intention", "effect", "attribute"]
    svg = curves.picture([{"epoch": 1.0, **dict.fromkeys(names, 2.0)}])
    places = {text.text: text.attrib for text in parts(svg, "text")}
    assert all(float(places[name]["x"]) > curves.WIDTH - curves.RIGHT for name in names)
    assert len({places[name]["y"] for name in names}) == len(names)
    assert len({line.attrib["stroke"] for line in parts(svg, "polyline")}) == len(names)


def test_who_pulls_has_a_panel_of_its_own_and_self_critical_losses_are_left_out():
    rows = [{"epoch": n, "loss": 3.0, "pull_caption": 0.5, "pull_distill": 4.0, "val_cider": 0.1} for n in (1, 2)]
    rows += [{"epoch": 3, "loss": -900.0, "reward": 0.8, "val_cider": 0.2}]
    drawn = curves.picture(rows)
    assert drawn.count("gradients in the fusion") == 1
    assert ">distill</text>" in drawn
    assert "pull_" not in drawn
    assert drawn.count("reward of samples") == 1
    loss = drawn.split("mean losses")[0]
    assert loss.count("polyline") == 1
    assert "gradients" not in curves.picture([{"epoch": 1, "loss": 3.0, "pull_caption": 0.5}]), "one part has no rival"


@pytest.mark.parametrize("ground", ["#ffffff", "#121212"])
def test_every_colour_shows_on_a_light_and_a_dark_ground(ground):
    def luminance(colour):
        """As WCAG 2 defines it."""
        channels = [int(colour[start : start + 2], 16) / 255 for start in (1, 3, 5)]
        linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels]
        return sum(weight * c for weight, c in zip((0.2126, 0.7152, 0.0722), linear, strict=True))

    for colour in curves.COLOURS:
        dim, bright = sorted(luminance(c) + 0.05 for c in (colour, ground))
        assert bright / dim >= 3, "WCAG's least contrast of graphics"


def test_a_column_cannot_put_markup_into_the_picture():
    svg = curves.picture([{"epoch": 1.0, "<script>": 2.0}])
    assert "<script>" in texts(svg)
    assert "<script>" not in svg
