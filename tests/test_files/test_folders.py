"""Which files of a folder are images, and what is made of them is called."""

import pytest

from trace_mm.files import distinct_stems


@pytest.mark.parametrize(
    ("names", "stems"),
    [
        (["x.jpg", "sub/y.png"], ["x", "sub/y"]),
        (["x.jpg", "x.png", "y.png"], ["x.jpg", "x.png", "y"]),
        (["x.jpg", "X.png"], ["x.jpg", "X.png"]),
        (["a.png", "a.gif", "a.png.gif"], ["a.png", "a.gif", "a.png.gif"]),
        (["a.jpg", "A.jpg"], ["a.jpg", "A.jpg"]),
        (["a/x.jpg", "b/x.jpg"], ["a/x", "b/x"]),
        ([], []),
    ],
)
def test_names_without_suffix_are_not_shared(names, stems):
    assert distinct_stems(names) == dict(zip(names, stems, strict=True))
    assert distinct_stems(names[::-1]) == dict(zip(names, stems, strict=True))
