"""A frozen diffusion model as TRACE sees it: image to latent, noise, attention."""

import contextlib
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Self

import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from trace_mm.attention import AttentionLayer, AttentionTap
from trace_mm.attention.tap import MapReceiver, TotalOf
from trace_mm.diffusion import forward_process
from trace_mm.diffusion.families import attention_layers, family_of
from trace_mm.diffusion.prompts import Embeddings, PromptEmbeddings, expand_text
from trace_mm.ops import AttentionFusion
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
        self, noisy: Tensor, timestep: Timestep, text: Embeddings | None = None
    ) -> Tensor:
        """The fused self-attention SA(X_t) of Eq. 8.

        Args:
            noisy: X_t, (B, C, h', w').
            timestep: the noise level t, or one an item of the batch; a tensor on the device where
                nothing may be copied to it (CUDA graphs).
            text: see :meth:`denoise`.

        Returns:
            (B, N, N) float32, rows sum to 1, N = h * w of ``grid(noisy)``.
        """
        sums = _StageSums(self.layers, noisy)

        def receive(layer: AttentionLayer, attention: Tensor) -> None:
            sums.add(layer, attention)
            if sums.complete:
                raise _AllReadError  # what comes after the last layer costs time for nothing

        with contextlib.suppress(_AllReadError):
            self._denoise_tapped(noisy, timestep, text, receive, sums.total, one_softmax=True)
        return sums.fused()

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
        sums = _StageSums(self.layers, noisy)
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


class _StageSums:
    """Fuses maps stage by stage (Eq. 8): those of one stride first, while they are small.

    Args:
        layers: of which one map each will be added.
        noisy: latents (B, C, h', w') that the layers see.
    """

    def __init__(self, layers: Sequence[AttentionLayer], noisy: Tensor) -> None:
        self._device = noisy.device.type
        self._counts = Counter(layer.stride for layer in layers)
        self._missing = {layer.name for layer in layers}
        self._grids = {s: (noisy.shape[2] // s, noisy.shape[3] // s) for s in self._counts}
        self._sums: dict[int, Tensor] = {}

    @property
    def complete(self) -> bool:
        """Whether the maps of all layers are there."""
        return not self._missing

    def total(self, layer: AttentionLayer) -> Tensor | None:
        """The sum to which a layer's map may be added in place, if there is one."""
        return None if torch.is_grad_enabled() else self._sums.get(layer.stride)

    def add(self, layer: AttentionLayer, attention: Tensor) -> None:
        """Take the map (B, n, n) of one layer, or the sum that it was added to.

        Raises:
            KeyError: if the layer's map was taken before.
        """
        self._missing.remove(layer.name)
        found = self._sums.get(layer.stride)
        if found is None:
            self._sums[layer.stride] = attention
        elif found is not attention:
            self._sums[layer.stride] = found.add_(attention)

    def fused(self) -> Tensor:
        """The mean over layers, (B, N, N). Hands the memory over.

        Raises:
            ValueError: if the attention of a layer was not seen; names it.
        """
        if self._missing:
            raise ValueError(
                f"{', '.join(sorted(self._missing))}: no call of scaled_dot_product_attention was "
                "seen. Use diffusers' own attention: no other attention processor, no "
                "set_attention_backend, no DIFFUSERS_ATTN_BACKEND in the environment"
            )
        finest = min(self._sums)
        fusion = AttentionFusion(self._grids[finest])
        # The sum first: its memory is the result's.
        fusion.add(
            self._sums.pop(finest), self._grids[finest], reuse=True, count=self._counts[finest]
        )
        with torch.autocast(self._device, enabled=False):  # it would fuse in half precision
            for stride in sorted(self._sums, reverse=True):
                count = self._counts[stride]
                mean = self._sums.pop(stride).div_(count)
                fusion.add(mean, self._grids[stride], weight=count)
        return fusion.result()
