"""The page to try a captioner: what it shows of a video, what it refuses, and that nothing stays or leaves."""

import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest
from browser import CHROMIUM, Browser, wait_for
from captioned import SOME, clips, said
from runs import environment
from videos import synthetic

from videocap import demo as page
from videocap.captioned import CaptionedVideo
from videocap.extract.config import DecodeConfig

HEADERS = {"X-Videocap": "1"}


class Captioner:
    """Says the same of every video."""

    decode = DecodeConfig()

    def __init__(self):
        self.seen: list[Path] = []

    def __call__(self, path, every=None, nbest=1):
        self.seen.append(path)
        assert path.is_file()
        if every is None:
            return [
                CaptionedVideo(str(path), "a <b>dog\x1b", {}, (0.0,), span=(0.0, 2.0), nbest=(("a <b>dog\x1b", -1.0),))
            ]
        return [
            CaptionedVideo(str(path), f"part {n}", {}, (0.0,), span=(float(n), n + 1.0), part=True) for n in range(2)
        ]

    def picture(self, path):
        return b"jpeg"


@pytest.fixture
def asked():
    captioner = Captioner()
    app = page.app(captioner, megabytes=0.5, minutes=0.1)
    app.config["HOSTS"] = {"localhost"}
    return captioner, app.test_client()


def test_a_video_gets_its_captions_and_is_gone(asked, tmp_path, monkeypatch):
    captioner, client = asked
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    clip = synthetic(tmp_path / "clip.mp4", "-pix_fmt yuv420p", seconds=2, size="64x48")
    found = client.post("/caption?every=1", data=clip.read_bytes(), headers=HEADERS)
    assert found.status_code == 200, found.json
    assert found.json["captions"][0]["caption"].startswith("a <b>dog")
    assert "\x1b" not in found.get_data(as_text=True)
    assert found.json["captions"][0]["probability"] == pytest.approx(0.3679, abs=1e-4)
    assert [one["caption"] for one in found.json["parts"]] == ["part 0", "part 1"]
    assert found.json["vtt"].startswith("WEBVTT")
    assert found.json["picture"].startswith("data:image/jpeg;base64,")
    assert captioner.seen
    assert not any(path.exists() for path in captioner.seen)
    assert [path.name for path in tmp_path.iterdir()] == ["clip.mp4"]


def test_what_is_too_large_too_long_or_no_video_is_a_sentence(asked, tmp_path):
    _, client = asked
    large = client.post("/caption", data=b"x" * 600_000, headers=HEADERS)
    assert (large.status_code, large.json) == (413, {"error": "has more than 0.5 MB"})
    none = client.post("/caption", data=b"no video", headers=HEADERS)
    assert none.status_code == 400
    assert "not a video file" in none.json["error"]
    long = synthetic(tmp_path / "a.mp4", "-pix_fmt yuv420p", seconds=7, size="64x48")
    assert (
        "0.1 minutes long; 0.1 are allowed"
        in client.post("/caption", data=long.read_bytes(), headers=HEADERS).json["error"]
    )
    assert client.post("/caption?every=x", data=b"", headers=HEADERS).json == {"error": "is empty"}


def test_no_other_site_can_ask_it_and_its_page_asks_no_other(asked):
    _, client = asked
    assert client.post("/caption", data=b"x").status_code == 403, "a form of another site has no such header"
    assert client.get("/", headers={"Host": "evil.example"}).status_code == 403
    found = client.get("/")
    text, policy = found.get_data(as_text=True), found.headers["Content-Security-Policy"]
    (nonce,) = set(re.findall(r'nonce="([^"]+)"', text))
    assert f"script-src 'nonce-{nonce}'" in policy
    assert nonce not in client.get("/").get_data(as_text=True)
    assert not re.search(r"https?://|src=.?/|@import", text)
    assert "up to 0.5 MB and 0.1 minutes" in text
    assert found.headers["X-Frame-Options"] == "DENY"
    assert page.hosts("0.0.0.0", 1) is None
    assert page.hosts("127.0.0.1", 7) == {"127.0.0.1:7", "localhost:7"}


@pytest.mark.slow
@pytest.mark.skipif(CHROMIUM is None, reason="there is no Chromium")
def test_in_a_browser_a_video_is_shown_with_its_captions(artifacts, tmp_path):
    command = [sys.executable, "-m", "videocap", "demo", "--port", "0", "--override", SOME]
    uploads = tmp_path / "uploads"
    uploads.mkdir()
    env = environment(artifacts) | {"TMPDIR": str(uploads)}
    server = subprocess.Popen(command, cwd=tmp_path, env=env, stdout=subprocess.PIPE, text=True)
    browser = Browser(tmp_path / "profile")
    try:
        address = server.stdout.readline().split()[0]
        browser.open(address)
        name, expected = next(iter(said(artifacts).items()))
        browser.choose("#file", clips(artifacts)[name])
        wait_for(lambda: not browser.run("document.getElementById('result').hidden"), 120)
        shown = browser.run("document.getElementById('captions').innerText")
        assert expected["caption"] in shown
        assert "%" in shown
        assert expected["effect"] in browser.run("document.getElementById('aspects').innerText")
        wait_for(lambda: browser.run("document.querySelector('track').readyState") == 2, 30)
        cues = browser.run("[...document.querySelector('track').track.cues].map(cue => cue.text)")
        assert cues == [expected["caption"]]
        assert browser.run("document.getElementById('picture').naturalWidth") > 0
        (tmp_path / "bad.mp4").write_text("no video")
        browser.choose("#file", tmp_path / "bad.mp4")
        wait_for(lambda: browser.run("document.getElementById('error').textContent"), 60)
        assert "bad.mp4: is not a video file" in browser.run("document.getElementById('error').textContent")
        own = [url for url in browser.asked() if not url.startswith(("blob:", "data:", "about:"))]
        assert own
        assert all(url.startswith(address) for url in own), own
        refused = [text for text in browser.complaints() if "400 (BAD REQUEST)" not in text and "favicon" not in text]
        assert refused == []
        assert not [path for path in uploads.iterdir() if path.name.startswith("videocap-")]
    finally:
        browser.close()
        server.terminate()
        server.wait(20)
    assert not os.listdir(uploads) or all(not n.startswith("videocap-") for n in os.listdir(uploads))
