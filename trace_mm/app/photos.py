"""Photos and masks that somebody has uploaded: read within limits."""

from dataclasses import dataclass
from pathlib import Path

from PIL import Image

from trace_mm.files import load_image
from trace_mm.files.id_maps import read_id_map
from trace_mm.jobs.edge_sources import NamedImage
from trace_mm.refinement import InstanceMasks, open_masks
from trace_mm.refinement.readers import MaskReader, MaskRecord
from trace_mm.refinement.readers.base import masks_of_ids


@dataclass(frozen=True)
class Limits:
    """What is read of a browser.

    Attributes:
        pixels: the most of a photo.
        megabytes: the most of a file.
    """

    pixels: int = 16_000_000
    megabytes: float = 32

    def __post_init__(self) -> None:
        """Check the numbers.

        Raises:
            ValueError: if one is not positive.
        """
        if self.pixels < 1 or not self.megabytes > 0:
            raise ValueError(f"limits must be positive, got {self}")


def read_photo(path: Path, limits: Limits) -> NamedImage:
    """A photo; one that is too large is refused before it is decoded.

    Raises:
        FileNotFoundError: if there is no such file.
        ValueError: if it is no photo or exceeds a limit; names the file, without its folder.
    """
    name = path.name
    check_file(path, limits)
    try:
        with Image.open(path) as header:
            _check_pixels(name, header.size, limits)
    except (OSError, SyntaxError):  # which load_image reads, or says why not
        pass
    pixels = load_image(path, name)
    _check_pixels(name, (pixels.shape[1], pixels.shape[0]), limits)
    return NamedImage(name, pixels)


def read_masks(path: Path, photo: str, size: tuple[int, int], limits: Limits) -> InstanceMasks:
    """The masks of a photo that a file holds.

    Args:
        path: COCO JSON, of which the masks are taken that belong to a file of the photo's name, or
            to its only image; or a PNG whose pixels are numbers of objects, 0 for none.
        photo: name of the photo's file.
        size: (H, W) of the photo.
        limits: of the file.

    Raises:
        FileNotFoundError: if there is no such file.
        ValueError: if it has no mask of this photo, or cannot be read; names the file.
    """
    check_file(path, limits)
    if path.suffix.lower() == ".json":
        reader = open_masks(path, "coco")
        found = reader.read(_record_of(reader, path, photo), size)
    elif path.suffix.lower() == ".png":
        ids = read_id_map(path, size)
        values = ids.present()
        found = masks_of_ids(ids.ids, values, [1] * len(values))
    else:
        raise ValueError(f"{path.name}: masks must be a .json file of COCO, or a .png of numbers")
    if not len(found):
        raise ValueError(f"{path.name}: there is no mask in it for {photo}")
    return found


def check_file(path: Path, limits: Limits) -> None:
    """Refuse a file that is too large.

    Raises:
        FileNotFoundError: if there is none.
        ValueError: if it is so.
    """
    if not path.is_file():
        raise FileNotFoundError(f"{path.name}: the file is gone; upload it again")
    if path.stat().st_size > limits.megabytes * 1e6:
        raise ValueError(f"{path.name}: larger than {limits.megabytes:g} megabytes")


def _record_of(reader: MaskReader, path: Path, photo: str) -> MaskRecord:
    """The record of a photo: of its name, else of its stem, else the only one."""
    records = reader.records()
    for part in ("name", "stem"):
        wanted = getattr(Path(photo), part)
        named = [one for one in records if one.image and getattr(Path(one.image), part) == wanted]
        if len(named) == 1:
            return named[0]
    if len(records) == 1:
        return records[0]
    raise ValueError(f"{path.name}: {len(records)} images, of which none is {photo} alone")


def _check_pixels(name: str, size: tuple[int, int], limits: Limits) -> None:
    if size[0] * size[1] > limits.pixels:
        raise ValueError(
            f"{name}: {size[0]} x {size[1]} pixels, of which more than {limits.pixels} are refused"
        )
