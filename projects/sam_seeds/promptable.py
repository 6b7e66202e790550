"""SAM, SAM 2, SAM 3 and their like by transformers: prompts in, masks out."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from projects.sam_seeds.frames import Frame, Normalization
from projects.sam_seeds.hub_model import HubModel
from projects.sam_seeds.seeds import Prompts
from trace_mm.files.hub import readable_hub_errors
from trace_mm.files.model_files import ModelFiles
from trace_mm.jobs.edge_sources import NamedImage
from trace_mm.runs.memory import lacks_memory

Pick = Literal["score", "single"]


@dataclass(frozen=True)
class Answers:
    """What a promptable model makes of prompts.

    Attributes:
        masks: bool (K, H, W), one a prompt.
        scores: float64 (K,), how good the model takes each for, in [0, 1].
    """

    masks: NDArray[np.bool_]
    scores: NDArray[np.float64]


class Promptable(Protocol):
    """What answers prompts."""

    uses_accelerator: bool

    def __call__(self, image: NamedImage, prompts: Prompts) -> Answers:
        """Answer the prompts of an image.

        Raises:
            ValueError: if this image cannot be worked on; names it.
        """
        ...

    def on(self, device: str) -> "Promptable":
        """The same on another device, not loaded."""
        ...

    def settings(self) -> dict[str, Any]:
        """What answers depend on, as JSON values."""
        ...


class SegmentAnything(HubModel[tuple[Any, Normalization]]):
    """A model that transformers knows as ``AutoModelForMaskGeneration``, loaded at its first use.

    SAM (``facebook/sam-vit-huge``), SAM 2 and 2.1 (``facebook/sam2.1-hiera-large``), EdgeTAM, SAM 3
    (``facebook/sam3``, by its tracker, which takes points, boxes and masks). torchvision is not
    needed: images are prepared here.

    Args:
        name: hub id or local folder.
        device: where it computes; a GPU if there is one, else the CPU, for None.
        dtype: of the weights.
        pick: "score" takes of the three masks that the model makes the one it thinks best of;
            "single" asks for one mask only.
        chunk: how many prompts are answered at a time.

    Raises:
        ValueError: if there is no such device, or a number is out of range.
    """

    def __init__(
        self,
        name: str,
        device: str | torch.device | None = None,
        dtype: str = "float32",
        pick: Pick = "score",
        chunk: int = 16,
    ) -> None:
        if chunk < 1:
            raise ValueError(f"there must be a prompt or more at a time, got {chunk}")
        super().__init__(name, device)
        self.dtype, self.pick, self.chunk = dtype, pick, chunk

    def settings(self) -> dict[str, Any]:
        """The model, a folder by its files, and how it is asked."""
        return {"model": self.identity, "dtype": self.dtype, "pick": self.pick}

    @torch.inference_mode()
    def __call__(self, image: NamedImage, prompts: Prompts) -> Answers:
        """Answer the prompts of an image; see ``Promptable``."""
        model, how = self._load()
        size = (image.pixels.shape[0], image.pixels.shape[1])
        frame = Frame.fit(size, how)
        parts = []
        try:
            square = frame.image(image.pixels, how).to(self.device, model.dtype)
            seen = model.get_image_embeddings(square)
            for start in range(0, len(prompts), self.chunk):
                chosen = slice(start, start + self.chunk)
                parts.append(self._answer(model, seen, self._inputs(model, frame, prompts, chosen)))
            masks = [frame.masks(logits) for logits, _ in parts]
        except (RuntimeError, MemoryError) as error:
            if not lacks_memory(error):
                raise
            raise ValueError(f"{image.name}: out of memory: try fewer prompts at a time") from error
        scores = [scores for _, scores in parts]
        nothing = np.zeros((0, *size), dtype=bool)
        return Answers(np.concatenate([nothing, *masks]), np.concatenate([np.zeros(0), *scores]))

    def _inputs(
        self, model: Any, frame: Frame, prompts: Prompts, chosen: slice
    ) -> dict[str, Tensor]:
        """Arguments of the model; the first axis goes over prompts."""
        inputs: dict[str, Tensor] = {}
        if prompts.boxes is not None:
            inputs["input_boxes"] = self._placed(frame.points(prompts.boxes[chosen]))[:, None]
        if prompts.points is not None and prompts.labels is not None:
            inputs["input_points"] = self._placed(frame.points(prompts.points[chosen]))[:, None]
            labels = torch.from_numpy(prompts.labels[chosen]).to(self.device)
            inputs["input_labels"] = labels[:, None]  # (k, 1, P)
        if prompts.masks is not None:
            side = 4 * model.prompt_encoder.image_embedding_size[0]
            masks = frame.mask_prompts(prompts.masks[chosen], side)
            inputs["input_masks"] = masks.to(self.device, model.dtype)
        return inputs

    def _placed(self, values: NDArray[np.float64]) -> Tensor:
        return torch.from_numpy(values).to(self.device, torch.float32)

    def _answer(
        self, model: Any, seen: Any, inputs: Mapping[str, Tensor]
    ) -> tuple[Tensor, NDArray[np.float64]]:
        """Logits (k, h', w') and scores (k,) of some prompts."""
        count = len(next(iter(inputs.values())))
        maps = [seen] if isinstance(seen, Tensor) else seen
        maps = [one.expand(count, *one.shape[1:]) for one in maps]
        embeddings = maps[0] if isinstance(seen, Tensor) else maps
        found = model(image_embeddings=embeddings, multimask_output=self.pick == "score", **inputs)
        logits, scores = found.pred_masks[:, 0], found.iou_scores[:, 0]  # (k, M, h', w'), (k, M)
        best = scores.argmax(1)
        each = torch.arange(count, device=best.device)
        kept = scores[each, best].double().clamp(0, 1).cpu().numpy()
        return logits[each, best], kept

    def _read(self) -> tuple[Any, Normalization]:
        return load_promptable(self.name, self.dtype, self.device)


def load_promptable(name: str, dtype: str, device: str) -> tuple[Any, Normalization]:
    """A model and how it wants its images.

    Args:
        name: hub id or local folder.
        dtype: of the weights.
        device: to put it on.

    Raises:
        FileNotFoundError: if there is no such model.
        ValueError: if it takes no prompts of points, boxes and masks, or has no preprocessor's
            settings.
    """
    from transformers import AutoConfig, AutoModelForMaskGeneration  # slow to import

    files = ModelFiles(name)
    source = str(Path(name).expanduser())
    with readable_hub_errors(name):
        files.find("config.json")
        config = AutoConfig.from_pretrained(source)
        if type(config) not in AutoModelForMaskGeneration._model_mapping:
            raise ValueError(
                f"{name}: a {config.model_type} takes no prompts of points, boxes and masks"
            )
        model = AutoModelForMaskGeneration.from_pretrained(source, dtype=getattr(torch, dtype))
        how = Normalization.read(preprocessor_settings(files), name)
    if config.model_type == "sam_hq":
        raise ValueError(f"{name}: SAM-HQ is not supported: its images are two kinds of features")
    return model.to(device).eval(), how


def preprocessor_settings(files: ModelFiles) -> dict[str, Any]:
    """What a model's files say of how its images are prepared.

    Raises:
        ValueError: if they say nothing.
    """
    for name in ("processor_config.json", "preprocessor_config.json"):
        if files.find_if_any(name) is not None:
            settings = files.read_json(name)
            settings = settings.get("image_processor", settings)
            if "size" in settings:
                return settings
    raise ValueError(f"{files.source}: there is no preprocessor_config.json with a size in it")
