"""Rows of tools/reproduce.py that differ by their edges: these reach the masks that are scored."""

import json

import numpy as np
import pytest
import torch
from PIL import Image

from tests.reproduced import module, planned, run_here, settings
from tests.touching_squares import (
    image_name,
    overlap,
    source_masks,
    square_edges,
    square_ids,
    write_data,
)
from trace_mm import cli
from trace_mm.apis.testing import testing_config as read_testing_config
from trace_mm.datasets.scenes.scene import render_scene
from trace_mm.refinement import BoundaryGuidedPropagation, InstanceMasks
from trace_mm.registry import MODELS
from trace_mm.structures import EdgeDataSample

catalog, experiment, parts = map(module, ("catalog", "experiment", "parts"))
COUNT = 2


def ap75(tmp_path, edges, options=None):
    """AP at IoU 0.75 by the command of a mini run, of masks that each hold two equal squares."""
    setting = experiment.Setting(tmp_path / "work", mini=True, images=COUNT)
    plan = parts.Plan(setting)
    scores = plan.mask_scores("one", "promerge", parts.SCENES, edges, options)
    root, masks = plan.root(parts.SCENES), plan.masks("promerge", parts.SCENES)
    if not root.is_dir():
        root.parent.mkdir(parents=True)
        write_data(root, COUNT).joinpath("photos").rename(root / "images")
        masks.parent.mkdir(parents=True)
        (root / "masks.json").rename(masks)
    run_here(plan.steps["scores-one-scenes"], tmp_path / "log")
    return json.loads(scores.read_text())["AP75"]


def test_edges_cut_the_masks_that_are_scored(tmp_path):
    """With the true edges from a folder both squares are found, without any neither is."""
    nothing = tmp_path / "nothing"
    nothing.mkdir()
    for number in range(1, COUNT + 1):
        Image.fromarray(np.zeros((32, 40), np.uint8)).save(nothing / f"{image_name(number)}.png")
    assert ap75(tmp_path, str(nothing)) == 0
    assert ap75(tmp_path, str(tmp_path / "work/scenes/test/edges")) == 1


def test_masks_as_they_are_need_no_edges(tmp_path):
    """The student that the config names is not even looked for."""
    assert ap75(tmp_path, None, {"edges": tmp_path / "no-student.pth"}) == 0
    with pytest.raises(AssertionError, match=r"no-student\.pth"):  # else it is missed
        ap75(tmp_path / "refined", str(tmp_path / "no-student.pth"))
    given = {"model.refiner": None}
    with pytest.raises(ValueError, match=r"promerge_trace_scenes\.py: edges would have no effect"):
        read_testing_config("promerge_trace_scenes", given, edges_from="sobel_scenes")
    given["model.scores"] = "outline"
    cfg = read_testing_config("promerge_trace_scenes", given, edges_from="sobel_scenes")
    assert cfg.model.edges.source == "sobel_scenes"


def test_pictures_of_masks_as_they_are_have_no_edges(tmp_path):
    assert ap75(tmp_path, None) == 0
    root, shown = tmp_path / "work/scenes/test", tmp_path / "shown"
    options = [f"data_root={root}", "test_dataloader.dataset.masks.path=masks.json"]
    options += ["model.refiner=None", "test_dataloader.num_workers=0"]
    masks = tmp_path / "work/masks/promerge_scenes/instances.json"
    masks.rename(root / "masks.json")
    command = ["test", "promerge_trace_scenes", "--work-dir", tmp_path / "logs"]
    command += ["--show-dir", shown, "--cfg-options", *options]
    assert cli.main([str(part) for part in command]) == 0
    for number in range(1, COUNT + 1):
        with Image.open(next(shown.rglob(f"{number}.png"))) as picture:
            assert picture.width == 2 * square_ids(1).shape[1] + 4


@pytest.mark.parametrize("strength", [0.25, 0.4])
def test_soft_edges_cut_by_the_settings_for_the_teacher(strength):
    """The preset of scenes, which is the student's, never cuts by edges as soft as these."""
    both = InstanceMasks(source_masks(1)[image_name(1)], np.array([1]))
    lines = square_edges(1) * np.float32(strength)
    usual = BoundaryGuidedPropagation("scenes")(both, lines).instances
    assert len(usual) == 1
    found = BoundaryGuidedPropagation("scenes", **parts.SOFT)(both, lines).instances
    assert len(found) == 2
    for value in (1, 2):
        square = square_ids(1) == value
        assert max(overlap(mask, square) for mask in found.masks) > 0.9


@pytest.mark.parametrize("name", ["3", "4", "5", "8", "11", "f7"])
def test_rows_of_the_teacher_have_settings_that_can_cut(name, tmp_path):
    of_teacher = [
        settings(step.command)
        for step in planned(name, tmp_path, True).steps
        if parts.MINI_TEACHER in step.command
    ]
    assert of_teacher
    for options in of_teacher:
        assert options["model.refiner.min_border"] == str(parts.SOFT["min_border"])


@pytest.mark.parametrize("name", ["7", "9", "10"])
def test_rows_of_students_trained_in_a_mini_run_have_them_too(name, tmp_path):
    refined = [
        settings(step.command)
        for step in planned(name, tmp_path, True).steps
        if step.command[1] == "test"
        and "promerge_trace_scenes" in step.command
        and any(word.endswith(".pth") for word in step.command)
    ]
    assert refined
    for options in refined:
        assert options["model.refiner.min_border"] == str(parts.SOFT["min_border"])


def edge_models(name, tmp_path):
    """Configs of the edge models of an experiment's mini run, by the names of their steps."""
    setting = experiment.Setting(tmp_path, mini=True, images=COUNT, size=64)
    found = {}
    for step in catalog.EXPERIMENTS[name](setting).steps:
        if "--edges-from" in step.command and "edges" not in step.name:
            options = cli._build_parser().parse_args(step.command[1:])
            cfg = read_testing_config(
                options.config, options.cfg_options, edges_from=options.edges_from
            )
            found[step.name] = cfg.model["edges"]
    return found


@pytest.mark.parametrize("name", ["3", "4", "9", "10", "11"])
def test_rows_take_edges_from_models_that_differ(name, tmp_path):
    models = list(edge_models(name, tmp_path).values())
    assert len(models) >= 3
    for index, one in enumerate(models):
        assert one["size"] == 64 and one not in models[:index]


def test_components_have_edges_of_their_own(tmp_path):
    """A teacher at the semantic timestep, at t*, and the student; here t* is 400."""
    image = torch.from_numpy(render_scene(1, 5, (64, 64)).image).permute(2, 0, 1).float() / 255
    found = []
    for config in edge_models("3", tmp_path).values():
        model = MODELS.build({**config})
        sample = EdgeDataSample(metainfo={"ori_shape": (64, 64)})
        found.append(model([image], [sample], mode="predict")[0].pred_edges)
    assert len(found) == 3
    for index, one in enumerate(found):
        assert all((one - other).abs().max() > 0.1 for other in found[:index])
