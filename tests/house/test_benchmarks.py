"""Each benchmark runs, as small as it can be, and prints its figure; what that is at such a size says nothing."""

import re
import subprocess
import sys

import pytest
from runs import ROOT

pytestmark = pytest.mark.slow

SCRIPTS = sorted(path.stem for path in (ROOT / "benchmarks").glob("*.py"))
CLIP = "video7013.mp4"  # the smallest
# Of each script what makes it small, where CLIP stands for that clip, and what comes before its figure. Left out are
# compiling, half a minute and more of `encoders.py`, and all but the imports of `scoring.py`, which starts METEOR eight
# times, in 6 s each, however few the videos are, and of `toy_tables.py`, which runs the demo several times.
SMALLEST = {
    "a_little_to_do": ("--videos 10 --more 20", "EmbedFramesShard +20 items +[0-9,]+ bytes: "),
    "captioning": ("--clips 2 --frames 1 --minutes 0.5", "decoding over ffmpeg decoding it to nothing: "),
    "encoders": ("--frames 1 --texts 4 --no-compile --rounds 1", "captions: ours bf16 / OpenAI's fp32 "),
    "extraction": ("--frames 1 --rounds 1 CLIP", "plain loop / ours, fp32 +"),
    "flickr8k": ("out --images 20 --epochs 1 --seeds 1", "ours, beam 5 +"),
    "flickr8k_ablation": ("out --images 20 --epochs 1 --rows base no-norm", "no-norm +"),
    "frames": ("--videos 2 --rounds 1 CLIP", "ffmpeg to nothing / before resizing +"),
    "generation": ("--videos 1 --plain 1 --rounds 1", r"reference +[\d.]+ captions/s: batched / this "),
    "hours": (
        "--videos 2 --steps 1 --frames 1 --texts 4 --captioned 1 --rounds 1 CLIP",
        r"\| training with aspects \| [\d.]+ steps \| 40,720 \| ",
    ),
    "memory": ("1", "embed 1 videos: "),
    "msrvtt_folds": ("out --videos 12 --epochs 1 --folds 2", "nearest videos +"),
    "nothing_to_do": ("--videos 20 --captions 2 --rounds 1", r"luigi … Pipeline +[\d.]+ s, surplus +"),
    "overlap": ("--packs 1 --videos 1", "both / the slower alone, 1 packs of 1 +"),
    "recipe": ("--steps 1 --videos 20", "most memory "),
    "scoring": ("--help", "Scores of "),
    "sharing": ("--shards 1 --megabytes 1 --rounds 1", "pull from a folder, over shutil.copyfile: "),
    "start": ("--rounds 1", "videocap --help +"),
    "stores": ("--videos 200 --rounds 1", "random reads: plain h5py / ours +"),
    "toy_tables": ("--help", "Tables "),
    "training": ("--videos 30 --steps 1 --rounds 1", "  ours in bf16 +"),
    "verifying": ("--shards 1 --megabytes 1 --rounds 1", "speed of verify over sha256sum +"),
}
NEEDS = {"extraction": "cv2", "scoring": "pycocoevalcap"}


@pytest.mark.parametrize("script", SCRIPTS)
def test_a_benchmark_prints_its_figure(script, data, tmp_path):
    if script in NEEDS:
        pytest.importorskip(NEEDS[script])
    options, before = SMALLEST[script]
    clip = str(data / "msrvtt" / "videos" / CLIP)
    command = [sys.executable, ROOT / "benchmarks" / f"{script}.py", *options.replace("CLIP", clip).split()]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    assert re.search(rf"^{before}-?\d", done.stdout, re.MULTILINE), done.stdout
