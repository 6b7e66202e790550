"""Students on the tiny models, with a decoder of a few weights, and data for them."""

import torch
from torch import Tensor, nn

from trace_mm.models import TraceStudent
from trace_mm.registry import MODELS
from trace_mm.structures import EdgeDataSample


@MODELS.register_module()
class TinyDecoder(nn.Module):
    """Logits from a token's attention to itself and from the latents, two pixels a token."""

    def __init__(self, channels: int = 4) -> None:
        super().__init__()
        self.upsampling = 2
        self.mix = nn.Conv2d(channels + 1, 4, kernel_size=3, padding=1)

    def forward(self, attention: Tensor, grid: tuple[int, int], latents: Tensor) -> Tensor:
        own = attention.diagonal(dim1=1, dim2=2).unflatten(1, grid)[:, None]  # (B, 1, h, w)
        return nn.functional.pixel_shuffle(self.mix(torch.cat([own * 50, latents], 1)), 2)


DECODER = {"type": "TinyDecoder"}


def build(folder, **options) -> TraceStudent:
    torch.manual_seed(3)
    config = {"decoder": DECODER, "lora": {"rank": 2}, **options}
    return TraceStudent({"pretrained": str(folder), **config.pop("backbone", {})}, **config)


@torch.no_grad()
def shake(student: TraceStudent) -> TraceStudent:
    """Give the LoRA matrices that start at 0 other values, as training would."""
    torch.manual_seed(4)
    for name, parameter in student.named_parameters():
        if ".lora_B." in name:
            parameter.normal_(std=0.3)
    return student


def images_of(count: int, size=(16, 16), seed: int = 0) -> list[Tensor]:
    generator = torch.Generator().manual_seed(seed)
    return [torch.rand(3, *size, generator=generator) for _ in range(count)]


def samples_of(count: int, size=(16, 16), seed: int = 1) -> list[EdgeDataSample]:
    generator = torch.Generator().manual_seed(seed)
    samples = [EdgeDataSample() for _ in range(count)]
    for sample in samples:
        sample.pseudo_edges = torch.rand(size, generator=generator)
    return samples


def trained_parameters(student: nn.Module) -> dict[str, Tensor]:
    return {name: p for name, p in student.named_parameters() if p.requires_grad}
