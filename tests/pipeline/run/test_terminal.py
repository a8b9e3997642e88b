"""What a person is told while a run goes on."""

import logging

from videocap.pipeline.run import terminal


def test_what_goes_wrong_while_luigi_schedules_is_one_line(capsys):
    text = (
        "Will not run Train or any dependencies due to error in complete() method:\nTraceback …\nOSError: it is gone\n"
    )
    shown = terminal.Terminal()
    for _ in range(2):
        shown.emit(logging.LogRecord("luigi-interface", logging.WARNING, "", 0, text, (), None))
    told = capsys.readouterr().err
    assert "failed: OSError: it is gone" in told
    assert "Traceback" not in told
    assert shown.unexpected == ["failed: OSError: it is gone"]
