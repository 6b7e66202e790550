"""What all exporters have in common: whole folders, names, classes."""

import numpy as np
import pytest

from tests.exported_masks import SIZE, instances, write_photo
from trace_mm.exporters import MaskExporter, open_exporter
from trace_mm.exporters.class_names import ClassNames
from trace_mm.refinement import InstanceMasks


def files_in(folder):
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*"))


def test_nothing_is_there_before_it_is_complete(tmp_path):
    exporter = open_exporter("coco", tmp_path / "out")
    exporter.add("a.png", instances())
    assert not (tmp_path / "out").exists()
    exporter.close()
    assert files_in(tmp_path) == ["out", "out/.trace_mm_export.json", "out/instances.json"]
    exporter.close()  # does nothing
    with pytest.raises(ValueError, match="out: this exporter is closed"):
        exporter.add("b.png", instances())


def test_an_error_leaves_nothing_behind(tmp_path):
    with pytest.raises(RuntimeError), open_exporter("yolo", tmp_path / "out") as exporter:
        exporter.add("a.png", instances())
        raise RuntimeError
    assert files_in(tmp_path) == []


def test_an_error_while_closing_leaves_what_was_there(tmp_path):
    class Broken(MaskExporter):
        def _add(self, image, masks):
            self._write("masks.txt", str(len(masks)).encode())

        def _close(self):
            raise OSError("no space left")

    with open_exporter("coco", tmp_path / "out") as exporter:
        exporter.add("a.png", instances())
    before = (tmp_path / "out/instances.json").read_bytes()
    with (
        pytest.raises(OSError, match="no space left"),
        Broken(tmp_path / "out", overwrite=True) as exporter,
    ):
        exporter.add("a.png", instances())
    assert files_in(tmp_path / "out") == [".trace_mm_export.json", "instances.json"]
    assert (tmp_path / "out/instances.json").read_bytes() == before
    assert files_in(tmp_path)[0] == "out" and len(list(tmp_path.iterdir())) == 1


def test_an_earlier_export_is_replaced_when_asked(tmp_path):
    open_exporter("yolo", tmp_path / "out").close()
    with pytest.raises(ValueError, match="out is there from an earlier export: --overwrite"):
        open_exporter("coco", tmp_path / "out")
    open_exporter("coco", tmp_path / "out", overwrite=True).close()
    assert files_in(tmp_path / "out") == [".trace_mm_export.json", "instances.json"]
    assert len(list(tmp_path.iterdir())) == 1


@pytest.mark.parametrize("overwrite", [False, True])
def test_other_folders_are_left_alone(tmp_path, overwrite):
    write_photo(tmp_path / "out", "a.png")
    with pytest.raises(ValueError, match="out is not empty, and not of an earlier export"):
        open_exporter("coco", tmp_path / "out", overwrite=overwrite)
    assert files_in(tmp_path) == ["out", "out/a.png"]


@pytest.mark.parametrize("name", ["../a.png", "/a.png", "", "a/../../b.png", "a\0.png"])
def test_names_that_lead_elsewhere(tmp_path, name):
    with (
        pytest.raises(ValueError, match="must be a path within the folder of images"),
        open_exporter("png", tmp_path / "out") as exporter,
    ):
        exporter.add(name, instances())


@pytest.mark.parametrize("format", ["cvat", "voc"])
def test_names_that_xml_cannot_hold(tmp_path, format):
    with (
        pytest.raises(ValueError, match=r"XML cannot hold the character '\\x07' of a name"),
        open_exporter(format, tmp_path / "out") as exporter,
    ):
        exporter.add("bell \x07.png", instances())


def test_empty_masks_are_left_out(tmp_path):
    masks = InstanceMasks(np.zeros((2, *SIZE), dtype=bool), np.array([1, 1]))
    with open_exporter("yolo", tmp_path / "out") as exporter:
        exporter.add("a.png", masks)
    assert (tmp_path / "out/labels/train/a.txt").read_text() == ""
    assert exporter.notes == ["empty masks, which are left out: 1 image, a.png"]


def test_unknown_formats_and_options(tmp_path):
    with pytest.raises(ValueError, match=r"format must be one of coco, yolo, .*, got 'tfrecord'"):
        open_exporter("tfrecord", tmp_path / "out")
    with pytest.raises(ValueError, match="photos must be one of copy, link, none, got 'move'"):
        open_exporter("yolo", tmp_path / "out", photos="move")
    assert files_in(tmp_path) == []


def test_classes_are_numbered_as_they_are_known_or_met():
    classes = ClassNames({7: "cat", 3: "dog"})
    assert [classes.index(label) for label in (7, 9, 3, 1)] == [1, 2, 0, 3]
    assert classes.all() == {3: "dog", 7: "cat", 9: "class 9", 1: "class 1"}
    assert ClassNames({}).all() == {1: "object"}


def test_no_two_classes_have_the_same_name():
    classes = ClassNames({1: "a", 2: "a", 3: "a 2", 4: " "})
    assert list(classes.all().values()) == ["a", "a 2", "a 2 3", "class 4"]
    assert len({*classes.all().values()}) == 4
