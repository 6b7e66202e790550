"""Panoptic labels and what they are made of, drawn side by side."""

from collections.abc import Mapping, Sequence

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from trace_mm.visualization.refinement import instance_color

_TEXT_HEIGHT = 11  # pixels
_LEAST_ROOM = 7  # pixels from where a name is written to the rim of its segment


def draw_segments(
    image: NDArray[np.float32], ids: NDArray[np.int32], opacity: float = 0.6
) -> NDArray[np.uint8]:
    """Segments over a grey copy of their image, with white borders; void stays dark.

    Args:
        image: float (H, W, 3) RGB in [0, 1].
        ids: (H, W), 0 is void. Successive ids have colours that are far apart.
        opacity: of the colours, in [0, 1].

    Returns:
        uint8 (H, W, 3) RGB.
    """
    grey = np.repeat(image.mean(axis=2, keepdims=True), 3, axis=2)  # (H, W, 3)
    count = int(ids.max(initial=0))
    colors = np.zeros((count + 1, 3), dtype=np.float32)
    for number in range(count):
        colors[number + 1] = instance_color(number)
    drawn = (1 - opacity) * grey + opacity * colors[ids]
    drawn[_borders(ids)] = 1.0
    return np.rint(np.clip(drawn, 0, 1) * 255).astype(np.uint8)


def draw_names(
    picture: NDArray[np.uint8], ids: NDArray[np.int32], names: Mapping[int, str]
) -> NDArray[np.uint8]:
    """Write the names of segments where there is most room in them; small ones go without.

    Args:
        picture: uint8 (H, W, 3) RGB.
        ids: (H, W), the segment of each pixel.
        names: by segment.

    Returns:
        uint8 (H, W, 3) RGB, a new picture.
    """
    image = Image.fromarray(picture)
    canvas, font = ImageDraw.Draw(image), ImageFont.load_default(_TEXT_HEIGHT)
    for number in np.unique(ids).tolist():
        if number not in names:
            continue
        inside = np.pad(ids == number, 1).astype(np.uint8)
        distance = cv2.distanceTransform(inside, cv2.DIST_L2, 3)[1:-1, 1:-1]
        if distance.max() < _LEAST_ROOM:
            continue
        roomy = np.argwhere(distance > 0.9 * distance.max())  # (P, 2)
        middle = np.argwhere(inside[1:-1, 1:-1]).mean(axis=0)
        row, column = roomy[((roomy - middle) ** 2).sum(axis=1).argmin()].tolist()
        width = canvas.textlength(names[number], font)
        left = min(max(column - width / 2, 1), max(picture.shape[1] - width - 1, 1))
        top = row - _TEXT_HEIGHT / 2
        canvas.text((left, top), names[number], "white", font, stroke_width=1, stroke_fill="black")
    return np.asarray(image)


def draw_panoptic(
    image: NDArray[np.float32],
    classes: NDArray[np.int32],
    edges: NDArray[np.float32] | None,
    ids: NDArray[np.int32],
    longest: int = 400,
    class_names: Sequence[str] = (),
    segment_names: Sequence[str] = (),
) -> NDArray[np.uint8]:
    """Image, semantic map, edges if there are any, and segments, side by side without gaps.

    Args:
        image: float (H, W, 3) RGB in [0, 1].
        classes: class numbers (H, W), -1 is void.
        edges: float (H, W) in [0, 1].
        ids: segment ids (H, W), 0 is void.
        longest: side that pictures are shrunk to; they are never enlarged.
        class_names: by class number, written into what is large enough; empty for none.
        segment_names: of the segments 1, 2, ..., likewise.

    Returns:
        uint8 (h, 3 w or 4 w, 3) RGB.
    """
    height, width = ids.shape
    scale = min(1.0, longest / max(height, width))
    size = max(1, round(height * scale)), max(1, round(width * scale))
    rows, columns = (
        (2 * np.arange(small) + 1) * large // (2 * small)
        for small, large in zip(size, (height, width), strict=True)
    )
    nearest = np.ix_(rows, columns)
    kinds, segments = classes[nearest], ids[nearest]
    small_image = _shrunk(image, size)
    panels = [
        np.rint(np.clip(small_image, 0, 1) * 255).astype(np.uint8),
        draw_names(
            draw_segments(small_image, kinds + 1), kinds + 1, dict(enumerate(class_names, 1))
        ),
    ]
    if edges is not None:
        lines = np.rint(np.clip(_shrunk(edges, size), 0, 1) * 255).astype(np.uint8)  # (h, w)
        panels.append(np.repeat(lines[:, :, None], 3, axis=2))
    texts = dict(enumerate(segment_names, 1))
    panels.append(draw_names(draw_segments(small_image, segments), segments, texts))
    return np.concatenate(panels, axis=1)


def _shrunk(pixels: NDArray[np.float32], size: tuple[int, int]) -> NDArray[np.float32]:
    if pixels.shape[:2] == size:
        return pixels
    return np.asarray(cv2.resize(pixels, size[::-1], interpolation=cv2.INTER_AREA))


def _borders(ids: NDArray[np.int32]) -> NDArray[np.bool_]:
    """Where the right or lower neighbour is another segment: bool (H, W)."""
    borders = np.zeros(ids.shape, dtype=bool)
    borders[:, :-1] |= ids[:, :-1] != ids[:, 1:]
    borders[:-1] |= ids[:-1] != ids[1:]
    return borders
