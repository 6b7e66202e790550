"""Notices images whose labels lack a class, of which a student cannot learn what it should."""

import logging

from torch import Tensor

_ENOUGH = 32
"""Images to look at before anything is said."""


class LabelWatch:
    """Warns once if more than half of the images so far have no edge or no interior label.

    Without an interior pixel, edges everywhere are a perfect prediction by Eq. 10; without an edge,
    none at all.

    Args:
        scheme: by which the labels are made, for the message.
    """

    def __init__(self, scheme: str) -> None:
        self._scheme = scheme
        self._missing = {"edge": 0, "interior": 0}
        self._seen = 0
        self._has_warned = False

    def see(self, shares: dict[str, Tensor]) -> None:
        """Look at a batch.

        Args:
            shares: of :func:`trace_mm.models.distillation.label_shares`, (B,) each.
        """
        if self._has_warned:
            return
        from mmengine.logging import print_log  # slow to import, and for training only

        self._seen += len(shares["edge"])
        for name in self._missing:
            self._missing[name] += int((shares[name] == 0).sum())
        for name, count in self._missing.items():
            if self._seen >= _ENOUGH and 2 * count > self._seen:
                print_log(
                    missing_class_warning(count, self._seen, name, self._scheme),
                    logger="current",
                    level=logging.WARNING,
                )
                self._has_warned = True


def missing_class_warning(count: int, images: int, name: str, scheme: str) -> str:
    """What to say of images that lack a class.

    Args:
        count: of such images.
        images: how many there are.
        name: of the class: "edge" or "interior".
        scheme: of the labels.
    """
    wrong = "edges everywhere" if name == "interior" else "no edges at all"
    return (
        f"{count} of {images} images have no {name} label by {scheme!r}: there the loss is content "
        f"with {wrong}. Choose another pseudo_label (docs/training.md)"
    )
