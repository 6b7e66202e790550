"""Files of students: writing, reading, and building a student from one."""

import io
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import safetensors.torch
import torch
from torch import Tensor, nn

from trace_mm.diffusion import open_model
from trace_mm.files import write_atomically
from trace_mm.models.student_files import (
    DESCRIPTION,
    WEIGHTS_FILE,
    described_dtype,
    named_errors,
    read_metadata,
    student_backbone,
    student_file,
)
from trace_mm.models.student_state import (
    StudentState,
    drop_backbone,
    pack_description,
    unpack_description,
)
from trace_mm.registry import MODELS


def save_student(model: nn.Module, path: str | Path, dtype: torch.dtype | None = None) -> Path:
    """Write LoRA, decoder and description to a file, which is then all there or as it was.

    Args:
        model: a ``TraceStudent``; may be wrapped for distributed training, but not sharded.
        path: a file that ends in ``.safetensors`` or ``.pth``; anything else is a folder, for a
            file ``student.safetensors`` in it.
        dtype: to which weights are rounded, such as ``torch.float16`` for a file of half the size;
            none are if None. Any student can load them.

    Returns:
        The file.

    Raises:
        ValueError: if LoRA is merged already, so that it cannot be saved.
    """
    from mmengine.model import is_model_wrapper  # slow to import

    student: Any = model.module if is_model_wrapper(model) else model
    return write_student(student.state_dict(), path, dtype)


def write_student(
    state: Mapping[str, Any], path: str | Path, dtype: torch.dtype | None = None
) -> Path:
    """Write the state dict of a student; see :func:`save_student`."""
    state = {name: _prepare(value, dtype) for name, value in state.items()}
    file = Path(path).expanduser()
    if file.suffix == ".pth":
        buffer = io.BytesIO()
        torch.save({"state_dict": state}, buffer)
        write_atomically(file, buffer.getvalue())
        return file
    file = file if file.suffix == ".safetensors" else file / WEIGHTS_FILE
    metadata = {"format": "pt", "trace_mm": json.dumps(unpack_description(state))}
    del state[DESCRIPTION]
    write_atomically(file, safetensors.torch.save(state, metadata))
    return file


def read_student(path: str | Path) -> dict[str, Any]:
    """The state dict in a student's checkpoint, on the CPU. No code in the file is run.

    Args:
        path: a file or folder that :func:`save_student` wrote, a ``.pth`` file of MMEngine's, or
            the name of a shipped student.

    Returns:
        Tensors by name; :func:`~trace_mm.models.student_state.unpack_description` says what they
        are.

    Raises:
        FileNotFoundError: if there is no such file.
        ValueError: if it is damaged or not a student's; names it.
    """
    file = student_file(path)
    with named_errors(file):
        if file.suffix == ".safetensors":
            state = safetensors.torch.load_file(file)
            state[DESCRIPTION] = pack_description(read_metadata(file))
        else:
            checkpoint = _read_pickle(file)
            state = dict(checkpoint.get("state_dict", checkpoint))
        unpack_description(state)
        drop_backbone(state)
    return state


def read_training_config(path: str | Path) -> str | None:
    """The text of the config that MMEngine trained a student with; None if the file has none.

    Raises:
        FileNotFoundError: if there is no such file.
        ValueError: if it is damaged; names it.
    """
    file = student_file(path)
    if file.suffix == ".safetensors":
        return None
    with named_errors(file):
        meta = _read_pickle(file).get("meta")
    config = meta.get("cfg") if isinstance(meta, dict) else None
    return config if isinstance(config, str) else None


def load_student_weights(model: StudentState, path: str | Path) -> None:
    """Load a checkpoint into a student that is built alike, on the same backbone.

    Raises:
        FileNotFoundError: if there is no such file.
        ValueError: if it is damaged, or of another student or backbone; names the file.
    """
    state = read_student(path)
    try:
        model.load_state_dict(state)
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from error


def build_student(
    path: str | Path,
    backbone: Mapping[str, Any] | None = None,
    merge: bool = True,
    **options: Any,
) -> Any:
    """Build the student that a checkpoint describes, with its weights.

    Args:
        path: a file or folder that :func:`save_student` wrote, a ``.pth`` file of MMEngine's, or
            the name of a shipped student.
        backbone: arguments of :func:`trace_mm.diffusion.load_backbone`, instead of those of
            :func:`student_backbone`. Without a ``dtype``, that of the training.
        merge: put LoRA into the denoiser's weights, to predict as fast as a plain pass, without
            peft.
        options: of ``TraceStudent``, instead of those in the checkpoint.

    Returns:
        A ``TraceStudent`` in evaluation.

    Raises:
        FileNotFoundError: if there is no such checkpoint or backbone.
        ValueError: if the checkpoint is damaged or of another backbone; names it.
    """
    state = read_student(path)
    description = unpack_description(state)
    source = {"dtype": described_dtype(description), **student_backbone(path, **(backbone or {}))}
    _check_kind(path, description["backbone"], source)
    config = {**description["student"], **options, "type": "TraceStudent"}
    if merge:
        config["lora"] = None
    try:
        student = MODELS.build({**config, "backbone": source})
    except KeyError as error:  # a decoder of somebody's own
        raise ValueError(
            f"{path}: {error.args[0].partition('.')[0]}: import the module that registers it first"
        ) from error
    try:
        (student.load_merged if merge else student.load_state_dict)(state)
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from error
    return student.eval()


def _check_kind(path: str | Path, trained_on: dict[str, Any], source: dict[str, Any]) -> None:
    """Refuse a backbone of another kind before its weights are loaded."""
    local = bool(source.get("local_files_only"))
    found = open_model(source["pretrained"], source.get("revision"), local).family.denoiser
    wanted = trained_on["denoiser"]["class"]
    if found != wanted:
        raise ValueError(
            f"{path} belongs to backbone {trained_on['name']!r}, a {wanted}; "
            f"{source['pretrained']} is a {found}"
        )


def _prepare(value: Tensor, dtype: torch.dtype | None) -> Tensor:
    rounded = dtype if value.is_floating_point() else None
    return value.detach().to("cpu", rounded or value.dtype).contiguous()


class _Skipped:
    """Stands for an object beside the weights, of which nothing is used."""

    def __init__(self, *arguments: Any) -> None: ...

    def __setstate__(self, state: Any) -> None: ...


# MMEngine's checkpoints hold the log's history, numbers in numpy arrays of several versions. Read
# as they are they would need getattr, which should not be let loose on files from elsewhere.
_SKIPPED_NAMES = (
    "builtins.getattr",
    "mmengine.logging.history_buffer.HistoryBuffer",
    "numpy.ndarray",
    "numpy.dtype",
    *(
        f"numpy.{core}.multiarray.{name}"
        for core in ("core", "_core")
        for name in ("_reconstruct", "scalar")
    ),
)


def _read_pickle(file: Path) -> dict[str, Any]:
    with torch.serialization.safe_globals([(_Skipped, name) for name in _SKIPPED_NAMES]):
        checkpoint: dict[str, Any] = torch.load(file, map_location="cpu", weights_only=True)
    return checkpoint
