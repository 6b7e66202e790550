"""Which members of a shard's sample are what."""

from trace_mm.files import IMAGE_SUFFIXES
from trace_mm.files.shards import Sample


def image_of(sample: Sample, extension: str | None) -> tuple[str, bytes]:
    """Name and content of the image of a sample.

    Args:
        sample: as it was read.
        extension: of the image, such as ``"jpg"``; None takes the only member that is called like
            an image, without regard to those with two extensions, such as ``edges.png``.

    Raises:
        ValueError: if there is none, or more than one; names the sample.
    """
    if extension is not None:
        found = [extension] if extension in sample.files else []
        wanted = f".{extension}"
    else:
        found = [one for one in sample.files if f".{one}" in IMAGE_SUFFIXES]
        wanted = "image"
    if not found:
        raise ValueError(f"{sample.key}: no {wanted} among its {len(sample.files)} members")
    if len(found) > 1:
        raise ValueError(
            f"{sample.key}: has {' and '.join(sorted(found))}: --image-extension says which is the "
            f"image"
        )
    return f"{sample.key}.{found[0]}", sample.files[found[0]]
