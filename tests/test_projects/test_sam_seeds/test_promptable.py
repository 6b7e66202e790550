"""Tiny random SAMs, saved and loaded, answer as transformers' own code does, prompt by prompt."""

import json

import numpy as np
import pytest
import torch
from transformers import AutoModelForMaskGeneration, SamProcessor, SwinConfig, SwinModel

from projects.sam_seeds.promptable import SegmentAnything
from projects.sam_seeds.seeds import Prompting, Seeds
from tests.tiny_sams import SAMS, save_sam, save_sam2
from trace_mm.jobs.edge_sources import NamedImage
from trace_mm.runs.job import UnusableError

SIDES = {"sam": 32, "sam2": 64, "sam3": 56}


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    return {name: save(tmp_path_factory.mktemp(name)) for name, save in SAMS.items()}


def image_of(size):
    pixels = np.random.default_rng(0).integers(0, 256, (*size, 3), dtype=np.uint8)
    return NamedImage("photo.png", pixels.astype(np.float32) / 255)


def prompts_of(size, kinds, others=1):
    masks = np.zeros((3, *size), dtype=bool)
    masks[0, 2:8, 3:9] = masks[1, 10:18, 12:25] = masks[2, :5, 15:30] = True
    seeds = Seeds.of_masks(masks, np.zeros(3, dtype=np.int64))
    return Prompting(kinds, points=2, others=others)(seeds, size)


@pytest.mark.parametrize("pick", ["score", "single"])
@pytest.mark.parametrize("kinds", [("box",), ("points",), ("box", "points")])
def test_sam_answers_as_through_its_processor(folders, kinds, pick):
    """Also of an image that is padded: its own preprocessing, coordinates, and way back."""
    image, prompts = image_of((20, 30)), prompts_of((20, 30), kinds)
    answers = SegmentAnything(str(folders["sam"]), "cpu", pick=pick, chunk=2)(image, prompts)
    processor = SamProcessor.from_pretrained(folders["sam"])
    model = AutoModelForMaskGeneration.from_pretrained(folders["sam"])
    for index, mask in enumerate(answers.masks):
        given = {}
        if prompts.boxes is not None:
            given["input_boxes"] = [[prompts.boxes[index].tolist()]]
        if prompts.points is not None:
            given["input_points"] = [[prompts.points[index].tolist()]]
            given["input_labels"] = [[prompts.labels[index].tolist()]]
        pixels = np.rint(image.pixels * 255).astype(np.uint8)
        inputs = processor(images=pixels, return_tensors="pt", **given)
        sizes = inputs.pop("original_sizes"), inputs.pop("reshaped_input_sizes")
        inputs = {
            name: value.float() if value.is_floating_point() else value
            for name, value in inputs.items()
        }
        with torch.no_grad():
            found = model(**inputs, multimask_output=pick == "score")
        (logits,) = processor.image_processor.post_process_masks(
            found.pred_masks, *sizes, binarize=False
        )
        best = int(found.iou_scores[0, 0].argmax())
        sure = (logits[0, best].abs() > 0.01 * logits.abs().max()).numpy()  # not by rounding
        assert sure.mean() > 0.7
        np.testing.assert_array_equal(mask[sure], (logits[0, best] > 0).numpy()[sure])
        assert answers.scores[index] == pytest.approx(
            float(found.iou_scores[0, 0, best].clamp(0, 1)), abs=1e-4
        )


@pytest.mark.parametrize("kinds", [("box",), ("points",), ("mask",), ("box", "points", "mask")])
@pytest.mark.parametrize("name", SAMS)
def test_a_chunk_of_prompts_is_answered_as_each_alone(folders, name, kinds):
    """Of an image that fills the square, which needs no preparation but normal colours."""
    side = SIDES[name]
    image, prompts = image_of((side, side)), prompts_of((side, side), kinds)
    answers = SegmentAnything(str(folders[name]), "cpu", chunk=2)(image, prompts)
    model = AutoModelForMaskGeneration.from_pretrained(folders[name])
    colors = json.loads((folders[name] / "preprocessor_config.json").read_text())
    mean, std = (torch.tensor(colors[key]).view(3, 1, 1) for key in ("image_mean", "image_std"))
    square = (torch.from_numpy(image.pixels).permute(2, 0, 1) - mean) / std
    for index, mask in enumerate(answers.masks):
        given = {}
        if prompts.boxes is not None:
            given["input_boxes"] = torch.tensor(prompts.boxes[None, index : index + 1]).float()
        if prompts.points is not None:
            given["input_points"] = torch.tensor(prompts.points[None, index : index + 1]).float()
            given["input_labels"] = torch.tensor(prompts.labels[None, index : index + 1])
        if prompts.masks is not None:
            low = 4 * model.prompt_encoder.image_embedding_size[0]
            shares = torch.nn.functional.interpolate(
                torch.tensor(prompts.masks[None, index : index + 1]).float(),
                (low, low),
                mode="bilinear",
                antialias=True,
            )
            given["input_masks"] = 16 * shares - 8
        with torch.no_grad():
            found = model(pixel_values=square[None], **given)
        best = int(found.iou_scores[0, 0].argmax())
        logits = torch.nn.functional.interpolate(
            found.pred_masks[0, :, best : best + 1], (side, side), mode="bilinear"
        )[0, 0]
        sure = (logits.abs() > 0.001 * logits.abs().max()).numpy()
        np.testing.assert_array_equal(mask[sure], (logits > 0).numpy()[sure])
        assert answers.scores[index] == pytest.approx(
            float(found.iou_scores[0, 0, best].clamp(0, 1)), abs=1e-5
        )


def test_mask_prompts_matter(folders):
    """That the masks of the prompts above are not lost on the way."""
    size = (64, 64)
    model = SegmentAnything(str(folders["sam2"]), "cpu")
    answers = model(image_of(size), prompts_of(size, ("mask",)))
    assert (answers.masks[0] != answers.masks[1]).any()


@pytest.mark.parametrize("name", ["sam2", "sam3"])
def test_processors_agree_on_images_that_are_squeezed(folders, name):
    """With torchvision, which their processors need."""
    pytest.importorskip("torchvision")
    from transformers import AutoProcessor

    image, prompts = image_of((20, 30)), prompts_of((20, 30), ("box",))
    answers = SegmentAnything(str(folders[name]), "cpu")(image, prompts)
    processor = AutoProcessor.from_pretrained(folders[name])
    pixels = np.rint(image.pixels * 255).astype(np.uint8)
    inputs = processor(images=pixels, input_boxes=[prompts.boxes.tolist()], return_tensors="pt")
    model = AutoModelForMaskGeneration.from_pretrained(folders[name])
    sizes = inputs.pop("original_sizes")
    with torch.no_grad():
        found = model(**inputs)
    (logits,) = processor.post_process_masks(found.pred_masks, sizes, binarize=False)
    for index, mask in enumerate(answers.masks):
        best = int(found.iou_scores[0, index].argmax())
        own = logits[index, best]
        sure = (own.abs() > 0.05 * own.abs().max()).numpy()
        np.testing.assert_array_equal(mask[sure], (own > 0).numpy()[sure])


def test_no_prompts_need_no_answer(folders):
    empty = Seeds.of_masks(np.zeros((0, 20, 30), bool), np.zeros(0, dtype=np.int64))
    prompts = Prompting()(empty, (20, 30))
    answers = SegmentAnything(str(folders["sam"]), "cpu")(image_of((20, 30)), prompts)
    assert answers.masks.shape == (0, 20, 30) and answers.scores.shape == (0,)


def test_settings_follow_the_files(tmp_path):
    model = SegmentAnything(str(save_sam(tmp_path / "sam")), "cpu")
    before = model.settings()
    (tmp_path / "sam/preprocessor_config.json").write_text("{}")
    assert model.settings() != before
    assert SegmentAnything("facebook/sam-vit-huge", "cpu").settings()["model"].endswith("huge")


def test_models_that_cannot_be_asked(tmp_path, folders):
    prompts = prompts_of((20, 30), ("box",))
    with pytest.raises(FileNotFoundError, match=r"config\.json"):
        (tmp_path / "empty").mkdir()
        SegmentAnything(str(tmp_path / "empty"), "cpu")(image_of((20, 30)), prompts)
    SwinModel(SwinConfig(embed_dim=8, depths=[1], num_heads=[1])).save_pretrained(tmp_path / "swin")
    with pytest.raises(UnusableError, match="a swin takes no prompts"):
        SegmentAnything(str(tmp_path / "swin"), "cpu")(image_of((20, 30)), prompts)
    folder = save_sam2(tmp_path / "sam2")
    (folder / "preprocessor_config.json").unlink()
    with pytest.raises(UnusableError, match=r"no preprocessor_config\.json"):
        SegmentAnything(str(folder), "cpu")(image_of((20, 30)), prompts)
