"""A trained student as a folder that is ready for a model hub."""

import hashlib
import json
import os
import shutil
from pathlib import Path
from typing import Any

import safetensors.torch
import torch
from torch import nn

from trace_mm import __version__
from trace_mm.diffusion import STUDENT_FOLDER, denoiser_identity, open_model, shipped_models
from trace_mm.diffusion.null_text_files import NULL_TEXT_FILE
from trace_mm.diffusion.pretrained import SETTINGS_FILE
from trace_mm.diffusion.source import ModelSource
from trace_mm.files import check_outputs, remove_abandoned, temporary_path, write_atomically
from trace_mm.files.json_file import read_json
from trace_mm.models.student_files import DESCRIPTION, WEIGHTS_FILE, student_backbone
from trace_mm.models.student_folder import (
    MARKER_FILE,
    MARKER_FORMAT,
    read_marker,
)
from trace_mm.models.student_state import pack_description, unpack_description
from trace_mm.models.student_weights import (
    build_student,
    read_student,
    read_training_config,
    write_student,
)
from trace_mm.publish.model_card import CardFacts, render_card
from trace_mm.publish.training_record import training_images

CARD_FILE = "README.md"
_WRITTEN = {
    *(CARD_FILE, MARKER_FILE, WEIGHTS_FILE, SETTINGS_FILE, NULL_TEXT_FILE, "model_index.json"),
    *("unet", "transformer", "vae", "scheduler"),
}


def export_student(
    checkpoint: str | os.PathLike[str],
    out_dir: str | os.PathLike[str],
    *,
    merge: bool = False,
    dtype: str | None = None,
    backbone: str | os.PathLike[str] | None = None,
    trained_on: str | None = None,
    license: str | None = None,
    overwrite: bool = False,
) -> Path:
    """Write a student to a folder that :class:`trace_mm.apis.TraceInferencer` loads.

    The folder appears whole or not at all. It holds the weights ``student.safetensors``, a model
    card ``README.md`` and the marker ``trace_student.json``.

    Args:
        checkpoint: a ``.pth`` of MMEngine, a ``.safetensors``, or a folder with one.
        out_dir: the folder to write.
        merge: put LoRA into the denoiser and add the whole backbone as a diffusers folder, so that
            the original is not needed any more; else only LoRA and decoder are written.
        dtype: ``"float32"``, ``"float16"`` or ``"bfloat16"``, of the weights that training changed,
            and with ``merge`` of the whole denoiser; None keeps their precision.
        backbone: folder or hub id of the student's backbone, if it is not where the checkpoint
            says. A hub id is recorded, so that others find it.
        trained_on: the training images, for the card; what the checkpoint says if None.
        license: of the card, as model hubs spell it; if None that of the shipped backbone, and for
            other backbones ``"other"``.
        overwrite: replace the folder of an earlier export.

    Returns:
        The folder.

    Raises:
        FileNotFoundError: if there is no such checkpoint or backbone.
        ValueError: if the checkpoint is damaged, merged already or of another backbone, or the
            folder has other contents or those that are read.
        OSError: if the folder cannot be written.
    """
    source, out = Path(checkpoint).expanduser(), Path(out_dir).expanduser().resolve()
    _check_replaceable(out, overwrite)
    check_outputs(files=[temporary_path(out)], folders=[out], read=[source, backbone])
    state = read_student(source)
    description = unpack_description(state)
    if "merged" in description:
        raise ValueError(f"{source} is merged already: copy the folder as it is")
    given = {} if backbone is None else {"pretrained": os.fspath(backbone)}
    where = student_backbone(source, **given)
    check_outputs(folders=[out], read=[where["pretrained"]])
    student = build_student(source, given)  # refuses a wrong backbone
    if given:
        _record_name(description, given["pretrained"], where["revision"])
    rounded = None if dtype is None else getattr(torch, dtype)
    facts = _facts(student, state, description, trained_on or _training_images(source), license)
    out.parent.mkdir(parents=True, exist_ok=True)
    remove_abandoned(out.parent)  # of runs that were killed
    partial = temporary_path(out)
    partial.mkdir()
    try:
        if merge:
            original = open_model(where["pretrained"], where["revision"])
            state, description = _merge(student, original, state, description, partial, rounded)
            _copy_settings(Path(where["pretrained"]), partial)
        state[DESCRIPTION] = pack_description(description)
        write_student(state, partial, rounded)
        _write_json(partial / MARKER_FILE, _marker(description, facts, merge, dtype))
        sizes = {
            path.relative_to(partial).as_posix(): path.stat().st_size
            for path in sorted(partial.rglob("*"))
            if path.is_file() and path.name != MARKER_FILE
        }
        card = render_card(facts, _call_name(out), merge, dtype, sizes)
        write_atomically(partial / CARD_FILE, card.encode())
        _put_in_place(partial, out)
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    return out


def _call_name(out: Path) -> str:
    """What the student is called: its folder, or the backbone's folder that it lies in."""
    inside = out.name == STUDENT_FOLDER and (out.parent / "model_index.json").is_file()
    return out.parent.name if inside else out.name


def _check_replaceable(out: Path, overwrite: bool) -> None:
    if out.exists() and not out.is_dir():
        raise ValueError(f"{out} is not a folder")
    found = sorted(path.name for path in out.iterdir()) if out.is_dir() else []
    if found and not overwrite:
        raise ValueError(f"{out} is not empty: choose another folder, or --overwrite")
    others = [name for name in found if name not in _WRITTEN]
    if found and (others or MARKER_FILE not in found):
        raise ValueError(
            f"{out} is not just an export ({', '.join(others[:3]) or f'no {MARKER_FILE}'}), "
            "so that it is not overwritten: choose another folder"
        )


def _put_in_place(partial: Path, out: Path) -> None:
    """Rename the finished folder, after moving away what is there."""
    old = temporary_path(out)
    if out.is_dir():
        out.replace(old)
    try:
        partial.replace(out)
    except OSError:
        if old.is_dir():
            old.replace(out)
        raise
    shutil.rmtree(old, ignore_errors=True)


def _record_name(description: dict[str, Any], given: str, revision: str | None) -> None:
    """Let the description name the backbone as it is given, where others can use that."""
    if not Path(given).expanduser().is_dir() or given in shipped_models():
        description["backbone"].update(name=given, revision=revision)


def _training_images(source: Path) -> str | None:
    """What the student was trained on, as far as its file or folder says."""
    if source.is_dir():
        known = read_marker(source).get("training_images")
        return known if isinstance(known, str) else None
    config = read_training_config(source)
    return None if config is None else training_images(config)


def _merge(
    student: Any,
    original: ModelSource,
    state: dict[str, Any],
    description: dict[str, Any],
    folder: Path,
    dtype: torch.dtype | None,
) -> tuple[dict[str, Any], dict[str, Any]]:
    """Write the fine-tuned backbone; the state and description that are left for the student."""
    backbone = student.backbone
    backbone.denoiser.to(dtype or backbone.denoiser.dtype)
    parts = {
        original.folder: backbone.denoiser,
        "vae": backbone.vae,
        "scheduler": backbone.scheduler,
    }
    index: dict[str, Any] = {"_class_name": original.index["_class_name"]}
    for name, part in parts.items():
        if part is not None:
            if name == "vae" and _holds_half(part):
                part.half()
            part.save_pretrained(folder / name)
            _forget_path(folder / name)
            index[name] = ["diffusers", type(part).__name__]
    _write_json(folder / "model_index.json", index)
    mode = (folder / "model_index.json").stat().st_mode
    for path in folder.rglob("*.safetensors"):
        path.chmod(mode)  # safetensors lets only the owner read what it writes
    null_text = {name: tensor.contiguous() for name, tensor in backbone.null_text.items()}
    write_atomically(folder / NULL_TEXT_FILE, safetensors.torch.save(null_text))
    trained_on = description["backbone"]
    merged = {
        **description,
        "backbone": {
            **trained_on,
            "name": f"{trained_on['name']} with the LoRA of a student",
            "revision": None,
            "denoiser": denoiser_identity(backbone.denoiser),
        },
        "student": {**description["student"], "lora": None},
        "merged": {
            "backbone": trained_on["name"],
            "revision": trained_on["revision"],
            "lora": description["student"]["lora"],
        },
    }
    return {name: value for name, value in state.items() if name.startswith("decoder.")}, merged


def _holds_half(module: nn.Module) -> bool:
    """Whether all weights keep their values in float16, as those of a file in float16 do."""
    return all(torch.equal(weight, weight.half().float()) for weight in module.parameters())


def _forget_path(folder: Path) -> None:
    """Take out of a part's config where on this machine it came from."""
    for path in folder.glob("*config.json"):
        config = read_json(path)
        config.pop("_name_or_path", None)
        _write_json(path, config)


def _copy_settings(pretrained: Path, folder: Path) -> None:
    """Keep what the backbone's folder recommends, such as the layers to read."""
    if (pretrained / SETTINGS_FILE).is_file():
        write_atomically(folder / SETTINGS_FILE, (pretrained / SETTINGS_FILE).read_bytes())


def _facts(
    student: Any,
    state: dict[str, Any],
    description: dict[str, Any],
    images: str | None,
    license: str | None,
) -> CardFacts:
    backbone, options = description["backbone"], description["student"]
    if license is None:
        license = "apache-2.0" if backbone["name"] in shipped_models() else "other"
    return CardFacts(
        backbone=backbone["name"],
        revision=backbone["revision"],
        identity=_digest(backbone["denoiser"]),
        decoder=options["decoder"]["type"],
        lora=options["lora"],
        timestep=options["timestep"],
        size=options["size"],
        key_cell=options.get("key_cell", 1),
        training_images=images,
        license=license,
        trained_dtype=backbone.get("dtype", "float32"),
        backbone_weights=sum(weight.numel() for weight in student.backbone.parameters()),
        decoder_weights=_count(state, "decoder."),
        lora_weights=_count(state, "backbone."),
    )


def _digest(identity: dict[str, Any]) -> str:
    return hashlib.sha256(json.dumps(identity, sort_keys=True).encode()).hexdigest()[:16]


def _count(state: dict[str, Any], prefix: str) -> int:
    return sum(value.numel() for name, value in state.items() if name.startswith(prefix))


def _marker(
    description: dict[str, Any], facts: CardFacts, merge: bool, dtype: str | None
) -> dict[str, Any]:
    return {
        "format": MARKER_FORMAT,
        "trace_mm": __version__,
        "merged": merge,
        "dtype": dtype,
        "trained_dtype": facts.trained_dtype,
        "backbone": {
            "name": facts.backbone,
            "revision": facts.revision,
            "identity": facts.identity,
        },
        "decoder": description["student"]["decoder"],
        "lora": facts.lora,
        "training_images": facts.training_images,
    }


def _write_json(path: Path, value: dict[str, Any]) -> None:
    write_atomically(path, (json.dumps(value, indent=1) + "\n").encode())
