"""Groups of things that links connect."""

import numpy as np
import scipy
from numpy.typing import NDArray


def linked_groups(
    count: int, first: NDArray[np.integer], second: NDArray[np.integer]
) -> NDArray[np.int32]:
    """The group (count,) of each thing, from 0 on in the order of their first members.

    Args:
        count: how many things there are.
        first: (L,): the one end of each link.
        second: (L,): its other end.
    """
    linked = np.ones(len(first), dtype=bool)
    links = scipy.sparse.coo_array((linked, (first, second)), shape=(count, count))
    groups = scipy.sparse.csgraph.connected_components(links, directed=False)[1]
    numbers: NDArray[np.int32] = groups.astype(np.int32)
    return numbers
