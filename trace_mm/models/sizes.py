"""At which size an image is shown to the model, and how a large one is cut into tiles."""

from collections.abc import Callable, Iterator

import torch
from torch import Tensor
from torch.nn import functional

Size = tuple[int, int]


def working_size(
    size: Size, side: int, multiple: int, max_enlargement: float | None = None
) -> Size:
    """The size at which an image has the area of a square of a given side.

    The aspect ratio is kept up to rounding. Very long images keep to the area too: their short
    side is at least ``multiple``, so that the long one gives way.

    Args:
        size: (H, W) of the image.
        side: of the square.
        multiple: what both sides must be divisible by.
        max_enlargement: of small images, so many times a side at most; None for no limit.

    Returns:
        (H, W), both positive multiples of ``multiple``.

    Raises:
        ValueError: if a number is not positive.
    """
    if min(*size, side, multiple) < 1:
        raise ValueError(
            f"cannot show an image of size {size} at an area of {side}^2 "
            f"with sides divisible by {multiple}"
        )
    own = (size[0] * size[1]) ** 0.5
    if max_enlargement is not None:
        side = min(side, max(multiple, round(own * max_enlargement)))
    scale = side / own
    height, width = (max(1, round(length * scale / multiple)) for length in size)
    cells = (-(-side // multiple)) ** 2
    if height * width > 1.25 * cells:  # a side was rounded up to one cell
        height, width = min(height, cells), min(width, cells)
    return height * multiple, width * multiple


def resize_images(images: Tensor, size: Size) -> Tensor:
    """Images (B, 3, H, W) in [0, 1] at another size (h, w), float32, smoothed where they shrink."""
    pixels = images.float()
    if size != tuple(images.shape[2:]):
        pixels = functional.interpolate(pixels, size, mode="bicubic", antialias=True)
    return pixels.clamp(0, 1)


def tile_spans(length: int, tile: int, overlap: float) -> list[tuple[int, int]]:
    """Start and end of the fewest evenly spread tiles that cover a side.

    Args:
        length: of the side in pixels.
        tile: length of a tile in pixels.
        overlap: the least part of a tile that its neighbour covers too, in [0, 1).

    Raises:
        ValueError: if the tile is not positive or the overlap outside [0, 1).
    """
    if tile < 1 or not 0 <= overlap < 1:
        raise ValueError(f"need tile >= 1 and 0 <= overlap < 1, got {tile} and {overlap}")
    if length <= tile:
        return [(0, length)]
    step = max(1, int(tile * (1 - overlap)))
    count = 1 + -(-(length - tile) // step)
    starts = [round(k * (length - tile) / (count - 1)) for k in range(count)]
    return [(start, start + tile) for start in starts]


def tile_windows(size: Size, tile: int, overlap: float) -> Iterator[tuple[slice, slice, Tensor]]:
    """Tiles of an image with the weight of each of their pixels.

    Weights fall linearly towards a tile's inner borders, so that results fade into each other; at
    the image's own border they do not. Divide the weighted sum by the sum of the weights.

    Args:
        size: (H, W) of the image.
        tile: side of a tile in pixels.
        overlap: the least part of a tile that its neighbour covers too, in [0, 1).

    Yields:
        Rows, columns, and weight (h, w) float32, above 0.
    """
    for top, bottom in tile_spans(size[0], tile, overlap):
        for left, right in tile_spans(size[1], tile, overlap):
            rows = _fade(top, bottom, size[0], tile * overlap)
            columns = _fade(left, right, size[1], tile * overlap)
            yield slice(top, bottom), slice(left, right), rows[:, None] * columns[None, :]


def read_tiles(
    image: Tensor, tile: int, overlap: float, read: Callable[[Tensor], Tensor]
) -> Tensor:
    """What is read from the tiles of an image, blended.

    Args:
        image: (3, H, W).
        tile: side of a tile in pixels.
        overlap: the least part of a tile that its neighbour covers too, in [0, 1).
        read: from a tile (3, h, w) to values (h, w) on the CPU.

    Returns:
        (H, W) on the CPU.
    """
    size = image.shape[1], image.shape[2]
    total, weights = torch.zeros(size), torch.zeros(size)
    for rows, columns, weight in tile_windows(size, tile, overlap):
        total[rows, columns] += read(image[:, rows, columns]) * weight
        weights[rows, columns] += weight
    return total / weights


def _fade(start: int, end: int, length: int, ramp: float) -> Tensor:
    """Weights of one axis of a tile: a ramp at each end that is not the image's own."""
    position = torch.arange(end - start, dtype=torch.float32) + 0.5
    weight = torch.ones_like(position)
    if ramp > 0 and start > 0:
        weight = torch.minimum(weight, position / ramp)
    if ramp > 0 and end < length:
        weight = torch.minimum(weight, (end - start - position) / ramp)
    return weight
