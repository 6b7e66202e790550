"""The borders between regions, found pixel by pixel."""

import numpy as np


def borders(labels, edges):
    """Strengths of all pairs of neighbouring pixels by the regions that they part."""
    found = {}
    height, width = labels.shape
    for row, column in np.ndindex(labels.shape):
        for below, right in ((row + 1, column), (row, column + 1)):
            if below < height and right < width:
                a, b = labels[row, column], labels[below, right]
                if a != b:
                    strength = max(edges[row, column], edges[below, right])
                    found.setdefault((min(a, b), max(a, b)), []).append(strength)
    return found
