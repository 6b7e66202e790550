"""Every format holds what it can of every mask, and says what it cannot."""

import json
from pathlib import PurePosixPath
from urllib.parse import unquote

import numpy as np
import pytest

from tests.exported_masks import (
    CATEGORIES,
    NAMES,
    READERS,
    SIZE,
    export_all,
    filled,
    hard_masks,
    instances,
)
from trace_mm.exporters import EXPORT_FORMATS, export_formats, open_exporter
from trace_mm.exporters.labelme import TOLERANCE
from trace_mm.refinement import InstanceMasks

BY_STEM = {"a.jpg": "a", "a.png": "a.png", "sub/a.jpg": "sub/a"}
"""Files that are made of images, of which two have the same stem."""

WITHOUT_SCORES = {"yolo", "voc"}


def file_of(format, name):
    """What readers of the tests call the entry of an image."""
    stem = BY_STEM.get(name, str(PurePosixPath(name).with_suffix("")))
    suffix = PurePosixPath(name).suffix
    if format == "yolo":
        return f"{stem}.txt"
    return f"{stem}{suffix}" if format in ("labelme", "voc") else name


def exported(format, folder, **options):
    with open_exporter(format, folder / format, CATEGORIES, **options) as exporter:
        export_all(exporter, folder / "photos")
    found = READERS[format](folder / format)
    if format == "labelstudio":
        found = {unquote(key.partition("?d=")[2]): value for key, value in found.items()}
    return found


def test_every_format_is_tested():
    assert set(READERS) == set(EXPORT_FORMATS) == set(export_formats())


@pytest.mark.parametrize("format", EXPORT_FORMATS)
def test_masks_classes_and_scores_come_back(tmp_path, format):
    found = exported(format, tmp_path)
    assert set(found) == {file_of(format, name) for name in NAMES}
    expected = instances()
    for name in NAMES[:-1]:
        masks = found[file_of(format, name)]
        assert [label for label, _, _ in masks] == [CATEGORIES[one] for one in expected.labels]
        scores = [score for _, score, _ in masks]
        assert scores == (
            [None] * len(masks) if format in WITHOUT_SCORES else pytest.approx(expected.scores)
        )
        for (_, _, mask), (kind, true) in zip(masks, hard_masks().items(), strict=True):
            lost = (mask != true).sum()
            if format == "labelme":  # outlines are simpler
                assert lost <= 0.1 * true.sum(), kind
            else:
                bridge = 4 if (format, kind) == ("yolo", "several parts") else 0
                assert lost <= bridge, kind
    assert found[file_of(format, NAMES[-1])] == []


@pytest.mark.parametrize("format", EXPORT_FORMATS)
def test_an_export_without_images(tmp_path, format):
    open_exporter(format, tmp_path / "out").close()
    assert READERS[format](tmp_path / "out") == {}


@pytest.mark.parametrize("format", EXPORT_FORMATS)
def test_no_names_and_no_scores(tmp_path, format):
    masks = list(hard_masks().values())[:2]
    with open_exporter(format, tmp_path / "out") as exporter:
        exporter.add("a.png", InstanceMasks(np.array(masks), np.array([1, 5])))
    ((label, score, _), (other, _, _)) = next(iter(READERS[format](tmp_path / "out").values()))
    assert (label, other, score) == ("object", "class 5", None)


@pytest.mark.parametrize("format", ["voc", "png"])
def test_of_masks_that_overlap_the_best_is_on_top(tmp_path, format):
    large, small, hidden = (np.zeros(SIZE, dtype=bool) for _ in range(3))
    large[5:20, 5:30], small[8:12, 8:20], hidden[9, 9] = True, True, True
    scores = np.array([0.5, 0.5, 0.1])
    masks = InstanceMasks(np.array([large, small, hidden]), np.array([3, 7, 3]), scores)
    with open_exporter(format, tmp_path / "out", CATEGORIES) as exporter:
        exporter.add("a.png", masks)
        exporter.add("b.png", masks.select([0]))
    (first, second) = READERS[format](tmp_path / "out")["a.png"]
    np.testing.assert_array_equal(first[2], large & ~small)
    np.testing.assert_array_equal(second[2], small)
    (note,) = exporter.notes
    assert note.startswith("masks overlap") and note.endswith(": 1 image, a.png")


def test_more_masks_than_voc_has_numbers_for(tmp_path):
    masks = np.zeros((300, *SIZE), dtype=bool)
    masks[np.arange(300), np.arange(300) // 40, np.arange(300) % 40] = True
    scores = np.linspace(1, 0, 300)
    found = InstanceMasks(masks, np.ones(300, dtype=np.int64), scores)
    with open_exporter("voc", tmp_path / "out") as exporter:
        exporter.add("a.png", found)
    kept = READERS["voc"](tmp_path / "out")["a.png"]
    assert len(kept) == 254
    np.testing.assert_array_equal(np.array([mask for _, _, mask in kept]), masks[:254])
    assert "those of the lowest scores are left out: 1 image" in exporter.notes[0]


def test_photos_lie_where_the_format_wants_them(tmp_path):
    for photos in ("copy", "link", "none"):
        folder = tmp_path / photos
        exported("yolo", folder, photos=photos)
        for name in NAMES:
            stem = BY_STEM.get(name, str(PurePosixPath(name).with_suffix("")))
            path = folder / f"yolo/images/train/{stem}{PurePosixPath(name).suffix}"
            assert path.exists() == (photos != "none")
            assert path.is_symlink() == (photos == "link")
            if photos != "none":
                assert path.read_bytes() == (folder / "photos" / name).read_bytes()


def test_the_tolerance_of_labelme_is_what_makes_outlines_short(tmp_path):
    rows, columns = np.mgrid[:200, :200]
    disc = (rows - 100) ** 2 + (columns - 90) ** 2 < 60**2
    with open_exporter("labelme", tmp_path / "out") as exporter:
        exporter.add("a.png", InstanceMasks(disc[None], np.array([1])))
    (shape,) = json.loads((tmp_path / "out/a.json").read_text())["shapes"]
    assert len(shape["points"]) < 250 and TOLERANCE == 0.5
    lost = (filled(shape["points"], disc.shape) != disc).sum()
    assert lost <= 0.005 * disc.sum()
