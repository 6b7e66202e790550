"""A frozen diffusion model as TRACE sees it: image to latent, noise, attention."""

import contextlib
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from typing import Any, Self

import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from trace_mm.attention import AttentionLayer, AttentionTap, PooledKeys
from trace_mm.attention.tap import MapReceiver, TotalOf
from trace_mm.diffusion import forward_process
from trace_mm.diffusion.families import attention_layers, family_of
from trace_mm.diffusion.prompts import Embeddings, PromptEmbeddings, expand_text
from trace_mm.diffusion.stage_sums import StageSums
from trace_mm.structures import EdgeDataSample

Timestep = int | Sequence[int] | Tensor
OFFLOADS = ("block_level", "leaf_level")


class DiffusionBackbone(nn.Module):
    """Reads the fused self-attention map of an image at a noise level (paper Sec. 3.1, App. C.3).

    Args:
        denoiser: a supported diffusers model, see :data:`trace_mm.diffusion.families.FAMILIES`.
        scheduler: a diffusers scheduler; DDPM-like ones noise by ``add_noise`` at an integer
            timestep, flow-matching ones by x = (1 - s) x0 + s e with s = timestep / 1000.
        vae: a diffusers ``AutoencoderKL``, or None if the denoiser works on pixels in [-1, 1].
        null_text: embeddings of the empty prompt, by the names that the denoiser's family gives
            them; tensors of batch size 1.
        layers: the self-attention layers to read; all of them if None.
        offload: ``"block_level"`` or ``"leaf_level"``: keep the denoiser's weights on the CPU, and
            bring parts of them to the device when they are needed (diffusers' group offloading).
            Then ``to`` moves the rest and says on which device is computed. For inference only.
        prompts: of images. With them, each pass must be told the prompts of its images (``text``);
            without, all are the empty one.

    Raises:
        ValueError: if the denoiser's class is not supported, or there is no such offloading.
    """

    def __init__(
        self,
        denoiser: Any,
        scheduler: Any,
        vae: Any,
        null_text: Mapping[str, Tensor],
        layers: Sequence[AttentionLayer] | None = None,
        offload: str | None = None,
        prompts: PromptEmbeddings | None = None,
    ) -> None:
        super().__init__()
        # Any: nn.Module hides the config that diffusers' models have.
        self.denoiser: Any = denoiser
        self.scheduler = scheduler
        self.vae: Any = vae
        self.null_text = {name: tensor.detach() for name, tensor in null_text.items()}
        self.prompts = prompts
        self.family = family_of(denoiser)
        if layers is None:
            layers = attention_layers(denoiser, self.null_text["prompt_embeds"].shape[1])
        self.layers = list(layers)
        self._tap: AttentionTap | None = None
        if offload not in (None, *OFFLOADS):
            raise ValueError(f"offload must be one of {', '.join(OFFLOADS)}, got {offload!r}")
        self.offload = offload
        self._onload_device = torch.device("cpu")
        self._is_offloading = False
        self.requires_grad_(False).eval()

    @property
    def device(self) -> torch.device:
        """Where the denoiser computes."""
        return self._onload_device if self.offload else next(self.denoiser.parameters()).device

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> Self:
        """What ``to``, ``cuda`` and ``half`` call."""
        if self.offload is None:
            return super()._apply(fn, recurse)
        device = fn(torch.zeros(0, device=self._onload_device)).device
        if self._is_offloading and device != self._onload_device:
            raise ValueError("an offloaded backbone that has computed cannot change its device")
        self._onload_device = device
        if self.vae is not None:
            self.vae._apply(fn, recurse)
        return self

    def _start_offloading(self) -> None:
        """Not before the first pass, when the device is known and LoRA is merged."""
        self.denoiser.enable_group_offload(
            onload_device=self._onload_device,
            offload_device=torch.device("cpu"),
            offload_type=self.offload,
            num_blocks_per_group=1 if self.offload == "block_level" else None,
            use_stream=self._onload_device.type == "cuda",
        )
        self._is_offloading = True

    @property
    def latent_stride(self) -> int:
        """Image pixels that a latent pixel spans on each axis."""
        return forward_process.latent_stride(None if self.vae is None else self.vae.config)

    @property
    def token(self) -> int:
        """Side in pixels of a token of the finest layer that is read."""
        return self.latent_stride * min(layer.stride for layer in self.layers)

    @property
    def size_multiple(self) -> int:
        """What both sides of an image must be divisible by."""
        return self.latent_stride * self.family.latent_multiple(self.denoiser)

    @property
    def native_size(self) -> int:
        """Side in pixels of the square images that the model was trained on."""
        return self.family.native_latents(self.denoiser.config) * self.latent_stride

    @property
    def longest_side(self) -> int | None:
        """Pixels that a side of an image may have at most; None for any number."""
        latents = self.family.largest_latents(self.denoiser)
        return None if latents is None else latents * self.latent_stride

    @property
    def is_flow_matching(self) -> bool:
        """Whether noise is mixed in linearly (flow matching) rather than by a DDPM schedule."""
        return forward_process.is_flow_matching(self.scheduler)

    @property
    def least_noisy_timestep(self) -> int:
        """The timestep of the student's one pass, see ``forward_process``."""
        return forward_process.least_noisy_timestep(self.is_flow_matching)

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
        longest = self.longest_side
        if longest is not None and max(images.shape[2:]) > longest:
            raise ValueError(
                f"this model sees at most {longest} pixels a side, got {tuple(images.shape[2:])}: "
                "show images smaller (--size), or in tiles (--tile)"
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
        return forward_process.add_noise(self.scheduler, latents, noise, timestep)

    def check_timestep(self, timestep: int) -> None:
        """Refuse what is no timestep of the scheduler.

        Raises:
            ValueError: if the timestep is outside the scheduler's range.
        """
        forward_process.check_timestep(self.scheduler, timestep)

    def reconstruct(
        self, noisy: Tensor, output: Tensor, timestep: int, noise: Tensor | None = None
    ) -> Tensor:
        """The latents X0 that the denoiser's output for X_t means; see ``forward_process``."""
        return forward_process.reconstruct(self.scheduler, noisy, output, timestep, noise)

    def wanted_output(self, latents: Tensor, noise: Tensor, timestep: int) -> Tensor:
        """What a perfect denoiser says of X_t (Eq. 4); see ``forward_process``."""
        return forward_process.wanted_output(self.scheduler, latents, noise, timestep)

    def text_of(self, samples: Sequence[EdgeDataSample]) -> dict[str, Tensor] | None:
        """Embeddings (B, ...) of the prompts of B images; None without prompts.

        Raises:
            ValueError: if an image has no prompt; names it.
        """
        return None if self.prompts is None else self.prompts.of_samples(samples)

    def denoise(self, noisy: Tensor, timestep: Timestep, text: Embeddings | None = None) -> Tensor:
        """The denoiser's output for X_t (B, C, h', w').

        Args:
            noisy: X_t, (B, C, h', w').
            timestep: the noise level t, or one an item of the batch; a tensor on the device where
                nothing may be copied to it (CUDA graphs).
            text: the prompts of the images (:meth:`text_of`), or one for all of them; None for the
                empty one.

        Raises:
            ValueError: if there are prompts, and it is not said which.
        """
        if text is None and self.prompts is not None:
            raise ValueError(
                "this backbone has prompts (prompts=FILE), and what is asked of it takes none"
            )
        if self.offload and not self._is_offloading:
            self._start_offloading()
        batch, dtype = noisy.shape[0], self.denoiser.dtype
        given = {
            name: tensor.to(noisy.device, dtype if tensor.is_floating_point() else None)
            for name, tensor in (self.null_text if text is None else text).items()
        }
        text = expand_text(given, batch)
        steps = torch.as_tensor(timestep, device=noisy.device).expand(batch)
        return self.family.call(self.denoiser, noisy.to(dtype), steps, text, self.latent_stride)

    def attention(
        self,
        noisy: Tensor,
        timestep: Timestep,
        text: Embeddings | None = None,
        key_cell: int = 1,
    ) -> Tensor:
        """The fused self-attention SA(X_t) of Eq. 8.

        Args:
            noisy: X_t, (B, C, h', w').
            timestep: the noise level t, or one an item of the batch; a tensor on the device where
                nothing may be copied to it (CUDA graphs).
            text: see :meth:`denoise`.
            key_cell: side in tokens of the cells to which the finest layers attend if they are not
                read (:class:`trace_mm.attention.PooledKeys`); 1 computes them as they are. Not for
                gradients beside :meth:`enable_gradient_checkpointing`.

        Returns:
            (B, N, N) float32, rows sum to 1, N = h * w of ``grid(noisy)``.
        """
        sums = StageSums(self.layers, noisy)

        def receive(layer: AttentionLayer, attention: Tensor) -> None:
            sums.add(layer, attention)
            if sums.complete:
                raise _AllReadError  # what comes after the last layer costs time for nothing

        with contextlib.suppress(_AllReadError), self._pooled_keys(noisy, key_cell):
            self._denoise_tapped(noisy, timestep, text, receive, sums.total, one_softmax=True)
        return sums.fused()

    def _pooled_keys(self, noisy: Tensor, cell: int) -> AbstractContextManager[Any]:
        """Where the finest layers that are not read attend to cells of tokens."""
        if cell == 1:
            return contextlib.nullcontext()
        layers = attention_layers(self.denoiser, self.null_text["prompt_embeds"].shape[1])
        finest, read = min(layer.stride for layer in layers), {layer.name for layer in self.layers}
        unread = [
            layer
            for layer in layers
            if layer.stride == finest and layer.name not in read and layer.holds_image_alone
        ]
        if not unread:
            return contextlib.nullcontext()
        return PooledKeys(unread, (noisy.shape[2], noisy.shape[3]), cell)

    def denoise_and_attend(
        self, noisy: Tensor, timestep: Timestep, text: Embeddings | None = None
    ) -> tuple[Tensor, Tensor]:
        """The denoiser's output and the fused self-attention of one pass. Differentiable.

        Args:
            noisy: X_t, (B, C, h', w').
            timestep: the noise level t, or one an item of the batch; a tensor on the device where
                nothing may be copied to it (CUDA graphs).
            text: see :meth:`denoise`.

        Returns:
            What :meth:`denoise` returns, and what :meth:`attention` returns.
        """
        sums = StageSums(self.layers, noisy)
        output = self._denoise_tapped(noisy, timestep, text, sums.add, sums.total)
        return output, sums.fused()

    def _denoise_tapped(
        self,
        noisy: Tensor,
        timestep: Timestep,
        text: Embeddings | None,
        receive: MapReceiver,
        total_of: TotalOf,
        one_softmax: bool = False,
    ) -> Tensor:
        try:
            with AttentionTap(
                self.layers, receive, total_of=total_of, one_softmax=one_softmax
            ) as self._tap:
                return self.denoise(noisy, timestep, text)
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
