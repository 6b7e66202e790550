"""Folders of exported students: what marks one, and where the student is that somebody means."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from trace_mm.diffusion.fingerprint import STUDENT_FOLDER
from trace_mm.diffusion.pretrained import shipped_models, shipped_students
from trace_mm.files.json_file import read_json
from trace_mm.models.student_files import WEIGHTS_FILE, student_backbone

MARKER_FILE = "trace_student.json"
"""Marks a folder as an exported student."""

MARKER_FORMAT = 1


@dataclass(frozen=True)
class StudentSource:
    """Where a student is.

    Attributes:
        path: a checkpoint file, or a folder with ``student.safetensors``.
        backbone: the model folder that the student lies in; None if it does not lie in one.
    """

    path: Path
    backbone: Path | None = None


def find_student(name: str) -> StudentSource | None:
    """The student that a name means, if there is one.

    Args:
        name: a shipped name, a checkpoint file, a folder that holds a student or has one in its
            subfolder ``student``, or the hub id of an exported student, which is downloaded.

    Raises:
        FileNotFoundError: if the hub cannot be asked or has no such model.
        ValueError: if a folder's marker is damaged or of another format; names it.
    """
    folder = {**shipped_students(), **shipped_models()}.get(name, Path(name).expanduser())
    if folder.is_file():
        return StudentSource(folder)
    if not folder.is_dir():
        if name.count("/") != 1 or name.startswith((".", "/", "~")):
            return None
        downloaded = _download(name)
        if downloaded is None:
            return None
        folder = downloaded
    if (folder / WEIGHTS_FILE).is_file():
        read_marker(folder)
        return StudentSource(folder)
    inside = folder / STUDENT_FOLDER
    if (folder / "model_index.json").is_file() and (inside / WEIGHTS_FILE).is_file():
        read_marker(inside)
        return StudentSource(inside, folder)
    return None


def read_marker(folder: Path) -> dict[str, Any]:
    """What a folder's marker says; empty if it has none, as :func:`save_student` leaves it.

    Raises:
        ValueError: if it is damaged or of another format; names it.
    """
    path = folder / MARKER_FILE
    if not path.is_file():
        return {}
    marker = read_json(path)
    if not isinstance(marker, dict) or marker.get("format") != MARKER_FORMAT:
        raise ValueError(f"{path} is not of format {MARKER_FORMAT}, which this trace_mm reads")
    return marker


def student_parts(
    student: str, backbone: Mapping[str, Any] | None = None
) -> tuple[str, dict[str, Any]]:
    """Where a student's checkpoint is, and the arguments that load its backbone.

    Args:
        student: see :func:`trace_mm.models.build_trained_student`.
        backbone: likewise.

    Raises:
        FileNotFoundError: if there is no such student or backbone.
        ValueError: if the checkpoint is damaged; names it.
    """
    found = find_student(student)
    if found is None:
        raise FileNotFoundError(
            f"{student}: no student: neither a shipped name, nor a checkpoint, nor a folder or hub "
            "id of an exported one"
        )
    options = dict(backbone or {})
    if found.backbone is not None:
        options.setdefault("pretrained", str(found.backbone))
    path = Path(found.path)
    return str(path), student_backbone(path, **options)


def _download(name: str) -> Path | None:
    """An exported student's folder from the hub; None if the model there is not one."""
    from huggingface_hub import hf_hub_download, snapshot_download  # slow to import
    from huggingface_hub.errors import EntryNotFoundError, LocalEntryNotFoundError

    try:
        hf_hub_download(name, MARKER_FILE)
        return Path(snapshot_download(name))
    except LocalEntryNotFoundError as error:  # no connection, and nothing in the cache
        raise _unreachable(name, error) from error
    except EntryNotFoundError:
        return None
    except OSError as error:
        raise _unreachable(name, error) from error


def _unreachable(name: str, error: Exception) -> FileNotFoundError:
    return FileNotFoundError(
        f"{name} is no folder here, and looking for its student on the hub fails: {error}"
    )
