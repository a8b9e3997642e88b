"""Files that are no videos, or damaged, or hostile: each is an error of one line, and touches nothing else."""

import contextlib
import ctypes
import os
import random
import socket
import struct
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import av
import numpy as np
import pytest
from videos import H264, LIMITS, SETTINGS, patched, run_ffmpeg, synthetic

from videocap.extract.video.decode import decode
from videocap.extract.video.demux import Stream, VideoError
from videocap.extract.video.frames import read

ENCODED = {"gif": "", "wmv": "-c:v wmv2", "ogv": "-c:v libtheora", "mpg": "-c:v mpeg2video", "webm": "-c:v libvpx"}


def cut(path: Path, share: float) -> Path:
    data = path.read_bytes()
    path.write_bytes(data[: int(len(data) * share)])
    return path


def bad_file(kind: str, data: Path, folder: Path) -> Path:
    path = folder / "bad.mp4"
    good = data / "msrvtt/videos/video7010.mp4"
    if kind == "empty":
        path.touch()
    elif kind == "text":
        path.write_text("This is no video.\n" * 1000)
    elif kind == "zeros":
        path.write_bytes(bytes(1 << 20))
    elif kind == "audio only":
        run_ffmpeg("-i", good, "-vn", "-c", "copy", path)
    elif kind == "sound with a cover":
        run_ffmpeg("-i", good, "-frames:v", "1", "-c:v", "mjpeg", "-disposition:v", "attached_pic", path)
    elif kind == "damaged":
        return data / "edge_cases/corrupted.mp4"
    elif kind == "damaged in one frame":
        synthetic(path, f"{H264} -g 25", seconds=3)
        with av.open(path) as container:
            key = [packet for packet in container.demux(video=0) if packet.is_keyframe][1]
            start = key.pos + key.size // 2
        content = bytearray(path.read_bytes())
        content[start : start + 12] = (byte ^ 255 for byte in content[start : start + 12])
        path.write_bytes(content)
    elif kind == "cut before its index":
        path.write_bytes(good.read_bytes()[:200_000])
    elif kind == "cut after its index":
        run_ffmpeg("-i", good, "-c", "copy", "-movflags", "+faststart", path)
        cut(path, 0.6)
    elif kind == "cut in a fragment":
        cut(synthetic(path, f"{H264} -g 10 -movflags frag_keyframe+empty_moov"), 0.6)
    elif kind.startswith("cut "):
        suffix = kind.removeprefix("cut ")
        path = cut(synthetic(folder / f"bad.{suffix}", ENCODED.get(suffix, H264)), 0.61)
    elif kind == "claims 8191 MB of index":
        patched(synthetic(path, H264), b"stsz", 4, struct.pack(">II", 1, 0x7FFFFFFF))
    elif kind == "claims huge frames":
        patched(synthetic(folder / "bad.mov", "-c:v qtrle -frames:v 5"), b"rle ", 24, struct.pack(">HH", 9000, 9000))
        return folder / "bad.mov"
    elif kind == "folder":
        path.mkdir()
    elif kind == "pipe":
        os.mkfifo(path)
    elif kind == "link to nowhere":
        path.symlink_to(folder / "nowhere")
    elif kind == "link to itself":
        path.symlink_to(path)
    elif kind == "device":
        path.symlink_to("/dev/zero")
    return path


OUTCOMES = {
    "absent": "No such file",
    "empty": "is empty",
    "text": "not a video file",
    "zeros": "not a video file",
    "audio only": "no video stream",
    "sound with a cover": "no video stream",
    "damaged": "is damaged",
    "damaged in one frame": "is damaged",
    "cut before its index": "not a video file",
    "cut after its index": "cut short",
    "cut in a fragment": "cut short",
    "cut avi": "cut short",
    "cut flv": "cut short",
    "cut gif": "cut short",
    "cut mkv": "cut short",
    "cut ogv": "cut short",
    "cut ts": "cut short",
    "cut webm": "cut short",
    "cut wmv": "cut short",
    "claims 8191 MB of index": "holds no frames",
    "claims huge frames": "9000 x 9000 pixels",
    "folder": "not a regular file",
    "pipe": "not a regular file",
    "device": "not a regular file",
    "link to nowhere": "No such file",
    "link to itself": "symbolic links",
}


@pytest.mark.parametrize(("kind", "reason"), OUTCOMES.items(), ids=OUTCOMES)
def test_a_bad_file_is_an_error_of_one_line_and_the_next_is_read(data, prober, tmp_path, kind, reason):
    with pytest.raises(VideoError, match=reason) as caught:
        read(bad_file(kind, data, tmp_path), prober, **SETTINGS)
    assert "\n" not in str(caught.value)
    assert str(tmp_path) not in str(caught.value)
    assert len(read(data / "edge_cases/video_0.mov", prober, **SETTINGS)[0]) == 3


@contextlib.contextmanager
def opened(path: Path) -> Iterator[list[int]]:
    """Collects an entry for each time that anybody opens the file, as Linux's inotify tells it."""
    libc = ctypes.CDLL(None, use_errno=True)
    handle = libc.inotify_init1(os.O_NONBLOCK)
    assert libc.inotify_add_watch(handle, os.fsencode(path), 0x20) > 0  # IN_OPEN
    events: list[int] = []
    try:
        yield events
        with contextlib.suppress(BlockingIOError):
            events += [0] * (len(os.read(handle, 1 << 16)) // 16)
    finally:
        os.close(handle)


def reference_movie(url: bytes) -> bytes:
    """A QuickTime file that holds nothing but the address of another."""

    def box(name: bytes, content: bytes) -> bytes:
        return struct.pack(">I", 8 + len(content)) + name + content

    target = box(b"rdrf", bytes(4) + b"url " + struct.pack(">I", len(url) + 1) + url + b"\0")
    return box(b"ftyp", b"qt  " + bytes(4) + b"qt  ") + box(b"moov", box(b"rmra", box(b"rmda", target)))


def naming(kind: str, target: str, folder: Path) -> Path:
    """A file that asks its reader to open `target`, a path or an address."""
    path = folder / "bad.mp4"
    texts = {
        "concat": f"ffconcat version 1.0\nfile '{target}'\n",
        "HLS": f"#EXTM3U\n#EXT-X-TARGETDURATION:20\n#EXTINF:18.0,\n{target}\n#EXT-X-ENDLIST\n",
        "HLS key": f'#EXTM3U\n#EXT-X-KEY:METHOD=AES-128,URI="{target}"\n#EXTINF:18.0,\n{target}\n#EXT-X-ENDLIST\n',
        "DASH": f'<?xml version="1.0"?><MPD><Period><AdaptationSet mimeType="video/mp4"><Representation id="1">'
        f"<BaseURL>{target}</BaseURL></Representation></AdaptationSet></Period></MPD>",
        "SDP": "v=0\no=- 0 0 IN IP4 127.0.0.1\ns=x\nc=IN IP4 127.0.0.1\nt=0 0\nm=video 5004 RTP/AVP 96\n"
        "a=rtpmap:96 H264/90000\n",
        "ASX": f'<asx version="3.0"><entry><ref href="{target}"/></entry></asx>',
        "ASF reference": f"[Reference]\nRef1={target}\n",
        "IMF": f'<?xml version="1.0"?><AssetMap><AssetList><Asset><Path>{target}</Path></Asset></AssetList></AssetMap>',
        "script": f'import("{target}")\n',
    }
    if kind == "QuickTime reference":
        path.write_bytes(reference_movie(target.encode()))
    elif kind == "QuickTime data reference":
        # the samples lie in another file: an entry that is not marked as "in this file" (flag 1), with its address
        synthetic(path, H264)
        data = path.read_bytes()
        start = data.index(b"url \0\0\0\x01") - 4
        entry = b"url " + bytes(4) + target.encode() + b"\0"
        path.write_bytes(data[:start] + struct.pack(">I", 4 + len(entry)) + entry + data[start + 12 :])
    else:
        path.write_text(texts[kind])
    return path


NAMING = ["concat", "HLS", "HLS key", "DASH", "SDP", "ASX", "ASF reference", "IMF", "script"]
NAMING += ["QuickTime reference", "QuickTime data reference"]


@pytest.mark.skipif(sys.platform != "linux", reason="asks Linux which files are opened")
@pytest.mark.parametrize("kind", NAMING)
def test_a_file_that_names_another_has_neither_it_nor_an_address_opened(data, prober, tmp_path, kind):
    secret = tmp_path / "secret.mp4"
    secret.write_bytes((data / "edge_cases/video_0.mov").read_bytes())
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.setblocking(False)
        address = f"http://127.0.0.1:{server.getsockname()[1]}/secret.mp4"
        for target in (str(secret), "secret.mp4", f"file:{secret}", address):
            path = naming(kind, target, tmp_path)
            with opened(secret) as times, pytest.raises(VideoError):
                read(path, prober, **SETTINGS)
            assert times == []
            # nor does ffmpeg itself, should it be asked to
            stream = Stream("mov", 0, 568, 320, 1.0, 1 / 600, [0], False)
            for name in ("mov", "hls", "concat", "dash", "sdp", "matroska"):
                with opened(secret) as times, pytest.raises(VideoError):
                    list(decode(path, replace_format(stream, name), [0], **LIMITS))
                assert times == []
        with pytest.raises(BlockingIOError):
            server.accept()
    with opened(secret) as times:
        read(secret, prober, **SETTINGS)
    assert times, "the watch does not work"


def replace_format(stream: Stream, name: str) -> Stream:
    return Stream(**{**stream.__dict__, "format": name})


def mutated(data: bytes, draw: random.Random) -> bytes:
    """`data` with some bytes flipped, cut out, doubled or put in, or its end missing."""
    for _ in range(draw.choice([1, 1, 3, 30])):
        start = draw.randrange(len(data))
        length = draw.choice([1, 4, 100, 3000])
        kind = draw.randrange(5)
        if kind < 2:
            data = data[:start] + draw.randbytes(min(length, len(data) - start)) + data[start + length :]
        elif kind == 2:
            data = data[:start] + data[start + length :]
        elif kind == 3:
            data = data[: start + length] + data[start:]
        else:
            data = data[:start] + draw.randbytes(length) + data[start:]
    return data[: draw.randrange(1, len(data))] if not draw.randrange(5) else data


@pytest.mark.parametrize("suffix", ["mp4", "mkv", "avi", "ts", "wmv"])
def test_mutations_of_a_good_clip_are_read_or_are_an_error(prober, tmp_path, suffix):
    good = synthetic(tmp_path / f"good.{suffix}", ENCODED.get(suffix, f"{H264} -bf 2 -g 12"), seconds=1).read_bytes()
    path, reasons = tmp_path / f"mutated.{suffix}", []
    for seed in range(20):
        path.write_bytes(mutated(good, random.Random(seed)))
        start = time.monotonic()
        try:
            images, times = read(path, prober, **SETTINGS | {"frames": 5, "geometry": {"pixels": 32}})
        except VideoError as error:
            reasons.append(str(error))
        else:
            assert images.shape == (len(times), 32, 32, 3)
            assert 1 <= len(times) <= 5
            assert (np.diff(times) >= 0).all()
        assert time.monotonic() - start < 30
    assert len(reasons) > 3
    assert not any("\n" in reason for reason in reasons)
