"""Grounding DINO: names as a text, scores of classes, and a tiny random model as saved."""

import numpy as np
import pytest
import torch

from projects.sam_seeds.grounding import (
    GroundingDino,
    class_scores,
    corners,
    in_texts,
    sentence,
    spoken,
    token_spans,
)
from tests.tiny_sams import save_grounding_dino
from trace_mm.jobs.edge_sources import NamedImage
from trace_mm.panoptic import PanopticClasses

CLASSES = PanopticClasses.create(["red-square", "cat"], ["squares"])


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return save_grounding_dino(tmp_path_factory.mktemp("detector"))


@pytest.fixture(scope="module")
def tokenizer(folder):
    from transformers import AutoTokenizer

    return AutoTokenizer.from_pretrained(folder)


def test_names_are_spoken():
    assert spoken("dining-table") == "dining table"
    assert spoken("wall-other-merged") == "wall" and spoken("other") == "other"


def test_where_names_stand_in_a_text():
    text, spans = sentence(["red square", "cat"])
    assert text == "red square. cat."
    assert [text[start:stop] for start, stop in spans] == ["red square", "cat"]


def test_tokens_of_names(tokenizer):
    text, spans = sentence(["red squares", "cat"])
    ids = tokenizer(text)["input_ids"]
    words = [
        tokenizer.convert_ids_to_tokens([ids[number] for number in own])
        for own in token_spans(tokenizer, text, spans)
    ]
    assert words == [["red", "square", "##s"], ["cat"]]


def test_names_are_shared_out_among_texts(tokenizer):
    names = ["red square", "cat", "red", "cat"]  # with full stops 3, 2, 2, 2; and both ends
    assert list(in_texts(names, tokenizer, 7)) == [[0, 1], [2, 3]]
    assert list(in_texts(names, tokenizer, 100)) == [[0, 1, 2, 3]]
    assert list(in_texts([], tokenizer, 7)) == []
    with pytest.raises(ValueError, match="'red square' is longer"):
        list(in_texts(names, tokenizer, 4))


def test_scores_of_classes():
    tokens = np.array([[0.1, 0.7, 0.2, 0.4], [0.5, 0.0, 0.3, 0.9]])
    found = class_scores(tokens, [[1, 2], [3], []])
    assert found.tolist() == [[0.7, 0.4, 0], [0.3, 0.9, 0]]


def test_corners_are_within_the_image():
    boxes = np.array([[0.5, 0.5, 0.5, 0.5], [0.0, 1.0, 0.5, 0.5]])
    assert corners(boxes, (10, 20)).tolist() == [[5, 2.5, 15, 7.5], [0, 7.5, 5, 10]]


def test_a_saved_model_is_asked_as_transformers_does(folder):
    from transformers import AutoModelForZeroShotObjectDetection, AutoProcessor

    pixels = np.random.default_rng(0).integers(0, 256, (20, 30, 3), dtype=np.uint8)
    image = NamedImage("photo.png", pixels.astype(np.float32) / 255)
    detector = GroundingDino(str(folder), CLASSES, "all", min_score=0, device="cpu")
    seeds = detector(image, None, None)
    model = AutoModelForZeroShotObjectDetection.from_pretrained(folder)
    processor = AutoProcessor.from_pretrained(folder)
    inputs = processor(images=pixels, text=[["red square", "cat"]], return_tensors="pt")
    with torch.no_grad():
        found = model(**inputs)
    (expected,) = processor.post_process_grounded_object_detection(
        found, threshold=-1, target_sizes=[(20, 30)]
    )
    assert len(seeds) == 5
    np.testing.assert_allclose(
        seeds.boxes, expected["boxes"].clamp(min=0).numpy().clip(0, [30, 20, 30, 20]), atol=1e-3
    )
    chances = found.logits[0].sigmoid().numpy()  # [CLS] red square . cat . [SEP]
    by_class = np.column_stack([chances[:, 1:3].max(1), chances[:, 4]])
    np.testing.assert_array_equal(seeds.classes, by_class.argmax(1))
    np.testing.assert_allclose(seeds.scores, by_class.max(1), rtol=1e-4)


def test_names_of_the_classes_in_the_map(folder):
    image = NamedImage("photo.png", np.zeros((20, 30, 3), np.float32))
    classes = np.full((20, 30), -1, dtype=np.int32)
    detector = GroundingDino(str(folder), CLASSES, "map", min_score=0, device="cpu")
    assert len(detector(image, classes, None)) == 0  # no name, nothing asked
    classes[0] = 1
    assert set(detector(image, classes, None).classes.tolist()) == {1}
    classes[1] = 2  # stuff
    assert set(detector(image, classes, None).classes.tolist()) == {1}
    assert "squares" not in detector.settings()["names"]


def test_wrong_tags(folder):
    with pytest.raises(ValueError, match="tags must be one of map, all"):
        GroundingDino(str(folder), CLASSES, "some")
