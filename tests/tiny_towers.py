"""Vision models with tiny random weights, stored as the real ones are."""

import json
import shutil
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file
from transformers import CLIPVisionConfig, CLIPVisionModel
from transformers.models.qwen2_5_vl.configuration_qwen2_5_vl import Qwen2_5_VLVisionConfig
from transformers.models.qwen2_5_vl.modeling_qwen2_5_vl import (
    Qwen2_5_VisionTransformerPretrainedModel,
)

CLIP_OPTIONS = {
    "hidden_size": 16,
    "intermediate_size": 24,
    "num_hidden_layers": 3,
    "num_attention_heads": 2,
    "image_size": 16,
    "patch_size": 4,
    "projection_dim": 8,
}
QWEN_OPTIONS = {
    "depth": 4,
    "hidden_size": 16,
    "intermediate_size": 24,
    "num_heads": 2,
    "patch_size": 4,
    "window_size": 16,  # 2x2 groups of 2x2 patches
    "out_hidden_size": 12,
    "fullatt_block_indexes": [1, 3],
}
NORMALIZATION = {"image_mean": [0.5, 0.4, 0.3], "image_std": [0.3, 0.25, 0.2]}


def clip_tower() -> CLIPVisionModel:
    """Three layers, a class token, patches of 4 pixels, made for 16x16 pixels."""
    torch.manual_seed(0)
    tower = CLIPVisionModel(CLIPVisionConfig(**CLIP_OPTIONS)).eval()
    return _strengthened(tower)


def qwen_tower() -> Qwen2_5_VisionTransformerPretrainedModel:
    """Four blocks, of which the second and the last see the whole image."""
    torch.manual_seed(0)
    tower = Qwen2_5_VisionTransformerPretrainedModel(Qwen2_5_VLVisionConfig(**QWEN_OPTIONS)).eval()
    return _strengthened(tower)


def _strengthened(tower: Any) -> Any:
    """Weights that are large enough for attention to differ between patches."""
    with torch.no_grad():
        for weight in tower.parameters():
            weight.add_(torch.randn_like(weight) * 0.2)
    return tower


def save_llava(folder: Path, prefix: str = "vision_tower.vision_model.") -> Path:
    """LLaVA 1.5's layout: a CLIP tower and a language model that is not there, in three files.

    Args:
        folder: where to.
        prefix: of the tower's weights, which changed with transformers' versions.
    """
    config = {"model_type": "llava", "text_config": {"model_type": "llama"}}
    vision = {"model_type": "clip_vision_model", "vocab_size": 32000, **CLIP_OPTIONS}
    weights = {prefix + name: weight for name, weight in clip_tower().state_dict().items()}
    if prefix == "vision_tower.vision_model.":  # old versions stored this too
        weights[prefix + "embeddings.position_ids"] = torch.arange(17)[None]
    names = sorted(weights)
    parts = [
        {"language_model.model.embed_tokens.weight": torch.zeros(2, 2)},
        {name: weights[name] for name in names[:20]},
        {name: weights[name] for name in names[20:]},
    ]
    return _save(folder, {**config, "vision_config": vision}, parts)


def save_qwen(folder: Path, prefix: str = "visual.") -> Path:
    """Qwen2.5-VL's layout: its vision tower and a language model that is not there, in two files.

    Args:
        folder: where to.
        prefix: of the tower's weights, which changed with transformers' versions.
    """
    config = {"model_type": "qwen2_5_vl", "vision_config": {"in_chans": 3, **QWEN_OPTIONS}}
    weights = {prefix + name: weight for name, weight in qwen_tower().state_dict().items()}
    return _save(folder, config, [{"model.embed_tokens.weight": torch.zeros(2, 2)}, weights])


def save_clip(folder: Path) -> Path:
    """A whole CLIP's layout: the tower beside a text encoder, in one file."""
    config = {"model_type": "clip", "text_config": {}, "vision_config": CLIP_OPTIONS}
    weights = {f"vision_model.{name}": w for name, w in clip_tower().state_dict().items()}
    others = {"visual_projection.weight": torch.zeros(8, 16), "logit_scale": torch.tensor(1.0)}
    return _save(folder, config, [{**weights, **others, "text_model.x": torch.zeros(2)}])


def _save(folder: Path, config: dict[str, Any], parts: list[dict[str, torch.Tensor]]) -> Path:
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    (folder / "config.json").write_text(json.dumps(config))
    (folder / "preprocessor_config.json").write_text(json.dumps(NORMALIZATION))
    if len(parts) == 1:
        save_file(parts[0], folder / "model.safetensors")
        return folder
    place_of = {}
    for number, part in enumerate(parts, start=1):
        file = f"model-{number:05d}-of-{len(parts):05d}.safetensors"
        save_file(part, folder / file)
        place_of.update(dict.fromkeys(part, file))
    (folder / "model.safetensors.index.json").write_text(json.dumps({"weight_map": place_of}))
    return folder
