"""Names written with braces."""

import tracemalloc

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trace_mm.files.brace_names import BraceNames, has_braces

ENDS = st.integers(0, 20).flatmap(lambda n: st.sampled_from([f"{n}", f"{n:02d}", f"{n:04d}"]))
STEPS = st.sampled_from(["", "..2", "..3"])
RANGES = st.builds(lambda a, b, step: f"{{{a}..{b}{step}}}", ENDS, ENDS, STEPS)
LISTS = st.lists(st.text("abx.", max_size=3), min_size=2, max_size=4, unique=True).map(
    lambda names: f"{{{','.join(names)}}}"
)
PATTERNS = st.lists(st.text("abx/-", max_size=3) | RANGES | LISTS, max_size=4).map("".join)


@given(PATTERNS)
def test_names_are_those_of_another_implementation(pattern):
    braceexpand = pytest.importorskip("braceexpand", reason="comes with the extra test")
    expected = list(braceexpand.braceexpand(pattern, escape=False))
    names = BraceNames(pattern)
    assert list(names) == expected
    assert len(names) == len(expected)
    assert [names[number - len(names)] for number in range(len(names))] == expected
    assert names[1:5:2] == expected[1:5:2]
    assert has_braces(pattern) or expected == [pattern]


def test_padding_lists_and_several_ranges():
    assert list(BraceNames("a/{08..10}.tar")) == ["a/08.tar", "a/09.tar", "a/10.tar"]
    assert list(BraceNames("{train,val}-{0..1}")) == ["train-0", "train-1", "val-0", "val-1"]
    assert list(BraceNames("{-01..1}")) == ["-01", "000", "001"]
    assert list(BraceNames("one{name}.tar")) == ["one{name}.tar"]
    assert not has_braces("one{name}.tar")


def test_a_billion_names_take_no_memory():
    tracemalloc.start()
    try:
        names = BraceNames("s3://bucket/{000..999}/{000000..999999}.tar")
        assert len(names) == 10**9
        assert names[123456789] == "s3://bucket/123/456789.tar"
        assert names[-1] == "s3://bucket/999/999999.tar"
        assert next(iter(names)) == "s3://bucket/000/000000.tar"
        assert tracemalloc.get_traced_memory()[1] < 100_000
    finally:
        tracemalloc.stop()
    with pytest.raises(IndexError):
        names[10**9]


@pytest.mark.parametrize(
    ("pattern", "message"),
    [
        ("a{0..9..0}", "step of 0"),
        ("{a,{b,c}}", "braces within braces"),
        ("{a,b,a}.tar", "names something twice"),
        ("{0..99999999999999999999}", "too many names"),
        ("{0..9999999999}{0..9999999999}", "too many names"),
    ],
)
def test_bad_patterns_are_one_line(pattern, message):
    with pytest.raises(ValueError, match=message) as caught:
        BraceNames(pattern)
    assert str(caught.value).startswith(pattern)
