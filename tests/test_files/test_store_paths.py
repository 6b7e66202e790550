"""Places of files, local ones and those of stores, as one kind of thing."""

from dataclasses import replace
from pathlib import Path

import pytest
from fsspec.implementations.memory import MemoryFileSystem
from hypothesis import given
from hypothesis import strategies as st

from trace_mm.files.file_state import file_state
from trace_mm.files.images import load_image
from trace_mm.files.members import content_of
from trace_mm.files.store_paths import (
    StorePath,
    as_path,
    joined,
    packed_path,
    packed_within,
    unpacked_path,
    unpacked_within,
    with_states,
)
from trace_mm.files.stores import FileState, put_bytes, state_of
from trace_mm.runs.packed import PackedStrings


@pytest.fixture(autouse=True)
def _nothing_in_memory():
    MemoryFileSystem.store.clear()


def test_a_place_is_local_or_of_a_store(tmp_path):
    assert as_path("photos/1.jpg") == Path("photos/1.jpg")
    assert as_path(f"file://{tmp_path}/1.jpg") == tmp_path / "1.jpg"
    stored = as_path("s3://bucket/photos/1.JPG")
    assert stored == StorePath("s3://bucket/photos/1.JPG")
    assert (stored.name, stored.suffix, str(stored.parent)) == (
        "1.JPG",
        ".JPG",
        "s3://bucket/photos/",
    )
    assert as_path(stored) is stored
    assert stored.pure.is_relative_to(stored.parent.pure)
    assert joined(Path("a"), "b") == "a/b"
    assert joined(StorePath("s3://bucket/a"), "b") == "s3://bucket/a/b"
    assert joined(Path("a"), "s3://bucket/b") == "s3://bucket/b"


names = st.text(st.characters(exclude_characters="/\0", exclude_categories=["Cs"]), min_size=1)
names = names.filter(lambda name: name not in (".", "..") and len(name.encode()) < 256)


@given(st.lists(names, min_size=1), st.none() | st.integers(0), names)
def test_places_are_packed_with_their_states(parts, size, version):
    state = FileState(size, version)
    stored, local = StorePath("s3://" + "/".join(parts), state), Path("/", *parts)
    texts = PackedStrings(map(packed_path, (stored, local)))
    again = unpacked_path(texts[0])
    assert (again, again.state) == (stored, state)
    assert unpacked_path(texts[1]) == local


@pytest.mark.parametrize("address", ["s3://b/../c.jpg", "s3://b//c.jpg", f"s3://b/{'ä' * 130}.jpg"])
def test_names_that_no_file_can_have_are_refused(address):
    with pytest.raises(ValueError, match=f"^{address}: "):
        StorePath(address)


def test_states_are_asked_for_where_they_are_not_known(tmp_path):
    put_bytes("memory://states/1.jpg", b"one")
    known = StorePath("memory://states/known.jpg", FileState(7, "x"))
    asked, gone = StorePath("memory://states/1.jpg"), StorePath("memory://states/2.jpg")
    found = list(with_states([tmp_path, known, asked], "list.txt"))
    assert found == [tmp_path, known, asked]
    assert [file.state for file in found[1:]] == [FileState(7, "x"), state_of(asked.address)]
    with pytest.raises(
        FileNotFoundError,
        match=r"^memory://states/2\.jpg: no such image \(2 of 3 that list\.txt lists do not exi",
    ):
        list(with_states([gone, asked, gone], "list.txt"))


def test_the_state_of_a_file_is_what_its_listing_said():
    put_bytes("memory://states/1.jpg", b"one")
    file = StorePath("memory://states/1.jpg")
    assert file_state(file)["size"] == 3
    assert file_state(StorePath(file.address, FileState(None, "x"))) == {"size": -1, "version": "x"}
    assert file_state(StorePath("memory://states/2.jpg")) == {"size": -1, "version": ""}


def test_what_cannot_be_read_is_one_line():
    missing = "memory://states/2.jpg"
    for read in (content_of, load_image):
        with pytest.raises(FileNotFoundError) as caught:
            read(StorePath(missing))
        assert str(caught.value) == f"{missing}: no such file"
    put_bytes("memory://states/1.jpg", b"one")
    with pytest.raises(ValueError, match=r"^memory://states/1\.jpg: not an image"):
        load_image("memory://states/1.jpg")


@given(st.lists(names, min_size=1), names)
def test_files_are_packed_within_their_folder(parts, version):
    inside = "/".join(parts)
    for folder in (Path("/photos"), StorePath("s3://bucket/photos"), StorePath("s3://bucket/p/")):
        file = as_path(joined(folder, inside))
        if isinstance(file, StorePath):
            file = replace(file, state=FileState(3, version))
        text = packed_within(file, folder)
        assert text.partition("\0")[0] == inside
        again = unpacked_within(text, folder)
        assert again == file and getattr(again, "state", None) == getattr(file, "state", None)
