"""docs/refinement.md: a reader of another package, as its example has it."""

import json
import sys
import tomllib

import numpy as np
import pytest

from tests.documented_commands import documented_block
from tests.plugin_packages import install
from tests.touching_squares import SIZE, image_name, square_ids, write_data
from trace_mm.cli import main
from trace_mm.refinement import open_masks
from trace_mm.registry import MASK_READERS

PAGE = "docs/refinement.md"


@pytest.fixture
def data(tmp_path):
    """Photos, edges, and in ``masks`` polygons: one of both squares."""
    root = write_data(tmp_path / "data", count=2)
    (root / "masks").mkdir()
    height, width = SIZE
    for number in (1, 2):
        rows, columns = np.nonzero(square_ids(number))
        top, bottom = rows.min() / height, rows.max() / height
        left, right = columns.min() / width, columns.max() / width
        corners = f"{left} {top} {right} {top} {right} {bottom} {left} {bottom}"
        (root / "masks" / f"{image_name(number)}.txt").write_text(f"4 {corners}\n")
    return root


@pytest.fixture
def site(tmp_path, monkeypatch):
    """A folder of ``sys.path``; what is imported from it and registered is forgotten."""
    monkeypatch.setattr(MASK_READERS, "_module_dict", dict(MASK_READERS.module_dict))
    monkeypatch.syspath_prepend(tmp_path / "site")
    yield tmp_path / "site"
    sys.modules.pop("my_masks", None)


@pytest.fixture
def package(site):
    """The package of the page, installed."""
    declared = tomllib.loads(documented_block(PAGE, "reader entry point"))["project"][
        "entry-points"
    ]
    install(site, "my-masks", declared)
    (site / "my_masks.py").write_text(documented_block(PAGE, "reader example"))
    return site


def refine(data, out, *options):
    paths = ["--masks", data / "masks", "--images", data / "photos", "--edges", data / "edges"]
    return main(["refine", *map(str, [*paths, "--out", out, *options])])


def test_the_example_of_the_page(data, tmp_path, package, capsys):
    named, recognised = tmp_path / "named.json", tmp_path / "recognised.json"
    assert refine(data, named, "--format", "yolo") == 0
    told = f"{data / 'masks'}: read as 'yolo' (my_masks); --format names another format"
    assert told not in capsys.readouterr().err
    assert refine(data, recognised) == 0
    assert f"note: {told}" in capsys.readouterr().err
    contents = [json.loads(path.read_text()) for path in (named, recognised)]
    assert contents[0]["annotations"] == contents[1]["annotations"]
    assert len(contents[0]["annotations"]) == 4  # both squares of both images
    assert {one["category_id"] for one in contents[0]["annotations"]} == {5}


def test_the_help_lists_it(package, capsys):
    with pytest.raises(SystemExit):
        main(["refine", "--help"])
    assert "dhr, mars, yolo" in " ".join(capsys.readouterr().out.split())
    assert "my_masks" not in sys.modules


def test_masks_that_it_cannot_read(data, tmp_path, package, capsys):
    (data / "masks" / f"{image_name(2)}.txt").write_text("4 0.1 x")
    assert refine(data, tmp_path / "out.json") == 2
    line = capsys.readouterr().err.splitlines()[-1]
    cause = "could not convert string to float: 'x'"
    assert line == f"trace-mm: error: {data / 'masks'}: image '{image_name(2)}': {cause}"


def test_a_package_that_cannot_be_imported(data, tmp_path, package, capsys):
    (package / "my_masks.py").write_text("import nowhere_at_all")
    cause = "mask reader 'yolo' of package my-masks: my_masks:YoloReader cannot be imported: "
    assert refine(data, tmp_path / "out.json", "--format", "yolo") == 2
    assert f"trace-mm: error: {cause}" in capsys.readouterr().err.splitlines()[-1]
    assert refine(data, tmp_path / "out.json") == 2  # none of ours reads the text files
    assert cause in capsys.readouterr().err.splitlines()[-1]
    (data / "masks.json").rename(data / "others.json")
    paths = ["--masks", data / "others.json", "--images", data / "photos"]
    paths += ["--edges", data / "edges", "--out", tmp_path / "out.json"]
    assert main(["refine", *map(str, paths)]) == 0
    assert f"note: {cause}" in capsys.readouterr().err


def test_a_reader_that_fails_to_look(data, package):
    source = documented_block(PAGE, "reader example").replace(
        "        return kinds ==", "        return nothing =="
    )
    (package / "my_masks.py").write_text(source)
    reader = open_masks(data / "masks.json")
    assert type(reader).__name__ == "MaskCutReader"
    fails = f"{data / 'masks.json'}: mask reader 'yolo' (my_masks) fails: NameError"
    assert [note for note in reader.notes if note.startswith(fails)]


def test_two_readers_of_one_folder(data, package):
    @MASK_READERS.register_module(name="mine")
    class Mine(MASK_READERS.get("dhr")):
        @classmethod
        def recognizes(cls, source):
            return source.is_folder

    with pytest.raises(ValueError, match=r"could be of .*: name one by --format"):
        open_masks(data / "masks")
    assert type(open_masks(data / "masks", "yolo")).__name__ == "YoloReader"
    assert type(open_masks(data / "masks.json")).__name__ == "MaskCutReader"
