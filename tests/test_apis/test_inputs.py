"""Paths, folders, patterns, arrays and lists of them become named images."""

import json

import numpy as np
import pytest
import torch
from PIL import Image

from trace_mm.apis import expand_inputs, load_image
from trace_mm.files.stores import put_file


def _make(root, *names):
    for name in names:
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (2, 2)).save(path) if path.suffix != ".txt" else path.write_text("x")


def _names(inputs, **options):
    return [source.name for source in expand_inputs(inputs, **options)]


def test_folder_is_searched_in_order(tmp_path):
    _make(tmp_path, "b.png", "a.JPG", "notes.txt", "sub/c.d.png", "sub/deep/x.bmp", ".hidden/h.png")
    _make(tmp_path, "._a.png")
    assert _names(tmp_path) == ["a", "b", "sub/c.d", "sub/deep/x"]
    assert _names(str(tmp_path)) == _names([tmp_path]) == _names(tmp_path)


def test_a_folder_of_a_store_gives_the_names_of_a_local_one(tmp_path):
    _make(tmp_path, "a.png", "a/1.png", "a-b/2.png", "a.b/3.png", "A.bmp", "z/y/4.png", ".h/5.png")
    for path in tmp_path.rglob("*.*"):
        if path.is_file():
            put_file(path, f"memory://names/{path.relative_to(tmp_path).as_posix()}")
    names = _names(tmp_path)
    assert _names("memory://names") == _names("memory://names/") == names
    (local,) = expand_inputs(tmp_path / "z")
    (stored,) = expand_inputs("memory://names/z")
    assert stored.label == "memory://names/z/y/4.png"
    np.testing.assert_array_equal(load_image(stored.image), load_image(local.image))
    both = _names([tmp_path / "z", "memory://names/z"])  # each by its whole path
    assert both == [f"{str(tmp_path)[1:]}/z/y/4", "memory/names/z/y/4"]


def test_links_between_folders_end(tmp_path):
    _make(tmp_path, "a.png", "sub/b.png")
    (tmp_path / "sub/loop").symlink_to(tmp_path)
    assert _names(tmp_path) == ["a", "sub/b"]


def test_patterns(tmp_path, monkeypatch):
    _make(tmp_path, "x/1.png", "x/2.png", "y/1.png", "x/3.txt", "y/z/4.png")
    assert _names(str(tmp_path / "x/*")) == ["1", "2"]
    assert _names(str(tmp_path / "*/1.png")) == ["x/1", "y/1"]
    assert _names(str(tmp_path / "**/*.png")) == ["x/1", "x/2", "y/1", "y/z/4"]
    monkeypatch.chdir(tmp_path)
    assert _names("[xy]/1.*") == ["x/1", "y/1"]
    assert _names("x/*.png") == ["1", "2"]


def test_a_name_with_brackets_is_a_file_first(tmp_path):
    _make(tmp_path, "a[1].png")
    assert _names(str(tmp_path / "a[1].png")) == ["a[1]"]


def test_files_of_one_stem_keep_their_suffix(tmp_path):
    _make(tmp_path, "a.png", "a.bmp", "b.png", "B.bmp", "c.png")
    assert sorted(_names(tmp_path)) == ["B.bmp", "a.bmp", "a.png", "b.png", "c"]


def test_files_of_one_name_keep_their_folders(tmp_path):
    _make(tmp_path, "one/a.png", "two/a.png", "two/b.png")
    assert _names([tmp_path / "one", tmp_path / "two"]) == ["one/a", "two/a", "two/b"]
    assert _names([tmp_path / "one/a.png", tmp_path / "two/a.png"]) == ["one/a", "two/a"]


def test_names_stay_distinct_when_a_suffix_makes_them_alike(tmp_path):
    _make(tmp_path, "a.png", "a.bmp", "a.png.gif")
    assert _names(tmp_path) == ["a.bmp", "a.png", "a.png.gif"]


def test_a_file_given_twice_has_one_name(tmp_path, monkeypatch):
    _make(tmp_path, "a.png")
    monkeypatch.chdir(tmp_path)
    assert _names(["a.png", tmp_path / "a.png", "./a.png"]) == ["a", "a", "a"]


def test_arrays_and_images():
    array = np.zeros((2, 2), np.uint8)
    assert _names([array, Image.new("RGB", (1, 1)), array]) == [f"image_00000{n}" for n in range(3)]
    assert _names(array) == ["image_000000"]


def test_lists_of_images(tmp_path):
    _make(tmp_path, "photos/b.png", "photos/sub/a.png", "c.png")
    (tmp_path / "list.txt").write_text("photos/sub/a.png\n\n c.png \nphotos/b.png\n")
    assert _names(tmp_path / "list.txt") == ["photos/sub/a", "c", "photos/b"]
    (tmp_path / "list.txt").write_text("\ufeffsub/a.png\r\nb.png\r\n")
    assert _names(tmp_path / "list.txt", root=tmp_path / "photos") == ["sub/a", "b"]
    images = [{"id": 2, "file_name": "b.png"}, {"id": 1, "file_name": "sub/a.png"}]
    (tmp_path / "coco.json").write_text(json.dumps({"images": images}))
    assert _names(tmp_path / "coco.json", root=tmp_path / "photos") == ["sub/a", "b"]
    assert _names(tmp_path / "coco.json") == ["photos/sub/a", "photos/b"]  # searched for
    (tmp_path / "list.txt").write_text("photos/b.png\ngone.png\n")
    with pytest.raises(FileNotFoundError, match=r"gone\.png: no such image \(1 of 2 that .*list"):
        expand_inputs(tmp_path / "list.txt")
    (tmp_path / "list.txt").write_text("\n")
    with pytest.raises(ValueError, match=r"list\.txt: lists no images"):
        expand_inputs(tmp_path / "list.txt")


def test_excluded_folders_are_not_searched(tmp_path):
    _make(tmp_path, "a.png", "edges/a.png", "edges/sub/b.png")
    assert _names(tmp_path, exclude=[tmp_path / "edges"]) == ["a"]
    assert _names(str(tmp_path / "**/*.png"), exclude=[tmp_path / "edges"]) == ["a"]


def test_unusable_inputs(tmp_path):
    with pytest.raises(ValueError, match="there is no input"):
        expand_inputs([])
    with pytest.raises(FileNotFoundError, match=r"gone\.png: no such file"):
        expand_inputs(tmp_path / "gone.png")
    with pytest.raises(FileNotFoundError, match="''"):
        expand_inputs("")
    with pytest.raises(ValueError, match="holds no images"):
        expand_inputs(tmp_path)
    with pytest.raises(ValueError, match=r"\*\.png: no image matches"):
        expand_inputs(str(tmp_path / "*.png"))
    with pytest.raises(TypeError, match=r"input 1 .*int"):
        expand_inputs([np.zeros((2, 2)), 3])


def test_tensors_are_images_whatever_their_layout():
    pixels = np.random.default_rng(0).random((4, 5, 3), dtype=np.float32)
    tensor = torch.from_numpy(pixels)
    for given in (tensor, tensor.permute(2, 0, 1), tensor.permute(2, 0, 1)[None]):
        (source,) = expand_inputs(given)
        assert source.name == "image_000000"
        np.testing.assert_array_equal(source.image, pixels)
    (half,) = expand_inputs(tensor.bfloat16())
    np.testing.assert_allclose(half.image, pixels, atol=0.01)
    square = torch.arange(27, dtype=torch.uint8).reshape(3, 3, 3)
    (source,) = expand_inputs(square)  # channels first, as everywhere in torch
    np.testing.assert_array_equal(source.image, square.permute(1, 2, 0))


@pytest.mark.parametrize("shape", [(4, 5), (2, 3, 4, 5), (4, 5, 6), (1, 4, 5, 6)])
def test_tensors_of_other_shapes_are_refused(shape):
    with pytest.raises(ValueError, match=r"input 0: a tensor must be \(3, H, W\), .* a batch as a"):
        expand_inputs(torch.zeros(shape))


def test_what_is_passed_over_is_told(tmp_path):
    for name in ("a.png", "b.txt", "c.txt"):
        (tmp_path / name).write_bytes(b"")
    told = []
    for inputs in (tmp_path, str(tmp_path / "*"), tmp_path / "a.png"):
        assert len(expand_inputs(inputs, tell=told.append)) == 1
    assert told == [
        f"{place}: 2 files not named like images passed over (2 .txt)"
        for place in (tmp_path, tmp_path / "*")
    ]
    (tmp_path / "a.png").unlink()
    with pytest.raises(ValueError, match=r"holds no images; in it: 2 files .*2 \.txt"):
        expand_inputs(tmp_path)
