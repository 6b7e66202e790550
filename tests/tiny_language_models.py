"""LLaVA and Qwen2.5-VL with tiny random weights, whole, stored as the real ones are."""

import json
from pathlib import Path

import torch
from tokenizers import Tokenizer, models, pre_tokenizers
from transformers import (
    CLIPVisionConfig,
    LlamaConfig,
    LlavaConfig,
    LlavaForConditionalGeneration,
    PreTrainedTokenizerFast,
    Qwen2_5_VLConfig,
    Qwen2_5_VLForConditionalGeneration,
)

from tests.tiny_towers import CLIP_OPTIONS, NORMALIZATION, QWEN_OPTIONS, _strengthened

IMAGE_TOKEN = 3
_TEXT = {
    "vocab_size": 12,
    "hidden_size": 16,
    "intermediate_size": 24,
    "num_hidden_layers": 3,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "max_position_embeddings": 256,
}


def save_llava_whole(folder: Path) -> Path:
    """LLaVA 1.5's layout with its language model; patches of 4 pixels, made for 16x16."""
    torch.manual_seed(0)
    config = LlavaConfig(
        vision_config=CLIPVisionConfig(**CLIP_OPTIONS).to_dict(),
        text_config=LlamaConfig(**_TEXT).to_dict(),
        image_token_index=IMAGE_TOKEN,
    )
    return _save(LlavaForConditionalGeneration(config), folder)


def save_qwen_whole(folder: Path) -> Path:
    """Qwen2.5-VL's layout with its language model; tokens of 8 pixels."""
    torch.manual_seed(0)
    rope = {"type": "mrope", "rope_type": "default", "mrope_section": [1, 1], "rope_theta": 1e4}
    config = Qwen2_5_VLConfig(
        vision_config={**QWEN_OPTIONS, "out_hidden_size": 16},
        text_config={**_TEXT, "rope_parameters": rope, "model_type": "qwen2_5_vl_text"},
        image_token_id=IMAGE_TOKEN,
        vision_start_token_id=4,
        vision_end_token_id=5,
    )
    return _save(Qwen2_5_VLForConditionalGeneration(config), folder)


def _save(model: torch.nn.Module, folder: Path) -> Path:
    _strengthened(model.eval()).save_pretrained(folder)
    words = {"<unk>": 0, "USER": 6, "Describe": 7, "this": 8, "image": 9, "user": 10, "system": 11}
    tokenizer = Tokenizer(models.WordLevel(words, unk_token="<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    PreTrainedTokenizerFast(tokenizer_object=tokenizer).save_pretrained(folder)
    (folder / "preprocessor_config.json").write_text(json.dumps(NORMALIZATION))
    return folder
