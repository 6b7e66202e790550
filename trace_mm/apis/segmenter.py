"""The masks of a photo in one call, by models that are loaded once."""

import os
from typing import Literal

from trace_mm.files import load_image
from trace_mm.files.images import ImageLike
from trace_mm.generators.methods import METHODS, Generator, make_generator
from trace_mm.jobs.edge_sources import EdgeSource, NamedImage, edge_source_of
from trace_mm.jobs.photo_masks import PhotoMasks, PhotoSegmenter
from trace_mm.models.devices import check_device
from trace_mm.models.model_config import DEFAULT_BACKBONE, model_config
from trace_mm.refinement import BoundaryGuidedPropagation
from trace_mm.segments import EdgeSegments

EDGES = "edges"
"""The generator that reads segments out of edges; the others are ``METHODS``."""

GENERATORS = (EDGES, *METHODS)


class Segmenter:
    """Finds the masks of photos.

    Args:
        generator: "edges": what a photo's edges enclose. "maskcut", "tokencut" or "promerge":
            these methods, on a backbone's features.
        refine: refine the masks by the photo's edges.
        top: the most masks of a photo.
        min_score: masks with lower scores are left out.
        device: such as ``"cuda:1"``; None is ``"cuda"`` where there is one, else ``"cpu"``.
        edges: where edges come from; None is the photo student, where edges are needed.
        tile: cut larger photos into tiles of so many pixels for the student; ``"auto"`` is the size
            at which it sees images.
        backbone: of the generator: a diffusion model or a vision transformer of timm, see
            :class:`trace_mm.generators.FeatureSource`; None is the shipped one.

    Raises:
        FileNotFoundError: if there is no such model.
        ValueError: if an option is wrong or has no effect.

    Examples:
        >>> segmenter = Segmenter()
        >>> found = segmenter("photo.jpg")
        >>> found.instances.masks.shape[1:], found.edges.shape
        ((96, 128), (96, 128))
    """

    def __init__(
        self,
        generator: str = EDGES,
        *,
        refine: bool = False,
        top: int = 100,
        min_score: float = 0.0,
        device: str | None = None,
        edges: EdgeSource | None = None,
        tile: int | Literal["auto"] | None = None,
        backbone: str | None = None,
    ) -> None:
        if tile is not None and (edges is not None or not needs_edges(generator, refine)):
            raise ValueError("tile has no effect where no model makes edges")
        if edges is None and needs_edges(generator, refine):
            options = {} if tile is None else {"tile": tile}
            config = model_config(None, options=options, device=check_device(device))
            edges = edge_source_of(config.model, device)
        self.photos = photo_segmenter(
            generator,
            edges,
            refine=refine,
            top=top,
            min_score=min_score,
            backbone=backbone,
            device=device,
        )

    def __repr__(self) -> str:
        settings = self.photos.settings()
        return f"{type(self).__name__}({settings['generator']['method']!r}, top={self.photos.top})"

    def __call__(self, photo: ImageLike) -> PhotoMasks:
        """The masks of a photo, by falling score, and its edges.

        Args:
            photo: a path, RGB array or PIL image; see :func:`trace_mm.apis.load_image`.

        Raises:
            FileNotFoundError: if there is no such file.
            ValueError: if it is no photo, or too large for the memory.
        """
        name = os.fspath(photo) if isinstance(photo, (str, os.PathLike)) else "image"
        return self.photos(NamedImage(name, load_image(photo)))


def photo_segmenter(
    generator: str,
    edges: EdgeSource | None,
    *,
    refine: bool = False,
    top: int = 100,
    min_score: float = 0.0,
    backbone: str | None = None,
    size: int | None = None,
    device: str | None = None,
    elsewhere: bool = False,
) -> PhotoSegmenter:
    """What finds masks, by the name of a generator.

    Args:
        generator: see :class:`Segmenter`, also for the next five.
        edges: where edges come from; None where none are needed.
        refine: likewise.
        top: likewise.
        min_score: likewise.
        backbone: likewise.
        size: side of the square whose area the generator's backbone is shown photos at.
        device: of the generator's backbone.
        elsewhere: whether it is of other machines, so that this one need not have it.

    Raises:
        FileNotFoundError: if there is no such backbone.
        ValueError: if an option is wrong or has no effect.
    """
    finder: EdgeSegments | Generator
    if generator == EDGES:
        if backbone is not None or size is not None:
            raise ValueError("a backbone or size has no effect on segments of edges")
        finder = EdgeSegments(number=top)
    elif generator in METHODS:
        where = check_device(device, elsewhere)
        finder = make_generator(generator, backbone or DEFAULT_BACKBONE, size=size, device=where)
    else:
        raise ValueError(f"generator must be one of {', '.join(GENERATORS)}, got {generator!r}")
    refiner = BoundaryGuidedPropagation() if refine else None
    return PhotoSegmenter(finder, edges, refiner, top=top, min_score=min_score)


def needs_edges(generator: str, refine: bool) -> bool:
    """Whether masks are made of edges, or refined by them."""
    return generator == EDGES or refine
