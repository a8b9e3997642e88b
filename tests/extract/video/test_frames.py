"""The frames that a video is sampled to: which, when, and pixel for pixel those of an independent full decode."""

import itertools
import os
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from videos import LIMITS, SETTINGS, full_decode, run_ffmpeg, synthetic

from videocap.extract.video.decode import decode
from videocap.extract.video.demux import VideoError
from videocap.extract.video.frames import choose, divide, parts, read

GOOD = [
    *(f"edge_cases/{name}" for name in ("flipping_a_pancake.mkv", "unordered.mov", "video_0.mov", "video_90.mov")),
    *(f"edge_cases/{name}" for name in ("video_180.mov", "video_270.mov")),
    *(f"msrvtt/videos/video701{i}.mp4" for i in range(5)),
    *(f"msrvtt/videos_low_fps/video{i}.mp4" for i in (7202, 8133)),
    *(f"msvd/{n}.avi" for n in ("WTf5EgVY5uU_124_128", "j2Dhf-xFUxU_13_20", "jPBxl9gFqNY_110_117")),
    *(f"other/{n}.mp4" for n in ("bottle-detection", "clip_video_encode_vid1", "v_GGSY1Qvo990")),
    *(f"other/{n}.mkv" for n in ("eat", "help", "sister", "walk")),
]


ascending = st.lists(st.floats(0.001, 2.0), min_size=1, max_size=200).map(lambda steps: np.cumsum([0, *steps]).tolist())


@given(ascending, st.integers(1, 250), st.sampled_from(["centres", "ends"]))
def test_uniform_gives_as_many_as_there_are_in_order(times, frames, placement):
    chosen = choose(times, "uniform", frames, placement=placement)
    assert len(chosen) == min(frames, len(times))
    assert all(a < b for a, b in itertools.pairwise(chosen))
    assert chosen[0] >= 0
    assert chosen[-1] < len(times)
    if placement == "ends" and frames > 1:
        assert (chosen[0], chosen[-1]) == (0, len(times) - 1)


@given(st.integers(1, 500), st.integers(1, 100))
def test_centres_are_symmetric_and_even(count, frames):
    chosen = choose(range(count), "uniform", frames)
    if frames <= count:
        # the frame that covers the middle of each segment
        assert chosen == [int((i + 0.5) * count / frames + 1e-9) for i in range(frames)]


@given(ascending, st.integers(1, 250), st.floats(0.1, 60))
def test_fps_gives_the_frame_shown_at_each_tick(times, frames, fps):
    ticks = [k / fps for k in range(int(times[-1] * fps) + 2)]
    shown = [max(i for i, t in enumerate(times) if t <= tick + 1e-6) for tick in ticks]
    assert choose(times, "fps", frames, fps) == list(dict.fromkeys(shown))[:frames]


def test_choosing_from_nothing_and_from_one():
    for sampling in ("uniform", "fps"):
        assert choose([], sampling, 5) == []
        assert choose([0.0], sampling, 5) == [0]
    assert choose([0.0, 1.0, 2.0], "uniform", 1, placement="ends") == [0]
    assert choose(range(100), "uniform", 4) == [12, 37, 62, 87]


def test_an_fps_sample_over_a_long_pause_is_quick():
    assert choose([0.0, 1e9], "fps", 3, 60.0) == [0, 1]


@pytest.mark.parametrize("name", GOOD)
def test_frames_are_those_of_an_independent_full_decode(data, prober, name):
    stream = prober(data / name)
    pts, reference = full_decode(data / name)
    assert len(stream.times) == len(reference)
    indices = choose(stream.times, "uniform", 20, placement="ends")
    frames = list(decode(data / name, stream, indices, **LIMITS))
    assert len(frames) == len(indices)
    for index, frame in zip(indices, frames, strict=True):
        np.testing.assert_array_equal(frame, reference[index])
    if not stream.numbered:
        assert stream.pts == pts


@pytest.mark.parametrize("count", [1100, pytest.param(4096, marks=pytest.mark.slow)])
def test_more_frames_than_a_sum_in_the_filter_could_name(prober, tmp_path, count):
    path = synthetic(tmp_path / "long.mp4", "-c:v libx264 -preset ultrafast -bf 2", seconds=200, size="32x32")
    images, times = read(path, prober, **SETTINGS | {"frames": count, "geometry": {"pixels": 16}})
    assert len(images) == len(times) == count
    stream = prober(path)
    found = [image.mean() for image in decode(path, stream, range(len(stream.pts)), **LIMITS)]
    _, reference = full_decode(path)
    assert found == [frame.mean() for frame in reference]


def test_times_are_seconds_from_the_first_frame(data, prober):
    images, times = read(data / "msrvtt/videos/video7010.mp4", prober, **SETTINGS)
    assert images.shape == (20, 224, 224, 3)
    assert images.dtype == np.uint8
    assert times.dtype == np.float32
    np.testing.assert_allclose(times[:3], [6 / 15, 20 / 15, 33 / 15], atol=1e-6)
    _, times = read(data / "other/sister.mkv", prober, **SETTINGS | {"placement": "ends"})
    assert times[0] == 0  # although its first frame is stamped 33 ms


def test_a_clip_shorter_than_asked_gives_each_frame_once(data, prober):
    images, times = read(data / "edge_cases/video_0.mov", prober, **SETTINGS)
    assert len(images) == len(times) == 3


def test_names_of_every_kind(data, prober, tmp_path):
    source = (data / "edge_cases/video_90.mov").read_bytes()
    for name in (
        b"a b'\"%d,:;[x].mp4",
        b"line\nbreak.mp4",
        b"-leading.mp4",
        b"\xff\xfe.mp4",
        b"concat:a|b.mp4",
        b"%03d",
    ):
        path = Path(os.fsdecode(os.fsencode(tmp_path) + b"/" + name))
        path.write_bytes(source)
        images, _ = read(path, prober, **SETTINGS)
        assert len(images) == 3


@given(ascending, st.floats(0.05, 50))
def test_parts_hold_every_frame_once_in_order_and_none_is_short_but_the_whole(times, every):
    found = divide(times, every)
    assert [first for _, _, first, _ in found] == [0, *(last for _, _, _, last in found[:-1])]
    assert found[-1][3] == len(times)
    end = times[-1] + (times[-1] - times[-2] if len(times) > 1 else 0)
    for (start, stop, first, last), following in itertools.zip_longest(found, found[1:]):
        assert start <= times[first] + 1e-5
        assert times[last - 1] < stop or stop == pytest.approx(end)
        assert start == pytest.approx(round(start / every) * every)
        if following:
            assert stop == pytest.approx(start + every)
            assert stop <= following[0] + 1e-6
        else:
            assert stop - start >= min(every, end) / 4 - 1e-6
            assert stop - start <= every * 1.25 + 1e-6 or first == 0
    assert divide(times, None) == [(0.0, end, 0, len(times))]


@pytest.mark.parametrize("name", ["msrvtt/videos/video7010.mp4", "other/eat.mkv", "msvd/WTf5EgVY5uU_124_128.avi"])
def test_parts_have_the_frames_of_a_full_decode(data, prober, name):
    settings = SETTINGS | {"frames": 4}
    found = list(parts(data / name, prober, 1.0, **settings))
    assert len(found) >= 2
    whole, times = read(data / name, prober, **SETTINGS | {"frames": 4096})
    places = {round(float(time), 4): place for place, time in enumerate(times)}
    for part in found:
        assert len(part.images) == len(part.times) == 4
        for image, time in zip(part.images, part.times, strict=True):
            assert part.start <= time + 1e-4
            assert time < part.end
            assert np.array_equal(image, whole[places[round(float(time), 4)]])


def test_as_many_frames_as_no_argument_can_name(tmp_path, prober):
    clip = synthetic(tmp_path / "long.mp4", "-pix_fmt yuv420p -g 250", seconds=480, size="32x32")
    stream = prober(clip)
    assert len(stream.pts) == 12000
    wanted = [i for i in range(12000) if i % 13]
    given = list(decode(clip, stream, wanted, timeout=120, max_pixels=10**6))
    assert len(given) == len(wanted)
    some = [0, 1, 5000, len(wanted) - 1]
    alone = list(decode(clip, stream, [wanted[i] for i in some], timeout=120, max_pixels=10**6))
    for place, frame in zip(some, alone, strict=True):
        assert np.array_equal(given[place], frame)


def test_scenes_begin_where_the_picture_changes(tmp_path, prober):
    colours, lengths = ["black", "white", "black", "white"], [2.0, 3.0, 2.0, 0.4]  # the last is too short for a scene
    inputs = [f"color={c}:size=64x48:rate=25:duration={n}" for c, n in zip(colours, lengths, strict=True)]
    arguments = [part for one in inputs for part in ("-f", "lavfi", "-i", one)]
    clip = tmp_path / "a.mp4"
    joined = "".join(f"[{n}:v]" for n in range(4)) + "concat=n=4[v]"
    run_ffmpeg(*arguments, "-filter_complex", joined, "-map", "[v]", "-pix_fmt", "yuv420p", "-g", "25", clip)
    found = list(parts(clip, prober, "scenes", **SETTINGS | {"frames": 3}))
    assert [round(part.start, 2) for part in found] == [0.0, 2.0, 5.0]
    assert [round(part.end, 2) for part in found] == [2.0, 5.0, 7.4]
    assert [part.images[0].mean() > 127 for part in found] == [False, True, False]
    for part in found:
        assert ((part.start <= part.times + 1e-4) & (part.times < part.end)).all()
    (whole,) = parts(synthetic(tmp_path / "b.mp4", "-pix_fmt yuv420p"), prober, "scenes", **SETTINGS)
    assert (whole.start, round(whole.end, 2)) == (0.0, 2.0)


def test_scenes_of_what_stores_no_times_are_not_told(tmp_path, prober):
    with pytest.raises(VideoError, match="its scenes can't be told"):
        list(parts(synthetic(tmp_path / "a.avi", "-c:v mpeg4"), prober, "scenes", **SETTINGS))
