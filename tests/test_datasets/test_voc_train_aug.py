import importlib
import sys
from pathlib import Path

import pytest

from trace_mm.datasets.converters import voc_train_aug

TOOLS = Path(__file__).parents[2] / "tools" / "dataset_converters"


@pytest.fixture
def root(tmp_path):
    """VOC with a training image of its own, one of SBD, and two of val, of which SBD has one."""
    lists = tmp_path / "ImageSets" / "Segmentation"
    lists.mkdir(parents=True)
    (lists / "train.txt").write_text("2007_000032\n")
    (lists / "val.txt").write_text("2007_000033\n2007_000042\n")
    (tmp_path / "sbd").mkdir()
    (tmp_path / "sbd" / "train.txt").write_text("2008_000002\n2007_000033\n")
    (tmp_path / "sbd" / "val.txt").write_text("2008_000007\n2007_000032\n")
    (tmp_path / "JPEGImages").mkdir()
    for name in ("2007_000032", "2007_000033", "2008_000002", "2008_000007"):
        (tmp_path / "JPEGImages" / f"{name}.jpg").touch()
    return tmp_path


def test_images_of_both_without_those_of_val(root):
    assert voc_train_aug(root, root / "sbd") == ["2007_000032", "2008_000002", "2008_000007"]


def test_the_tool_writes_the_list_and_says_what_is_missing(root, monkeypatch, capsys):
    monkeypatch.syspath_prepend(str(TOOLS))
    arguments = ["--data-root", str(root), "--sbd", str(root / "sbd")]
    monkeypatch.setattr(sys, "argv", ["voc2012_train_aug", *arguments])
    importlib.import_module("voc2012_train_aug").main()
    sys.modules.pop("voc2012_train_aug")
    path = root / "ImageSets" / "Segmentation" / "train_aug.txt"
    assert path.read_text() == "2007_000032\n2008_000002\n2008_000007\n"
    captured = capsys.readouterr()
    assert captured.out == f"{path}: 3 images\n"
    assert "give 10582" in captured.out + captured.err


def test_missing_images_and_lists_are_named(root):
    (root / "JPEGImages" / "2008_000002.jpg").unlink()
    with pytest.raises(FileNotFoundError, match=r"2008_000002\.jpg: no such image \(1 of 3"):
        voc_train_aug(root, root / "sbd")
    (root / "sbd" / "val.txt").unlink()
    with pytest.raises(FileNotFoundError, match=r"val\.txt: no such list"):
        voc_train_aug(root, root / "sbd")
