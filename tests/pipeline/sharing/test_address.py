"""Which place a person means."""

import pytest
from places import push

from videocap.pipeline.sharing.address import place_of
from videocap.pipeline.sharing.folder import Folder


def test_a_place_that_can_not_be_is_refused(tmp_path, team):
    with pytest.raises(ValueError, match=r"no folder .*mnt to make team in"):
        push(tmp_path / "alice", Folder(tmp_path / "mnt" / "team"))
    with pytest.raises(ValueError, match="Protocol not known"):
        place_of("nosuch://bucket/team")
    with pytest.raises(ValueError, match="a URL has // behind its colon"):
        place_of("s3:bucket/team")
    with pytest.raises(ValueError, match="can't be opened"):
        place_of("dir:///mnt")
    assert str(place_of("file:///mnt/my team")) == "/mnt/my team"
    assert str(place_of("memory://")) == "memory://"
