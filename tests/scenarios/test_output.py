"""What a person sees of a run that goes on, by the real command; where there is no terminal, see test_demo."""

import os
import pty
import re
import stat
import subprocess
import sys
import termios
from pathlib import Path

import pytest
from runs import LUIGI, TINY, Run, environment, luigi


@pytest.fixture(scope="module")
def artifacts(tiny, tmp_path_factory) -> Path:
    return tiny.copied(tmp_path_factory.mktemp("output") / "artifacts").artifacts


def at_a_terminal(artifacts: Path, *arguments: str) -> str:
    """What a run writes to a terminal of 100 columns."""
    main, other = pty.openpty()
    termios.tcsetwinsize(other, (40, 100))
    streams = {"stdin": other, "stdout": other, "stderr": other}
    with subprocess.Popen([*LUIGI, "Pipeline", *arguments], env=environment(artifacts), **streams) as process:
        os.close(other)
        written = b""
        try:
            while part := os.read(main, 65536):
                written += part
        except OSError:  # the other end is closed
            pass
    os.close(main)
    assert process.returncode == 0, written.decode()
    return written.decode()


def shown(written: str) -> list[str]:
    """The lines that a terminal shows then."""
    return [re.split(r"\r(?:\x1b\[K)?", line.rstrip("\r"))[-1] for line in re.sub(r"\x1b\[A", "", written).split("\n")]


@pytest.mark.slow
def test_a_terminal_shows_bars_and_whole_lines(artifacts):
    written = at_a_terminal(artifacts, "--override", f"{TINY} decode.frames=5", "--workers", "2")
    assert re.search(r"decode 1/2: +\d+%.*video/s", written)
    assert re.search(r"train: +\d+%", written)
    lines = shown(written)
    assert "[10/16] Train: FrameFeatures changed" in lines
    for whole in (r"\[4/16\] DecodeShard 1 of 2: 16 videos in [\d.]+ s.*", r"\[10/16\] Train: done in [\d.]+ s"):
        assert any(re.fullmatch(whole, line) for line in lines)


@pytest.mark.slow
def test_luigis_own_messages_come_when_they_are_asked_for(artifacts):
    quiet = luigi(artifacts, "--override", TINY)
    loud = luigi(artifacts, "--override", TINY, "--log-level", "INFO")
    assert "scheduler" not in quiet.output
    assert "Informed scheduler that task" in loud.output
    assert (quiet.status, loud.status) == (0, 0)


@pytest.mark.slow
def test_the_traceback_of_a_failure_comes_when_it_is_asked_for(artifacts):
    run = luigi(
        artifacts,
        "--override",
        f"{TINY} train.lr=100000.0 train.clip_norm=100000.0 train.epochs=40",
        "--log-level",
        "ERROR",
    )
    assert run.status == 1
    assert "Traceback" in run.output


@pytest.mark.slow
def test_a_luigid_that_does_not_answer_is_named(artifacts, tmp_path):
    (tmp_path / "luigi.cfg").write_text("[core]\nrpc-retry-wait = 0\n")
    env = environment(artifacts) | {"LUIGI_CONFIG_PATH": str(tmp_path / "luigi.cfg"), "no_proxy": "localhost"}
    command = [*LUIGI, "Pipeline", "--override", f"{TINY} train.seed=5", "--scheduler-host", "localhost"]
    done = subprocess.run(
        [*command, "--scheduler-port", "1"], env=env, capture_output=True, text=True, check=False, cwd=tmp_path
    )
    run = Run(done.returncode, done.stdout, artifacts)
    assert run.status == 1
    assert "no luigid answers at 'http://localhost:1': see that it runs" in done.stdout
    assert "Traceback" not in done.stdout + done.stderr
    assert run.outcome("Train") == "not reached"


@pytest.mark.slow
def test_logging_that_the_user_configures_is_left_alone(artifacts, tmp_path):
    (tmp_path / "logging.ini").write_text(
        "[loggers]\nkeys=root\n[handlers]\nkeys=file\n[formatters]\nkeys=plain\n[logger_root]\nlevel=INFO\nhandlers=file\n"
        f"[handler_file]\nclass=FileHandler\nargs=('{tmp_path}/theirs.log',)\nformatter=plain\n"
        "[formatter_plain]\nformat=theirs %(message)s\n"
    )
    run = luigi(artifacts, "--override", TINY, "--logging-conf-file", str(tmp_path / "logging.ini"))
    assert run.status == 0
    assert "theirs Informed scheduler that task" in (tmp_path / "theirs.log").read_text()


@pytest.mark.slow
@pytest.mark.parametrize(("umask", "file", "folder"), [(0o027, 0o640, 0o750), (0o002, 0o664, 0o775)])
def test_all_that_is_left_has_the_mode_that_the_umask_says(tmp_path, umask, file, folder):
    place = tmp_path / "all"
    commands = [
        ["run", "--override", TINY],
        ["export-model", str(place / "captioner"), "--override", TINY],
        ["score", "captions.json", "references.json"],
    ]
    (tmp_path / "captions.json").write_text('{"a": "a dog runs", "b": "a cat"}')
    (tmp_path / "references.json").write_text('{"a": ["a dog runs"], "b": ["the cat"]}')

    def videocap(*arguments: str) -> None:
        done = subprocess.run(
            [sys.executable, "-m", "videocap", *arguments],
            cwd=tmp_path,
            env=environment(place / "artifacts"),
            umask=umask,
            capture_output=True,
            text=True,
        )
        assert done.returncode == 0, done.stdout + done.stderr

    place.mkdir()
    place.chmod(folder)
    for command in commands:
        videocap(*command)
    clip = str(next(place.glob("artifacts/ToyWorld/*/*/videos/*.mp4")))
    out = ["--frames", str(place / "seen"), "--output", str(place / "captions.csv"), "--format", "csv"]
    videocap("caption", "--model", str(place / "captioner"), clip, *out)
    odd = {}  # (what is pushed is as open as the place is, whatever the umask)
    for path in place.rglob("*"):
        mode = path.lstat().st_mode
        if not stat.S_ISLNK(mode) and stat.S_IMODE(mode) != (folder if stat.S_ISDIR(mode) else file):
            odd[str(path.relative_to(place))] = oct(mode)
    assert odd == {}
    for name in ("captioner/model.safetensors", "captions.csv", "artifacts/id.json", "artifacts/runs/demo/report.html"):
        assert (place / name).exists()
