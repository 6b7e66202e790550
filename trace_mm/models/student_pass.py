"""What goes into a forward pass of a student, and what it gives."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from trace_mm.models.distillation import resize_logits
from trace_mm.models.sizes import read_tiles
from trace_mm.structures import EdgeDataSample


@dataclass(frozen=True)
class StudentPass:
    """What one forward pass gives.

    Attributes:
        images: as the model was shown them, (B, 3, H, W) in [0, 1].
        latents: theirs, X0, (B, C, h', w').
        wanted: what a perfect denoiser would say, (B, C, h', w').
        output: the denoiser's, (B, C, h', w').
        reconstruction: the latents that the output means, (B, C, h', w').
        logits: of edges, (B, 1, h * k, w * k), k the decoder's upsampling.
    """

    images: Tensor
    latents: Tensor
    wanted: Tensor
    output: Tensor
    reconstruction: Tensor
    logits: Tensor


def reconstruction_error(
    found: StudentPass, kind: str, decode: Callable[[Tensor], Tensor]
) -> Tensor:
    """The mean squared error of what a pass reconstructs; see ``Distillation.reconstruction``.

    Args:
        found: the pass.
        kind: ``"output"``, ``"latent"`` or ``"pixel"``.
        decode: makes images (B, 3, H, W) of latents.
    """
    if kind == "output":
        return functional.mse_loss(found.output.float(), found.wanted)
    if kind == "latent":
        return functional.mse_loss(found.reconstruction, found.latents)
    return functional.mse_loss(decode(found.reconstruction), found.images)


def stack_images(inputs: Sequence[Tensor] | Tensor) -> Tensor:
    """A batch (B, 3, H, W) of images of one size.

    Raises:
        ValueError: if their sizes differ.
    """
    sizes = sorted({tuple(image.shape) for image in inputs})
    if len(sizes) != 1:
        raise ValueError(f"all images of a batch must have one size, got {sizes}")
    return inputs if isinstance(inputs, Tensor) else torch.stack(list(inputs))


def image_name(sample: EdgeDataSample, number: int) -> str:
    """What to call an image of a batch in a message."""
    path = sample.get("img_path") or sample.get("image_id")
    return f"image {number} of the batch" if path is None else f"image {path}"


def edges_at(logits: Tensor, image: Tensor) -> Tensor:
    """Edges (H, W) in [0, 1] at the size of an image (3, H, W), on the CPU."""
    return resize_logits(logits, (image.shape[1], image.shape[2])).sigmoid()[0, 0].cpu()


def stack_labels(labels: Mapping[tuple[int, str], Tensor], images: Tensor) -> Tensor:
    """Edge strengths of a batch's images as one tensor (B, 1, h, w) float32 beside the images.

    Args:
        labels: (h, w) each, by number and name of the image.
        images: (B, 3, H, W).

    Raises:
        ValueError: if one is larger than its image, or they differ in size; names the image.
    """
    first = next(iter(labels.values()))
    for (_, name), edges in labels.items():
        wrong = edges.ndim != 2 or any(
            own > shown for own, shown in zip(edges.shape, images.shape[2:], strict=True)
        )
        if wrong or edges.shape != first.shape:
            raise ValueError(
                f"pseudo-edges of {name} are {tuple(edges.shape)}: for the image, "
                f"{tuple(images.shape[2:])}, they must be of its size or a coarser grid, the same "
                f"for all of a batch (first: {tuple(first.shape)})"
            )
    return torch.stack([edges.to(images.device).float() for edges in labels.values()])[:, None]


def tile_edges(
    image: Tensor, tile: int, overlap: float, read: Callable[[Tensor], Tensor]
) -> Tensor:
    """Edges (H, W) in [0, 1] of an image (3, H, W) by its tiles, on the CPU.

    Args:
        image: to be cut.
        tile: see :func:`trace_mm.models.sizes.read_tiles`.
        overlap: likewise.
        read: from a tile (1, 3, h, w) to logits.
    """

    def edges(part: Tensor) -> Tensor:
        return edges_at(read(part[None]), part)

    return read_tiles(image, tile, overlap, edges).clamp(0, 1)
