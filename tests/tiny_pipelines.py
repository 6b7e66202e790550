"""The real diffusers pipelines of the tiny models."""

from pathlib import Path
from typing import Any

import diffusers
import torch
from diffusers import DiffusionPipeline


def load_pipeline(folder: Path, t5: torch.dtype = torch.bfloat16, **components: Any) -> Any:
    """The pipeline that a folder's ``model_index.json`` names, in float32.

    Args:
        folder: of the model, with its text encoders.
        t5: precision of T5; by default the one in which trace_mm runs it.
        components: given instead of the folder's; None for one that is left out.
    """
    index = DiffusionPipeline.load_config(folder)
    precisions = {name: t5 for name, entry in index.items() if "T5EncoderModel" in entry}
    kind = getattr(diffusers, index["_class_name"])
    precisions["default"] = torch.float32
    pipeline = kind.from_pretrained(folder, torch_dtype=precisions, **components)
    pipeline.set_progress_bar_config(disable=True)
    return pipeline
