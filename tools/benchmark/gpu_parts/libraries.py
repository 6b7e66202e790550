"""What saves memory: quantized weights of bitsandbytes and torchao, and group offloading."""

import statistics
import tempfile
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import torch
from capture import measure
from measure import peak_memory
from torch import Tensor

from gpu_parts.models import build_backbone, native_size, save_folder
from gpu_parts.part import (
    Part,
    SkipError,
    Step,
    Values,
    expect,
    expect_close,
    megabytes,
    milliseconds,
)
from gpu_parts.running import free_memory
from trace_mm.diffusion import DiffusionBackbone, load_backbone
from trace_mm.diffusion.backbone import OFFLOADS

TIMESTEP = 100
QUANTIZATIONS: dict[str, tuple[str, dict[str, Any]]] = {
    "bitsandbytes, 8 bits": (
        "bitsandbytes",
        {"type": "BitsAndBytesConfig", "load_in_8bit": True},
    ),
    "bitsandbytes, 4 bits": (
        "bitsandbytes",
        {
            "type": "BitsAndBytesConfig",
            "load_in_4bit": True,
            "bnb_4bit_quant_type": "nf4",
            "bnb_4bit_compute_dtype": "bfloat16",
        },
    ),
    "torchao, 8 bits": (
        "torchao",
        {"type": "TorchAoConfig", "quant_type": {"type": "Int8WeightOnlyConfig"}},
    ),
}
"""Packages and options by what they are called."""
ALIKE = 0.9
"""The least correlation of a map of quantized weights with that of bfloat16."""


class LibrariesPart(Part):
    """Loads a model with quantized weights, and offloads one; compares maps, time and memory."""

    name = "libraries"
    needs = "bitsandbytes and torchao for what they do"
    seconds = 40.0

    def checks(self) -> list[Step]:
        """See :class:`Part`."""
        quantized = [Step(name, lambda n=name: self._check_quantized(n)) for name in QUANTIZATIONS]
        return [
            *quantized,
            *(Step(f"{kind} offload", lambda k=kind: self._offload(k, False)) for kind in OFFLOADS),
        ]

    def measures(self) -> list[Step]:
        """See :class:`Part`."""
        return [
            Step(
                f"time of {kind} offload", lambda k=kind: self._offload(k, True), f"{kind} offload"
            )
            for kind in OFFLOADS
        ]

    def _noisy(self, backbone: DiffusionBackbone) -> Tensor:
        side = native_size(backbone, self.setting) // backbone.latent_stride
        channels = backbone.vae.config.latent_channels
        numbers = torch.Generator().manual_seed(0)
        return torch.randn(1, channels, side, side, generator=numbers).to(self.device)

    @torch.no_grad()
    def _check_quantized(self, name: str) -> Values:
        package, options = QUANTIZATIONS[name]
        if find_spec(package) is None:
            raise SkipError(f"{package} is not installed")
        if package == "bitsandbytes" and self.device.type != "cuda":
            raise SkipError("bitsandbytes needs a GPU")
        with tempfile.TemporaryDirectory() as root:
            folder = save_folder("sd15", self.setting, Path(root) / "model")
            maps, sizes = [], []
            for quantization in (None, options):
                backbone = load_backbone(
                    folder, device=self.device, dtype="bfloat16", quantization=quantization
                )
                maps.append(backbone.attention(self._noisy(backbone), TIMESTEP).flatten())
                sizes.append(backbone.denoiser.get_memory_footprint())
                del backbone
                free_memory()
        alike = float(torch.corrcoef(torch.stack(maps))[0, 1])
        expect(alike >= ALIKE, f"the map correlates with that of bfloat16 by {alike:.3f} only")
        return {
            "correlation": round(alike, 4),
            "weights_mib": megabytes(sizes[1]),
            "weights_bfloat16_mib": megabytes(sizes[0]),
        }

    @torch.no_grad()
    def _offload(self, kind: str, timed: bool) -> Values:
        model = "sd35-large" if self.setting.tiny or not self.setting.quick else "sdxl"
        plain = build_backbone(model, self.setting)
        noisy = self._noisy(plain)
        wanted = plain.attention(noisy, TIMESTEP)
        whole = sum(one.numel() * one.element_size() for one in plain.denoiser.parameters())
        plain.denoiser.to("cpu")
        free_memory()
        parts = plain.denoiser, plain.scheduler, plain.vae, plain.null_text
        backbone = DiffusionBackbone(*parts, offload=kind).to(self.device)
        found: Values = {"model": model, "weights_mib": megabytes(whole)}
        found |= expect_close(backbone.attention(noisy, TIMESTEP), wanted, rtol=1e-3, atol=1e-6)
        if not timed:
            return found

        def work() -> Tensor:
            return backbone.attention(noisy, TIMESTEP)

        times, _ = measure({kind: work}, self.setting.rounds, self.device)
        return {
            **found,
            "ms": milliseconds(statistics.median(times[kind])),
            "mib": megabytes(peak_memory(work, self.device)),
        }
