"""An image of a training as it is asked for."""

from typing import NamedTuple


class Visit(NamedTuple):
    """An image and how often it came before: what :class:`VisitSampler` gives to a dataset.

    Attributes:
        image: its index.
        number: of this visit to it, from 0.
    """

    image: int
    number: int
