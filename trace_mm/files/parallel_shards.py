"""Shards side by side: the samples of one, each with what others hold of the same key."""

from collections.abc import Iterator, Sequence

from trace_mm.files.shards import Sample, read_shard


def read_side_by_side(
    address: str, others: Sequence[str]
) -> Iterator[tuple[Sample, list[Sample | None]]]:
    """The samples of a shard with those of others, one of each in memory.

    Args:
        address: of the shard.
        others: of shards whose samples stand in the same order; any may be missing.

    Yields:
        A sample, and of each of the others the one of its key, if there is one.

    Raises:
        ValueError: if one is no whole tar, or another holds samples that the shard does not, or in
            another order; names it and the sample.
        OSError: if one cannot be read; names it.
    """
    beside = [_Beside(other) for other in others]
    for sample in read_shard(address):
        yield sample, [other.take(sample.key) for other in beside]
    for other in beside:
        other.check_end(address)


class _Beside:
    """A shard whose next sample is taken if it has the key that is asked for."""

    def __init__(self, address: str) -> None:
        self._address = address
        self._samples = read_shard(address)
        self._next = next(self._samples, None)

    def take(self, key: str) -> Sample | None:
        found = self._next
        if found is None or found.key != key:
            return None
        self._next = next(self._samples, None)
        return found

    def check_end(self, address: str) -> None:
        if self._next is not None:
            raise ValueError(
                f"{self._address}: sample {self._next.key!r} is not in {address}, or their samples "
                f"stand in different orders"
            )
