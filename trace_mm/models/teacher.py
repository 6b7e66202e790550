"""The TRACE teacher: instance edges of an image without any training (paper Sec. 3.1 to 3.3)."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Literal

import torch
from torch import Tensor

from trace_mm.diffusion import (
    DiffusionBackbone,
    content_seed,
    load_backbone,
    load_recommended,
    seeded_noise,
)
from trace_mm.models.attention_edges import AttentionEdges
from trace_mm.models.object_tiles import ObjectSize
from trace_mm.models.options import check_preset, teacher_options, timesteps_read
from trace_mm.ops import EmergencePoint
from trace_mm.registry import MODELS
from trace_mm.structures import EdgeDataSample


@MODELS.register_module()
class TraceTeacher(AttentionEdges):
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
        object_size: instead of ``tile``: pixels of the smallest object from side to side, for which
            tiles are made, see :func:`trace_mm.models.object_tiles.tiles_for_objects`; "auto" finds
            it in each image that has many objects of one size, and leaves others as they are.
        seed: of the noise.
        data_preprocessor: of MMEngine; casts to the device by default.
        timestep_batch: how many timesteps of the search go through the denoiser in one pass. Takes
            the memory of so many (N, N) maps (twice that with several noise draws), and changes
            results by no more than rounding.
        preset: ``"paper"`` takes the paper's value for each option that is None, and reads all
            layers unless the backbone's arguments choose some, whatever the folder recommends.

    Attributes:
        watch: called with each timestep of a search, its attention (1, N, N) and grid (h, w); None
            for nobody. What it keeps takes memory.
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
        tile: int | Literal["auto"] | None = None,
        tile_overlap: float = 0.25,
        object_size: ObjectSize | None = None,
        seed: int = 0,
        data_preprocessor: dict[str, Any] | None = None,
        timestep_batch: int = 1,
        preset: str | None = None,
    ) -> None:
        check_preset(preset)
        loaded, settings = _loaded(backbone, follow_folder=preset is None)
        given = {
            "timesteps": timesteps,
            "divergence": divergence,
            "boundary_divergence": boundary_divergence,
            "noise_draws": noise_draws,
            "region_cell": region_cell,
            "walk_steps": walk_steps,
            "size": size,
        }
        chosen = teacher_options(given, settings, lambda: loaded.native_size)
        super().__init__(
            loaded,
            chosen["size"],
            chosen["boundary_divergence"],
            neighbors,
            chosen["region_cell"],
            chosen["walk_steps"],
            tile,
            tile_overlap,
            object_size,
            data_preprocessor,
        )
        self.timestep = timestep
        self.timesteps = chosen["timesteps"]
        self.divergence = chosen["divergence"]
        self.noise_draws = chosen["noise_draws"]
        self.seed = seed
        for step in timesteps_read(timestep, self.timesteps):
            loaded.check_timestep(step)
        if not isinstance(timestep_batch, int) or timestep_batch < 1:
            raise ValueError(f"timestep_batch must be an integer from 1 on, got {timestep_batch}")
        self.timestep_batch = timestep_batch
        self.watch: Callable[[int, Tensor, tuple[int, int]], None] | None = None

    @torch.no_grad()
    def attention_maps(
        self,
        image: Tensor,
        timesteps: Sequence[int] | None = None,
        sample: EdgeDataSample | None = None,
    ) -> Iterator[tuple[int, Tensor, tuple[int, int]]]:
        """Attention of one image at a series of timesteps, for the search and for pictures.

        Args:
            image: (3, H, W) in [0, 1].
            timesteps: those of the search if None.
            sample: of the image, by which its prompt is found if the backbone has prompts.

        Yields:
            Timestep, fused attention (1, N, N) averaged over the noise draws, and its grid (h, w).
        """
        latents = self.backbone.encode(self._shown(image))
        noise = seeded_noise(
            content_seed(self.seed, image), tuple(latents.shape), self.noise_draws
        ).to(latents.device)  # (draws, 1, C, h', w'): the same for all timesteps
        grid = self.backbone.grid(latents)
        steps = list(self.timesteps if timesteps is None else timesteps)
        text = None if sample is None else self.backbone.text_of([sample])
        for start in range(0, len(steps), self.timestep_batch):
            together = steps[start : start + self.timestep_batch]
            for timestep, attention in self._one_pass(latents, noise, together, text):
                yield timestep, attention, grid

    def _one_pass(
        self,
        latents: Tensor,
        noise: Tensor,
        timesteps: list[int],
        text: Mapping[str, Tensor] | None,
    ) -> Iterator[tuple[int, Tensor]]:
        """Timesteps with their maps (1, N, N), all of which are computed together."""
        maps = self._mean_attention(latents, noise, timesteps, text)  # (T, N, N)
        for index, timestep in enumerate(timesteps):
            # A caller that keeps a view would keep the maps of all timesteps.
            yield timestep, maps if len(timesteps) == 1 else maps[index : index + 1].clone()

    def _mean_attention(
        self,
        latents: Tensor,
        noise: Tensor,
        timesteps: list[int],
        text: Mapping[str, Tensor] | None,
    ) -> Tensor:
        """Attention (T, N, N) at T timesteps, the mean over draws of noise."""
        total: Tensor | None = None
        for draw in noise:
            noisy = torch.cat(
                [self.backbone.add_noise(latents, draw, step) for step in timesteps]
            )  # (T, C, h', w')
            attention = self.backbone.attention(noisy, timesteps, text)
            total = attention if total is None else total.add_(attention)
        if total is None:
            raise ValueError("noise_draws must be at least 1")
        return total.div_(len(noise))

    def _predict_image(self, image: Tensor, sample: EdgeDataSample) -> None:
        boundary: Tensor | None = None
        scores: dict[int, float] = {}
        if self.timestep == "iep":
            timestep, scores, boundary = self._search(image, sample)
        else:
            timestep = int(self.timestep)
        sample.timestep, sample.scores = timestep, scores

        def read(part: Tensor) -> Tensor:
            return self._read_boundary(part, timestep, sample)

        self._add_edges(sample, image, read, boundary)

    def _search(
        self, image: Tensor, sample: EdgeDataSample
    ) -> tuple[int, dict[int, float], Tensor]:
        """The emergence point, the scores, and the boundary strength (1, 1, h, w) there."""
        search, grid = EmergencePoint(self.divergence), (0, 0)
        for timestep, attention, step_grid in self.attention_maps(image, None, sample):
            search.update(timestep, attention)
            if self.watch is not None:
                self.watch(timestep, attention, step_grid)
            grid = step_grid
        found = search.result()
        return found.timestep, found.scores, self._boundary(found.attention, grid)

    def _read_boundary(self, image: Tensor, timestep: int, sample: EdgeDataSample) -> Tensor:
        """Boundary strength (1, 1, h, w) at one timestep."""
        _, attention, grid = next(self.attention_maps(image, [timestep], sample))
        return self._boundary(attention, grid)


def _loaded(
    backbone: dict[str, Any] | tuple[DiffusionBackbone, dict[str, Any]], follow_folder: bool
) -> tuple[DiffusionBackbone, dict[str, Any]]:
    """A backbone, and what its folder recommends unless that is not to be followed."""
    if isinstance(backbone, tuple):
        return backbone[0], backbone[1] if follow_folder else {}
    return load_recommended(**backbone) if follow_folder else (load_backbone(**backbone), {})


def teacher_of(
    backbone: DiffusionBackbone,
    teacher: Mapping[str, Any] | None,
    loaded_with: Mapping[str, Any],
    recommended: Mapping[str, Any],
) -> Any:
    """The teacher of a student, which shares its backbone unless it has one of its own.

    Args:
        backbone: of the student.
        teacher: options of :class:`TraceTeacher`, or the config of another model; None for none.
        loaded_with: the options of the student's backbone.
        recommended: by the backbone's folder.
    """
    if teacher is None:
        return None
    options = dict(teacher)
    kind = options.pop("type", "TraceTeacher")
    if kind in ("TraceTeacher", TraceTeacher) and options.get("backbone") in (None, loaded_with):
        return TraceTeacher(**{**options, "backbone": (backbone, recommended)})
    return MODELS.build({**options, "type": kind}).requires_grad_(False).eval()
