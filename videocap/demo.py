"""`videocap demo`: a page on this machine to try a captioner with one's own videos."""

from __future__ import annotations

import argparse
import base64
import logging
import math
import secrets
import tempfile
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING, Any

from videocap.caption import chosen_captioner
from videocap.captioned import CaptionedVideo, vtt
from videocap.captioner import VideoCaptioner
from videocap.pipeline.words import printable

if TYPE_CHECKING:
    from flask import Flask, Response

PAGE = Path(__file__).parent.joinpath("demo.html")
NBEST = 5  # captions that are shown
PIECE = 1 << 20  # bytes of an upload that are read at once
HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-store",
    "Cross-Origin-Resource-Policy": "same-origin",
}
POLICY = (
    "default-src 'none'; script-src 'nonce-{0}'; style-src 'nonce-{0}'; img-src data:; media-src blob:; "
    "connect-src 'self'; form-action 'none'; frame-ancestors 'none'; base-uri 'none'"
)


def demo(chosen: argparse.Namespace) -> int:
    """Serve the page until it is stopped."""
    try:
        from werkzeug.serving import make_server
    except ImportError as error:
        raise ValueError("the page needs Flask: pip install clip4videocap[demo]") from error

    captioner = chosen_captioner(chosen)
    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    page = app(captioner, chosen.megabytes, chosen.minutes)
    server = make_server(chosen.host, chosen.port, page, threaded=True)
    page.config["HOSTS"] = hosts(chosen.host, server.port)
    print(
        f"http://{'127.0.0.1' if chosen.host == '0.0.0.0' else chosen.host}:{server.port}/  (Ctrl-C ends it)",
        flush=True,
    )
    server.serve_forever()
    return 0


def hosts(host: str, port: int) -> set[str] | None:
    """What a request may call this server, so that no other site's page can ask it; None for any, if it is public."""
    local = {"127.0.0.1", "localhost"}
    return {f"{name}:{port}" for name in local | {host}} if host in local else None


def app(captioner: VideoCaptioner, megabytes: float, minutes: float) -> Flask:
    """The page and what it asks. An upload is a file while it is captioned, and then gone.

    Args:
        captioner: of videos.
        megabytes, minutes: that a video may have.
    """
    from flask import Flask, Response, request

    made, busy = Flask(__name__, static_folder=None), Lock()
    most = int(megabytes * 1e6)

    @made.before_request
    def refuse() -> Response | None:
        names = made.config.get("HOSTS")
        return None if names is None or request.host in names else _answer({"error": "called by another name"}, 403)

    @made.after_request
    def protect(response: Response) -> Response:
        response.headers.update(HEADERS)
        response.headers.setdefault("Content-Security-Policy", POLICY.format("none"))
        return response

    @made.get("/")
    def page() -> Response:
        nonce = secrets.token_urlsafe(16)
        text = PAGE.read_text(encoding="utf-8").replace("NONCE", nonce)
        text = text.replace("LIMITS", f"up to {megabytes:g} MB and {minutes:g} minutes")
        return Response(text, headers={"Content-Security-Policy": POLICY.format(nonce)})

    @made.post("/caption")
    def caption() -> Response:
        # a page of another site can't send this header without asking first
        if request.headers.get("X-Videocap") != "1":
            return _answer({"error": "not asked by this page"}, 403)
        try:
            every = min(max(float(request.args.get("every", "10")), 1.0), 3600.0)
        except ValueError:
            every = 10.0
        with tempfile.TemporaryDirectory(prefix="videocap-") as folder:
            path, size = Path(folder, "upload"), 0
            with path.open("wb") as file:
                while piece := request.stream.read(PIECE):
                    size += len(piece)
                    if size > most:
                        return _answer({"error": f"has more than {megabytes:g} MB"}, 413)
                    file.write(piece)
            with busy:
                return _answer(*_captioned(captioner, path, every, minutes))

    return made


def _answer(value: dict[str, Any], status: int = 200) -> Response:
    from flask import jsonify

    answer = jsonify(value)
    answer.status_code = status
    return answer


def _captioned(captioner: VideoCaptioner, path: Path, every: float, minutes: float) -> tuple[dict[str, Any], int]:
    """What the page shows of a video; or an error, and the status of that."""
    from videocap.extract.video.demux import VideoError
    from videocap.extract.video.probe import Prober

    try:
        with Prober(captioner.decode.timeout, captioner.decode.max_pixels) as prober:
            stream = prober(path)
    except VideoError as error:
        return {"error": printable(str(error))}, 400
    seconds = stream.times[-1] if stream.pts else 0.0
    if seconds > 60 * minutes:
        return {"error": f"is {seconds / 60:.1f} minutes long; {minutes:g} are allowed"}, 400
    (whole,) = captioner(path, nbest=NBEST)
    if whole.error:
        return {"error": printable(whole.error)}, 400
    found: list[CaptionedVideo] = captioner(path, every=every) if seconds > every else [whole]
    parts = [one for one in found if one.error is None]
    picture = captioner.picture(path)
    return {
        "captions": [
            {"caption": printable(text), "probability": math.exp(chance)}
            for text, chance in whole.nbest or ((whole.caption, 0.0),)
        ],
        "aspects": {name: printable(text) for name, text in whole.aspects.items()},
        "times": list(whole.times),
        "picture": None if picture is None else f"data:image/jpeg;base64,{base64.b64encode(picture).decode()}",
        "parts": [{"start": one.span[0], "end": one.span[1], "caption": printable(one.caption)} for one in parts],
        "vtt": vtt(parts),
    }, 200
