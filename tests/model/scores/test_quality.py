"""What is said of captions whatever their references are."""

from videocap.model.scores.quality import quality


def test_what_a_bad_captioner_does_is_counted():
    captions = {f"video{number:02}": "a man is talking" for number in range(10)}
    captions |= {f"other{number}": f"a dog runs {number}" for number in range(10)}
    of = quality(
        captions,
        {"x": ["A man is talking.", "two dogs"], "y": ["a dog runs 3"]},
        ["a", "man", "dog", "of aspects only"],
    )
    assert of["distinct"] == 11 / 20
    assert of["words"] == 4 + 2 + 10
    assert of["known"] == 3
    assert of["broken_off"] == 0
    assert of["copied"] == 11 / 20
    assert of["repeated"] == [["a man is talking", 0.5]]


def test_captions_that_break_off_are_counted():
    texts = dict(enumerate(["a man in a", "a dog runs", "two men with", "a cat is on the mat", ""]))
    assert quality({str(name): text for name, text in texts.items()}, {}, [])["broken_off"] == 2 / 5


def test_a_caption_that_one_video_of_few_has_is_not_named():
    assert quality({"a": "x", "b": "y"}, {}, [])["repeated"] == []
