"""What came of videos, in each format, as its readers read it."""

import csv
import io
import json

import pytest

from videocap import captioned, command_line
from videocap.captioned import CaptionedVideo

WHOLE = CaptionedVideo("in/a.mp4", "a dog", {"effect": "joy"}, (0.0, 1.5), span=(0.0, 3.25))
PARTS = [
    CaptionedVideo("b.mp4", "a <b> & --> dog", {}, (0.0,), span=(0.0, 10.0), part=True),
    CaptionedVideo("b.mp4", "it\nruns", {}, (10.0,), span=(10.0, 3723.4567), part=True),
]
SEVERAL = CaptionedVideo("c.mp4", "a cat", {}, (0.0,), span=(0.0, 1.0), nbest=(("a cat", -1.5), ("cats", -2.25)))


def test_every_format_of_the_command_line_is_written():
    assert {*captioned.ALONE, *captioned.TOGETHER, *captioned.SUBTITLES} == set(command_line.FORMATS)


def test_text_is_for_people():
    assert captioned.text(WHOLE) == "in/a.mp4\n  a dog\n  effect: joy\n  looked at 2 frames, at 0.00, 1.50 s\n"
    lines = captioned.text(CaptionedVideo("a.mp4", "a dog", {}, tuple(range(20)), True)).splitlines()
    assert lines[-1] == "  looked at 20 frames, at 0.00, 1.00, 2.00, 3.00, … 19.00 s, from the store"
    assert "  looked at 1 frame, at 0.00 s" in captioned.text(PARTS[0])
    assert captioned.text(PARTS[1]).splitlines()[0] == "b.mp4, 00:00:10.000 to 01:02:03.457"
    assert "\n      -2.25  cats\n" in captioned.text(SEVERAL)
    hostile = CaptionedVideo("a\x1b[31m.mp4", "a\x07dog", {}, (0.0,))
    assert "\x1b" not in captioned.text(hostile)
    assert "\x07" not in captioned.text(hostile)


def test_for_programs_nothing_is_lost():
    bad = CaptionedVideo("d.mp4", error="is empty")
    assert json.loads(captioned.jsonl(bad)) == {"video": "d.mp4", "error": "is empty"}
    told = json.loads(captioned.jsonl(SEVERAL))
    assert told["nbest"] == [
        {"caption": "a cat", "log_probability": -1.5},
        {"caption": "cats", "log_probability": -2.25},
    ]
    assert (told["start"], told["end"], told["times"], told["known"]) == (0.0, 1.0, [0.0], False)
    assert captioned.jsonl(PARTS[1]).count("\n") == 1
    assert json.loads(captioned.as_json([WHOLE, bad])) == [WHOLE.told(), bad.told()]
    assert json.loads(captioned.coco([WHOLE])) == [{"image_id": "a", "caption": "a dog"}]


def test_a_table_has_a_row_a_caption():
    rows = list(csv.reader(io.StringIO(captioned.as_csv([WHOLE, *PARTS, SEVERAL]))))
    assert rows[0] == ["video", "start", "end", "rank", "caption", "log_probability", "effect"]
    assert rows[1] == ["in/a.mp4", "0.0", "3.25", "1", "a dog", "", "joy"]
    assert rows[3][4] == "it\nruns"
    assert [row[3:6] for row in rows[4:]] == [["1", "a cat", "-1.5"], ["2", "cats", "-2.25"]]


def test_subtitles_have_a_cue_a_part_and_keep_their_markup_out():
    assert captioned.srt(PARTS) == (
        "1\n00:00:00,000 --> 00:00:10,000\na <b> & -> dog\n\n2\n00:00:10,000 --> 01:02:03,457\nit runs\n"
    )
    assert captioned.vtt(PARTS) == (
        "WEBVTT\n\n00:00:00.000 --> 00:00:10.000\na &lt;b&gt; &amp; -&gt; dog\n\n"
        "00:00:10.000 --> 01:02:03.457\nit runs\n"
    )


@pytest.mark.parametrize(
    ("seconds", "shown"), [(0, "00:00:00.000"), (59.9996, "00:01:00.000"), (36000.5, "10:00:00.500")]
)
def test_clocks(seconds, shown):
    assert captioned.clock(seconds) == shown


@pytest.mark.parametrize(("text", "value"), [("10", 10), ("10s", 10), ("1.5m", 90), ("2h", 7200)])
def test_lengths_of_time(text, value):
    assert command_line.seconds(text) == value


@pytest.mark.parametrize("text", ["", "0", "-1s", "ten", "1 s", "1d"])
def test_what_is_no_length_of_time_is_refused(text, capsys):
    with pytest.raises(SystemExit):
        command_line.parser().parse_args(["caption", "a.mp4", f"--every={text}"])
    assert "is no length of time" in capsys.readouterr().err
