"""Names of pages in the output."""

from __future__ import annotations

from pathlib import PurePosixPath

from hypothesis import given
from hypothesis import strategies as st

from tilekit.datasets.sources import stems_of
from tilekit.pages import PageKey

parts = st.text("abc.-", min_size=1, max_size=4).filter(lambda text: text.strip("."))


def test_names_keep_the_folder_below_what_all_share():
    keys = [PageKey("/x/a/plan.tif"), PageKey("/x/b/plan.tif"), PageKey("/x/b/set.pdf", 2)]
    assert list(stems_of(keys).values()) == ["a/plan", "b/plan", "b/set"]
    assert stems_of([PageKey("/x/a/plan.tif")]) == {"/x/a/plan.tif": "plan"}
    assert list(stems_of([PageKey("s3://b/k/a.tif"), PageKey("s3://b/l/a.tif")]).values()) == ["k/a", "l/a"]
    assert list(stems_of([PageKey("/x/a.tif"), PageKey("/x/a.png")]).values()) == ["a-tif", "a-png"]
    assert list(stems_of([PageKey("C:\\x\\a.tif"), PageKey("C:\\y\\a.tif")]).values()) == ["x/a", "y/a"]


@given(
    st.lists(
        st.lists(parts, min_size=1, max_size=3).map(lambda p: "/r/" + "/".join(p)), min_size=1, unique=True
    )
)
def test_no_two_sources_have_the_same_name_and_none_leaves_the_folder(sources):
    stems = stems_of(PageKey(source) for source in sources)
    assert len(set(stems.values())) == len(set(sources))
    for stem in stems.values():
        assert not stem.startswith("/")
        assert ".." not in PurePosixPath(stem).parts
