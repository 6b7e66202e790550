"""How noise is mixed into latents, and what a denoiser's output says of the clean ones.

A scheduler's config tells which of two processes a model was trained with: DDPM, or flow matching.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from trace_mm.lazy import lazy_module

if TYPE_CHECKING:
    import torch
    from torch import Tensor
else:
    torch = lazy_module("torch")


def latent_stride(vae: Mapping[str, Any] | None) -> int:
    """Image pixels that a latent pixel spans on each axis.

    Args:
        vae: config of the autoencoder; None if there is none.
    """
    return 1 if vae is None else int(2 ** (len(vae["block_out_channels"]) - 1))


def is_flow_matching(scheduler: Any) -> bool:
    """Whether noise is mixed in linearly (flow matching) rather than by a DDPM schedule."""
    return not hasattr(scheduler, "add_noise")


def least_noisy_timestep(is_flow_matching: bool) -> int:
    """The timestep of the student's one pass: the smallest at which there is some noise.

    0 for DDPM schedules, whose first step adds a little, and 1 for flow matching, where 0 is no
    noise at all.
    """
    return 1 if is_flow_matching else 0


def check_timestep(scheduler: Any, timestep: int) -> None:
    """Refuse what is no timestep of the scheduler.

    Raises:
        ValueError: if the timestep is outside the scheduler's range.
    """
    check_range(timestep, scheduler.config.num_train_timesteps)


def check_range(timestep: int, steps: int) -> None:
    """Refuse what is none of so many timesteps.

    Raises:
        ValueError: if it is not in [0, steps).
    """
    if not 0 <= timestep < steps:
        raise ValueError(f"timestep must be in [0, {steps}), got {timestep}")


def add_noise(scheduler: Any, latents: Tensor, noise: Tensor, timestep: int) -> Tensor:
    """X_t of Eq. 3: latents (B, C, h', w') with noise of the same shape mixed in.

    DDPM: sqrt(a) x0 + sqrt(1 - a) e, a the product of 1 - beta. Flow matching:
    (1 - s) x0 + s e with s = timestep / 1000.

    Raises:
        ValueError: if the timestep is outside the scheduler's range.
    """
    check_timestep(scheduler, timestep)
    if is_flow_matching(scheduler):
        sigma = timestep / scheduler.config.num_train_timesteps
        return (1.0 - sigma) * latents + sigma * noise
    steps = torch.full((latents.shape[0],), timestep, dtype=torch.long)
    noisy: Tensor = scheduler.add_noise(latents, noise, steps.to(latents.device))
    return noisy


def reconstruct(
    scheduler: Any, noisy: Tensor, output: Tensor, timestep: int, noise: Tensor | None = None
) -> Tensor:
    """The latents X0 that the denoiser's output for X_t means (Eq. 5, App. C.2).

    Args:
        scheduler: names the kind of output: noise, velocity or sample; for flow matching it is
            the velocity e - x0.
        noisy: X_t, (B, C, h', w').
        output: of the denoiser for it.
        timestep: the noise level t.
        noise: e, that was mixed in, for flow matching as App. C.2 has it: then X0 = e - output,
            whose error is the output's at any t. Without it X0 = X_t - s output, whose error is
            s = t / 1000 times that.

    Returns:
        (B, C, h', w'), float32.

    Raises:
        ValueError: if the scheduler names a kind of output that is not known.
    """
    noisy, output = noisy.float(), output.float()
    if is_flow_matching(scheduler):
        if noise is not None:
            return noise.float() - output
        return noisy - timestep / scheduler.config.num_train_timesteps * output
    alpha, sigma = _signal_and_noise(scheduler, timestep)
    kind = _prediction(scheduler)
    if kind == "epsilon":
        return (noisy - sigma * output) / alpha
    if kind == "v_prediction":
        return alpha * noisy - sigma * output
    return output


def wanted_output(scheduler: Any, latents: Tensor, noise: Tensor, timestep: int) -> Tensor:
    """What a perfect denoiser says of X_t: what models are trained to say (Eq. 4, App. C.2).

    Args:
        scheduler: see :func:`reconstruct`.
        latents: X0, (B, C, h', w').
        noise: e, that was mixed in.
        timestep: the noise level t.

    Returns:
        (B, C, h', w'): e; for flow matching e - x0.

    Raises:
        ValueError: if the scheduler names a kind of output that is not known.
    """
    if is_flow_matching(scheduler):
        return noise - latents
    kind = _prediction(scheduler)
    if kind == "epsilon":
        return noise
    if kind == "sample":
        return latents
    alpha, sigma = _signal_and_noise(scheduler, timestep)
    return alpha * noise - sigma * latents


def _signal_and_noise(scheduler: Any, timestep: int) -> tuple[float, float]:
    """The factors alpha and sigma of Eq. 3 in a DDPM schedule."""
    signal = float(scheduler.alphas_cumprod[timestep])
    return signal**0.5, (1.0 - signal) ** 0.5


def _prediction(scheduler: Any) -> str:
    """What a DDPM model's output is."""
    kind: str = scheduler.config.prediction_type
    if kind not in ("epsilon", "v_prediction", "sample"):
        raise ValueError(f"cannot reconstruct from predictions of type {kind!r}")
    return kind
