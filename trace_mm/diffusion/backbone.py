"""A frozen diffusion model as TRACE sees it: image to latent, noise, attention."""

import contextlib
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from trace_mm.diffusion.attention import AttentionTap, MapReceiver
from trace_mm.diffusion.families import AttentionLayer, attention_layers
from trace_mm.ops import AttentionFusion


class DiffusionBackbone(nn.Module):
    """Reads the fused self-attention map of an image at a noise level (paper Sec. 3.1, App. C.3).

    Args:
        denoiser: a supported diffusers model, see ``families.FAMILIES``.
        scheduler: a diffusers scheduler; DDPM-like ones noise by ``add_noise`` at an integer
            timestep, flow-matching ones by x = (1 - s) x0 + s e with s = timestep / 1000.
        vae: a diffusers ``AutoencoderKL``, or None if the denoiser works on pixels in [-1, 1].
        null_text: keyword arguments of the denoiser that stand for the empty prompt; tensors of
            batch size 1.
        layers: the self-attention layers to read; all of them if None.
    """

    def __init__(
        self,
        denoiser: Any,
        scheduler: Any,
        vae: Any,
        null_text: Mapping[str, Tensor],
        layers: Sequence[AttentionLayer] | None = None,
    ) -> None:
        super().__init__()
        # Any: nn.Module hides the config that diffusers' models have.
        self.denoiser: Any = denoiser
        self.scheduler = scheduler
        self.vae: Any = vae
        self.null_text = {name: tensor.detach() for name, tensor in null_text.items()}
        self.layers = list(layers) if layers is not None else attention_layers(denoiser)
        self._tap: AttentionTap | None = None
        self.requires_grad_(False).eval()

    @property
    def device(self) -> torch.device:
        """Where the denoiser is."""
        return next(self.denoiser.parameters()).device

    @property
    def latent_stride(self) -> int:
        """Image pixels that a latent pixel spans on each axis."""
        return 1 if self.vae is None else int(2 ** (len(self.vae.config.block_out_channels) - 1))

    @property
    def size_multiple(self) -> int:
        """What both sides of an image must be divisible by."""
        halvings = len(self.denoiser.config.block_out_channels) - 1
        return self.latent_stride * int(2**halvings)

    @property
    def native_size(self) -> int:
        """Side in pixels of the square images that the model was trained on."""
        return int(self.denoiser.config.sample_size) * self.latent_stride

    @property
    def is_flow_matching(self) -> bool:
        """Whether noise is mixed in linearly (flow matching) rather than by a DDPM schedule."""
        return not hasattr(self.scheduler, "add_noise")

    @property
    def least_noisy_timestep(self) -> int:
        """The timestep of the student's one pass: the smallest at which there is some noise.

        0 for DDPM schedules, whose first step adds a little. 1 for flow matching: at 0 an image is
        its own reconstruction whatever the denoiser says, which teaches nothing.
        """
        return 1 if self.is_flow_matching else 0

    def grid(self, latents: Tensor) -> tuple[int, int]:
        """Token grid (h, w) of the fused map of these latents (B, C, h', w')."""
        stride = min(layer.stride for layer in self.layers)
        return latents.shape[2] // stride, latents.shape[3] // stride

    @torch.no_grad()
    def encode(self, images: Tensor) -> Tensor:
        """Latents X0 of images.

        Args:
            images: (B, 3, H, W) in [0, 1]; H and W divisible by ``size_multiple``.

        Returns:
            (B, C, H / latent_stride, W / latent_stride), shifted and scaled as the VAE's config
            says; the mode of the posterior, so that nothing is random.

        Raises:
            ValueError: if the shape does not fit.
        """
        multiple = self.size_multiple
        if images.ndim != 4 or images.shape[1] != 3:
            raise ValueError(f"images must be (B, 3, H, W), got {tuple(images.shape)}")
        if images.shape[2] % multiple or images.shape[3] % multiple:
            raise ValueError(
                f"both sides must be divisible by {multiple}, got {tuple(images.shape[2:])}"
            )
        pixels = images.to(self.device) * 2.0 - 1.0
        if self.vae is None:
            return pixels
        weights = next(self.vae.parameters())
        with torch.autocast(pixels.device.type, enabled=False):  # SDXL's VAE overflows in half
            latents = self.vae.encode(pixels.to(weights.dtype)).latent_dist.mode()
        return (latents.float() - self._latent_shift) * self.vae.config.scaling_factor

    def decode(self, latents: Tensor) -> Tensor:
        """Images of latents: what :meth:`encode` undoes. Differentiable.

        Args:
            latents: (B, C, h', w').

        Returns:
            (B, 3, H, W), about [0, 1]: not clipped, so that a loss has a gradient everywhere.
        """
        if self.vae is None:
            return (latents + 1.0) / 2.0
        weights = next(self.vae.parameters())
        raw = latents.float() / self.vae.config.scaling_factor + self._latent_shift
        with torch.autocast(latents.device.type, enabled=False):
            pixels = self.vae.decode(raw.to(weights.dtype)).sample
        return (pixels.float() + 1.0) / 2.0

    @property
    def _latent_shift(self) -> float:
        return getattr(self.vae.config, "shift_factor", None) or 0.0

    def add_noise(self, latents: Tensor, noise: Tensor, timestep: int) -> Tensor:
        """X_t of Eq. 3: latents (B, C, h', w') with noise of the same shape mixed in.

        Raises:
            ValueError: if the timestep is outside the scheduler's range.
        """
        self.check_timestep(timestep)
        if self.is_flow_matching:
            sigma = timestep / self.scheduler.config.num_train_timesteps
            return (1.0 - sigma) * latents + sigma * noise
        steps = torch.full((latents.shape[0],), timestep, dtype=torch.long)
        return self.scheduler.add_noise(latents, noise, steps.to(latents.device))

    def check_timestep(self, timestep: int) -> None:
        """Refuse what is no timestep of the scheduler.

        Raises:
            ValueError: if the timestep is outside the scheduler's range.
        """
        steps = self.scheduler.config.num_train_timesteps
        if not 0 <= timestep < steps:
            raise ValueError(f"timestep must be in [0, {steps}), got {timestep}")

    def reconstruct(self, noisy: Tensor, output: Tensor, timestep: int) -> Tensor:
        """The latents X0 that the denoiser's output for X_t means (Eq. 5, App. C.2).

        Args:
            noisy: X_t, (B, C, h', w').
            output: of :meth:`denoise` for it: noise or velocity, as the scheduler's config says;
                for flow matching the velocity e - x0.
            timestep: the noise level t.

        Returns:
            (B, C, h', w'), float32.

        Raises:
            ValueError: if the scheduler names a kind of output that is not known.
        """
        noisy, output = noisy.float(), output.float()
        if self.is_flow_matching:
            return noisy - timestep / self.scheduler.config.num_train_timesteps * output
        signal = float(self.scheduler.alphas_cumprod[timestep])
        alpha, sigma = signal**0.5, (1.0 - signal) ** 0.5
        kind = self.scheduler.config.prediction_type
        if kind == "epsilon":
            return (noisy - sigma * output) / alpha
        if kind == "v_prediction":
            return alpha * noisy - sigma * output
        if kind == "sample":
            return output
        raise ValueError(f"cannot reconstruct from predictions of type {kind!r}")

    def denoise(self, noisy: Tensor, timestep: int) -> Tensor:
        """The denoiser's output for X_t (B, C, h', w') under the empty prompt."""
        batch, dtype = noisy.shape[0], next(self.denoiser.parameters()).dtype
        condition = {
            name: tensor.to(noisy.device, dtype).expand(batch, *tensor.shape[1:])
            for name, tensor in self.null_text.items()
        }
        arguments: dict[str, Any] = {"encoder_hidden_states": condition.pop("prompt_embeds")}
        if condition:  # SDXL: pooled text and the image's size, as its config calls for
            condition["time_ids"] = _time_ids(noisy, self.latent_stride, dtype)
            arguments["added_cond_kwargs"] = condition
        steps = torch.full((batch,), timestep, device=noisy.device)
        return self.denoiser(noisy.to(dtype), steps, **arguments).sample

    def attention(self, noisy: Tensor, timestep: int) -> Tensor:
        """The fused self-attention SA(X_t) of Eq. 8.

        Args:
            noisy: X_t, (B, C, h', w').
            timestep: the noise level t.

        Returns:
            (B, N, N) float32, rows sum to 1, N = h * w of ``grid(noisy)``.
        """
        sums = _StageSums(self.layers, noisy)

        def receive(layer: AttentionLayer, attention: Tensor) -> None:
            sums.add(layer, attention)
            if sums.complete:
                raise _AllReadError  # what comes after the last layer costs time for nothing

        with contextlib.suppress(_AllReadError):
            self._denoise_tapped(noisy, timestep, receive)
        return sums.fused()

    def denoise_and_attend(self, noisy: Tensor, timestep: int) -> tuple[Tensor, Tensor]:
        """The denoiser's output and the fused self-attention of one pass. Differentiable.

        Args:
            noisy: X_t, (B, C, h', w').
            timestep: the noise level t.

        Returns:
            What :meth:`denoise` returns, and what :meth:`attention` returns.
        """
        sums = _StageSums(self.layers, noisy)
        output = self._denoise_tapped(noisy, timestep, sums.add)
        return output, sums.fused()

    def _denoise_tapped(self, noisy: Tensor, timestep: int, receive: MapReceiver) -> Tensor:
        try:
            with AttentionTap(self.layers, receive) as self._tap:
                return self.denoise(noisy, timestep)
        finally:
            self._tap = None

    def enable_gradient_checkpointing(self) -> None:
        """Compute blocks anew in the backward pass rather than keep what they computed."""
        self.denoiser.enable_gradient_checkpointing(self._run_checkpointed)
        if self.vae is not None:
            self.vae.enable_gradient_checkpointing()

    def _run_checkpointed(self, module: nn.Module, *inputs: Any) -> Any:
        if self._tap is not None:
            return self._tap.checkpoint(module, *inputs)
        return checkpoint(module, *inputs, use_reentrant=False)


class _AllReadError(Exception):
    """Ends a pass of which only the attention is wanted."""


class _StageSums:
    """Fuses maps stage by stage (Eq. 8): those of one stride first, while they are small.

    Args:
        layers: of which one map each will be added.
        noisy: latents (B, C, h', w') that the layers see.
    """

    def __init__(self, layers: Sequence[AttentionLayer], noisy: Tensor) -> None:
        self._device = noisy.device.type
        self._counts = Counter(layer.stride for layer in layers)
        self._missing = len(layers)
        self._grids = {s: (noisy.shape[2] // s, noisy.shape[3] // s) for s in self._counts}
        self._stages = {stride: AttentionFusion(grid) for stride, grid in self._grids.items()}

    @property
    def complete(self) -> bool:
        """Whether the maps of all layers are there."""
        return self._missing == 0

    def add(self, layer: AttentionLayer, attention: Tensor) -> None:
        """Take the map (B, n, n) of one layer."""
        self._stages[layer.stride].add(attention, self._grids[layer.stride], reuse=True)
        self._missing -= 1

    def fused(self) -> Tensor:
        """The mean over layers, (B, N, N). Hands the memory over."""
        finest = self._stages.pop(min(self._stages))
        with torch.autocast(self._device, enabled=False):  # it would fuse in half precision
            for stride in sorted(self._stages, reverse=True):
                stage = self._stages.pop(stride).result()
                finest.add(stage, self._grids[stride], weight=self._counts[stride])
        return finest.result()


def _time_ids(noisy: Tensor, latent_stride: int, dtype: torch.dtype) -> Tensor:
    """SDXL's size condition (B, 6): original size, no crop, target size."""
    height, width = noisy.shape[2] * latent_stride, noisy.shape[3] * latent_stride
    size = torch.tensor([height, width, 0, 0, height, width], device=noisy.device, dtype=dtype)
    return size.expand(noisy.shape[0], 6)
