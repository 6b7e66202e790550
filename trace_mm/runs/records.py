"""What became of one item of a run."""

import json
from dataclasses import dataclass, field
from typing import Any

_ENCODER = json.JSONEncoder(sort_keys=True)


@dataclass(frozen=True)
class Record:
    """What became of one item; a line of a journal.

    Attributes:
        key: of the item; unique in the run.
        state: what changes when the files do that the item is made of, as JSON values.
        outputs: size in bytes of each file that was written, by its path in the run's folder.
        result: what else the job found, as JSON values.
        notes: what was left out, and why.
        remarks: what else is to be known.
        error: why the item failed; None if it is done.
    """

    key: str
    state: dict[str, Any] = field(default_factory=dict)
    outputs: dict[str, int] = field(default_factory=dict)
    result: dict[str, Any] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    remarks: list[str] = field(default_factory=list)
    error: str | None = None

    def line(self) -> bytes:
        """The record as a line of a journal."""
        return json_line(
            {name: value for name, value in vars(self).items() if value or name == "key"}
        )


def read_record(line: bytes) -> Record | None:
    """The record that a line holds; None if it is torn, or holds anything else."""
    value = parse_line(line)
    if value is None or not isinstance(value.get("key"), str):
        return None
    try:
        return Record(**value)
    except TypeError:  # a field that there is not
        return None


def json_line(value: dict[str, Any]) -> bytes:
    """A line, with its end. ASCII, so that names with undecodable bytes survive as surrogates."""
    return _ENCODER.encode(value).encode("ascii") + b"\n"


def parse_line(line: bytes) -> dict[str, Any] | None:
    """The dict that a line holds; None if it is torn or holds anything else."""
    try:
        value = json.loads(line.decode("ascii"))
    except ValueError:
        return None
    return value if isinstance(value, dict) else None


def as_json(settings: dict[str, Any]) -> dict[str, Any]:
    """Settings as they are read back: tuples become lists, keys strings."""
    value: dict[str, Any] = json.loads(json.dumps(settings))
    return value


def check_settings(place: object, previous: dict[str, Any], settings: dict[str, Any]) -> None:
    """Refuse to mix results of different settings.

    Args:
        place: where the results are.
        previous: settings of those that are there, as JSON values.
        settings: of those to come.

    Raises:
        ValueError: if they differ; names the place and what differs.
    """
    differing = "; ".join(
        f"{key} {previous.get(key)!r}, now {settings.get(key)!r}"
        for key in sorted(previous.keys() | settings.keys())
        if previous.get(key) != settings.get(key)
    )
    if differing:
        raise ValueError(
            f"{place} holds results of other settings: {differing}. Choose another place, or "
            f"--overwrite to start anew"
        )
