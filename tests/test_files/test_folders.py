"""Which files of a folder are images, and what is made of them is called."""

import pytest

from trace_mm.files import OtherFiles, distinct_stems, walk_images


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


def test_what_is_passed_over_is_counted_by_suffix(tmp_path):
    names = ["a.png", "sub/b.JPG", "sub/c.txt", "d.TXT", "e", "f.json", ".hidden", ".git/x.txt"]
    for name in names:
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    others = OtherFiles()
    found = walk_images(tmp_path, others=others)
    assert [path.name for path in found] == ["a.png", "b.JPG"]
    assert others.describe("photos") == [
        "photos: 4 files not named like images passed over (2 .txt, 1 without suffix, 1 .json)"
    ]
    assert OtherFiles().describe("photos") == []
    many = OtherFiles({f".{number}": 1 for number in range(9)})
    (line,) = many.describe("maps", "maps")
    assert line.startswith("maps: 9 files not named like maps") and line.endswith("1 .4, ...)")
