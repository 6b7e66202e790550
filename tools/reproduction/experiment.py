"""What an experiment of the paper consists of: its needs, its steps, and where its numbers are."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path


@dataclass(frozen=True)
class Setting:
    """How experiments are run.

    Attributes:
        work: folder for all results, shared by all experiments of the same setting.
        data: folder of the datasets.
        backbone: diffusion model, a name of ``trace-mm backbones``.
        mini: whether drawn scenes and the shipped models take the place of both.
        images: how many scenes a mini run takes.
        iterations: how long it trains.
        size: pixels that models are shown images at; None is what each is made for.
        device: of models; None for the first GPU, if any.
    """

    work: Path
    data: Path = Path("data")
    backbone: str = "sd35-large"
    mini: bool = False
    images: int = 40
    iterations: int = 200
    size: int | None = None
    device: str | None = None


@dataclass(frozen=True)
class Need:
    """Data or weights that a person has to bring.

    Attributes:
        name: what it is called.
        folder: where it is expected, within the folder of datasets.
        holds: files and folders in it that are read.
        size: of all that has to be there.
        source: where it comes from.
        convert: the command that makes what is read of what is downloaded, if one does.
    """

    name: str
    folder: str
    holds: tuple[str, ...]
    size: str
    source: str
    convert: str = ""

    def missing(self, data: Path) -> list[Path]:
        """What of it is not there."""
        paths = [data / self.folder / part for part in self.holds]
        return [path for path in paths if not path.exists()]


@dataclass(frozen=True)
class Step:
    """A command.

    Attributes:
        name: of its record and its log; one name stands for one command.
        command: what a person would type. ``trace-mm`` and ``python`` are those of this process.
        makes: what it leaves behind.
    """

    name: str
    command: tuple[str, ...]
    makes: Path


@dataclass(frozen=True)
class Reading:
    """A number in a JSON file.

    Attributes:
        file: holds an object.
        key: of the number; dots lead into objects.
        scale: by which it is multiplied.
        over: file of scores by whose number of images it is divided; None for no division.
    """

    file: Path
    key: str
    scale: float = 100.0
    over: Path | None = None

    def value(self) -> float | None:
        """The number; None if a file or the key is not there, or says that there is none (-1).

        Raises:
            ValueError: if a file is damaged; names it.
        """
        found = _number(self.file, self.key)
        if found is None or self.over is None:
            return None if found is None else found * self.scale
        images = _number(self.over, "images")
        return found * self.scale / images if images else None


@dataclass(frozen=True)
class Row:
    """A row of a table.

    Attributes:
        label: what the row is of.
        paper: the paper's numbers by column.
        ours: where ours are, by column.
    """

    label: str
    paper: Mapping[str, float] = field(default_factory=dict)
    ours: Mapping[str, Reading] = field(default_factory=dict)


@dataclass(frozen=True)
class Experiment:
    """A table or figure of the paper.

    Attributes:
        title: what it shows.
        columns: names of the numbers, in order.
        rows: from top to bottom.
        steps: in order.
        needs: what a person has to bring.
        choices: what we chose where the paper is silent or contradicts itself.
        pictures: files that steps draw.
    """

    title: str
    columns: tuple[str, ...]
    rows: tuple[Row, ...]
    steps: tuple[Step, ...]
    needs: tuple[Need, ...] = ()
    choices: tuple[str, ...] = ()
    pictures: tuple[Path, ...] = ()


def _number(file: Path, key: str) -> float | None:
    """What a file has under a key; None for nothing, and for -1."""
    if not file.is_file():
        return None
    try:
        found = json.loads(file.read_text(encoding="utf-8"))
    except ValueError as error:
        raise ValueError(f"{file}: no JSON: {error}") from error
    for part in key.split("."):
        if not isinstance(found, dict) or part not in found:
            return None
        found = found[part]
    return float(found) if isinstance(found, (int, float)) and found != -1 else None
