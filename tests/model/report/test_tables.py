"""Tables as Markdown and CSV, held against figures worked out by hand."""

import csv
import io

import pytest

from videocap.model.config import METRICS
from videocap.model.report.tables import Row, Table, as_csv, markdown

ROWS = [
    {"label": "others", "paper": {"CIDEr": 50.0}},
    {"label": "ours, best", "name": "ours", "paper": {"CIDEr": 60.0, "METEOR": 30.0}},
]
TABLE = Table.model_validate({"title": "Table 9", "rows": ROWS})


def scores(cider: float, right: float) -> dict:
    told = {"seen": {"clips": 3, "all": right}}
    head = {"videos": 3, "split": "test", "protocol": "coco"}
    return dict.fromkeys(METRICS, 0.25) | {"CIDEr": cider, "told_right": told, **head}


def test_figures_are_means_and_deviations_of_seeds_in_percent():
    text = markdown(TABLE, {"ours": [scores(0.5, 0.0), scores(0.7, 1.0)]}, "mine")
    lines = text.splitlines()
    assert lines[0] == (
        "**Table 9.** Ours: mine, 3 videos of the test split, protocol coco; mean ± standard deviation of 2 training "
        "seeds. Paper: MSR-VTT. All in percent."
    )
    assert lines[2] == "| | CIDEr | paper | METEOR | paper | all right, seen |"
    assert lines[4] == "| others | – | 50.0 | – | – | – |"
    assert lines[5] == "| ours, best | 60.0 ± 14.1 | 60.0 | 25.0 ± 0.0 | 30.0 | 50.0 ± 70.7 |"
    assert "one training seed" in markdown(TABLE, {"ours": [scores(0.5, 0.0)]}, "mine")


def test_the_csv_has_every_metric_and_every_seed():
    rows = list(csv.DictReader(io.StringIO(as_csv(TABLE, {"ours": [scores(0.5, 0.0), scores(0.75, 1.0)]}))))
    assert rows[0] == {"row": "others", "metric": "CIDEr", "paper": "50.0", "mean": "", "deviation": "", "seeds": ""}
    ours = {row["metric"]: row for row in rows[1:]}
    assert set(ours) == {*METRICS, "all right, seen"}
    assert {row["row"] for row in ours.values()} == {"ours, best"}
    assert ours["CIDEr"]["mean"] == "62.5"
    assert ours["CIDEr"]["seeds"] == "50.0 75.0"
    assert float(ours["CIDEr"]["deviation"]) == pytest.approx(17.67767)
    assert ours["BLEU-4"]["paper"] == ""


def test_rows_that_are_not_done_are_left_open():
    rows = [*ROWS, {"label": "later", "name": "later", "paper": {"CIDEr": 70.0}}]
    table = Table.model_validate({"title": "Table 9", "rows": rows})
    found = {"ours": [scores(0.5, 0.0)]}
    assert markdown(table, found, "mine").splitlines()[-1] == "| later | – | 70.0 | – | – | – |"
    assert as_csv(table, found).splitlines()[-1] == "later,CIDEr,70.0,,,"


def test_a_row_s_changes_are_an_override_and_the_demo_may_have_its_own():
    changes = {"fusion": {"block": "conv1d", "scales": 1}, "aspects": {"use": ["effect"]}}
    row = Row(label="x", changes=changes, demo={"toyclip": {"image": "vit-8"}})
    assert row.override(in_demo=False) == 'fusion.block="conv1d" fusion.scales=1 aspects.use=["effect"]'
    assert row.override(in_demo=True) == 'toyclip.image="vit-8"'
    assert Row(label="x", changes=changes).override(in_demo=True) == row.override(in_demo=False)


def test_a_mistake_in_a_table_s_file_is_named(tmp_path):
    for text, says in (
        ('[[rows]]\nlabel = "y"\nchange.train = {}\n', r"table\.toml: rows\.0\.change: "),
        ('[[rows]]\nlabel = "y"\npaper = { CIDER = 1.0 }\n', r"table\.toml: rows\.0\.paper\.CIDER"),
        ('[[rows]]\nlabel = "y"\n', "some row must have a `name`"),
        ('[[rows]]\nlabel = "y"\nname = "a"\n' * 2, "no two the same one"),
        ("[[rows", r"table\.toml: "),
    ):
        (tmp_path / "table.toml").write_text('title = "x"\n' + text)
        with pytest.raises(ValueError, match=says):
            Table.read(tmp_path / "table.toml")


def test_a_figure_of_another_measure_is_marked():
    rows = [*ROWS, {"label": "theirs", "note": "another split", "paper": {"CIDEr": 70.0}}]
    table = Table.model_validate({"title": "Table 9", "rows": rows})
    assert "| theirs (paper: another split) |" in markdown(table, {"ours": [scores(0.5, 0.0)]}, "mine")
