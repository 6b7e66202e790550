"""GPU memory that each published diffusion model needs, reckoned without weights or a GPU.

The models are built and run on the meta device, whose tensors have sizes and no contents, and what
is alive at a time is added up: in bfloat16, one image at the model's native size, attention itself
by a kernel that keeps no probabilities, maps by the chunked route. The autoencoder stays in
float32. Distillation is one step of a student: LoRA of rank 64 in float32 with two moments of Adam
each, gradient checkpointing, a sum of output and map as the loss. What an allocator wastes and what
a GPU's context takes come on top.
"""

import argparse
import contextlib
import sys
import weakref
from collections.abc import Callable
from typing import Any
from unittest import mock

import torch
from published_configs import ARCHITECTURES, Architecture
from torch import Tensor
from torch.overrides import handle_torch_function, has_torch_function
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from trace_mm.commands.command_line import Parser, run_command
from trace_mm.diffusion import DiffusionBackbone
from trace_mm.models.lora import add_lora

LORA_RANK = 64
ADAM_BYTES = 4 * 3  # gradient and two moments of each float32 parameter


class LiveBytes(TorchDispatchMode):
    """The most bytes of tensors made within this context that were alive at a time."""

    def __init__(self) -> None:
        super().__init__()
        self.now = self.most = 0
        self._known: dict[int, weakref.ref[Any]] = {}

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        given = {id(leaf.untyped_storage()) for leaf in tree_leaves((args, kwargs)) if _is(leaf)}
        result = func(*args, **(kwargs or {}))
        for leaf in tree_leaves(result):
            if _is(leaf) and id(leaf.untyped_storage()) not in given:
                self._add(leaf.untyped_storage())
        return result

    def _add(self, storage: torch.UntypedStorage) -> None:
        key, size = id(storage), storage.nbytes()
        if key in self._known:
            return

        def remove(_: Any) -> None:
            self.now -= size
            del self._known[key]

        self._known[key] = weakref.ref(storage, remove)
        self.now += size
        self.most = max(self.most, self.now)


def _is(leaf: Any) -> bool:
    return isinstance(leaf, Tensor)


class _Attention(torch.autograd.Function):
    """Attention as fused kernels do it: queries, keys, values and the output are kept."""

    @staticmethod
    def forward(context: Any, query: Tensor, key: Tensor, value: Tensor) -> Tensor:
        output = torch.empty_like(query)
        context.save_for_backward(query, key, value, output)
        return output

    @staticmethod
    def backward(context: Any, gradient: Tensor) -> Any:
        return tuple(torch.empty_like(tensor) for tensor in context.saved_tensors[:3])


def fused_attention(query: Tensor, key: Tensor, value: Tensor, **options: Any) -> Tensor:
    """Stands for the meta device's own attention, which would keep all probabilities."""
    tensors = query, key, value
    if has_torch_function(tensors):  # somebody watches
        return handle_torch_function(fused_attention, tensors, *tensors, **options)
    return _Attention.apply(*tensors)


def peak(work: Callable[[], object]) -> int:
    """The most bytes alive at a time beside what was there before."""
    with (
        mock.patch("torch.autocast", lambda *_, **__: contextlib.nullcontext()),  # none for meta
        mock.patch("torch.nn.functional.scaled_dot_product_attention", fused_attention),
        LiveBytes() as live,
    ):
        work()
    return live.most


def bytes_of(module: torch.nn.Module) -> int:
    """Of all parameters and buffers."""
    tensors = [*module.parameters(), *module.buffers()]
    return sum(tensor.numel() * tensor.element_size() for tensor in tensors)


def build(architecture: Architecture) -> tuple[DiffusionBackbone, Tensor, Tensor]:
    """Model, image and latents at native size."""
    backbone = architecture.build_backbone()
    backbone.denoiser.to(torch.bfloat16)
    size = backbone.native_size
    latents = torch.zeros(1, architecture.vae["latent_channels"], size // 8, size // 8)
    return backbone, torch.zeros(1, 3, size, size), latents


def estimate(architecture: Architecture) -> dict[str, float]:
    """Bytes: of the denoiser's weights, of inference, of LoRA and of distillation."""
    with torch.device("meta"):
        backbone, image, latents = build(architecture)
        denoiser, autoencoder = bytes_of(backbone.denoiser), bytes_of(backbone.vae)
        with torch.no_grad():
            encoding = peak(lambda: backbone.encode(image))
            reading = peak(lambda: backbone.attention(latents, 100))
        add_lora(backbone.denoiser, LORA_RANK)
        lora = [weight for weight in backbone.denoiser.parameters() if weight.requires_grad]
        numbers = sum(weight.numel() for weight in lora)
        backbone.enable_gradient_checkpointing()
        backbone.train()

        def step() -> None:
            output, attention = backbone.denoise_and_attend(latents, 1)
            (output.float().sum() + attention.sum()).backward()

        training = peak(step) - numbers * 4  # the gradients stand in the optimizer's share
    frozen = denoiser + autoencoder
    return {
        "weights": denoiser,
        "inference": frozen + max(encoding, reading),
        "reading": reading,
        "encoding": encoding,
        "lora": numbers,
        "distillation": frozen + numbers * (4 + ADAM_BYTES) + max(encoding, training),
    }


def make_parser() -> Parser:
    """The command line."""
    parser = Parser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", default=list(ARCHITECTURES))
    return parser


def main() -> None:
    options = make_parser().parse_args()
    print(f"{'GiB':14} weights  inference (encoder / one pass)  LoRA (million)  distillation")
    for name in options.names:
        found = estimate(ARCHITECTURES[name])
        gib = {key: value / 2**30 for key, value in found.items()}
        print(
            f"{name:14} {gib['weights']:7.1f} {gib['inference']:10.1f} "
            f"({gib['encoding']:7.1f} / {gib['reading']:8.1f}) {found['lora'] / 1e6:15.0f} "
            f"{gib['distillation']:13.1f}",
            flush=True,
        )


if __name__ == "__main__":
    sys.exit(run_command(main))
