"""The model card of an exported student."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from trace_mm import __version__

CITATION = """@inproceedings{jo2026trace,
  title     = {TRACE: Your Diffusion Model is Secretly an Instance Edge Detector},
  author    = {Jo, Sanghyun and Lee, Ziseok and Lee, Wooyeol and Choi, Jonghyun and Park, Jaesik
               and Kim, Kyungsu},
  booktitle = {International Conference on Learning Representations (ICLR)},
  year      = {2026}
}"""

_TAGS = ("trace", "instance-edges", "edge-detection", "diffusion", "lora")


@dataclass(frozen=True)
class CardFacts:
    """What a card says of a student.

    Attributes:
        backbone: name of the diffusion model.
        revision: its revision on the hub; None if it has none.
        identity: a digest of its denoiser's config and weights.
        decoder: class of the edge decoder.
        lora: ``rank``, ``alpha`` and ``targets``; None if only the decoder was trained.
        timestep: of the pass.
        size: side in pixels of the area at which images are shown to the model.
        key_cell: side in tokens of the cells to which layers attend that are not read.
        training_images: in words; None if unknown.
        license: as model hubs spell it.
        trained_dtype: in which the denoiser computed in training, and is to compute.
        backbone_weights: how many numbers the backbone has, the VAE's among them.
        decoder_weights: likewise the decoder.
        lora_weights: likewise LoRA.
    """

    backbone: str
    revision: str | None
    identity: str
    decoder: str
    lora: Mapping[str, Any] | None
    timestep: int
    size: int
    key_cell: int
    training_images: str | None
    license: str
    trained_dtype: str
    backbone_weights: int
    decoder_weights: int
    lora_weights: int


def render_card(
    facts: CardFacts, name: str, merged: bool, dtype: str | None, sizes: Mapping[str, int]
) -> str:
    """The card as Markdown with YAML front matter.

    Args:
        facts: of the student.
        name: of the folder.
        merged: whether LoRA is in the denoiser's weights.
        dtype: to which weights were rounded; None if they were not.
        sizes: bytes of each file, by its path in the folder.
    """
    revision = f", revision `{facts.revision}`" if facts.revision else ""
    lora = "none, only the decoder was trained"
    if facts.lora is not None:
        place = "merged into the denoiser" if merged else "beside it"
        lora = (
            f"rank {facts.lora['rank']}, alpha {facts.lora['alpha']}, "
            f"{facts.lora_weights:,} weights, {place}"
        )
    cells = ""
    if facts.key_cell > 1:
        side = f"{facts.key_cell} x {facts.key_cell}"
        cells = f"; the finest layers, unless they are read, attend to cells of {side} tokens"
    rows = {
        "backbone": f"`{facts.backbone}`{revision}, {facts.backbone_weights:,} weights with its "
        f"VAE; denoiser `{facts.identity}`",
        "LoRA": lora,
        "decoder": f"`{facts.decoder}`, {facts.decoder_weights:,} weights",
        "one pass at": f"timestep {facts.timestep}, images at the area of "
        f"{facts.size} x {facts.size} pixels{cells}",
        "trained on": facts.training_images or "not recorded",
        "precision": f"trained, and run unless another is asked for, in {facts.trained_dtype}"
        + (f"; weights rounded to {dtype}" if dtype else ""),
        "made with": f"trace_mm {__version__}",
    }
    table = "\n".join(f"| {key} | {value} |" for key, value in rows.items())
    files = "\n".join(f"| `{path}` | {size / 1e6:,.2f} MB |" for path, size in sizes.items())
    return f"""{_front_matter(facts)}
# {name}

A TRACE student: instance edges of an image in one pass through a fine-tuned diffusion model. It
was trained on edges that a training-free teacher reads out of the same diffusion model's attention,
without any labels.

| | |
|---|---|
{table}

{_needs(facts, merged)}

## Use

```python
from trace_mm.apis import TraceInferencer

edges = TraceInferencer("{name}")("photo.jpg")["predictions"][0]["edges"]  # or the hub id
```

`edges` is float32 (H, W) in [0, 1]. From the command line: `trace-mm edges photo.jpg --model {name}
--out results/`.

## Files

| file | size |
|---|---|
{files}

## Licence

{_licence(facts)}

## Cite

```bibtex
{CITATION}
```
"""


def _front_matter(facts: CardFacts) -> str:
    lines = [
        f"license: {json.dumps(facts.license)}",
        "library_name: trace_mm",
        "pipeline_tag: image-segmentation",
        *_base_model(facts),
        "tags:",
        *(f"- {tag}" for tag in _TAGS),
    ]
    return "\n".join(["---", *lines, "---"])


def _base_model(facts: CardFacts) -> list[str]:
    """A hub looks the base model up: only a hub id is of use there."""
    if facts.backbone.count("/") != 1:
        return []
    return [f"base_model: {json.dumps(facts.backbone)}"]  # JSON strings are YAML strings


def _needs(facts: CardFacts, merged: bool) -> str:
    if merged:
        return (
            f"LoRA is merged into the denoiser, and the folder holds the whole model: neither "
            f"`{facts.backbone}` nor a network is needed."
        )
    return (
        f"The folder holds only what training added. `{facts.backbone}` is loaded beside it, from "
        f"the package, the hub or where `backbone=` (`--backbone`) says, and a model with other "
        f"weights is refused."
    )


def _licence(facts: CardFacts) -> str:
    if facts.license == "other":
        return f"Weights made from `{facts.backbone}` are subject to the licence of that model."
    return f"`{facts.license}`"
