"""What a user may call a diffusion model, and what its folder recommends."""

from importlib.resources import files
from pathlib import Path
from typing import Any

from trace_mm.catalogue import CATALOGUE
from trace_mm.diffusion.fingerprint import STUDENT_FOLDER
from trace_mm.files.json_file import read_json

SETTINGS_FILE = "trace.json"
"""In a backbone's folder: what the teacher should use with it, where that is not the paper's."""


def shipped_models() -> dict[str, Path]:
    """Folders of the backbones in this package, by name."""
    root = Path(str(files("trace_mm"))) / "weights"
    return {path.parent.name: path.parent for path in sorted(root.glob("*/model_index.json"))}


def shipped_students() -> dict[str, Path]:
    """Folders of the students in this package, by name; a backbone's own has the backbone's."""
    root = Path(str(files("trace_mm"))) / "weights"
    alone = {path.parent.name: path.parent for path in root.glob("*/student.safetensors")}
    inside = {
        name: folder / STUDENT_FOLDER
        for name, folder in shipped_models().items()
        if (folder / STUDENT_FOLDER).is_dir()
    }
    return dict(sorted({**alone, **inside}.items()))


def resolve_pretrained(pretrained: str | Path) -> str:
    """Turn a name into a folder or hub id; leave folders and hub ids as they are.

    Args:
        pretrained: a shipped name, a name of :data:`trace_mm.catalogue.CATALOGUE`, a folder or a
            hub id.

    Raises:
        FileNotFoundError: if it is a folder without a model, or none of these.
        ValueError: if it is a model of the catalogue without timesteps.
    """
    shipped = shipped_models()
    if str(pretrained) in shipped:
        return str(shipped[str(pretrained)])
    path = Path(pretrained).expanduser()
    named = CATALOGUE.get(str(pretrained))
    is_model = (path / "model_index.json").is_file()
    if path.is_dir() and (is_model or named is None):
        if not is_model:
            raise FileNotFoundError(f"{path} is not a diffusers folder: no model_index.json in it")
        return str(path)
    if named is not None and not named.is_diffusion:
        raise ValueError(f"{pretrained} is no diffusion model: {named.teacher} reads its edges")
    if named is not None:
        return named.pretrained
    if str(pretrained).count("/") == 1 and not path.is_absolute() and str(pretrained)[0] != ".":
        return str(pretrained)
    raise FileNotFoundError(
        f"{pretrained} is neither a shipped model ({', '.join(shipped)}), a folder, one of "
        f"{', '.join(name for name, entry in CATALOGUE.items() if entry.is_diffusion)}, "
        f"nor a hub id of the form owner/name"
    )


def backbone_settings(pretrained: str | Path) -> dict[str, Any]:
    """The teacher settings that a backbone's folder recommends; empty where it has none.

    Raises:
        ValueError: if the file is not a JSON object; names it.
    """
    path = Path(resolve_pretrained(pretrained)) / SETTINGS_FILE
    if not path.is_file():
        return {}
    settings = read_json(path)
    if not isinstance(settings, dict):
        raise ValueError(f"{path} must hold a JSON object, got {type(settings).__name__}")
    return settings
