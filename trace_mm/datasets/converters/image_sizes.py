"""Sizes of images that datasets come with, without decoding them."""

from pathlib import Path

from PIL import Image, UnidentifiedImageError


def image_size(path: Path) -> tuple[int, int]:
    """(width, height) of an image file, from its header.

    Raises:
        FileNotFoundError: if there is no such file.
        ValueError: if it is not an image.
    """
    try:
        with Image.open(path) as image:  # such images are not turned by EXIF data
            return image.size
    except FileNotFoundError:
        raise FileNotFoundError(f"{path}: no such image") from None
    except (UnidentifiedImageError, OSError, SyntaxError) as error:
        raise ValueError(f"{path}: not a readable image: {error}") from error
