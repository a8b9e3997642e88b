"""The demuxer: when each frame of a video is shown, learnt from its packets without decoding them.

Run as a program this is the child that opens the stranger's file: JSON lines on standard input (`path`, `max_pixels`)
are answered by one JSON line each, with a `Stream`'s fields or an `error`. It imports nothing but av and the standard
library.
"""

from __future__ import annotations

import json
import os
import sys
from bisect import bisect_left
from dataclasses import asdict, dataclass, field

# Containers that hold their own frames. Playlists, concatenations and image sequences name other files: they stay out.
STILLS = (
    "jpeg_pipe",
    "png_pipe",
    "webp_pipe",
)  # a single picture each, as which it is opened whatever its file is called
FORMATS = f"mov,matroska,avi,asf,flv,mpeg,mpegts,ogg,gif,{','.join(STILLS)}"
UNTIMED = {"avi"}  # stores no presentation times: each reader guesses others
# Where a packet marked as a key frame is one, so that decoding can begin there; of H.264 and HEVC that is looked at.
SEEKABLE_FORMATS, SEEKABLE = {"mov", "matroska"}, {"h264", "hevc", "vp8", "vp9", "av1"}
MAX_FRAMES = 4_000_000  # 18 hours at 60 frames a second


class VideoError(Exception):
    """A video that cannot be read; the message is one line that says why, without the file's path."""


@dataclass(frozen=True)
class Stream:
    """The first video stream of a file."""

    format: str
    """Name of the container format, by which ffmpeg is told to open it."""
    index: int
    """The stream's number in the file."""
    width: int
    height: int
    """Pixels, as stored: before any rotation."""
    sar: float
    """Sample aspect ratio: how wide a pixel is shown, as stored, over its height."""
    time_base: float
    """Seconds that one unit of a timestamp stands for."""
    pts: list[int] | None
    """The frames' timestamps, ascending; None where the packets do not tell, and only decoding can."""
    numbered: bool
    """Whether frames are found again by their numbers only, because readers differ about their timestamps."""
    spare: list[int] = field(default_factory=list)
    """Ascending timestamps of frames, as far as known, that no other refers to: the decoder need not see them."""
    order: list[int] = field(default_factory=list)
    """Each frame's place in the order of decoding, as far as known."""
    entries: list[int] = field(default_factory=list)
    """Ascending numbers of frames at which decoding may begin: it and what is shown later need nothing before it."""

    @property
    def times(self) -> list[float]:
        """Seconds from the first frame, one a frame."""
        return [(pts - self.pts[0]) * self.time_base for pts in self.pts]


def probe(path: str, max_pixels: int) -> Stream:
    """Read every packet's timestamp. Runs in the child. Raises VideoError, or av's errors."""
    import av

    options = {"protocol_whitelist": "file", "format_whitelist": FORMATS}
    with av.open(f"file:{path}", format=_still(path), options=options) as container:
        pictures = av.stream.Disposition.attached_pic
        streams = [stream for stream in container.streams.video if not stream.disposition & pictures]
        if not streams:
            raise VideoError("holds no video stream")
        stream = streams[0]
        if not 0 < stream.width * stream.height <= max_pixels:
            raise VideoError(f"its frames have {stream.width} x {stream.height} pixels; {max_pixels} are allowed")
        name = container.format.name.split(",")[0]
        if _declared_size(path, name) > container.size:
            raise VideoError("is cut short: it says itself that it is longer")
        packets = _Packets(stream.codec_context.codec.canonical_name, stream.codec_context.extradata or b"")
        whole, read = True, 0
        for packet in container.demux(stream):
            if packet.size:  # an empty one makes no frame
                packets.add(packet)
                whole, read = not packet.is_corrupt, read + 1
                if name in STILLS:  # what stands behind the first picture is none of it: a preview, a map, a film
                    break
            if len(packets.pts) > MAX_FRAMES:
                raise VideoError(f"has more than {MAX_FRAMES} frames")
        index = stream.index_entries
        if read < len(index) and any(entry.pos + entry.size > container.size for entry in index):
            raise VideoError("is cut short: its index names frames beyond the end of the file")
        if not whole:  # of others the decoder says whether it misses anything
            raise VideoError("is cut short: its last frame is not wholly there")
        if not packets.pts:
            raise VideoError("holds no frames")
        return Stream(
            format=name,
            index=stream.index,
            width=stream.width,
            height=stream.height,
            sar=float(stream.sample_aspect_ratio or 1),
            time_base=float(stream.time_base),
            numbered=name in UNTIMED,
            **packets.read(name),
        )


def _jpeg_is_cut(path: str) -> bool:
    """Whether a picture has no end behind its first scan; what its headers hold, such as a preview, does not count."""
    with open(path, "rb") as file:
        data = file.read()
    place = 2
    while place + 4 <= len(data) and data[place] == 0xFF and data[place + 1] != 0xDA:
        place += 2 + int.from_bytes(data[place + 2 : place + 4], "big")
    return data.find(b"\xff\xd9", place) < 0


def _still(path: str) -> str | None:
    """The format of a picture, by how it begins; None for all else."""
    with open(path, "rb") as file:
        head = file.read(12)
    if head.startswith(b"\xff\xd8\xff"):
        return "jpeg_pipe"
    if head.startswith(b"\x89PNG\r\n\x1a\n"):
        return "png_pipe"
    return "webp_pipe" if head[:4] == b"RIFF" and head[8:] == b"WEBP" else None


class _Packets:
    """What the packets of a stream, added in the order of decoding, tell about its frames."""

    def __init__(self, codec: str, extradata: bytes):
        self.codec = codec
        self.pts: list[int | None] = []
        self.dts: list[int | None] = []
        self.keys: list[int | None] = []
        self.first: int | None = None
        self.hidden: list[int | None] = []
        self.spare: set[int] = set()
        self.doubtful = False
        self.seekable = codec in SEEKABLE
        # bytes of the length before each NAL unit of H.264 and HEVC, as mp4 and Matroska store them; 0 for all else
        place = {"h264": 4, "hevc": 21}.get(codec, 0)
        told = place and len(extradata) > place and extradata[0] == 1
        self.length_size = (extradata[place] & 3) + 1 if told else 0

    def add(self, packet) -> None:
        data = memoryview(packet)
        if not self.pts and self.first is None:
            self.first, self.doubtful = packet.pts, not packet.is_keyframe
        slices = self._slices(data)
        if packet.is_keyframe:
            self.keys.append(packet.pts)
            # Only what is said to need nothing before it, whatever the container says: IDR, or any HEVC may begin with.
            if self.codec in ("h264", "hevc"):
                self.seekable &= bool(slices) and all(kind == 5 or 16 <= kind <= 21 for kind, _ in slices)
        if packet.is_discard:  # outside the edit list
            self.hidden.append(packet.pts)
            return
        self.pts.append(packet.pts)
        self.dts.append(packet.dts)
        if self.codec == "h264" and slices and not any(refers for _, refers in slices):
            self.spare.add(packet.pts)
        if self.codec == "vp8":
            self.doubtful |= not data[0] & 16  # its show_frame: an alternate reference is never shown

    def _slices(self, data: memoryview) -> list[tuple[int, int]]:
        """Of each slice of an H.264 or HEVC picture its type, and for H.264 whether others may refer to it."""
        start, width, slices = 0, self.length_size, []
        while width and start + width < len(data):
            head = data[start + width]
            if self.codec == "h264":
                if 1 <= head & 31 <= 5:
                    slices.append((head & 31, head >> 5 & 3))
            elif head >> 1 & 63 < 32:
                slices.append((head >> 1 & 63, 1))
            start += width + int.from_bytes(data[start : start + width], "big")
        return slices

    def read(self, name: str) -> dict:
        """The fields of `Stream` that they decide."""
        if name in UNTIMED:
            return {"pts": None if None in self.dts else sorted(self.dts)}
        if self.doubtful or None in self.pts or len(set(self.pts)) < len(self.pts):
            return {"pts": None}
        shown = sorted(self.pts)
        if self.first is None or self.first > shown[0]:  # not every decoder shows what leads the first key frame
            return {"pts": None}
        if any(pts is None or shown[0] <= pts <= shown[-1] for pts in self.hidden):
            return {"pts": shown}  # an edit list of several parts: what is between them may be needed
        entries = []
        if self.seekable and name in SEEKABLE_FORMATS and None not in self.keys:
            entries = sorted({bisect_left(shown, key) for key in self.keys} - {len(shown)})  # that one is hidden
        places = {pts: place for place, pts in enumerate(self.pts)}
        decoded = [places[pts] for pts in shown]
        return {"pts": shown, "spare": sorted(self.spare), "order": decoded, "entries": entries}


def _declared_size(path: str, name: str) -> int:
    """Bytes that a file must have, by what its container says itself; 0 where it does not say.

    Only for formats that the demuxer reads without complaint when their end is missing.
    """
    with open(path, "rb") as file:
        head = file.read(1 << 16)
        size = file.seek(0, os.SEEK_END)
        file.seek(max(0, size - (1 << 17)))
        tail = file.read()
        last_tag = int.from_bytes(tail[-4:], "big")  # of FLV: how long it is, behind it
        file.seek(max(0, size - 4 - last_tag))
        tag = file.read(4)
    if name == "avi":
        length = int.from_bytes(head[4:8], "little")  # less than all by 8; but some writers count these in
        return 0 if length == (1 << 32) - 1 else length  # all ones: written into a pipe
    if name == "jpeg_pipe":
        return size + _jpeg_is_cut(path)
    if name == "gif":
        return size + (not tail.rstrip(b"\0").endswith(b";"))
    if name == "flv":
        return size + (tag[0] & 31 not in (8, 9, 18) or 11 + int.from_bytes(tag[1:], "big") != last_tag)
    if name == "mpegts":
        return size + all(size % unit for unit in (188, 192, 204))  # whole packets
    if name == "matroska":
        start = head.find(b"\x18\x53\x80\x67") + 4  # the Segment, and the length of its length in unary
        width = 9 - head[start].bit_length() if 4 <= start < len(head) else 9
        length = int.from_bytes(head[start : start + width], "big") & (1 << 7 * width) - 1
        written_live = width > 8 or length == (1 << 7 * width) - 1
        return 0 if written_live else start + width + length
    if name == "asf":
        start = head.find(bytes.fromhex("a1dcab8c47a9cf118ee400c00c205365"))  # File Properties
        return int.from_bytes(head[start + 40 : start + 48], "little") if start >= 0 else 0
    if name == "ogg" and (start := tail.rfind(b"OggS")) >= 0:
        laces = tail[start + 27 : start + 27 + tail[start + 26]] if start + 26 < len(tail) else b""
        return size - len(tail) + start + 27 + len(laces) + sum(laces)
    return 0


def main() -> None:
    """Answer requests until standard input ends."""
    import av

    for line in sys.stdin.buffer:
        try:
            reply = asdict(probe(**json.loads(line)))
        except VideoError as error:
            reply = {"error": str(error)}
        except (av.FFmpegError, ValueError) as error:
            # av's text repeats the path; strerror does not
            reply = {"error": f"is not a video file that can be read: {getattr(error, 'strerror', None) or error}"}
        sys.stdout.write(json.dumps(reply) + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
