"""Low-rank adaptation of a denoiser's transformer layers (paper Sec. 3.4, App. C.1), by peft."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from trace_mm.diffusion import family_of

ADAPTER = "default"
"""The name under which peft keeps our matrices, part of their parameters' names."""


def add_lora(
    denoiser: nn.Module, rank: int = 64, alpha: int | None = None, targets: str | None = None
) -> dict[str, Any]:
    """Give linear layers a trainable low-rank term: W x + alpha / rank * B A x, B starting at 0.

    The layers are changed in place. All other weights are frozen. A and B are float32 whatever the
    denoiser's own precision, so that small steps of training are not lost.

    Args:
        denoiser: of a supported family.
        rank: of B A; the paper's is 64.
        alpha: scale of the term times ``rank``; ``rank`` if None, so that the factor is 1.
        targets: a regular expression that must match the whole name of a layer within the
            denoiser; the transformer layers of the denoiser's family if None.

    Returns:
        The settings in full: ``rank``, ``alpha``, ``targets``.

    Raises:
        ImportError: if peft is not installed.
        ValueError: if the rank is not positive or no layer matches.
    """
    if rank < 1:
        raise ValueError(f"the rank of LoRA must be at least 1, got {rank}")
    try:
        from peft import LoraConfig, inject_adapter_in_model  # slow to import
    except ImportError as error:
        raise ImportError("training a student needs peft: pip install 'trace_mm[train]'") from error
    targets = family_of(denoiser).lora_targets if targets is None else targets
    alpha = rank if alpha is None else alpha
    config = LoraConfig(r=rank, lora_alpha=alpha, target_modules=targets)
    try:
        inject_adapter_in_model(config, denoiser, ADAPTER)
    except ValueError as error:
        raise ValueError(f"LoRA cannot be added to the layers {targets!r}: {error}") from error
    for parameter in denoiser.parameters():
        if parameter.requires_grad and parameter.dtype in (torch.float16, torch.bfloat16):
            parameter.data = parameter.data.float()
    return {"rank": rank, "alpha": alpha, "targets": targets}


def lora_layers(denoiser: nn.Module) -> dict[str, Any]:
    """The layers that have a low-rank term, by name; empty where there are none."""
    # By attribute: to ask for peft's class would import peft where nothing of it is used.
    return {
        name: module
        for name, module in denoiser.named_modules()
        if hasattr(module, "lora_A") and hasattr(module, "base_layer")
    }


@contextmanager
def lora_disabled(denoiser: nn.Module) -> Iterator[None]:
    """Within this context the denoiser computes what it did before the low-rank terms."""
    layers = list(lora_layers(denoiser).values())
    # Not peft's enable_adapters(), which also toggles requires_grad: under FSDP, parameters are
    # no leaves during a forward pass, and cannot be toggled.
    states = [layer._disable_adapters for layer in layers]
    for layer in layers:
        layer._disable_adapters = True
    try:
        yield
    finally:
        for layer, state in zip(layers, states, strict=True):
            layer._disable_adapters = state


def merge_lora(denoiser: nn.Module) -> None:
    """Add each low-rank term to its layer's weight, in place, and remove what peft put in.

    Afterwards the denoiser is a plain one again, as fast as before, which cannot be trained on.

    Raises:
        ValueError: if a term is not finite.
    """
    for name, layer in lora_layers(denoiser).items():
        layer.merge(safe_merge=True)
        parent, _, child = name.rpartition(".")
        setattr(denoiser.get_submodule(parent), child, layer.get_base_layer())
    if hasattr(denoiser, "peft_config"):
        del denoiser.peft_config


@torch.no_grad()
def merge_lora_weights(denoiser: nn.Module, weights: Mapping[str, Tensor], scaling: float) -> None:
    """Add stored low-rank terms to the weights of a plain denoiser, in place. Needs no peft.

    Args:
        denoiser: without LoRA.
        weights: matrices A (rank, in) and B (out, rank), named as in a denoiser with LoRA:
            ``NAME.lora_A.default.weight``, ``NAME.lora_B.default.weight``.
        scaling: alpha / rank.

    Raises:
        ValueError: if a name or shape does not fit the denoiser.
    """
    suffix = f".lora_A.{ADAPTER}.weight"
    for name, matrix_a in weights.items():
        if not name.endswith(suffix):
            continue
        layer = name.removesuffix(suffix)
        matrix_b = weights.get(f"{layer}.lora_B.{ADAPTER}.weight")
        try:
            weight = denoiser.get_parameter(f"{layer}.weight")
        except AttributeError as error:
            raise ValueError(f"the denoiser has no layer {layer} to merge LoRA into") from error
        if matrix_b is None or (matrix_b.shape[0], matrix_a.shape[1]) != tuple(weight.shape):
            raise ValueError(f"the LoRA matrices of layer {layer} do not fit its weight")
        product = matrix_b.float() @ matrix_a.float()  # (out, in)
        # Rounded once, after the sum: what was learned is small beside a weight in bfloat16.
        weight.copy_(weight.float() + (scaling * product).to(weight.device))
