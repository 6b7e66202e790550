"""A trained student by its name, to predict with."""

from collections.abc import Mapping
from typing import Any, Literal

import torch

from trace_mm.models.object_tiles import ObjectSize
from trace_mm.models.student_files import trained_dtype
from trace_mm.models.student_folder import student_parts
from trace_mm.models.student_weights import build_student
from trace_mm.ops.dtypes import is_fast_on
from trace_mm.registry import MODELS


@MODELS.register_module(name="TrainedStudent")
def build_trained_student(
    student: str,
    backbone: Mapping[str, Any] | None = None,
    size: int | None = None,
    tile: int | Literal["auto"] | None = None,
    tile_overlap: float = 0.25,
    object_size: ObjectSize | None = None,
    timestep: int | None = None,
    seed: int | None = None,
    key_cell: int | None = None,
    decoder: dict[str, Any] | None = None,
    data_preprocessor: dict[str, Any] | None = None,
) -> Any:
    """Build a student as its checkpoint describes it, with LoRA merged: it predicts, without peft.

    Args:
        student: a shipped name, a folder of ``trace-mm export`` or its hub id, or a checkpoint.
        backbone: arguments of :func:`trace_mm.diffusion.load_backbone` instead of those that the
            student says, such as ``pretrained`` if its backbone lies elsewhere. ``dtype`` is that
            of the training where this machine is fast in it.
        size: see :class:`trace_mm.models.TraceStudent`; None is what the student was trained with.
        tile: see there, as for the others.
        tile_overlap: likewise.
        object_size: likewise.
        timestep: likewise; None as in training.
        seed: likewise.
        key_cell: likewise; None is what the student says, 1 attends to all tokens.
        decoder: likewise; the weights of another decoder are refused.
        data_preprocessor: of MMEngine.

    Returns:
        A ``TraceStudent`` in evaluation.

    Raises:
        FileNotFoundError: if there is no such student or backbone.
        ValueError: if the checkpoint is damaged or of another backbone; names it.
    """
    checkpoint, source = student_parts(student, backbone)
    if "dtype" not in source:
        trained = trained_dtype(checkpoint)
        device = "cuda" if torch.cuda.is_available() else "cpu"
        source["dtype"] = trained if is_fast_on(trained, device) else "float32"
    options: dict[str, Any] = {"size": size, "timestep": timestep, "seed": seed, "tile": tile}
    options |= {"decoder": decoder, "data_preprocessor": data_preprocessor}
    options |= {"object_size": object_size, "key_cell": key_cell}
    given = {name: value for name, value in options.items() if value is not None}
    return build_student(checkpoint, source, tile_overlap=tile_overlap, **given)
