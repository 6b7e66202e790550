"""The tutorials of docs/tutorials: notebooks kept as text, run from first cell to last."""

import json
import os
import sys
from pathlib import Path

import jupytext
import pytest
from nbclient import NotebookClient

ROOT = Path(__file__).parents[1]
TUTORIALS = sorted((ROOT / "docs" / "tutorials").glob("*.md"))
PICTURES = {"your_photos": 3, "refine_masks": 1, "your_domain": 3}
"""How many pictures a reader sees, at least."""


def made_by_your_photos(folder):
    assert (folder / "dataset" / "data.yaml").is_file()


def made_by_refine_masks(folder):
    before, after = scores(folder, "before.json", "after.json")
    assert after["AP"] > before["AP"]


def made_by_panoptic_labels(folder):
    before, after = scores(folder, "without.json", "with.json")
    assert after["PQ"] > before["PQ"]


def made_by_your_domain(folder):
    assert (folder / "my-student" / "README.md").is_file()


def scores(folder, *names):
    return [json.loads((folder / name).read_text()) for name in names]


@pytest.mark.slow
@pytest.mark.parametrize("path", TUTORIALS, ids=lambda path: path.stem)
def test_tutorials_run(path, tmp_path, monkeypatch):
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    monkeypatch.setenv("PATH", f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}")
    notebook = jupytext.read(path)
    assert any(cell.cell_type == "code" for cell in notebook.cells)
    resources = {"metadata": {"path": str(tmp_path)}}
    NotebookClient(notebook, timeout=600, resources=resources).execute()
    outputs = [output for cell in notebook.cells for output in cell.get("outputs", [])]
    pictures = [one for one in outputs if "image/png" in one.get("data", {})]
    assert len(pictures) >= PICTURES.get(path.stem, 0)
    globals().get(f"made_by_{path.stem}", lambda _: None)(tmp_path)
