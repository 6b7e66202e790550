"""The functions that most people need: edges, segment, refine. Models are loaded once and kept."""

import os
from collections.abc import Callable
from functools import lru_cache
from pathlib import Path
from typing import Any, Literal, TypeVar, overload

import numpy as np
from numpy.typing import NDArray

from trace_mm.apis.inferencer import TraceInferencer
from trace_mm.apis.photo_segments import PhotoSegments
from trace_mm.apis.segmenter import Segmenter, needs_edges
from trace_mm.files import load_image
from trace_mm.files.images import ImageLike
from trace_mm.jobs.edge_sources import NamedImage, PredictedEdges
from trace_mm.refinement import BoundaryGuidedPropagation
from trace_mm.refinement.instances import InstanceMasks
from trace_mm.runs.progress import watched
from trace_mm.structures import edges_of

_Result = TypeVar("_Result")
_FEW = 2  # photos for which no progress bar is drawn
_KEPT = 2  # models of each kind that stay loaded


@overload
def edges(
    photo: ImageLike,
    *,
    model: str | None = None,
    size: int | None = None,
    device: str | None = None,
) -> NDArray[np.float32]: ...
@overload
def edges(
    photo: list[Any],
    *,
    model: str | None = None,
    size: int | None = None,
    device: str | None = None,
) -> list[NDArray[np.float32]]: ...
def edges(
    photo: Any, *, model: str | None = None, size: int | None = None, device: str | None = None
) -> Any:
    """Where one object ends and the next begins.

    Args:
        photo: a path, RGB array (H, W, 3) or PIL image, or a list of these.
        model: a shipped name, a trained student or its hub id; None is the photo student.
        size: show photos to the model at the area of size x size pixels; None is the model's.
        device: such as "cuda:1"; None is a GPU if there is one.

    Returns:
        float32 (H, W) in [0, 1]; of a list, a list.

    Raises:
        FileNotFoundError: if there is no such file or model.
        ValueError: if a photo cannot be read.

    Examples:
        >>> from trace_mm import edges
        >>> found = edges("photo.jpg")
        >>> found.shape, found.dtype
        ((96, 128), dtype('float32'))
    """
    inferencer = _inferencer(model, size, device)
    return _each(photo, lambda one: edges_of(inferencer.predict_images([one.pixels])[0]))


@overload
def segment(
    photo: ImageLike,
    *,
    generator: str = "edges",
    refine: bool = False,
    top: int = 100,
    min_score: float = 0.0,
    tile: int | Literal["auto"] | None = None,
    device: str | None = None,
) -> PhotoSegments: ...
@overload
def segment(
    photo: list[Any],
    *,
    generator: str = "edges",
    refine: bool = False,
    top: int = 100,
    min_score: float = 0.0,
    tile: int | Literal["auto"] | None = None,
    device: str | None = None,
) -> list[PhotoSegments]: ...
def segment(
    photo: Any,
    *,
    generator: str = "edges",
    refine: bool = False,
    top: int = 100,
    min_score: float = 0.0,
    tile: int | Literal["auto"] | None = None,
    device: str | None = None,
) -> Any:
    """The masks of a photo, by falling score.

    Args:
        photo: a path, RGB array (H, W, 3) or PIL image, or a list of these.
        generator: "edges", "maskcut", "tokencut" or "promerge".
        refine: refine the masks by the photo's edges.
        top: the most masks of a photo.
        min_score: masks with lower scores are left out.
        tile: cut larger photos into tiles of so many pixels, or "auto".
        device: such as "cuda:1"; None is a GPU if there is one.

    Returns:
        A PhotoSegments with masks (N, H, W), scores, boxes and edges; of a list, a list.

    Raises:
        FileNotFoundError: if there is no such file.
        ValueError: if a photo cannot be read, or an option is wrong.

    Examples:
        >>> from trace_mm import segment
        >>> found = segment("photo.jpg", top=20)
        >>> found.masks.shape[1:] == found.photo.shape[:2]
        True
        >>> found.save("masks.json").name
        'masks.json'
    """
    segmenter = _segmenter(generator, refine, top, min_score, tile, device)

    def masks_of(one: NamedImage) -> PhotoSegments:
        found = segmenter.photos(one)
        return _as_segments(one, found.instances, found.edges)

    return _each(photo, masks_of)


def refine(
    photo: ImageLike,
    masks: NDArray[Any],
    scores: NDArray[Any] | None = None,
    *,
    preset: Literal["photos", "scenes", "paper"] = "photos",
    edges: NDArray[np.float32] | None = None,
    device: str | None = None,
) -> PhotoSegments:
    """Masks of any method, cut and filled along the photo's edges.

    Args:
        photo: a path, RGB array (H, W, 3) or PIL image.
        masks: (N, H, W), bool or 0 and 1.
        scores: (N,); None scores the results by their outlines.
        preset: "photos", "scenes" or "paper".
        edges: (H, W) in [0, 1]; None finds them by the photo student.
        device: such as "cuda:1"; None is a GPU if there is one.

    Returns:
        A PhotoSegments with the refined masks, by falling score.

    Raises:
        FileNotFoundError: if there is no such file.
        ValueError: if the photo cannot be read, or sizes do not fit.

    Examples:
        >>> import numpy as np
        >>> from trace_mm import refine
        >>> masks = np.zeros((1, 96, 128), dtype=bool)
        >>> masks[0, 30:70, 40:90] = True
        >>> refine("photo.jpg", masks).plot().size
        (128, 96)
    """
    one = _named(photo)
    size = one.pixels.shape[:2]
    given = np.asarray(masks)
    if given.ndim != 3 or given.shape[1:] != size or not np.isin(given, (0, 1)).all():
        raise ValueError(
            f"masks must be (N, {size[0]}, {size[1]}) of 0 and 1, as the photo, "
            f"got {given.dtype} {given.shape}"
        )
    if edges is None:
        edges = edges_of(_inferencer(None, None, device).predict_images([one.pixels])[0])
    weights = None if scores is None else np.asarray(scores, dtype=np.float64)
    labels = np.ones(len(given), dtype=np.int64)
    source = InstanceMasks(given.astype(bool), labels, weights)
    refined = BoundaryGuidedPropagation(preset=preset)(source, np.asarray(edges)).instances
    return _as_segments(one, refined, np.asarray(edges, dtype=np.float32))


def _each(photo: Any, work: Callable[[NamedImage], _Result]) -> _Result | list[_Result]:
    """What is made of a photo, or of each of a list."""
    if not isinstance(photo, list):
        return work(_named(photo))
    for one in photo:  # before the first is worked on: a missing file is known early
        if isinstance(one, (str, os.PathLike)) and not Path(one).is_file():
            raise FileNotFoundError(f"{os.fspath(one)}: no such file")
    return [work(_named(one)) for one in watched(photo, show=len(photo) > _FEW, unit="photo")]


def _named(photo: ImageLike) -> NamedImage:
    name = Path(photo).name if isinstance(photo, (str, os.PathLike)) else "image"
    return NamedImage(name, load_image(photo))


def _as_segments(
    photo: NamedImage, found: InstanceMasks, edges: NDArray[np.float32] | None
) -> PhotoSegments:
    scores = np.ones(len(found)) if found.scores is None else found.scores
    pixels = np.rint(photo.pixels * 255).astype(np.uint8)
    return PhotoSegments(pixels, found.masks, scores, edges, photo.name)


@lru_cache(_KEPT)
def _inferencer(model: str | None, size: int | None, device: str | None) -> TraceInferencer:
    return TraceInferencer(model, size=size, device=device, show_progress=False)


@lru_cache(_KEPT)
def _segmenter(
    generator: str,
    refine: bool,
    top: int,
    min_score: float,
    tile: int | Literal["auto"] | None,
    device: str | None,
) -> Segmenter:
    if tile is not None or not needs_edges(generator, refine):
        return Segmenter(
            generator, refine=refine, top=top, min_score=min_score, tile=tile, device=device
        )
    found = _inferencer(None, None, device)  # which `edges` and `refine` use too
    source = PredictedEdges(found.predict_images, found.settings())
    return Segmenter(
        generator, refine=refine, top=top, min_score=min_score, edges=source, device=device
    )
