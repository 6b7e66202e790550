"""Edges as ControlNet conditions on them: the interface of the detectors of controlnet_aux."""

import os
from typing import Any, Literal, Self

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from trace_mm.apis.inferencer import TraceInferencer
from trace_mm.files import load_image
from trace_mm.structures import edges_of

_MULTIPLE = 64  # of pixels; what diffusion models take
_OUTPUTS = ("pil", "np")


class TraceDetector:
    """Draws control maps, white instance edges on black, as the detectors of controlnet_aux do.

    It takes the place of ``CannyDetector``, ``HEDdetector`` or ``PidiNetDetector``.

    Args:
        inferencer: finds the edges.

    Examples:
        >>> from PIL import Image
        >>> from trace_mm.apis import TraceDetector
        >>> detector = TraceDetector.from_pretrained("trace-tiny-photo", size=128)
        >>> control = detector(Image.open("photo.jpg"), detect_resolution=192)
        >>> control.size  # both sides are multiples of 64
        (704, 512)
    """

    def __init__(self, inferencer: TraceInferencer) -> None:
        self.inferencer = inferencer

    @classmethod
    def from_pretrained(cls, name: str | os.PathLike[str], **options: Any) -> Self:
        """A detector of a shipped student, a folder or a hub id.

        Args:
            name: see :class:`trace_mm.apis.TraceInferencer`.
            options: other arguments of that class, such as ``device``.

        Raises:
            FileNotFoundError: if there is no such model.
        """
        return cls(TraceInferencer(name, **{"show_progress": False, **options}))

    def to(self, device: Any) -> Self:
        """Move the model to a device."""
        self.inferencer.to(device)
        return self

    def __call__(
        self,
        input_image: Image.Image | NDArray[np.uint8],
        detect_resolution: int = 512,
        image_resolution: int = 512,
        output_type: Literal["pil", "np"] | None = None,
        threshold: float | None = None,
    ) -> Any:
        """The control map of an image.

        Args:
            input_image: PIL image, or uint8 (H, W), (H, W, 3) RGB or (H, W, 4).
            detect_resolution: the shorter side, in pixels, at which edges are found.
            image_resolution: the shorter side, in pixels, of the result.
            output_type: ``"pil"`` or ``"np"``; None is what the image is.
            threshold: draws edges from this strength on in full, and no others; None draws edges as
                strong as they are.

        Returns:
            Three equal channels: a PIL image, or uint8 (H', W', 3). Both sides are multiples of 64.

        Raises:
            ValueError: if the image cannot be used, or an option is wrong.
        """
        for name, side in (("detect", detect_resolution), ("image", image_resolution)):
            if side < _MULTIPLE // 2:
                raise ValueError(f"{name}_resolution must be at least 32 pixels, got {side}")
        output_type = output_type or ("np" if isinstance(input_image, np.ndarray) else "pil")
        if output_type not in _OUTPUTS:
            raise ValueError(f"output_type must be pil or np, got {output_type!r}")
        photo = (load_image(input_image) * 255).round().astype(np.uint8)  # (H, W, 3)
        shown = _resized(photo, detect_resolution)
        (sample,) = self.inferencer.predict_images([shown.astype(np.float32) / np.float32(255)])
        edges = edges_of(sample)  # (h, w)
        if threshold is not None:
            edges = (edges >= threshold).astype(np.float32)
        height, width = _resized(shown, image_resolution).shape[:2]
        grey = (edges * 255).round().astype(np.uint8)
        scaled = cv2.resize(grey, (width, height), interpolation=cv2.INTER_LINEAR)
        control = np.repeat(scaled[..., None], 3, axis=2)  # (H', W', 3)
        return Image.fromarray(control) if output_type == "pil" else control


def _resized(image: NDArray[np.uint8], resolution: int) -> NDArray[np.uint8]:
    """An image with its shorter side at about ``resolution``, both at multiples of 64."""
    scale = resolution / min(image.shape[:2])
    height, width = (max(1, round(side * scale / _MULTIPLE)) for side in image.shape[:2])
    kind = cv2.INTER_LANCZOS4 if scale > 1 else cv2.INTER_AREA
    size = (width * _MULTIPLE, height * _MULTIPLE)
    return np.asarray(cv2.resize(image, size, interpolation=kind), dtype=np.uint8)
