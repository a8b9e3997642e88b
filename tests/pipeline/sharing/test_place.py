"""What every kind of place can do: nothing is seen before it is whole, and what is there stays; also of `remote`."""

import json

import pytest

from videocap.pipeline.artifacts import publish
from videocap.pipeline.sharing.place import MOST_PARTS, read_json


def write(place, path: str, *pieces: bytes) -> None:
    place.create()
    place.write(path, pieces, lambda copy: None)


def test_what_is_written_is_there_with_its_size(place):
    write(place, "store/a.h5", b"some ", memoryview(b"rows"))
    write(place, "store/deep/b.h5", b"")
    assert place.sizes("store") == {"a.h5": 9}
    assert place.folders("store") == ["deep"]
    with place.open("store/a.h5") as file:
        assert file.read() == b"some rows"
    assert place.missing() == ""


def test_where_there_is_nothing_nothing_is_listed(place):
    assert place.missing()
    place.create()
    assert (place.sizes("store"), place.folders("store")) == ({}, [])
    with pytest.raises(OSError, match=r"a\.h5|No such file"):
        place.open("store/a.h5").read()


def test_what_fails_half_way_is_not_seen(place):
    write(place, "store/a.h5", b"before")

    def pieces():
        yield b"half"
        raise RuntimeError("mine")

    with pytest.raises(RuntimeError, match="mine"):
        place.write("store/a.h5", pieces(), lambda copy: None)
    with pytest.raises(RuntimeError, match="mine"):
        place.write("store/new.h5", pieces(), lambda copy: None)
    assert place.sizes("store") == {"a.h5": 6}
    place.tidy("store")
    assert place.sizes("store") == {"a.h5": 6}


def test_of_two_who_publish_the_first_stays_unless_it_is_damaged(place):
    place.create()
    assert place.publish("store/a.json", {"by": "alice"}, lambda now: now is not None)
    assert not place.publish("store/a.json", {"by": "bob"}, lambda now: now is not None)
    assert read_json(place, "store/a.json") == {"by": "alice"}
    place.remove("store/a.json")
    write(place, "store/a.json", b'{"by": ')
    assert place.publish("store/a.json", {"by": "bob"}, lambda now: now is not None)
    assert read_json(place, "store/a.json") == {"by": "bob"}


def test_what_is_removed_is_gone(place):
    write(place, "store/a.h5", b"rows")
    place.remove("store/a.h5")
    assert place.sizes("store") == {}


@pytest.mark.parametrize(
    ("content", "says"),
    [(b"{", "it is no JSON"), (b"[" * 100_000, "it is no JSON"), (b"[" + b"[]," * (MOST_PARTS + 1), "parts")],
    ids=["cut short", "deep", "of many parts"],
)
def test_json_that_is_none_or_too_much_is_refused(place, content, says):
    write(place, "a.json", content)
    with pytest.raises(ValueError, match=says):
        read_json(place, "a.json")


def test_a_manifest_is_not_read_without_end(place, monkeypatch):
    monkeypatch.setattr(publish, "MOST_MANIFEST", 20)
    write(place, "a.json", json.dumps("x" * 18).encode())
    assert read_json(place, "a.json") == "x" * 18
    write(place, "b.json", json.dumps("x" * 19).encode())
    with pytest.raises(ValueError, match="more than 20 bytes"):
        read_json(place, "b.json")
