import subprocess
import sys
from pathlib import Path

import numpy as np
from PIL import Image

from trace_mm.datasets.scenes import render_scene

PROJECT = Path(__file__).parents[2]


def draw(*arguments):
    return subprocess.run(
        [sys.executable, "tools/draw_segments.py", *map(str, arguments)],
        cwd=PROJECT,
        capture_output=True,
        text=True,
        check=False,
    )


def test_photos_edges_and_masks_are_drawn(tmp_path):
    for number, size in enumerate([(48, 64), (64, 48)]):
        Image.fromarray(render_scene(0, number, size).image).save(tmp_path / f"{number}.png")
    out = tmp_path / "picture.png"
    done = draw(out, tmp_path / "0.png", tmp_path / "1.png", "--height", 48, "--top", 5)
    assert done.returncode == 0, done.stderr
    picture = np.asarray(Image.open(out))
    assert picture.shape == (3 * 48 + 2 * 6, 64 + 6 + 36, 3)
    np.testing.assert_array_equal(picture[:48, :64], np.asarray(Image.open(tmp_path / "0.png")))


def test_another_suffix_is_refused(tmp_path):
    done = draw(tmp_path / "picture.gif", tmp_path / "none.png")
    assert done.returncode == 2
    assert "picture.gif: the suffix must be one of .jpg, .png" in done.stderr
