"""The files of a report: those it knows, others beside them, and none written over."""

import pytest
from reports import report

from videocap.model.report import curves


def test_the_picture_in_the_page_is_the_one_beside_it(results):
    drawn = (results / "curves.svg").read_text()
    assert drawn == curves.picture(curves.read(results / "curves.csv"))
    assert drawn in (results / "report.html").read_text()


def test_a_file_that_the_report_does_not_know_lies_beside_the_others_and_is_linked(tmp_path, inputs, results):
    (tmp_path / "words & more.json").write_text("{}")
    made = report(tmp_path / "with", inputs | {"words": tmp_path / "words & more.json"})
    assert (made / "words & more.json").read_text() == "{}"
    text = (made / "report.html").read_text()
    assert '<li><a href="words%20%26%20more.json">words &amp; more.json</a></li>' in text
    assert "<h2>Further results" not in (results / "report.html").read_text()


@pytest.mark.parametrize("name", ["scores.json", "report.html"])
def test_a_file_with_the_name_of_another_is_refused_and_nothing_is_written_over(tmp_path, inputs, name):
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / name).write_text("mine")
    known = inputs["scores"].read_text()
    with pytest.raises(ValueError, match=f"has a {name} already: let the file of words"):
        report(tmp_path / "with", inputs | {"words": tmp_path / "other" / name})
    assert (inputs["scores"].read_text(), (tmp_path / "other" / name).read_text()) == (known, "mine")
