"""Configs of the published denoisers and autoencoders, to build them with random weights.

Only what differs from diffusers' defaults is written down. Tests of the true architectures and
benchmarks that need no trained weights use them; nothing here is downloaded.
"""

from dataclasses import dataclass, field
from typing import Any

import diffusers
import torch

from trace_mm.diffusion import DiffusionBackbone
from trace_mm.diffusion.families import family_of_class

Config = dict[str, Any]

_FOUR_BLOCKS: Config = {
    "down_block_types": ("CrossAttnDownBlock2D",) * 3 + ("DownBlock2D",),
    "up_block_types": ("UpBlock2D",) + ("CrossAttnUpBlock2D",) * 3,
    "block_out_channels": (320, 640, 1280, 1280),
}
_SD15: Config = {
    **_FOUR_BLOCKS,
    "sample_size": 64,
    "cross_attention_dim": 768,
    "attention_head_dim": 8,  # as ever in these files, the number of heads
}
_SD21: Config = {
    **_FOUR_BLOCKS,
    "sample_size": 96,
    "cross_attention_dim": 1024,
    "attention_head_dim": (5, 10, 20, 20),
    "use_linear_projection": True,
    "upcast_attention": True,
}
_SDXL: Config = {
    "down_block_types": ("DownBlock2D", "CrossAttnDownBlock2D", "CrossAttnDownBlock2D"),
    "up_block_types": ("CrossAttnUpBlock2D", "CrossAttnUpBlock2D", "UpBlock2D"),
    "block_out_channels": (320, 640, 1280),
    "transformer_layers_per_block": (1, 2, 10),
    "sample_size": 128,
    "cross_attention_dim": 2048,
    "attention_head_dim": (5, 10, 20),
    "use_linear_projection": True,
    "addition_embed_type": "text_time",
    "addition_time_embed_dim": 256,
    "projection_class_embeddings_input_dim": 2816,
}
_PIXART: Config = {
    "sample_size": 128,
    "num_layers": 28,
    "num_attention_heads": 16,
    "attention_head_dim": 72,
    "in_channels": 4,
    "out_channels": 8,
    "cross_attention_dim": 1152,
    "caption_channels": 4096,
    "interpolation_scale": 2,
}
_SD3: Config = {
    "sample_size": 128,
    "num_layers": 24,
    "num_attention_heads": 24,
    "attention_head_dim": 64,
    "caption_projection_dim": 24 * 64,
    "pos_embed_max_size": 192,
}
_SD35_MEDIUM: Config = {
    **_SD3,
    "pos_embed_max_size": 384,
    "qk_norm": "rms_norm",
    "dual_attention_layers": tuple(range(13)),
}
_SD35_LARGE: Config = {
    **_SD3,
    "num_layers": 38,
    "num_attention_heads": 38,
    "caption_projection_dim": 38 * 64,
    "qk_norm": "rms_norm",
}
_FLUX: Config = {
    "num_layers": 19,
    "num_single_layers": 38,
    "num_attention_heads": 24,
    "attention_head_dim": 128,
    "guidance_embeds": True,
}

_VAE: Config = {
    "down_block_types": ("DownEncoderBlock2D",) * 4,
    "up_block_types": ("UpDecoderBlock2D",) * 4,
    "block_out_channels": (128, 256, 512, 512),
    "layers_per_block": 2,
    "latent_channels": 4,
}
# Stable Diffusion 3 and FLUX.1 have 16 channels and no 1x1 convolutions around the latents.
_VAE_16: Config = {
    **_VAE,
    "latent_channels": 16,
    "use_quant_conv": False,
    "use_post_quant_conv": False,
}
_SCALED_LINEAR: Config = {
    "beta_schedule": "scaled_linear",
    "beta_start": 0.00085,
    "beta_end": 0.012,
}


@dataclass(frozen=True)
class Architecture:
    """A published text-to-image model, without its weights.

    Attributes:
        denoiser: class of the denoiser in diffusers.
        config: of the denoiser.
        text_tokens: how many tokens the empty prompt has.
        vae: config of the ``AutoencoderKL``.
        scheduler: class and config of the noise schedule.
    """

    denoiser: str
    config: Config
    text_tokens: int
    vae: Config = field(default_factory=lambda: _VAE)
    scheduler: tuple[str, Config] = ("DDPMScheduler", _SCALED_LINEAR)

    def build_denoiser(self, dtype: torch.dtype = torch.float32) -> Any:
        """The denoiser with random weights, on the current default device."""
        before = torch.get_default_dtype()
        torch.set_default_dtype(dtype)  # not cast afterwards: both would need memory at a time
        try:
            denoiser = getattr(diffusers, self.denoiser)(**self.config)
        finally:
            torch.set_default_dtype(before)
        return denoiser.to(dtype).eval()

    def null_text(self) -> dict[str, torch.Tensor]:
        """Random numbers in the shapes of the empty prompt's embeddings."""
        config = self.build_config()
        shapes = family_of_class(self.denoiser).embedding_shapes(config)
        sizes = {
            name: [self.text_tokens if size == -1 else size for size in shape]
            for name, shape in shapes.items()
        }
        return {name: torch.randn(1, *size) for name, size in sizes.items()}

    def build_config(self) -> Config:
        """The denoiser's config with diffusers' defaults filled in."""
        with torch.device("meta"):
            return dict(self.build_denoiser().config)

    def build_backbone(self, dtype: torch.dtype = torch.float32) -> DiffusionBackbone:
        """All that TRACE reads, with random weights, on the current default device.

        Args:
            dtype: of the denoiser.
        """
        kind, config = self.scheduler
        return DiffusionBackbone(
            self.build_denoiser(dtype),
            getattr(diffusers, kind)(**config),
            diffusers.AutoencoderKL(**self.vae),
            self.null_text(),
        )


_FLOW = ("FlowMatchEulerDiscreteScheduler", {"shift": 3.0})
_PIXART_NOISE = ("DDPMScheduler", {"beta_schedule": "linear", "beta_end": 0.02})

ARCHITECTURES = {
    "sd15": Architecture("UNet2DConditionModel", _SD15, 77),
    "sd21": Architecture(
        "UNet2DConditionModel",
        _SD21,
        77,
        scheduler=("DDPMScheduler", {**_SCALED_LINEAR, "prediction_type": "v_prediction"}),
    ),
    "sdxl": Architecture("UNet2DConditionModel", _SDXL, 77),
    "pixart-alpha": Architecture("PixArtTransformer2DModel", _PIXART, 1, scheduler=_PIXART_NOISE),
    "pixart-sigma": Architecture(
        "PixArtTransformer2DModel",
        {**_PIXART, "use_additional_conditions": False},
        1,
        scheduler=_PIXART_NOISE,
    ),
    "sd3-medium": Architecture("SD3Transformer2DModel", _SD3, 77 + 256, _VAE_16, _FLOW),
    "sd35-medium": Architecture("SD3Transformer2DModel", _SD35_MEDIUM, 77 + 256, _VAE_16, _FLOW),
    "sd35-large": Architecture("SD3Transformer2DModel", _SD35_LARGE, 77 + 256, _VAE_16, _FLOW),
    "flux-dev": Architecture("FluxTransformer2DModel", _FLUX, 512, _VAE_16, _FLOW),
    "flux-schnell": Architecture(
        "FluxTransformer2DModel", {**_FLUX, "guidance_embeds": False}, 256, _VAE_16, _FLOW
    ),
}
