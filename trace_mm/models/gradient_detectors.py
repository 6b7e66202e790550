"""Edge detectors that know nothing but gradients: what any learned edge has to beat."""

import math

import cv2
import numpy as np
import torch

from trace_mm.registry import MODELS
from trace_mm.runner_model import RunnerModel
from trace_mm.structures import EdgeDataSample

# Response of OpenCV's 3x3 Sobel filter to a unit ramp of one level a pixel.
_SOBEL_GAIN = 8.0


class GradientDetector(RunnerModel):
    """Common part of the gradient detectors: no weights, each image on its own.

    Args:
        sigma: standard deviation in pixels of the Gaussian blur that comes first; 0 for none.

    Raises:
        ValueError: if ``sigma`` is negative.
    """

    def __init__(self, sigma: float) -> None:
        super().__init__()
        if not sigma >= 0:
            raise ValueError(f"sigma must be 0 or more pixels, got {sigma}")
        self.sigma = sigma

    def detect(self, image: np.ndarray) -> np.ndarray:
        """Edges (H, W) in [0, 1] of a float32 RGB image (H, W, 3) in [0, 1]."""
        raise NotImplementedError

    def forward(
        self,
        inputs: list[torch.Tensor],
        data_samples: list[EdgeDataSample] | None = None,
        mode: str = "predict",
    ) -> list[EdgeDataSample]:
        """Detect edges of each image.

        Args:
            inputs: float RGB images (3, H, W) in [0, 1]; sizes may differ.
            data_samples: where to put the edges; None for new ones.
            mode: "predict"; there is nothing to train.

        Returns:
            The samples, each with ``pred_edges`` float32 (H, W) in [0, 1].

        Raises:
            ValueError: for another mode.
        """
        if mode != "predict":
            raise ValueError(f"{type(self).__name__} can only predict, got mode {mode!r}")
        samples = [EdgeDataSample() for _ in inputs] if data_samples is None else data_samples
        for image, sample in zip(inputs, samples, strict=True):
            pixels = image.detach().permute(1, 2, 0).cpu().float().numpy()  # (H, W, 3)
            edges = torch.from_numpy(self.detect(np.ascontiguousarray(pixels)))
            sample.pred_edges = edges.to(image.device)
        return samples

    def _blur(self, image: np.ndarray) -> np.ndarray:
        if self.sigma == 0:
            return image
        return cv2.GaussianBlur(image, (0, 0), self.sigma, borderType=cv2.BORDER_REPLICATE)


@MODELS.register_module()
class SobelDetector(GradientDetector):
    """Gradient magnitude (Sobel) after a Gaussian blur, the largest over the colour channels.

    Edges are divided by a constant, the response to a step from black to white after the same
    blur, and clipped to 1, so that maps of different images compare.

    Args:
        sigma: standard deviation of the blur in pixels; 0 for none.
    """

    def __init__(self, sigma: float = 2.0) -> None:
        super().__init__(sigma)

    def detect(self, image: np.ndarray) -> np.ndarray:
        """Edges (H, W) in [0, 1] of a float32 RGB image (H, W, 3) in [0, 1]."""
        blurred = self._blur(image)
        along_x, along_y = _sobel(blurred, 1, 0), _sobel(blurred, 0, 1)  # (H, W, 3)
        magnitude = np.hypot(along_x, along_y).max(axis=2) / _SOBEL_GAIN
        return np.clip(magnitude / _step_response(self.sigma), 0, 1).astype(np.float32)


@MODELS.register_module()
class CannyDetector(GradientDetector):
    """Canny (1986) at many thresholds, as one soft map.

    A pixel's value is the highest of ``levels`` threshold pairs at which it survives Canny's
    non-maximum suppression and hysteresis. Level 1 is the gradient of a step from black to white
    after the same blur; as most edges in photos are far weaker, level v stands for v squared times
    that.

    Args:
        sigma: standard deviation of the blur in pixels; 0 for none.
        low_ratio: lower hysteresis threshold as a part of the higher one, in (0, 1].
        levels: how many threshold pairs to try.
        color: take each pixel's gradient from the channel where it is largest, as OpenCV does with
            colour images; False for the gradient of the grey image.

    Raises:
        ValueError: if an argument is out of range.
    """

    def __init__(
        self, sigma: float = 2.0, low_ratio: float = 0.4, levels: int = 99, color: bool = True
    ) -> None:
        super().__init__(sigma)
        if not 0 < low_ratio <= 1:
            raise ValueError(f"low_ratio must be in (0, 1], got {low_ratio}")
        if levels < 1:
            raise ValueError(f"at least one level is needed, got {levels}")
        self.low_ratio = low_ratio
        self.levels = levels
        self.color = color

    def detect(self, image: np.ndarray) -> np.ndarray:
        """Edges (H, W) in [0, 1] of a float32 RGB image (H, W, 3) in [0, 1]."""
        pixels = image if self.color else cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)[..., None]
        blurred = self._blur(pixels).reshape(pixels.shape)  # OpenCV drops a lone channel
        # OpenCV takes 16-bit derivatives: use their whole range, whatever the blur leaves of it.
        full_scale = _step_response(self.sigma) * _SOBEL_GAIN
        to_integer = 30000 / max(full_scale, 1.0) / math.sqrt(2)
        derivatives = np.stack(
            [_sobel(blurred, *order).reshape(blurred.shape) for order in ((1, 0), (0, 1))]
        )  # (2, H, W, C)
        steepest = (derivatives**2).sum(axis=0).argmax(axis=2)  # (H, W)
        derivatives = np.take_along_axis(derivatives, steepest[None, ..., None], axis=3)[..., 0]
        along_x, along_y = np.clip(np.rint(derivatives * to_integer), -32767, 32767).astype(
            np.int16
        )
        edges = np.zeros(image.shape[:2], dtype=np.float32)
        for level in np.arange(1, self.levels + 1) / self.levels:
            high = float(level**2 * full_scale * to_integer)
            survives = cv2.Canny(along_x, along_y, self.low_ratio * high, high, L2gradient=True)
            if not survives.any():
                break
            edges[survives > 0] = level
        return edges


def _sobel(image: np.ndarray, order_x: int, order_y: int) -> np.ndarray:
    return cv2.Sobel(image, cv2.CV_32F, order_x, order_y, borderType=cv2.BORDER_REPLICATE)


def _step_response(sigma: float) -> float:
    """Largest gradient, a pixel, of a unit step after a Gaussian blur, as Sobel measures it."""
    # The central difference spans two pixels, half of the blurred step's rise over them.
    return 0.5 * math.erf(1 / (sigma * math.sqrt(2))) if sigma > 0 else 0.5
