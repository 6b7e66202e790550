"""Counting of edge matches in worker processes, while a model makes the next maps."""

from typing import Self

import numpy as np

from trace_mm.evaluation.edge_counts import CountingSettings, ImageCounts, count_edges
from trace_mm.runs.pool import Pool
from trace_mm.runs.progress import progress_bar
from trace_mm.runs.spawned import usable_cores

_MOST_WORKERS = 8  # unless asked for: each needs about 300 MB


class CountingPool:
    """Counts images in the order of submission, in this or in other processes.

    Results do not depend on the number of workers. At most a few images a worker wait at a time,
    so that memory stays bounded however many are submitted. Use it as a context manager: leaving it
    stops the workers, without waiting for what is queued if an error is on its way.

    Args:
        settings: what to count.
        workers: number of processes; 1 counts in this process at ``submit``, None means one for
            each core that this process may use, but no more than 8.
        progress: show a bar on standard error.

    Raises:
        ValueError: if ``workers`` is below 1.
    """

    def __init__(
        self, settings: CountingSettings, workers: int | None = 1, progress: bool = False
    ) -> None:
        workers = min(usable_cores(), _MOST_WORKERS) if workers is None else workers
        if workers < 1:
            raise ValueError(f"at least one worker is needed, got {workers}")
        self.settings = settings
        self.workers = workers
        self._done: list[ImageCounts] = []
        self._bar = progress_bar(None, show=progress, label="score edges")
        self._pool = Pool[ImageCounts](workers if workers > 1 else 0, self._finish)

    def submit(self, edges: np.ndarray, targets: np.ndarray, name: str = "") -> None:
        """Queue one image; waits while the queue is full.

        Args:
            edges: soft edge map (H, W) in [0, 1].
            targets: bool (A, H, W).
            name: what to call the image in an error message.

        Raises:
            ValueError: if this or an earlier image's maps are not as they should be.
            OSError: if a worker has died.
        """
        self._pool.submit(_count, edges, targets, self.settings, name)

    def results(self, total: int | None = None) -> list[ImageCounts]:
        """Wait for the counts of all images submitted so far; ``total`` is for the bar."""
        self._bar.total = total or len(self._done) + len(self._pool)
        self._pool.wait()
        self._bar.refresh()
        return self._done

    def close(self) -> None:
        """Stop the workers and drop what is queued; harmless if done before."""
        self._bar.close()
        self._pool.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def _finish(self, counts: ImageCounts) -> None:
        self._done.append(counts)
        self._bar.update()


def _count(
    edges: np.ndarray, targets: np.ndarray, settings: CountingSettings, name: str
) -> ImageCounts:
    try:
        return count_edges(edges, targets, settings)
    except ValueError as error:
        raise ValueError(f"{name}: {error}" if name else str(error)) from error
