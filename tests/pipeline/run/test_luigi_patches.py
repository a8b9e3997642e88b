"""What of Luigi is changed within a `luigi` command, by the real command; also of the options of `root`."""

import subprocess

import pytest
from runs import LUIGI


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["Table", "--number", "four"], "'four' is no whole number: of the table in the paper: 1 to 5"),
        (["Pipelin"], "No task Pipelin. What there is to ask for: Pipeline, Table"),
    ],
)
def test_a_command_that_luigi_does_not_understand_is_one_line(tmp_path, arguments, says):
    done = subprocess.run([*LUIGI, *arguments], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode != 0
    assert len(done.stderr.splitlines()) == 1
    assert says in done.stderr
