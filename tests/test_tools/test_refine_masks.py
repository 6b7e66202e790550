"""tools/refine_masks.py, and tools/test.py with the same configs, run as a user does."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image

from tests.documented_commands import documented_block
from tests.touching_squares import SIZE, change_json, image_name, write_data

PROJECT = Path(__file__).parents[2]
CONFIG = """
_base_ = ["{base}"]
model = dict(edges=dict(_delete_=True, type="{edges}"), refiner=dict(steps=64, min_border=0.5))
test_dataloader = dict(num_workers=0)
"""


@pytest.fixture
def root(tmp_path):
    """The layout of the procedural scenes."""
    root = write_data(tmp_path / "data", count=2)
    (root / "photos").rename(root / "images")
    (root / "masks").mkdir()
    (root / "masks.json").rename(root / "masks" / "maskcut_scenes.json")
    change_json(
        root / "masks" / "maskcut_scenes.json",
        lambda content: [
            image.update(file_name=Path(image["file_name"]).name) for image in content["images"]
        ],
    )
    return root


def write_config(folder, edges):
    path = folder / f"{edges}.py"
    base = PROJECT / "configs" / "uis" / "maskcut_trace_scenes.py"
    path.write_text(CONFIG.format(base=base.as_posix(), edges=edges))
    return path


def run(tool, config, root, *options, path=""):
    return subprocess.run(
        [
            *(sys.executable, f"tools/{tool}", str(config), *map(str, options)),
            *("--cfg-options", f"data_root={root}"),
        ],
        cwd=PROJECT,
        env={**os.environ, "PYTHONPATH": f"{PROJECT}{os.pathsep}{path}", "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        check=False,
    )


def scores_of(done):
    """The table that is printed last."""
    assert done.returncode == 0, done.stderr[-3000:]
    rows = [line.split() for line in done.stdout.splitlines()]
    return {row[0]: float(row[1]) for row in rows if len(row) == 2 and row[0].startswith("A")}


def test_masks_are_refined(root, tmp_path):
    out = tmp_path / "refined.json"
    config = write_config(tmp_path, "CannyDetector")
    options = ["--out", out, "--device", "cpu", "--show-dir", tmp_path / "pictures"]
    done = run("refine_masks.py", config, root, *options)
    assert done.returncode == 0, done.stderr[-3000:]
    assert "4 masks of 2 images, 0 images failed" in done.stdout
    content = json.loads(out.read_text())
    assert [image["id"] for image in content["images"]] == [1, 2]
    assert content["info"]["edges"]["model"] == "CannyDetector"
    assert content["info"]["refiner"]["steps"] == 64
    assert (tmp_path / "pictures" / f"{image_name(1)}.png").is_file()


def test_masks_are_scored(root, tmp_path):
    config = write_config(tmp_path, "TrueEdges")
    out = tmp_path / "scores.json"
    work = ["--work-dir", tmp_path / "work"]
    refined = scores_of(run("test.py", config, root, *work, "--out", out))
    assert refined["AP75"] == 1
    assert refined["AR100"] > 0.6
    assert json.loads(out.read_text())["detections"] == 4
    for number in (1, 2):
        blank = Image.new("L", (SIZE[1], SIZE[0]))
        blank.save(root / "edges" / f"{image_name(number)}.png")
    edges = ["--edges", root / "edges"]
    assert scores_of(run("test.py", config, root, *work, *edges))["AP75"] == 0


def test_edges_come_from_where_a_word_says(root, tmp_path):
    config = write_config(tmp_path, "CannyDetector")
    out = tmp_path / "refined.json"
    done = run("refine_masks.py", config, root, "--out", out, "--edges-from", "sobel_scenes")
    assert done.returncode == 0, done.stderr
    assert json.loads(out.read_text())["info"]["edges"]["model"] == "SobelDetector"
    done = run("test.py", config, root, "--work-dir", tmp_path / "work", "--edges-from", "nothing")
    assert done.returncode == 2 and "nothing" in done.stderr.splitlines()[-1]


def test_a_reader_that_the_config_imports(root, tmp_path):
    """docs/refinement.md: a module on PYTHONPATH, without a package."""
    page = "docs/refinement.md"
    (tmp_path / "my_masks.py").write_text(documented_block(page, "reader example"))
    (root / "yolo").mkdir()
    (root / "yolo" / f"{image_name(1)}.txt").write_text("6 0.1 0.1 0.9 0.1 0.9 0.9")
    config = write_config(tmp_path, "CannyDetector")
    masks = "test_dataloader['dataset'] = dict(masks=dict(path='yolo', format='yolo'))\n"
    config.write_text(config.read_text() + documented_block(page, "reader config") + masks)
    options = ["--out", tmp_path / "out.json", "--device", "cpu"]
    done = run("refine_masks.py", config, root, *options, path=tmp_path)
    assert done.returncode == 0, done.stderr[-3000:]
    annotations = json.loads((tmp_path / "out.json").read_text())["annotations"]
    assert {one["category_id"] for one in annotations} == {7}
