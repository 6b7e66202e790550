"""The TRACE teacher: instance edges of an image without any training (paper Sec. 3.1 to 3.3)."""

from collections.abc import Iterator, Sequence
from typing import Any

import torch
from mmengine.model import BaseModel
from torch import Tensor
from torch.nn import functional

from trace_mm.diffusion import (
    DiffusionBackbone,
    content_seed,
    load_recommended,
    seeded_noise,
)
from trace_mm.models.sizes import resize_images, tile_windows, working_size
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

# Half turn, and shift to the lower right as a share of a token.
_VIEWS = ((False, 0.0), (True, 0.0), (False, 0.5), (True, 0.5))


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
        views: over how many views of the image the edges at t* are averaged: 1 for the image as
            it is, like the paper; 2 adds the image upside down; 4 adds both, shifted by half a
            token.
        noise_draws: over how many draws of noise the attention of a timestep is averaged; the
            paper's is 1.
        region_cell: Eq. 2 compares where attention goes by regions of so many tokens a side
            (:func:`trace_mm.ops.region_attention`), which fades textures inside objects; 1 compares
            it token by token, like the paper.
        walk_steps: of a random walk over regions that the comparison looks ahead; 1 is the
            attention itself, like the paper.
        sizes: sides in pixels of the square areas at which the model is shown an image. The search
            runs at the first; edges are the geometric mean over all, so that one must show at each.
            The paper's is the model's native size.
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
        views: int | None = None,
        noise_draws: int | None = None,
        region_cell: int | None = None,
        walk_steps: int | None = None,
        sizes: Sequence[int] | None = None,
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
        self.views = choose("views", views, 1)
        if self.views not in (1, 2, 4):
            raise ValueError(f"views must be 1, 2 or 4, got {self.views}")
        self.noise_draws = choose("noise_draws", noise_draws, 1)
        self.region_cell = choose("region_cell", region_cell, 1)
        self.walk_steps = choose("walk_steps", walk_steps, 1)
        if min(self.region_cell, self.walk_steps) < 1:
            raise ValueError(
                "region_cell and walk_steps must be at least 1, "
                f"got {self.region_cell} and {self.walk_steps}"
            )
        self.sizes = tuple(choose("sizes", sizes, (self.backbone.native_size,)))
        if not self.sizes or min(self.sizes) < 1:
            raise ValueError(f"sizes must be one or more positive numbers, got {self.sizes}")
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
        self, image: Tensor, timesteps: Sequence[int] | None = None, side: int | None = None
    ) -> Iterator[tuple[int, Tensor, tuple[int, int]]]:
        """Attention of one image at a series of timesteps, for the search and for pictures.

        Args:
            image: (3, H, W) in [0, 1].
            timesteps: those of the search if None.
            side: of the square area at which the model is shown the image; the first of the
                model's sizes if None.

        Yields:
            Timestep, fused attention (1, N, N) averaged over the noise draws, and its grid (h, w).
        """
        latents = self._encode(image, side)
        noise = seeded_noise(
            content_seed(self.seed, image), tuple(latents.shape), self.noise_draws
        ).to(latents.device)  # (draws, 1, C, h', w'): the same for all timesteps
        grid = self.backbone.grid(latents)
        for timestep in self.timesteps if timesteps is None else timesteps:
            yield timestep, self._mean_attention(latents, noise, timestep), grid

    def _encode(self, image: Tensor, side: int | None) -> Tensor:
        """Latents (1, C, h', w') of an image (3, H, W) that is shown at an area of side^2."""
        if image.ndim != 3 or image.shape[0] != 3:
            raise ValueError(f"an image must be (3, H, W), got {tuple(image.shape)}")
        size = working_size(
            (image.shape[1], image.shape[2]), side or self.sizes[0], self.backbone.size_multiple
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
        """Timestep, scores, and edges (H, W) of an image."""
        size = image.shape[1], image.shape[2]
        if self.timestep != "iep":
            return int(self.timestep), {}, self._read_edges(image, int(self.timestep))
        search, grid = EmergencePoint(self.divergence), (0, 0)
        for step, attention, step_grid in self.attention_maps(image):
            search.update(step, attention)
            grid = step_grid
        found = search.result()
        plain = self._boundary(found.attention, grid, size)
        return found.timestep, found.scores, self._read_edges(image, found.timestep, plain)

    def _read_edges(self, image: Tensor, timestep: int, plain: Tensor | None = None) -> Tensor:
        """Edges (H, W) in [0, 1], the geometric mean over sizes.

        Args:
            image: (3, H, W).
            timestep: the noise level to read.
            plain: boundary strength of the image itself at the first size, if it is known already.
        """
        height, width = image.shape[1:]
        edges = torch.ones(height, width)
        for number, side in enumerate(self.sizes):
            if self.tile is not None and max(height, width) > self.tile:
                boundary = self._read_tiles(image, timestep, side)
            else:
                boundary = self._read_views(image, timestep, side, None if number else plain)
            edges *= normalize_edges(boundary[None, None])[0, 0].float() ** (1 / len(self.sizes))
        return edges.clamp(0, 1)

    def _read_tiles(self, image: Tensor, timestep: int, side: int) -> Tensor:
        """Boundary strength (H, W), blended from overlapping tiles."""
        size = image.shape[1], image.shape[2]
        total, weights = torch.zeros(size), torch.zeros(size)
        for rows, columns, weight in tile_windows(size, self.tile or max(size), self.tile_overlap):
            boundary = self._read_views(image[:, rows, columns], timestep, side)
            total[rows, columns] += boundary * weight
            weights[rows, columns] += weight
        return total / weights

    def _read_views(
        self, image: Tensor, timestep: int, side: int, plain: Tensor | None = None
    ) -> Tensor:
        """Boundary strength (H, W), the mean over views of one image.

        A token grid places edges to a fraction of a token, and a U-Net's strides shift its coarse
        maps by half a token; other views of the image err in other directions.
        """
        height, width = image.shape[1:]
        total, counts = torch.zeros(height, width), torch.zeros(height, width)
        for half_turn, shift_share in _VIEWS[: self.views]:
            token = self._token_size((height, width), side)
            down, right = (round(shift_share * length) for length in token)
            # Rows and columns that are shifted out are left to the other views.
            shown = functional.pad(image[None], (right, 0, down, 0), mode="replicate")[0]
            shown = shown[:, :height, :width]
            if plain is not None and not half_turn and not shift_share:
                boundary = plain
            else:
                boundary = self._read_view(shown, half_turn, timestep, side)
            total[: height - down, : width - right] += boundary[down:, right:]
            counts[: height - down, : width - right] += 1
        return total / counts

    def _read_view(self, image: Tensor, half_turn: bool, timestep: int, side: int) -> Tensor:
        shown = image.flip(1, 2) if half_turn else image
        _, attention, grid = next(self.attention_maps(shown, [timestep], side))
        boundary = self._boundary(attention, grid, (image.shape[1], image.shape[2]))
        return boundary.flip(0, 1) if half_turn else boundary

    def _token_size(self, size: tuple[int, int], side: int) -> tuple[float, float]:
        """Height and width in image pixels of a token of the finest map."""
        height, width = working_size(size, side, self.backbone.size_multiple)
        stride = self.backbone.latent_stride * min(layer.stride for layer in self.backbone.layers)
        return size[0] * stride / height, size[1] * stride / width

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
