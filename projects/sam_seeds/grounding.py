"""Grounding DINO by transformers: the boxes of the classes whose names it is given."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from projects.sam_seeds.hub_model import HubModel
from projects.sam_seeds.seeds import Seeds
from projects.sam_seeds.sources import ClassMap
from trace_mm.files.hub import readable_hub_errors
from trace_mm.jobs.edge_sources import NamedImage
from trace_mm.panoptic import PanopticClasses

TAGS = ("map", "all")
"""Which names the detector is given: those of the classes in an image's semantic map, or all."""

Spans = list[tuple[int, int]]


class GroundingDino(HubModel[tuple[Any, Any]]):
    """Boxes of Grounding DINO (Liu et al., ECCV 2024) as seeds; loaded at the first use.

    All names together make one text, "cat. dog."; where this is longer than the model reads, it is
    asked several times. The score of a class is the highest of its words, and a box counts for the
    class with the highest score.

    Args:
        name: hub id, such as ``IDEA-Research/grounding-dino-base``, or local folder; also of MM
            Grounding DINO.
        classes: whose names are asked for.
        tags: of :data:`TAGS`.
        min_score: boxes with lower scores are left out.
        stuff: whether stuff is asked for as well.
        device: where it computes; a GPU if there is one, else the CPU, for None.

    Raises:
        ValueError: if there is no such device, or an option is wrong.
    """

    has_masks, needs_edges = False, False

    def __init__(
        self,
        name: str,
        classes: PanopticClasses,
        tags: str = "map",
        min_score: float = 0.25,
        stuff: bool = False,
        device: str | torch.device | None = None,
    ) -> None:
        if tags not in TAGS:
            raise ValueError(f"tags must be one of {', '.join(TAGS)}, got {tags!r}")
        super().__init__(name, device)
        self._names = [spoken(one) for one in classes.names]
        self._count = len(classes.names) if stuff else classes.num_things
        self._tags, self._min_score, self._stuff = tags, min_score, stuff

    def settings(self) -> dict[str, Any]:
        """The model, a folder by its files, and how it is asked."""
        return {
            "seeds": "grounding-dino",
            "detector": self.identity,
            "names": self._names[: self._count],
            "tags": self._tags,
            "min_score": self._min_score,
        }

    def __call__(
        self, image: NamedImage, classes: ClassMap | None, edges: NDArray[np.float32] | None
    ) -> Seeds:
        """The boxes of an image; see ``SeedSource``."""
        wanted: Sequence[int] = range(self._count)
        if self._tags == "map":
            assert classes is not None
            wanted = [one for one in np.unique(classes).tolist() if 0 <= one < self._count]
        found = [np.zeros((0, 6))]
        model, processor = self._load()
        for numbers in in_texts(
            [self._names[one] for one in wanted], processor.tokenizer, model.config.max_text_len
        ):
            chosen = [wanted[number] for number in numbers]
            boxes, scores = self._ask(image, [self._names[one] for one in chosen])
            best = scores.argmax(1)  # (Q,)
            rows = np.column_stack([boxes, scores.max(1), np.array(chosen)[best]])
            found.append(rows[rows[:, 4] >= self._min_score])
        rows = np.concatenate(found)
        filled = (np.ceil(rows[:, 2:4] - 0.5) > np.ceil(rows[:, :2] - 0.5)).all(1)
        rows = rows[filled]
        return Seeds(rows[:, :4], rows[:, 5].astype(np.int64), rows[:, 4])

    @torch.inference_mode()
    def _ask(
        self, image: NamedImage, names: Sequence[str]
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Boxes (Q, 4) in pixels and their scores (Q, C) for each name."""
        model, processor = self._load()
        text, spans = sentence(names)
        pixels = np.rint(image.pixels * 255).astype(np.uint8)
        inputs = processor(images=pixels, text=text, return_tensors="pt").to(self.device)
        found = model(**inputs)
        tokens = token_spans(processor.tokenizer, text, spans)
        scores = class_scores(found.logits[0].sigmoid().double().cpu().numpy(), tokens)
        return corners(found.pred_boxes[0].double().cpu().numpy(), pixels.shape[:2]), scores

    def _read(self) -> tuple[Any, Any]:
        from transformers import AutoModelForZeroShotObjectDetection, AutoProcessor

        source = str(Path(self.name).expanduser())
        with readable_hub_errors(self.name):
            model = AutoModelForZeroShotObjectDetection.from_pretrained(source)
            processor = AutoProcessor.from_pretrained(source)
        return model.to(self.device).eval(), processor


def spoken(name: str) -> str:
    """A class's name as text: "dining-table" as "dining table", "wall-other-merged" as "wall"."""
    words = name.lower().replace("_", " ").replace("-", " ").replace(".", " ").split()
    kept = [word for word in words if word not in ("merged", "other", "stuff")]
    return " ".join(kept or words)


def sentence(names: Sequence[str]) -> tuple[str, Spans]:
    """The text of several names, "cat. dog.", and where each stands in it, end not included."""
    spans, start = [], 0
    for name in names:
        spans.append((start, start + len(name)))
        start += len(name) + 2
    return ". ".join(names) + ".", spans


def in_texts(names: Sequence[str], tokenizer: Any, longest: int) -> Iterator[list[int]]:
    """Numbers of the names that fit together into a text of at most so many tokens.

    Raises:
        ValueError: if a name does not fit alone.
    """
    numbers: list[int] = []
    for number, name in enumerate(names):
        trial = [*numbers, number]
        if len(tokenizer(sentence([names[one] for one in trial])[0])["input_ids"]) <= longest:
            numbers = trial
            continue
        if not numbers:
            raise ValueError(f"the name {name!r} is longer than the detector reads")
        yield numbers
        numbers = [number]
    if numbers:
        yield numbers


def token_spans(tokenizer: Any, text: str, spans: Spans) -> list[list[int]]:
    """Which tokens of a text make each of some spans of it."""
    offsets = tokenizer(text, return_offsets_mapping=True)["offset_mapping"]
    return [
        [number for number, (first, end) in enumerate(offsets) if start <= first < end <= stop]
        for start, stop in spans
    ]


def class_scores(
    probabilities: NDArray[np.float64], tokens: Sequence[Sequence[int]]
) -> NDArray[np.float64]:
    """The scores (Q, C) of classes: the highest that any token of the class has.

    Args:
        probabilities: (Q, T), of each box for each token.
        tokens: of each of the C classes; one without any has 0.
    """
    scores = np.zeros((len(probabilities), len(tokens)))
    for column, own in zip(scores.T, tokens, strict=True):
        if own:
            column[:] = probabilities[:, list(own)].max(1)
    return scores


def corners(boxes: NDArray[np.float64], size: tuple[int, ...]) -> NDArray[np.float64]:
    """Boxes (Q, 4) of middle and sides in [0, 1] as left, top, right, bottom within (H, W)."""
    middle, half = boxes[:, :2], boxes[:, 2:] / 2
    scale = np.array([size[1], size[0]] * 2)
    found: NDArray[np.float64] = (np.hstack([middle - half, middle + half]) * scale).clip(0, scale)
    return found
