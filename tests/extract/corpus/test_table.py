"""The corpus table's files are read back as they were written."""

from hypothesis import given
from hypothesis import strategies as st

from videocap.extract.corpus import table

captions = st.text(st.characters(codec="utf-8"), max_size=30)


@given(
    st.dictionaries(st.text("abc/é ", min_size=1, max_size=6), st.lists(captions, min_size=1, max_size=3), max_size=5)
)
def test_any_table_is_read_back_as_written(tmp_path_factory, drawn):
    folder = tmp_path_factory.mktemp("corpus")
    rows = [
        table.Video(name, f"sha-{name}", "val", tuple(c), {"effect": tuple(c)}) for name, c in sorted(drawn.items())
    ]
    table.write(rows, folder)
    parts = [folder / f"{part}.val.json" for part in ("videos", "captions", "aspects")]
    assert table.load(*parts) == rows
    assert table.load(*parts, keep=[]) == []


def test_distinct_captions_are_listed_once():
    items = table.caption_items({"a": ["x", "y"], "b": ["y"]})
    assert [text for text, _ in items] == ["x", "y"]
    assert all(len(digest) == 64 for _, digest in items)
