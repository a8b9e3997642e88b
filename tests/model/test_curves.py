"""The picture of a training shows its rows, whatever these are."""

import math
import xml.etree.ElementTree as ElementTree

from hypothesis import given
from hypothesis import strategies as st

from model import curves

SVG = "{http://www.w3.org/2000/svg}"


def parts(svg, tag):
    return ElementTree.fromstring(svg).iter(SVG + tag)


def texts(svg):
    return [text.text for text in parts(svg, "text")]


numbers = st.floats(allow_nan=True, allow_infinity=True, width=32)


@given(
    st.lists(st.fixed_dictionaries({"loss": numbers, "caption": numbers}, optional={"val_cider": numbers}), min_size=1)
)
def test_any_rows_give_a_picture_inside_its_frame(rows):
    svg = curves.picture([{"epoch": float(epoch), **row} for epoch, row in enumerate(rows, 1)])
    width = float(ElementTree.fromstring(svg).attrib["width"])
    assert width == curves.WIDTH * (2 if any("val_cider" in row for row in rows) else 1)
    for line in parts(svg, "polyline"):
        for point in line.attrib["points"].split():
            x, y = map(float, point.split(","))
            assert curves.LEFT <= x <= curves.WIDTH
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
    assert {"loss", "caption", "best 0.800, epoch 2", "mean losses of an epoch", "validation CIDEr"} <= set(texts(svg))
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
    assert "validation CIDEr" not in texts(svg)
