"""The TRACE teacher: instance edges of an image without any training (paper Sec. 3.1 to 3.3)."""

from collections.abc import Iterator, Sequence
from typing import Any

import torch
from mmengine.model import BaseModel
from torch import Tensor

from trace_mm.diffusion import (
    DiffusionBackbone,
    content_seed,
    load_recommended,
    seeded_noise,
)
from trace_mm.models.sizes import read_tiles, resize_images, working_size
from trace_mm.ops import (
    EmergencePoint,
    attention_boundary_divergence,
    normalize_edges,
    region_attention,
    upsample_edges,
)
from trace_mm.registry import MODELS
from trace_mm.structures import EdgeDataSample

PAPER_TIMESTEPS = tuple(range(0, 1000, 100))


@MODELS.register_module()
class TraceTeacher(BaseModel):
    """Reads instance edges out of a diffusion model's self-attention.

    Noises an image to a series of timesteps, takes the fused self-attention of each (Eq. 8),
    finds the timestep t* at which it changes most (IEP, Eq. 1), and turns the attention at t*
    into edges (ABDiv, Eq. 2). Noise is seeded from the image's content, and each image is
    processed on its own, so that a result does not depend on batch, order or file name.

    Options that are None take what the backbone's folder recommends in its ``trace.json``, and
    else the paper's value.

    Args:
        backbone: arguments of :func:`trace_mm.diffusion.load_backbone`; ``pretrained`` names the
            model. Or a loaded backbone and what its folder recommends, to share its weights.
        timestep: ``"iep"`` for the search of Eq. 1, or the timestep to read.
        timesteps: increasing timesteps of the search; the paper's are 0, 100, ..., 900.
        divergence: of Eq. 1, a key of ``trace_mm.ops.DIVERGENCES``; the paper's is ``"kl"``.
        boundary_divergence: of Eq. 2, likewise.
        neighbors: 4 or 8, of Eq. 2.
        noise_draws: over how many draws of noise the attention of a timestep is averaged; the
            paper's is 1.
        region_cell: Eq. 2 compares where attention goes by regions of so many tokens a side
            (:func:`trace_mm.ops.region_attention`), which fades textures inside objects; 1 compares
            it token by token, like the paper.
        walk_steps: of a random walk over regions that the comparison looks ahead; 1 is the
            attention itself, like the paper.
        size: side in pixels of the square area at which the model is shown an image; the paper's is
            the model's native size.
        tile: cut images larger than this many pixels a side into tiles of that size, each of which
            is shown to the model like an image. The search runs once, on the whole image.
        tile_overlap: the least part of a tile that its neighbour covers too.
        seed: of the noise.
        data_preprocessor: of MMEngine; casts to the device by default.
    """

    def __init__(
        self,
        backbone: dict[str, Any] | tuple[DiffusionBackbone, dict[str, Any]],
        timestep: int | str = "iep",
        timesteps: Sequence[int] | None = None,
        divergence: str | None = None,
        boundary_divergence: str | None = None,
        neighbors: int = 4,
        noise_draws: int | None = None,
        region_cell: int | None = None,
        walk_steps: int | None = None,
        size: int | None = None,
        tile: int | None = None,
        tile_overlap: float = 0.25,
        seed: int = 0,
        data_preprocessor: dict[str, Any] | None = None,
    ) -> None:
        super().__init__(data_preprocessor or {"type": "BaseDataPreprocessor"})
        loaded = backbone if isinstance(backbone, tuple) else load_recommended(**backbone)
        self.backbone, settings = loaded

        def choose(name: str, given: Any, paper: Any) -> Any:
            return given if given is not None else settings.get(name, paper)

        self.timestep = _check_timestep(timestep)
        self.timesteps = tuple(choose("timesteps", timesteps, PAPER_TIMESTEPS))
        self.divergence = choose("divergence", divergence, "kl")
        self.boundary_divergence = choose("boundary_divergence", boundary_divergence, "kl")
        self.neighbors = neighbors
        self.noise_draws = choose("noise_draws", noise_draws, 1)
        self.region_cell = choose("region_cell", region_cell, 1)
        self.walk_steps = choose("walk_steps", walk_steps, 1)
        if min(self.region_cell, self.walk_steps) < 1:
            raise ValueError(
                "region_cell and walk_steps must be at least 1, "
                f"got {self.region_cell} and {self.walk_steps}"
            )
        self.size = choose("size", size, self.backbone.native_size)
        if self.size < 1:
            raise ValueError(f"size must be at least 1, got {self.size}")
        self.tile = tile
        self.tile_overlap = tile_overlap
        self.seed = seed

    def forward(
        self,
        inputs: Sequence[Tensor],
        data_samples: Sequence[EdgeDataSample] | None = None,
        mode: str = "predict",
    ) -> list[EdgeDataSample]:
        """MMEngine's entry point; the teacher only predicts.

        Raises:
            ValueError: in any other mode.
        """
        if mode != "predict":
            raise ValueError(f"TraceTeacher is not trained: it has no mode {mode!r}")
        return self.predict(inputs, data_samples)

    @torch.no_grad()
    def predict(
        self, inputs: Sequence[Tensor], data_samples: Sequence[EdgeDataSample] | None = None
    ) -> list[EdgeDataSample]:
        """Edges of images.

        Args:
            inputs: float (3, H, W) in [0, 1] each; sizes may differ.
            data_samples: one an image; the prediction is added to it. New ones if None.

        Returns:
            The samples, with ``pred_edges`` (H, W) float32 in [0, 1] on the CPU, ``timestep`` and
            ``scores`` (empty for a fixed timestep).
        """
        samples = data_samples or [EdgeDataSample() for _ in inputs]
        for image, sample in zip(inputs, samples, strict=True):
            sample.timestep, sample.scores, sample.pred_edges = self._read_image(image)
        return list(samples)

    @torch.no_grad()
    def attention_maps(
        self, image: Tensor, timesteps: Sequence[int] | None = None
    ) -> Iterator[tuple[int, Tensor, tuple[int, int]]]:
        """Attention of one image at a series of timesteps, for the search and for pictures.

        Args:
            image: (3, H, W) in [0, 1].
            timesteps: those of the search if None.

        Yields:
            Timestep, fused attention (1, N, N) averaged over the noise draws, and its grid (h, w).
        """
        latents = self._encode(image)
        noise = seeded_noise(
            content_seed(self.seed, image), tuple(latents.shape), self.noise_draws
        ).to(latents.device)  # (draws, 1, C, h', w'): the same for all timesteps
        grid = self.backbone.grid(latents)
        for timestep in self.timesteps if timesteps is None else timesteps:
            yield timestep, self._mean_attention(latents, noise, timestep), grid

    def _encode(self, image: Tensor) -> Tensor:
        """Latents (1, C, h', w') of an image (3, H, W)."""
        if image.ndim != 3 or image.shape[0] != 3:
            raise ValueError(f"an image must be (3, H, W), got {tuple(image.shape)}")
        size = working_size(
            (image.shape[1], image.shape[2]), self.size, self.backbone.size_multiple
        )
        return self.backbone.encode(resize_images(image[None], size))

    def _mean_attention(self, latents: Tensor, noise: Tensor, timestep: int) -> Tensor:
        total: Tensor | None = None
        for draw in noise:
            attention = self.backbone.attention(
                self.backbone.add_noise(latents, draw, timestep), timestep
            )
            total = attention if total is None else total.add_(attention)
        if total is None:
            raise ValueError("noise_draws must be at least 1")
        return total.div_(len(noise))

    def _read_image(self, image: Tensor) -> tuple[int, dict[int, float], Tensor]:
        """Timestep, scores, and edges (H, W) in [0, 1] of an image."""
        size = image.shape[1], image.shape[2]
        boundary: Tensor | None = None
        scores: dict[int, float] = {}
        if self.timestep == "iep":
            timestep, scores, boundary = self._search(image)
        else:
            timestep = int(self.timestep)
        if self.tile is not None and max(size) > self.tile:
            boundary = read_tiles(
                image,
                self.tile,
                self.tile_overlap,
                lambda part: self._read_boundary(part, timestep),
            )
        elif boundary is None:
            boundary = self._read_boundary(image, timestep)
        edges = normalize_edges(boundary[None, None])[0, 0].float()
        return timestep, scores, edges.clamp(0, 1)

    def _search(self, image: Tensor) -> tuple[int, dict[int, float], Tensor]:
        """The emergence point, the scores, and the boundary strength (H, W) there."""
        search, grid = EmergencePoint(self.divergence), (0, 0)
        for timestep, attention, step_grid in self.attention_maps(image):
            search.update(timestep, attention)
            grid = step_grid
        found = search.result()
        boundary = self._boundary(found.attention, grid, (image.shape[1], image.shape[2]))
        return found.timestep, found.scores, boundary

    def _read_boundary(self, image: Tensor, timestep: int) -> Tensor:
        """Boundary strength (H, W) at one timestep."""
        _, attention, grid = next(self.attention_maps(image, [timestep]))
        return self._boundary(attention, grid, (image.shape[1], image.shape[2]))

    def _boundary(self, attention: Tensor, grid: tuple[int, int], size: tuple[int, int]) -> Tensor:
        """Boundary strength (H, W) on the CPU, enlarged from the token grid."""
        regions = region_attention(attention, grid, self.region_cell, self.walk_steps)
        boundary = attention_boundary_divergence(
            regions, grid, self.boundary_divergence, self.neighbors
        )
        return upsample_edges(boundary, size, "bicubic")[0, 0].cpu()


def _check_timestep(timestep: int | str) -> int | str:
    if timestep != "iep" and (isinstance(timestep, bool) or not isinstance(timestep, int)):
        raise ValueError(f"timestep must be 'iep' or an integer, got {timestep!r}")
    return timestep
