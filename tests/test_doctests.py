"""The examples in docstrings run, and print what they say."""

import doctest
import importlib
from pathlib import Path

import pytest
from PIL import Image

from trace_mm import ops
from trace_mm.datasets import render_scene

ROOT = Path(__file__).parents[1]
MODULES = sorted(
    ".".join(path.relative_to(ROOT).with_suffix("").parts)
    for path in (ROOT / "trace_mm").rglob("*.py")
    if ">>> " in path.read_text(encoding="utf-8")
)
NEEDS_A_MODEL = {"trace_mm.attention.tap"}
"""What their examples are about is not made in a line or two; other tests use it."""
WITHOUT_EXAMPLE = {
    "blob_energy",
    "candidate_graph",
    "contour_map",
    "distinct_nodes",
    "edge_affinities",
    "edge_cores",
    "enclosed_components",
    "join_small_regions",
    "matching_sizes",
    "maximum_matching",
    "merge_regions",
    "merge_weak_borders",
    "neighbor_divergence",
    "normalized_cut",
    "paste_objects",
    "placed",
    "propagate_fragments",
    "random_walk_laplacian",
    "region_attention",
    "region_graph",
    "suppress_non_maxima",
    "token_edges_at",
    "usual_object_size",
}
"""Functions of trace_mm.ops that work on what other functions make."""


@pytest.mark.parametrize("module", [name for name in MODULES if name not in NEEDS_A_MODEL])
def test_examples_print_what_they_say(module, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    Image.fromarray(render_scene(0, 0, (96, 128)).image).save("photo.jpg")
    tests = doctest.DocTestFinder().find(importlib.import_module(module))
    runner = doctest.DocTestRunner(optionflags=doctest.ELLIPSIS)
    for test in tests:
        runner.run(test)
    found = runner.summarize(verbose=False)
    assert found.attempted > 0
    assert found.failed == 0, capsys.readouterr().out


def test_functions_have_examples():
    functions = {name for name in ops.__all__ if name.islower() and callable(getattr(ops, name))}
    with_example = {name for name in functions if ">>> " in (getattr(ops, name).__doc__ or "")}
    assert functions - with_example == WITHOUT_EXAMPLE
