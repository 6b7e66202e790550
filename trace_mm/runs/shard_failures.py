"""Which images of finished shards failed: told by small files beside the results.

The name of each says how many there are, so that one listing counts them, however many shards there
are. A shard without failures has none.
"""

import re
from collections.abc import Iterable, Iterator, Sequence

from trace_mm.files.addresses import join_address
from trace_mm.files.stores import put_bytes, read_bytes
from trace_mm.runs.records import json_line, parse_line

_NAME = re.compile(r"(.+)\.failed-(\d+)\.json")


def put_failures(folder: str, shard: str, count: int, reasons: Sequence[str]) -> None:
    """Say that images of a shard failed; before its results are there, which are then done.

    Args:
        folder: of the results, local or of a store.
        shard: name of the results.
        count: how many images failed.
        reasons: why some of them did.

    Raises:
        OSError: if it cannot be written; names the address.
    """
    name = f"{shard.removesuffix('.tar')}.failed-{count}.json"
    put_bytes(join_address(folder, name), json_line({"failed": count, "reasons": list(reasons)}))


def listed_failures(names: Iterable[str]) -> dict[str, tuple[str, int]]:
    """Such files among those of a folder, each with how many images failed, by its shard."""
    found = filter(None, map(_NAME.fullmatch, names))
    return {f"{match[1]}.tar": (match[0], int(match[2])) for match in found}


def read_reasons(folder: str, shard: str, name: str) -> Iterator[str]:
    """What such a file says, after the name of the shard; nothing if it is damaged.

    Raises:
        OSError: if it cannot be read; names the address.
    """
    value = parse_line(read_bytes(join_address(folder, name)))
    reasons = None if value is None else value.get("reasons")
    for reason in reasons if isinstance(reasons, list) else ():
        yield f"{shard}: {reason}"
