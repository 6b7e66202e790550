"""The size of what an image has many of, from the image alone."""

import math

import numpy as np
import scipy.fft
import torch
from numpy.typing import NDArray
from torch import Tensor

LEAST_SIZE = 9.0
"""Pixels: what is smaller is a texture more often than it is objects."""

_STEPS = 16  # diameters an octave at which the image is asked
_PEAK_OF_DISC = 1.12  # a disc's response is largest at so many times its diameter
_PROMINENCE = 0.6  # what is left of the response at most, within two octaves on both sides
_LEAST_REPEATS = 5  # along the shorter side there is room for so many


def blob_energy(image: Tensor, diameters: NDArray[np.float64]) -> NDArray[np.float64]:
    """How much of an image is blobs of each diameter.

    That is the mean square of the scale-normalised Laplacian of Gaussian, which answers most
    to blobs of ``sigma * sqrt(8)`` pixels across. The image goes on mirrored beyond its border, so
    that the cosine transform gives it without filtering at any scale.

    Args:
        image: (C, H, W), of which the mean over channels counts.
        diameters: (D,) in pixels, above 0.

    Returns:
        (D,). Of an image at any other size, they are the same at diameters that grow with it.

    Raises:
        ValueError: if the image has another number of dimensions or no pixels.
    """
    if image.ndim != 3 or image.numel() == 0:
        raise ValueError(f"an image must be (C, H, W), got {tuple(image.shape)}")
    grey = image.detach().cpu().to(torch.float64).mean(0).numpy()
    power = scipy.fft.dctn(grey, norm="ortho") ** 2 / grey.size  # (H, W)
    rows, columns = (math.pi * np.arange(length) / length for length in grey.shape)
    squares = rows[:, None] ** 2 + columns[None, :] ** 2  # of the angular frequency
    # As fine bins: their number does not grow with the image.
    bins = np.rint(64 * np.log2(np.maximum(squares, squares[squares > 0].min(initial=1.0))))
    low = bins.min()
    power[0, 0] = 0.0  # the mean is no blob
    binned = np.bincount((bins - low).astype(np.int64).ravel(), power.ravel())  # (K,)
    centres = 2 ** ((np.arange(len(binned)) + low) / 64)
    exponents = np.asarray(diameters, dtype=np.float64)[:, None] ** 2 / 8 * centres  # (D, K)
    energy: NDArray[np.float64] = (exponents**2 * np.exp(-exponents)) @ binned
    return energy


def usual_object_size(image: Tensor) -> float | None:
    """How large the things are that an image has many of, if it has such things.

    In photos, structures of all sizes are mixed, and the energy of blobs (:func:`blob_energy`)
    rises or falls steadily with their size. Many things of one size make a peak: the one of the
    smallest diameter counts that stands out by two fifths within two octaves on both sides.

    Args:
        image: (C, H, W) in [0, 1].

    Returns:
        The diameter in pixels of discs that would make this peak, at least :data:`LEAST_SIZE`, and
        at most a fifth of the shorter side; None if there is none.

    Raises:
        ValueError: see :func:`blob_energy`.
    """
    shorter = min(image.shape[1:]) if image.ndim == 3 else 0
    low, high = math.log2(LEAST_SIZE), math.log2(max(shorter, 1) / _LEAST_REPEATS)
    first, last = math.ceil(_STEPS * low), math.floor(_STEPS * high)
    reach = 2 * _STEPS
    numbers = np.arange(first - reach, max(last, first) + reach + 1)
    diameters = 2.0 ** (numbers / _STEPS) * _PEAK_OF_DISC
    energy = blob_energy(image, diameters)
    for index in range(reach, len(energy) - reach):
        around = energy[index - reach : index + reach + 1]
        peak = around[reach]
        if peak <= max(around[reach - 1], around[reach + 1]) or numbers[index] > last:
            continue
        if max(around[:reach].min(), around[reach:].min()) <= _PROMINENCE * peak:
            return float(diameters[index] / _PEAK_OF_DISC)
    return None
