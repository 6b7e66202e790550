"""Folders with tiny random SAMs and detectors, as transformers saves them."""

import json
from pathlib import Path

import torch
from transformers import (
    BertConfig,
    BertTokenizer,
    GroundingDinoConfig,
    GroundingDinoForObjectDetection,
    Sam2Config,
    Sam2Model,
    Sam3TrackerConfig,
    Sam3TrackerModel,
    SamConfig,
    SamModel,
    SwinConfig,
)

_MEAN, _STD = [0.485, 0.456, 0.406], [0.229, 0.224, 0.225]
_DECODER = {"hidden_size": 16, "mlp_dim": 8, "num_attention_heads": 2, "iou_head_hidden_dim": 8}


def save_sam(folder: Path) -> Path:
    """SAM for squares of 32 pixels: the longer side fills it, the rest is padded."""
    torch.manual_seed(0)
    vision = {
        "hidden_size": 8,
        "output_channels": 16,
        "num_hidden_layers": 2,
        "num_attention_heads": 2,
        "image_size": 32,
        "patch_size": 4,
        "window_size": 4,
        "global_attn_indexes": [1],
        "num_pos_feats": 8,
        "initializer_range": 0.3,
    }
    prompts = {"hidden_size": 16, "image_size": 32, "patch_size": 4, "mask_input_channels": 16}
    decoder = dict(_DECODER)
    model = SamModel(
        SamConfig(vision_config=vision, prompt_encoder_config=prompts, mask_decoder_config=decoder)
    )
    size = {
        "size": {"longest_edge": 32},
        "pad_size": {"height": 32, "width": 32},
        "mask_size": {"longest_edge": 32},
        "mask_pad_size": {"height": 32, "width": 32},
        "image_processor_type": "SamImageProcessor",
        "processor_class": "SamProcessor",
    }
    return _save(folder, model, size)


def save_sam2(folder: Path) -> Path:
    """SAM 2 for squares of 64 pixels, into which images are squeezed."""
    torch.manual_seed(0)
    backbone = {
        "hidden_size": 8,
        "image_size": [64, 64],
        "blocks_per_stage": [1, 1, 2, 1],
        "embed_dim_per_stage": [8, 16, 32, 64],
        "num_attention_heads_per_stage": [1, 1, 2, 2],
        "window_size_per_stage": [8, 4, 4, 2],
        "global_attention_blocks": [3],
    }
    vision = {
        "backbone_config": {"model_type": "sam2_hiera_det_model", **backbone},
        "backbone_channel_list": [64, 32, 16, 8],
        "backbone_feature_sizes": [[16, 16], [8, 8], [4, 4]],
        "fpn_hidden_size": 32,
    }
    prompts = {"hidden_size": 32, "image_size": 64, "patch_size": 16, "mask_input_channels": 16}
    decoder = {**_DECODER, "hidden_size": 32}
    model = Sam2Model(
        Sam2Config(vision_config=vision, prompt_encoder_config=prompts, mask_decoder_config=decoder)
    )
    square = {"size": {"height": 64, "width": 64}, "processor_class": "Sam2Processor"}
    return _save(folder, model, {**square, "image_processor_type": "Sam2ImageProcessorFast"})


def save_sam3(folder: Path) -> Path:
    """SAM 3's tracker, which takes points, boxes and masks, for squares of 56 pixels."""
    torch.manual_seed(0)
    backbone = {
        "model_type": "sam3_vit_model",
        "hidden_size": 16,
        "intermediate_size": 16,
        "num_hidden_layers": 2,
        "num_attention_heads": 2,
        "image_size": 56,
        "pretrain_image_size": 28,
        "patch_size": 14,
        "window_size": 2,
        "global_attn_indexes": [1],
    }
    vision = {
        "model_type": "sam3_vision_model",
        "backbone_config": backbone,
        "fpn_hidden_size": 32,
        "backbone_feature_sizes": [[16, 16], [8, 8], [4, 4]],
    }
    prompts = {"hidden_size": 32, "image_size": 56, "patch_size": 14, "mask_input_channels": 16}
    decoder = {**_DECODER, "hidden_size": 32}
    model = Sam3TrackerModel(
        Sam3TrackerConfig(
            vision_config=vision, prompt_encoder_config=prompts, mask_decoder_config=decoder
        )
    )
    square = {"size": {"height": 56, "width": 56}, "processor_class": "Sam3TrackerProcessor"}
    return _save(folder, model, {**square, "image_processor_type": "Sam3ImageProcessorFast"})


SAMS = {"sam": save_sam, "sam2": save_sam2, "sam3": save_sam3}


def _save(folder: Path, model, preprocessor: dict) -> Path:
    model.eval().save_pretrained(folder)
    colors = {"image_mean": _MEAN, "image_std": _STD, "do_resize": True, "do_pad": True}
    settings = {"do_normalize": True, "rescale_factor": 1 / 255, **colors, **preprocessor}
    (folder / "preprocessor_config.json").write_text(json.dumps(settings))
    return folder


WORDS = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", ".", "?", "red", "square", "##s", "cat"]


def save_grounding_dino(folder: Path, max_text_len: int = 16) -> Path:
    """Grounding DINO with eleven words, for images whose shorter side is brought to 32 pixels."""
    torch.manual_seed(0)
    text = BertConfig(
        vocab_size=len(WORDS),
        hidden_size=16,
        num_hidden_layers=1,
        num_attention_heads=2,
        intermediate_size=16,
        max_position_embeddings=max_text_len,
    )
    backbone = SwinConfig(
        image_size=32,
        embed_dim=8,
        depths=[1, 1, 1, 1],
        num_heads=[1, 1, 2, 2],
        window_size=2,
        out_indices=[2, 3, 4],
    )
    config = GroundingDinoConfig(
        backbone_config=backbone,
        text_config=text,
        num_queries=5,
        encoder_layers=1,
        encoder_ffn_dim=16,
        encoder_attention_heads=2,
        decoder_layers=2,
        decoder_ffn_dim=16,
        decoder_attention_heads=2,
        d_model=64,
        max_text_len=max_text_len,
        disable_custom_kernels=True,
    )
    GroundingDinoForObjectDetection(config).eval().save_pretrained(folder)
    vocabulary = {word: number for number, word in enumerate(WORDS)}
    BertTokenizer(vocab=vocabulary).save_pretrained(folder)
    settings = {
        "image_processor_type": "GroundingDinoImageProcessor",
        "processor_class": "GroundingDinoProcessor",
        "size": {"shortest_edge": 32, "longest_edge": 64},
        "image_mean": _MEAN,
        "image_std": _STD,
    }
    (folder / "preprocessor_config.json").write_text(json.dumps(settings))
    return folder
