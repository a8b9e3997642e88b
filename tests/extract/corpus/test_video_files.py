"""The files of a folder of videos, and which of them an id means."""

import pytest

from videocap.extract.corpus.source import CorpusError
from videocap.extract.corpus.video_files import find_videos, match, match_features, odd_videos


def test_files_of_one_name_in_two_folders_stay_two_videos():
    files = ["kitchen/clip.mp4", "garden/clip.mp4", "garden/other.mp4"]
    assert match(files, files) == {file: file for file in files}
    assert match(["other", "garden/clip"], files) == {"other": files[2], "garden/clip": files[1]}
    assert match(["absent"], files) == {}
    with pytest.raises(CorpusError, match=r"could be any of garden/clip\.mp4, kitchen/clip\.mp4"):
        match(["clip"], files)


def test_links_are_followed_but_not_in_a_circle(tmp_path):
    videos, elsewhere = tmp_path / "videos", tmp_path / "elsewhere"
    for folder in (videos / "a" / "b", elsewhere / "c"):
        folder.mkdir(parents=True)
        (folder / "x.mp4").touch()
    (tmp_path / "linked").touch()
    (videos / "file.mp4").symlink_to(tmp_path / "linked")
    for link in (videos / "first", videos / "second"):
        link.symlink_to(elsewhere)
    circles = {videos / "a" / "here": ".", videos / "a" / "b" / "up": "..", elsewhere / "c" / "back": videos}
    circles |= {videos / "all": "/", videos / "self.mp4": "self.mp4"}
    for link, target in circles.items():
        link.symlink_to(target)
    (tmp_path / "name").symlink_to(videos)
    for folder in (videos, tmp_path / "name"):
        assert list(find_videos(folder)) == ["file.mp4", "a/b/x.mp4", "first/c/x.mp4", "second/c/x.mp4"]
        odd = {"all", "self.mp4", "a/here", "a/b/up", "first/c/back", "second/c/back"}
        assert set(odd_videos(folder)) == odd


def test_features_are_those_of_the_id_else_of_a_file_of_that_name():
    features = {"video1", "kitchen/first", "clip_1", "b.mp4"}
    assert match_features(["video1", "b.mp4"], features) == {"video1": "video1", "b.mp4": "b.mp4"}
    assert match_features(["kitchen/first.MP4", "absent.mp4"], features) == {"kitchen/first.MP4": "kitchen/first"}
    assert match_features(["clip_1.5"], features) == {}, "a dot is no video's suffix"
    with pytest.raises(CorpusError, match="the same file video1"):
        match_features(["video1", "video1.mp4"], features)
