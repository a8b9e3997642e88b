"""`videocap store push` and `pull`: what a person is told of each stage."""

from places import experiment_in

from videocap import share
from videocap.pipeline.sharing.push_pull import Sent


def test_the_command_tells_of_every_stage(tmp_path, capsys):
    experiment = experiment_in(tmp_path)
    assert len(experiment.order) > 15
    for kind in experiment.order:
        assert share.sent_text(Sent(kind.__name__, files=1, there=1), kind, False).startswith(kind.__name__)
