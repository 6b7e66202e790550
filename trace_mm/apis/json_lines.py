"""Files of JSON lines that a run appends to: settings first, then a line for each image."""

import json
from typing import Any


def json_line(value: dict[str, Any]) -> bytes:
    """A line, with its end. ASCII, so that names with undecodable bytes survive as surrogates."""
    return json.dumps(value, sort_keys=True).encode("ascii") + b"\n"


def parse_line(line: bytes) -> dict[str, Any] | None:
    """The dict that a line holds; None if it is torn or holds anything else."""
    try:
        value = json.loads(line)
    except ValueError:
        return None
    return value if isinstance(value, dict) else None


def as_json(settings: dict[str, Any]) -> dict[str, Any]:
    """Settings as they are read back: tuples become lists, keys strings."""
    value: dict[str, Any] = json.loads(json.dumps(settings))
    return value


def differing_settings(previous: dict[str, Any], now: dict[str, Any]) -> str:
    """What differs between two runs' settings, in words; empty if nothing does."""
    return "; ".join(
        f"{key} {previous.get(key)!r}, now {now.get(key)!r}"
        for key in sorted(previous.keys() | now.keys())
        if previous.get(key) != now.get(key)
    )
