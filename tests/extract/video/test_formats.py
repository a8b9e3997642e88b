"""Videos of every kind: the frames found are all of them, in order, pixel for pixel those of a full decode."""

from pathlib import Path

import numpy as np
import pytest
from videos import B_FRAMES, H264, HEVC, LIMITS, SETTINGS, full_decode, full_decode_by_ffmpeg, run_ffmpeg, synthetic

from videocap.extract.video.decode import decode, list_frames
from videocap.extract.video.frames import choose, read
from videocap.extract.video.probe import Prober
from videocap.extract.video.resize import resize_crop

KINDS = {
    "B-frames.mp4": B_FRAMES,
    "B-frames.mkv": B_FRAMES,
    "B-frames.avi": B_FRAMES,
    "B-frames.flv": B_FRAMES,
    "B-frames.ts": B_FRAMES,
    "B-frames-mpeg4.avi": "-c:v mpeg4 -bf 2",
    "B-frames-xvid.avi": "-c:v libxvid -bf 2",
    "B-frames-mpeg2.mpg": "-c:v mpeg2video -bf 2 -g 12",
    "open-GOP.ts": f"{H264} -x264-params open-gop=1:bframes=3:keyint=12:scenecut=0",
    "open-GOP-hevc.mp4": f"{HEVC}:open-gop=1:bframes=3:keyint=12:scenecut=0",
    "fragmented.mp4": f"{H264} -g 10 -movflags frag_keyframe+empty_moov",
    "variable-rate.mp4": f"-vf select='not(mod(n,3))+not(mod(n,7))' -fps_mode vfr {H264}",
    "10-bit.mkv": f"{H264} -pix_fmt yuv420p10le",
    "10-bit-hevc.mp4": f"{HEVC} -pix_fmt yuv420p10le",
    "no-subsampling.mp4": f"{H264} -pix_fmt yuv444p",
    "bt709.mp4": f"{H264} -colorspace bt709 -color_primaries bt709 -color_trc bt709",
    "alpha-prores.mov": "-c:v prores_ks -profile:v 4444 -pix_fmt yuva444p10le -frames:v 5",
    "alpha-rle.mov": "-c:v qtrle -pix_fmt argb -frames:v 5",
    "alpha-vp9.webm": "-c:v libvpx-vp9 -cpu-used 8 -pix_fmt yuva420p -frames:v 5",
    "av1.mkv": "-c:v libsvtav1 -preset 12 -g 20",
    "wmv2.wmv": "-c:v wmv2",
    "interlaced.ts": "-c:v mpeg2video -flags +ildct+ilme",
    "interlaced.mp4": f"-vf setfield=tff {H264} -x264opts tff=1",
    "still.gif": "-frames:v 1",
    "moving.gif": "",
    "odd.webm": "-vf scale=161:121 -c:v libvpx",
    "one-frame.mp4": f"-frames:v 1 {H264}",
    "one-frame.avi": "-frames:v 1 -c:v mpeg4",
}
# ffmpeg's conversion of these to RGB is not the one that PyAV calls
OWN_COLOURS = {"odd.webm", "10-bit.mkv", "10-bit-hevc.mp4", "interlaced.ts", "interlaced.mp4"}


def check(path: Path, prober: Prober, told: bool = True) -> None:
    """All frames of a video, and a sample of them, are those of a full decode; `told`: without decoding it first."""
    stream = prober(path)
    assert (stream.pts is not None) == told
    listed = list_frames(path, stream, **LIMITS)
    stream = stream if told else listed
    if path.name in OWN_COLOURS or path.suffix == ".ogv":
        pts, reference = listed.pts, full_decode_by_ffmpeg(path)
    else:
        pts, reference = full_decode(path)
    assert len(stream.pts) == len(reference)
    if not stream.numbered:
        assert stream.pts == pts == listed.pts
    for indices in (range(len(reference)), choose(stream.times, "uniform", 7)):
        found = list(decode(path, stream, indices, **LIMITS))
        for frame, index in zip(found, indices, strict=True):
            np.testing.assert_array_equal(frame, reference[index])


@pytest.mark.parametrize("kind", KINDS)
def test_every_frame_is_that_of_a_full_decode(prober, tmp_path, kind):
    check(synthetic(tmp_path / kind, KINDS[kind]), prober)


@pytest.mark.parametrize("size", ["161:121", "1:1", "2:3", "3:150"])
def test_odd_sizes(prober, tmp_path, size):
    path = synthetic(tmp_path / "odd.mkv", f"-vf scale={size} -c:v png -frames:v 3")
    check(path, prober)
    assert read(path, prober, **SETTINGS)[0].shape == (3, 224, 224, 3)


@pytest.mark.parametrize("container", ["mp4", "mkv", "mov"])
@pytest.mark.parametrize("options", [B_FRAMES, KINDS["open-GOP-hevc.mp4"]], ids=["closed", "open"])
def test_cut_without_encoding_again(prober, tmp_path, container, options):
    """An edit list (mp4, mov) hides what comes before the cut; Matroska shows it."""
    whole = synthetic(tmp_path / "whole.mp4", options, seconds=3)
    path = tmp_path / f"cut.{container}"
    run_ffmpeg("-ss", "1.3", "-i", whole, "-t", "1.1", "-c", "copy", path)
    # The first frames refer to what is cut off: they are not shown, and lack their times.
    check(path, prober, told=(container, options) != ("mkv", KINDS["open-GOP-hevc.mp4"]))


def test_an_edit_list_that_hides_the_end(prober, tmp_path):
    """B-frames before the end refer to a key frame behind it, which is hidden."""
    path = synthetic(tmp_path / "hidden.mp4", B_FRAMES, seconds=6)
    data = bytearray(path.read_bytes())
    start = data.index(b"elst") + 12  # the duration of its only part, in milliseconds
    data[start : start + 4] = (2000).to_bytes(4, "big")
    path.write_bytes(data)
    assert len(prober(path).pts) == 50
    check(path, prober)


def test_an_avi_that_was_written_into_a_pipe(prober, tmp_path):
    """It could not go back to note its length."""
    path = tmp_path / "piped.avi"
    source = ["-f", "lavfi", "-i", "testsrc2=size=160x120:rate=25:duration=2", "-c:v", "mpeg4", "-f", "avi", "-"]
    path.write_bytes(run_ffmpeg(*source))
    check(path, prober)


@pytest.mark.parametrize("kind", ["open-GOP.ts", "B-frames-mpeg2.mpg"])
def test_a_recording_that_begins_in_the_middle(prober, tmp_path, kind):
    whole = synthetic(tmp_path / kind, KINDS[kind], seconds=4)
    data, packet = whole.read_bytes(), 188 if kind.endswith("ts") else 2048
    path = tmp_path / f"cut-{kind}"
    path.write_bytes(data[len(data) * 2 // 5 // packet * packet :])
    check(path, prober, told=False)
    assert len(read(path, prober, **SETTINGS)[0]) == 20


def test_frames_that_are_never_shown(data, prober, tmp_path):
    """VP8's alternate references: 3 packets of 93 make no frame."""
    source, passes = data / "msrvtt/videos/video7010.mp4", ["-passlogfile", tmp_path / "passes"]
    encode = ["-i", source, "-t", "6", "-an", "-c:v", "libvpx", "-b:v", "200k", "-lag-in-frames", "25", *passes]
    run_ffmpeg(*encode, "-auto-alt-ref", "1", "-pass", "1", "-f", "null", "-")
    run_ffmpeg(*encode, "-auto-alt-ref", "1", "-arnr-maxframes", "7", "-pass", "2", tmp_path / "vp8.webm")
    check(tmp_path / "vp8.webm", prober, told=False)
    # AVI has no times to tell them by; that their number is wrong is noticed
    run_ffmpeg("-i", tmp_path / "vp8.webm", "-c", "copy", tmp_path / "vp8.avi")
    stream = prober(tmp_path / "vp8.avi")
    _, reference = full_decode(tmp_path / "vp8.webm")
    assert len(stream.pts) > len(reference) == 90
    whole = SETTINGS | {"frames": 90}
    images, times = read(tmp_path / "vp8.avi", prober, **whole)
    for image, frame in zip(images, reference, strict=True):
        np.testing.assert_array_equal(image, resize_crop(frame, 224, sar=stream.sar))
    assert (np.diff(times) > 0).all()


def test_packets_that_make_no_frame_because_nothing_moves(data, prober, tmp_path):
    path = tmp_path / "theora.ogv"
    run_ffmpeg("-i", data / "msrvtt/videos/video7010.mp4", "-t", "4", "-an", "-c:v", "libtheora", path)
    check(path, prober)


def test_a_picture_that_changes_its_size(prober, tmp_path):
    large = synthetic(tmp_path / "large.h264", f"{H264} -bf 0", seconds=1)
    small = synthetic(tmp_path / "small.h264", f"{H264} -bf 0", seconds=1, size="80x60")
    (tmp_path / "both.h264").write_bytes(large.read_bytes() + small.read_bytes())
    path = tmp_path / "both.ts"
    run_ffmpeg("-r", "25", "-i", tmp_path / "both.h264", "-c", "copy", path)
    images, times = read(path, prober, **SETTINGS | {"frames": 50})
    assert len(images) == len(times) == 50


def test_pixels_that_are_not_square(prober, tmp_path):
    path = synthetic(tmp_path / "wide.mp4", f"-vf setsar=2/1 {H264} -frames:v 3")
    stream = prober(path)
    assert stream.sar == 2
    stored = next(iter(decode(path, stream, [0], **LIMITS)))
    assert stored.shape == (120, 160, 3)
    shown = resize_crop(np.repeat(stored, 2, axis=1), 224).astype(int)
    image = read(path, prober, **SETTINGS)[0][0]
    assert abs(image - shown).mean() < 3
    squeezed = read(path, prober, **SETTINGS | {"square_pixels": False})[0][0]
    np.testing.assert_array_equal(squeezed, resize_crop(stored, 224))
    assert abs(squeezed - shown).mean() > 10

    turned = tmp_path / "turned.mp4"
    run_ffmpeg("-display_rotation", "90", "-i", path, "-c", "copy", turned)
    frame = next(iter(decode(turned, prober(turned), [0], **LIMITS)))
    np.testing.assert_array_equal(frame, np.rot90(stored))
    shown = resize_crop(np.repeat(frame, 2, axis=0), 224).astype(int)
    assert abs(read(turned, prober, **SETTINGS)[0][0] - shown).mean() < 3
