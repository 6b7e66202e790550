"""The record of a folder run: its settings, and each image that is done or has failed.

JSON lines. The first holds the settings; after it comes a line an image, appended as it is done. A
kill can tear the last line only, which then counts as not written. At the end of a run the lines
are brought in the order of their names, so that equal runs leave equal files.
"""

from dataclasses import asdict, dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any

from trace_mm.apis.json_lines import as_json, differing_settings, json_line, parse_line
from trace_mm.apis.places import MANIFEST_FILE
from trace_mm.files import write_atomically

FORMAT = 1


@dataclass(frozen=True)
class Record:
    """What became of one image.

    Attributes:
        name: of its results; unique.
        source: path of the image file, absolute.
        size: of the image file in bytes; -1 if it could not be read.
        modified: its modification time in nanoseconds.
        sha256: of the image file.
        outputs: size in bytes of each result file, by its path relative to the output folder.
        timestep: the timestep that the edges were read at.
        error: why it failed; None if it is done.
    """

    name: str
    source: str
    size: int = -1
    modified: int = -1
    sha256: str = ""
    outputs: dict[str, int] = field(default_factory=dict)
    timestep: int | None = None
    error: str | None = None


class Manifest:
    """The manifest of an output folder, open for appending; a context that closes it.

    Use :meth:`open_or_create` or :meth:`create`.
    """

    def __init__(self, path: Path, settings: dict[str, Any], records: dict[str, Record]) -> None:
        self.path = path
        self.settings = settings
        self.records = records
        self._rewrite()
        self._file = path.open("ab")

    @classmethod
    def create(cls, out_dir: Path, settings: dict[str, Any]) -> "Manifest":
        """Start the manifest of an existing folder anew, whatever it holds."""
        return cls(out_dir / MANIFEST_FILE, as_json(settings), {})

    @classmethod
    def open_or_create(cls, out_dir: Path, settings: dict[str, Any]) -> "Manifest":
        """Go on with the manifest of a folder, or start one.

        Args:
            out_dir: an existing folder.
            settings: JSON values by name; a run may only go on with the same.

        Raises:
            ValueError: if the folder's results were made with other settings (names them), or the
                manifest is damaged.
        """
        path = out_dir / MANIFEST_FILE
        settings = as_json(settings)
        if not path.exists():
            return cls(path, settings, {})
        previous, records = read_manifest(path)
        differing = differing_settings(previous, settings)
        if differing:
            raise ValueError(
                f"{out_dir} holds results of other settings: {differing}. Choose another folder, "
                f"or --overwrite to start anew"
            )
        return cls(path, settings, records)

    def __enter__(self) -> "Manifest":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._file.close()

    def add(self, record: Record) -> None:
        """Append a record. A later one of the same name replaces it."""
        self.records[record.name] = record
        self._file.write(json_line(asdict(record)))
        self._file.flush()  # to the system, which outlives a killed process

    def finish(self) -> None:
        """Bring the file in its final order. Nothing can be added after that."""
        self._file.close()
        self._rewrite()

    def _rewrite(self) -> None:
        lines = [json_line({"format": FORMAT, "settings": self.settings})]
        lines += [json_line(asdict(self.records[name])) for name in sorted(self.records)]
        write_atomically(self.path, b"".join(lines))


def read_manifest(path: Path) -> tuple[dict[str, Any], dict[str, Record]]:
    """Settings and records of a manifest; lines that are torn or damaged are left out.

    Raises:
        ValueError: if the line of the settings is damaged or of another format; names the file.
    """
    header = parse_line(path.read_bytes().partition(b"\n")[0])
    if header is None or header.get("format") != FORMAT or "settings" not in header:
        raise ValueError(
            f"{path} is damaged or not a manifest of this version of trace_mm; choose another "
            f"folder, or --overwrite to start anew"
        )
    return header["settings"], _read_records(path)


def remove_listed_results(out_dir: Path) -> None:
    """Remove the result files that a folder's manifest lists, if it has one."""
    path = out_dir / MANIFEST_FILE
    if not path.exists():
        return
    for record in _read_records(path).values():
        for output in record.outputs:
            # Nothing outside the folder, whatever somebody wrote into the manifest.
            if not Path(output).is_absolute() and ".." not in Path(output).parts:
                (out_dir / output).unlink(missing_ok=True)


def _read_records(path: Path) -> dict[str, Record]:
    records = {}
    for line in path.read_bytes().split(b"\n")[1:-1]:  # what follows the last newline is torn
        value = parse_line(line)
        if value is not None and value.keys() == Record.__dataclass_fields__.keys():
            records[value["name"]] = Record(**value)
    return records
