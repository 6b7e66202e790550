"""The order of training images, as a pure function of the seed and the position in it.

What a run sees at iteration ``i`` depends on nothing but the seed, ``i``, the batch size and the
number of processes: not on data loader workers, and not on where the run was resumed. Random
changes of an image are drawn from the number of its visit for the same reason.
"""

import itertools
from collections.abc import Iterator, Sized

import torch
from mmengine.dist import get_dist_info, sync_random_seed
from torch.utils.data import Sampler

from trace_mm.datasets.visit import Visit
from trace_mm.registry import DATA_SAMPLERS


@DATA_SAMPLERS.register_module()
class VisitSampler(Sampler[Visit]):
    """Endless passes over a dataset, each shuffled anew, for iteration-based training.

    Like mmengine's ``InfiniteSampler``, but it counts an image's visits, and any position is
    reached without walking there. Processes take turns.

    Args:
        dataset: what is sampled.
        shuffle: whether each pass has an order of its own.
        seed: of the orders; the same for all processes. None draws one.
    """

    def __init__(self, dataset: Sized, shuffle: bool = True, seed: int | None = None) -> None:
        self.rank, self.world_size = get_dist_info()
        self.size = len(dataset)
        self.shuffle = shuffle
        self.seed: int = sync_random_seed() if seed is None else seed
        self._start = 0

    def __len__(self) -> int:
        return self.size

    def __iter__(self) -> Iterator[Visit]:
        position = self._start * self.world_size + self.rank
        for number in itertools.count(position // self.size):
            order = self._order(number)
            while position < (number + 1) * self.size:
                yield Visit(order[position - number * self.size], number)
                position += self.world_size

    def skip(self, num_samples: int) -> None:
        """Start at the position that a run has after ``num_samples`` images in each process.

        Raises:
            ValueError: if the number is negative.
        """
        if num_samples < 0:
            raise ValueError(f"cannot skip {num_samples} images")
        self._start = num_samples

    def set_epoch(self, epoch: int) -> None:
        """Do nothing: passes are not epochs."""

    def _order(self, number: int) -> list[int]:
        if not self.shuffle:
            return list(range(self.size))
        generator = torch.Generator().manual_seed(self.seed + number)
        return torch.randperm(self.size, generator=generator).tolist()
