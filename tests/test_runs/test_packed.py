"""Many strings in little memory, as lists of strings."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trace_mm.runs.packed import Keys, PackedStrings, sorted_keys

TEXTS = st.lists(st.text() | st.sampled_from(["a", "b", "sub/a", "bad\udcff"]))


@given(TEXTS)
def test_it_is_a_list_of_strings(texts):
    packed = PackedStrings(texts)
    assert list(packed) == texts and packed == texts and len(packed) == len(texts)
    assert packed[1:] == texts[1:]
    if texts:
        assert packed[-1] == texts[-1]
    assert packed != [*texts, ""]


@given(TEXTS, st.text())
def test_keys_are_found(texts, other):
    ordered = sorted(set(texts))
    keys = Keys(ordered)
    assert [keys.find(text) for text in ordered] == list(range(len(ordered)))
    assert (keys.find(other) is None) == (other not in ordered)


@pytest.mark.parametrize("texts", [["b", "a"], ["a", "a"]])
def test_keys_rise(texts):
    with pytest.raises(ValueError, match=r"'a' does not come after"):
        Keys(texts)


def test_it_ends_like_a_list():
    with pytest.raises(IndexError):
        PackedStrings(["a"])[1]


@given(TEXTS)
def test_strings_as_keys(texts):
    keys, places = sorted_keys(PackedStrings(texts))
    assert keys == sorted(set(texts))
    assert list(places) == [texts.index(key) for key in keys]
