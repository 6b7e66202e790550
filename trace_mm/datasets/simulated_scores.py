"""Score maps as open-vocabulary methods make them, simulated from true class maps."""

import cv2
import numpy as np
from numpy.typing import NDArray

_BLUR = 1.0  # in tokens
_SMOOTH, _SMOOTH_GRID = 0.1, 6


def simulate_scores(
    classes: NDArray[np.int32], count: int, tokens: int, noise: float, seed: int, index: int
) -> NDArray[np.float32]:
    """Wear a true class map down to scores on a grid of tokens.

    Of each class, the share of a token that it covers, blurred (sigma 1 token); plus noise that is
    smooth (standard deviation 0.1, on a grid of 6 x 6), as where a class is taken for another
    throughout, and noise of each token by itself. Classes that the image does not have get noise
    alone.

    Args:
        classes: (H, W), the class of each pixel; -1 is of none.
        count: how many classes there are.
        tokens: of the grid's longer side.
        noise: standard deviation of the noise of each token by itself.
        seed: of the series.
        index: of the image in it; the same seed and index give the same result.

    Returns:
        (count, h, w).
    """
    rng = np.random.default_rng((seed, index))
    scale = tokens / max(classes.shape)
    height, width = (max(1, round(side * scale)) for side in classes.shape)
    scores = np.zeros((count, height, width), dtype=np.float32)
    for number, plane in enumerate(scores):
        mask = (classes == number).astype(np.float32)
        share = cv2.resize(mask, (width, height), interpolation=cv2.INTER_AREA)
        coarse = rng.normal(0, _SMOOTH, (_SMOOTH_GRID, _SMOOTH_GRID)).astype(np.float32)
        smooth = cv2.resize(coarse, (width, height), interpolation=cv2.INTER_CUBIC)
        plane[:] = cv2.GaussianBlur(share, (0, 0), _BLUR) + smooth
    return scores + np.asarray(rng.normal(0, noise, scores.shape), dtype=np.float32)
