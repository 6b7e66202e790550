"""What a student's state dict holds: LoRA, the decoder, and which backbone they belong to."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from trace_mm.diffusion import (
    denoiser_identity,
    identity_difference,
    resolve_pretrained,
    shipped_models,
)
from trace_mm.models.lora import merge_lora, merge_lora_weights
from trace_mm.models.student_files import (
    DESCRIPTION,
    FORMAT,
    backbone_names,
    check_description,
)
from trace_mm.ops.dtypes import dtype_name

_FSDP = "_fsdp_wrapped_module."  # FSDP puts it into names
_DENOISER = "backbone.denoiser."


class StudentState(nn.Module):
    """Gives a student a state dict of LoRA and decoder only, which knows its backbone.

    The frozen backbone is neither saved nor expected. Beside weights the state dict holds a
    description: ``backbone`` (name, revision, layers, identity of the denoiser, and the dtype that
    it computes in during training) and ``student`` (the options that build it anew). Weights of
    another backbone, or of a student that is built otherwise, are refused before anything is
    loaded.
    """

    backbone: Any
    decoder: nn.Module
    calibration: tuple[float, float]

    def describe_backbone(self, options: Mapping[str, Any]) -> dict[str, Any]:
        """Name, revision, layers and identity of the backbone. To be called before LoRA is added.

        Args:
            options: that it was loaded with.
        """
        name = str(options["pretrained"])
        folder = Path(name).expanduser()
        if name not in shipped_models():
            # Where a folder lies means nothing elsewhere.
            is_folder = Path(resolve_pretrained(name)).is_dir()
            name = folder.resolve().name if is_folder else resolve_pretrained(name)
        return {
            "name": name,
            "revision": options.get("revision"),
            "layers": [layer.name for layer in self.backbone.layers],
            "denoiser": denoiser_identity(self.backbone.denoiser),
            "dtype": dtype_name(self.backbone.denoiser.dtype),
        }

    def note_dtype(self, device: torch.device) -> None:
        """Put down in which precision a pass of the training is computed, that of autocast or own.

        To be called in each, since it is not known before whether there is autocast.
        """
        kind = self.backbone.denoiser.dtype
        if torch.is_autocast_enabled(device.type):
            kind = torch.get_autocast_dtype(device.type)
        self._description["backbone"]["dtype"] = dtype_name(kind)

    def describe(self, backbone: dict[str, Any], **options: Any) -> None:
        """Fix what state dicts say of this student. To be called when all parts are in place.

        Args:
            backbone: what :meth:`describe_backbone` returned.
            options: that build the student, with ``lora`` and ``decoder`` among them.
        """
        description = {"format": FORMAT, "backbone": backbone, "student": options}
        self._description: dict[str, Any] = json.loads(json.dumps(description))
        self._merged = False
        self._shapes = _shapes(self.state_dict())
        self.register_load_state_dict_post_hook(_expect_no_backbone)

    def calibrate(self, scale: float, offset: float) -> None:
        """Make ``scale * logits + offset`` the student's logits, in what is saved too."""
        self.calibration = (scale, offset)
        self._description["student"]["calibration"] = [scale, offset]

    def state_dict(self, *args: Any, **kwargs: Any) -> Any:
        """LoRA, decoder and description.

        Raises:
            ValueError: if LoRA is merged, so that it cannot be told from the backbone's weights.
        """
        state = super().state_dict(*args, **kwargs)
        prefix = kwargs.get("prefix", args[1] if len(args) > 1 else "")
        if _FSDP not in prefix:  # FSDP insists on all that it shards: drop_backbone() comes later
            drop_backbone(state, prefix)
        return state

    def get_extra_state(self) -> Tensor:
        """The description, packed; torch puts it into the state dict."""
        if self._merged:
            raise ValueError("this student's LoRA is merged: it can only predict, not be saved")
        return pack_description(self._description)

    def set_extra_state(self, state: Any) -> None:
        """Nothing: an incoming description has been compared already."""

    def check_state(self, state: Mapping[str, Any]) -> None:
        """Refuse a state dict that is not of a student like this on the same backbone.

        Raises:
            ValueError: if it has no description, if its backbone (names both), LoRA or layers are
                others, or a weight is missing, unexpected or of another shape.
        """
        if self._merged:
            raise ValueError("this student's LoRA is merged: it cannot take other weights")
        theirs = unpack_description(state)
        self._check_parts(theirs, ("lora",))
        given = dict(state)
        drop_backbone(given)
        odd = sorted({name for name, _ in _shapes(given).items() ^ self._shapes.items()})
        if odd:
            raise ValueError(
                f"{len(odd)} weights are missing, unexpected or of another shape, {odd[0]} among "
                f"them; they were trained with decoder {theirs['student']['decoder']}, "
                f"the model has {self._description['student']['decoder']}"
            )

    def merge(self) -> None:
        """Put LoRA into the denoiser's weights: a pass is then no slower than a plain denoiser's.

        The student can then only predict.
        """
        merge_lora(self.backbone.denoiser)
        self._merged = True

    def load_merged(self, state: Mapping[str, Any]) -> None:
        """Take decoder and LoRA of a state dict, LoRA into the denoiser's weights. Needs no peft.

        The student, which must have been built without LoRA, can then only predict.

        Raises:
            ValueError: if the weights do not fit.
        """
        description = unpack_description(state)
        self._check_parts(description, ())
        decoder = {name: value for name, value in state.items() if name.startswith("decoder.")}
        own = {name: shape for name, shape in self._shapes.items() if name.startswith("decoder.")}
        if _shapes(decoder) != own:
            raise ValueError("the decoder's weights do not fit the model's decoder")
        if description["student"]["lora"] is not None:
            lora = description["student"]["lora"]
            matrices = {
                name.removeprefix(_DENOISER): value
                for name, value in state.items()
                if name.startswith(_DENOISER)
            }
            merge_lora_weights(self.backbone.denoiser, matrices, lora["alpha"] / lora["rank"])
        self.decoder.load_state_dict(
            {name.removeprefix("decoder."): value for name, value in decoder.items()}
        )
        self._merged = True

    def _load_from_state_dict(self, state_dict: Any, prefix: str, *others: Any) -> None:
        # Both torch and MMEngine come through here before they change any weight.
        self.check_state(
            {
                name.removeprefix(prefix).replace(_FSDP, ""): value
                for name, value in state_dict.items()
                if name.startswith(prefix)
            }
        )
        super()._load_from_state_dict(state_dict, prefix, *others)

    def _check_parts(self, theirs: dict[str, Any], options: tuple[str, ...]) -> None:
        """Compare backbones, the layers that are read, and some of the student's options."""
        ours = self._description
        difference = identity_difference(
            theirs["backbone"]["denoiser"], ours["backbone"]["denoiser"]
        )
        if difference is not None:
            raise ValueError(
                f"these weights belong to backbone {_name(theirs)}, "
                f"but the model has backbone {_name(ours)}: {difference}"
            )
        compared = {"layers": (theirs["backbone"]["layers"], ours["backbone"]["layers"])}
        for option in options:
            compared[option] = (theirs["student"][option], ours["student"][option])
        for what, (one, other) in compared.items():
            if one != other:
                raise ValueError(
                    f"these weights were trained with {what} {one}, but the model has {other}"
                )


def pack_description(description: Mapping[str, Any]) -> Tensor:
    """JSON values as bytes (n,), since much that handles state dicts expects only tensors."""
    return torch.frombuffer(bytearray(json.dumps(description).encode()), dtype=torch.uint8)


def unpack_description(state: Mapping[str, Any]) -> dict[str, Any]:
    """The description in a student's state dict.

    Raises:
        ValueError: if there is none, or it is damaged or of another format.
    """
    packed = state.get(DESCRIPTION)
    if not isinstance(packed, Tensor) or packed.dtype != torch.uint8:
        raise ValueError("these weights do not say which backbone they belong to")
    return check_description(json.loads(bytes(packed.flatten().tolist())))


def drop_backbone(state: dict[str, Any], prefix: str = "") -> None:
    """Take the frozen weights out of a state dict of a student, in place.

    Args:
        state: with weights by name.
        prefix: of the student's names; others are left alone.
    """
    for name in backbone_names(state, prefix):
        del state[name]


def _shapes(state: Mapping[str, Any]) -> dict[str, tuple[int, ...]]:
    return {name: tuple(value.shape) for name, value in state.items() if name != DESCRIPTION}


def _expect_no_backbone(module: nn.Module, incompatible: Any) -> None:
    incompatible.missing_keys[:] = [
        name for name in incompatible.missing_keys if "backbone." not in name or ".lora_" in name
    ]


def _name(description: Mapping[str, Any]) -> str:
    name, revision = description["backbone"]["name"], description["backbone"]["revision"]
    return repr(name) + (f" (revision {revision})" if revision else "")
