"""The TRACE teacher: instance edges of an image without any training (paper Sec. 3.1 to 3.3)."""

from collections.abc import Iterator, Sequence
from typing import Any

import torch
from mmengine.model import BaseModel
from torch import Tensor
from torch.nn import functional

from trace_mm.diffusion import backbone_settings, content_seed, load_backbone, seeded_noise
from trace_mm.models.sizes import tile_windows, working_size
from trace_mm.ops import (
    EmergencePoint,
    attention_boundary_divergence,
    normalize_edges,
    upsample_edges,
)
from trace_mm.registry import MODELS
from trace_mm.structures import EdgeDataSample

PAPER_TIMESTEPS = tuple(range(0, 1000, 100))

_Part = tuple[slice, slice, Tensor, Tensor]
"""Rows, columns, pixel weights (h, w), and boundary strength on the token grid (1, 1, h', w')."""


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
            model.
        timestep: ``"iep"`` for the search of Eq. 1, or the timestep to read.
        timesteps: increasing timesteps of the search; the paper's are 0, 100, ..., 900.
        divergence: of Eq. 1, a key of ``trace_mm.ops.DIVERGENCES``; the paper's is ``"kl"``.
        boundary_divergence: of Eq. 2, likewise.
        neighbors: 4 or 8, of Eq. 2.
        noise_draws: over how many draws of noise the attention of a timestep is averaged; the
            paper's is 1.
        min_size: side of the smallest square area that the model is shown; smaller images are
            enlarged. By default the model's native size.
        max_size: side of the largest one; larger images are shrunk.
        tile: cut images larger than this many pixels a side into tiles of that size, each of which
            is shown to the model like an image. The search runs once, on the whole image.
        tile_overlap: the least part of a tile that its neighbour covers too.
        seed: of the noise.
        data_preprocessor: of MMEngine; casts to the device by default.
    """

    def __init__(
        self,
        backbone: dict[str, Any],
        timestep: int | str = "iep",
        timesteps: Sequence[int] | None = None,
        divergence: str | None = None,
        boundary_divergence: str | None = None,
        neighbors: int = 4,
        noise_draws: int | None = None,
        min_size: int | None = None,
        max_size: int | None = None,
        tile: int | None = None,
        tile_overlap: float = 0.25,
        seed: int = 0,
        data_preprocessor: dict[str, Any] | None = None,
    ) -> None:
        super().__init__(data_preprocessor or {"type": "BaseDataPreprocessor"})
        settings = backbone_settings(backbone["pretrained"])
        if settings.get("layers") is not None:
            backbone = {"layers": settings["layers"], **backbone}

        def choose(name: str, given: Any, paper: Any) -> Any:
            return given if given is not None else settings.get(name, paper)

        self.backbone = load_backbone(**backbone)
        native = self.backbone.native_size
        self.timestep = _check_timestep(timestep)
        self.timesteps = tuple(choose("timesteps", timesteps, PAPER_TIMESTEPS))
        self.divergence = choose("divergence", divergence, "kl")
        self.boundary_divergence = choose("boundary_divergence", boundary_divergence, "kl")
        self.neighbors = neighbors
        self.noise_draws = choose("noise_draws", noise_draws, 1)
        self.min_size = choose("min_size", min_size, min(native, max_size or native))
        self.max_size = choose("max_size", max_size, max(native, self.min_size))
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
            timestep, scores, parts = self._read_image(image)
            sample.pred_edges = _assemble(parts, (image.shape[1], image.shape[2]))
            sample.timestep = timestep
            sample.scores = scores
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
        """Latents (1, C, h', w') of an image (3, H, W) at the model's working size."""
        if image.ndim != 3 or image.shape[0] != 3:
            raise ValueError(f"an image must be (3, H, W), got {tuple(image.shape)}")
        height, width = image.shape[1:]
        size = working_size(
            (height, width), self.min_size, self.max_size, self.backbone.size_multiple
        )
        pixels = image[None].float()
        if size != (height, width):
            pixels = functional.interpolate(pixels, size, mode="bicubic", antialias=True)
        return self.backbone.encode(pixels.clamp(0, 1))

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

    def _read_image(self, image: Tensor) -> tuple[int, dict[int, float], list[_Part]]:
        """Timestep, scores and the boundary strength of the image or of its tiles."""
        height, width = image.shape[1:]
        whole = slice(0, height), slice(0, width), torch.ones(height, width)
        tiled = self.tile is not None and max(height, width) > self.tile
        scores: dict[int, float] = {}
        if self.timestep == "iep":
            search, grid = EmergencePoint(self.divergence), (0, 0)
            for step, attention, step_grid in self.attention_maps(image):
                search.update(step, attention)
                grid = step_grid
            found = search.result()
            timestep, scores = found.timestep, found.scores
            if not tiled:
                return timestep, scores, [(*whole, self._boundary(found.attention, grid))]
        else:
            timestep = int(self.timestep)
        windows = [whole]
        if self.tile is not None and tiled:
            windows = list(tile_windows((height, width), self.tile, self.tile_overlap))
        parts = [
            (rows, columns, weight, self._boundary_at(image[:, rows, columns], timestep))
            for rows, columns, weight in windows
        ]
        return timestep, scores, parts

    def _boundary_at(self, image: Tensor, timestep: int) -> Tensor:
        _, attention, grid = next(self.attention_maps(image, [timestep]))
        return self._boundary(attention, grid)

    def _boundary(self, attention: Tensor, grid: tuple[int, int]) -> Tensor:
        """Boundary strength on the token grid, (1, 1, h, w) on the CPU."""
        return attention_boundary_divergence(
            attention, grid, self.boundary_divergence, self.neighbors
        ).cpu()


def _assemble(parts: Sequence[_Part], size: tuple[int, int]) -> Tensor:
    """One edge map (H, W) in [0, 1] from the boundary strength of an image's tiles.

    Strengths are scaled by the largest of the whole image, not of each tile, so that an empty
    tile stays empty.
    """
    strengths = torch.cat([boundary.flatten() for *_, boundary in parts])
    scaled = normalize_edges(strengths[None, None, None])[0, 0, 0]
    total, weights = torch.zeros(size), torch.zeros(size)
    tokens = [boundary.numel() for *_, boundary in parts]
    for (rows, columns, weight, boundary), edges in zip(parts, scaled.split(tokens), strict=True):
        shape = (weight.shape[0], weight.shape[1])
        fine = upsample_edges(edges.view_as(boundary), shape, "bicubic")
        total[rows, columns] += fine[0, 0].float() * weight
        weights[rows, columns] += weight
    return (total / weights).clamp(0, 1)


def _check_timestep(timestep: int | str) -> int | str:
    if timestep != "iep" and (isinstance(timestep, bool) or not isinstance(timestep, int)):
        raise ValueError(f"timestep must be 'iep' or an integer, got {timestep!r}")
    return timestep
