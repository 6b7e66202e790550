"""Whether a denoiser is the one that something was trained for, in any precision."""

import json
from typing import Any

import torch


@torch.no_grad()
def denoiser_identity(denoiser: Any) -> dict[str, Any]:
    """What tells a denoiser from others: its config, and one value of each of its weights.

    Args:
        denoiser: a diffusers model without LoRA.

    Returns:
        JSON values: ``class``, ``config`` (without names and versions) and ``weights``, the middle
        value of each parameter.
    """
    config = {key: value for key, value in denoiser.config.items() if not key.startswith("_")}
    middles = [weight.flatten()[weight.numel() // 2].float() for weight in denoiser.parameters()]
    return {
        "class": type(denoiser).__name__,
        "config": json.loads(json.dumps(config, default=str, sort_keys=True)),
        "weights": [float(f"{value:.6g}") for value in torch.stack(middles).tolist()],
    }


def identity_difference(first: dict[str, Any], second: dict[str, Any]) -> str | None:
    """In what two denoisers differ, in words; None if they are the same one.

    Weights may differ by the rounding of half precision. Config entries that only one of them has
    are left out, since later versions of diffusers add some.

    Args:
        first: what :func:`denoiser_identity` returned.
        second: likewise.
    """
    if first["class"] != second["class"]:
        return f"{first['class']} is not {second['class']}"
    for key in sorted(first["config"].keys() & second["config"].keys()):
        one, other = first["config"][key], second["config"][key]
        if one != other:
            return f"config entry {key} is {one!r} in one and {other!r} in the other"
    if len(first["weights"]) != len(second["weights"]):
        return f"one has {len(first['weights'])} weights, the other {len(second['weights'])}"
    one, other = torch.tensor(first["weights"]), torch.tensor(second["weights"])
    # bfloat16 has 8 bits of precision; the absolute part is where float16 runs out of exponents.
    different = ~torch.isclose(one, other, rtol=2**-7, atol=1e-6)
    if different.any():
        return f"{int(different.sum())} of {len(different)} weights differ"
    return None
