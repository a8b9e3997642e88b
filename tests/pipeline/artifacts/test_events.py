"""A run's log: what is written reads back as data, and survives odd names and kills."""

from videocap.pipeline.artifacts import events as log


def test_odd_names_and_torn_lines_do_no_harm(tmp_path):
    log.write(tmp_path, "warning", "Corpus", warning="a\u2028b\x85c\ud800.mp4")
    with open(log.log_path(tmp_path), "a") as file:
        file.write('{"event": "torn')
    assert [event["warning"] for event in log.read(tmp_path)] == ["a\u2028b\x85c\ud800.mp4"]


def test_lines_that_ran_into_each_other_are_left_out(tmp_path):
    log.write(tmp_path, "ran", "Corpus")
    with open(log.log_path(tmp_path), "a") as file:
        file.write('{"event": "cut{"event": "ran"}\n')
    log.write(tmp_path, "ran", "Train")
    assert [found["stage"] for found in log.read(tmp_path) if "stage" in found][-2:] == ["Corpus", "Train"]
