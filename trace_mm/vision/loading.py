"""Loads a vision backbone: a timm model, or the vision tower of a transformers model."""

from pathlib import Path
from typing import Any

import torch
from torch import nn

from trace_mm.catalogue import CATALOGUE, TIMM_PREFIX, TRANSFORMERS_PREFIX
from trace_mm.files.hub import readable_hub_errors
from trace_mm.files.model_files import ModelFiles
from trace_mm.ops.dtypes import as_dtype
from trace_mm.vision.backbone import VisionBackbone
from trace_mm.vision.families import FAMILIES, TransformersFamily, choose_layers
from trace_mm.vision.families.base import CLIP_MEAN, CLIP_STD, Color
from trace_mm.vision.language import LanguageBackbone, dialogue_of
from trace_mm.vision.timm_models import create_timm_model
from trace_mm.vision.tower_weights import read_tower

# The tower of a model whose config does not say which it has.
_DEFAULT_TOWERS = {"llava": "clip_vision_model", "llava_next": "clip_vision_model"}


def load_vision_backbone(
    pretrained: str | Path,
    *,
    device: str | torch.device = "cpu",
    dtype: str | torch.dtype = torch.float32,
    revision: str | None = None,
    layers: str | None = None,
    checkpoint: str | Path | None = None,
    local_files_only: bool = False,
    random_weights: bool = False,
    part: str = "tower",
) -> VisionBackbone | LanguageBackbone:
    """Load a vision transformer whose attention is read as it is, or a language model that sees.

    Of a model of several parts, such as LLaVA, only the vision tower is built and read, and only
    the files that hold a part of it are downloaded.

    Args:
        pretrained: ``timm:NAME`` for a model of timm; a local folder or hub id in transformers'
            layout, also as ``transformers:OWNER/NAME``, whose ``config.json`` tells the tower:
            CLIP's, alone or in LLaVA, or Qwen2.5-VL's; or a name of
            :data:`trace_mm.catalogue.CATALOGUE`, unless a folder with a ``config.json`` is
            called that.
        device: where the model goes.
        dtype: of its weights.
        revision: of the weights on the hub.
        layers: a regular expression; only self-attention layers whose name it finds are read.
        checkpoint: a local file of weights for a timm model, instead of timm's own.
        local_files_only: do not ask the hub for anything; not for timm, where the environment
            variable ``HF_HUB_OFFLINE=1`` does that.
        random_weights: do not load any weights, to try out an architecture.
        part: ``"tower"``, or ``"language"`` for the attention among image tokens within the
            language model of LLaVA 1.5 or Qwen2.5-VL, all of which is loaded.

    Returns:
        The backbone, frozen. Colours are normalised as timm's config or the folder's
        ``preprocessor_config.json`` says, and as for CLIP where there is none.

    Raises:
        ModuleNotFoundError: if a timm model is asked for and timm is not installed.
        FileNotFoundError: if there is no such model, or the hub does not give it; says why.
        ValueError: if the tower is of an unsupported kind, its weights do not fit, no layer
            matches or one sees only windows of the image, or an option is wrong.
    """
    name, kind = resolve_vision(str(pretrained)), as_dtype(dtype)
    if part == "language":
        if name.startswith(TIMM_PREFIX) or checkpoint is not None or random_weights:
            raise ValueError(
                f"{name}: part='language' is of LLaVA and Qwen2.5-VL in transformers' layout, "
                "without checkpoint or random_weights"
            )
        files = ModelFiles(name, revision, local_files_only)
        with readable_hub_errors(name, revision):
            return _load_language(files, kind, revision, layers, local_files_only).to(device)
    if part != "tower":
        raise ValueError(f"part must be 'tower' or 'language', got {part!r}")
    normalization: tuple[Color, Color] | None = None
    if name.startswith(TIMM_PREFIX):
        if local_files_only:
            raise ValueError(f"{name}: set HF_HUB_OFFLINE=1 instead of local_files_only")
        tower = create_timm_model(
            name.removeprefix(TIMM_PREFIX),
            checkpoint=checkpoint,
            pretrained=not random_weights,
            revision=revision,
            dtype=kind,
        )
    else:
        if checkpoint is not None:
            raise ValueError(f"{name}: a checkpoint can be given for timm models only")
        files = ModelFiles(name, revision, local_files_only)
        with readable_hub_errors(name, revision):
            tower = _load_tower(files, kind, random_weights)
            normalization = _normalization(files)
    return VisionBackbone(tower, choose_layers(tower, layers), normalization).to(device)


def tower_family(config: dict[str, Any]) -> tuple[TransformersFamily, dict[str, Any]]:
    """The family of the vision tower that a ``config.json`` describes, and the tower's own config.

    Raises:
        ValueError: if the model has no tower, or one of an unsupported kind.
    """
    whole = str(config.get("model_type"))
    own = config.get("vision_config", config)
    kind = str(own.get("model_type", _DEFAULT_TOWERS.get(whole, whole)))
    known: list[str] = []
    for family in FAMILIES.values():
        if isinstance(family, TransformersFamily):
            if kind in family.model_types:
                return family, own
            known += family.model_types
    raise ValueError(
        f"a model of type {whole} with a vision tower of type {kind} is not supported; towers of "
        f"these types are: {', '.join(known)}"
    )


def resolve_vision(name: str) -> str:
    """A name of the catalogue as what is loaded; others as they are, without prefix and ``~``.

    Raises:
        FileNotFoundError: if it is nothing that can be loaded.
        ValueError: if it is a diffusion model.
    """
    if name.startswith(TIMM_PREFIX):
        return name
    name = name.removeprefix(TRANSFORMERS_PREFIX)
    path, named = Path(name).expanduser(), CATALOGUE.get(name)
    if path.is_dir() and (named is None or (path / "config.json").is_file()):
        return str(path)
    if named is not None and named.is_diffusion:
        raise ValueError(f"{name} is a diffusion model: {named.teacher} reads its edges")
    if named is not None:
        return named.pretrained
    if name.count("/") == 1 and not path.is_absolute() and name[0] != ".":
        return name
    raise FileNotFoundError(
        f"{name} is neither a model of timm (timm:NAME), a folder, one of "
        f"{', '.join(name for name, entry in CATALOGUE.items() if not entry.is_diffusion)}, "
        "nor a hub id of the form owner/name"
    )


def _load_tower(files: ModelFiles, dtype: torch.dtype, random_weights: bool) -> nn.Module:
    try:
        family, options = tower_family(files.read_json("config.json"))
    except ValueError as error:
        raise ValueError(f"{files.source}: {error}") from error
    config_class, tower_class = family.classes()
    config = config_class.from_dict(
        {key: value for key, value in options.items() if key != "model_type"}
    )
    config._attn_implementation = "sdpa"
    if random_weights:
        return tower_class(config).to(dtype)
    with torch.device("meta"):
        shapes = {name: weight.shape for name, weight in tower_class(config).state_dict().items()}
    weights = read_tower(files, shapes)
    tower: nn.Module = tower_class.from_pretrained(
        None, config=config, state_dict=weights, dtype=dtype, attn_implementation="sdpa"
    )
    return tower


def _load_language(
    files: ModelFiles,
    dtype: torch.dtype,
    revision: str | None,
    layers: str | None,
    local_files_only: bool,
) -> LanguageBackbone:
    import transformers  # slow to import

    try:
        dialogue = dialogue_of(str(files.read_json("config.json").get("model_type")))
    except ValueError as error:
        raise ValueError(f"{files.source}: {error}") from error
    options: dict[str, Any] = {"revision": revision, "local_files_only": local_files_only}
    tokenizer = transformers.AutoTokenizer.from_pretrained(files.source, **options)
    whole = getattr(transformers, dialogue.whole).from_pretrained(
        files.source, dtype=dtype, attn_implementation="sdpa", **options
    )
    before = tokenizer(dialogue.before).input_ids
    after = tokenizer(dialogue.after, add_special_tokens=False).input_ids
    colors = _normalization(files) or (CLIP_MEAN, CLIP_STD)
    return LanguageBackbone(whole.model, before, after, layers, colors)


def _normalization(files: ModelFiles) -> tuple[Color, Color] | None:
    """Mean and standard deviation of the colours, if the model says."""
    for name in ("preprocessor_config.json", "processor_config.json"):
        if files.find_if_any(name) is None:
            continue
        settings = files.read_json(name)
        settings = settings.get("image_processor", settings)
        if "image_mean" in settings and "image_std" in settings:
            return tuple(settings["image_mean"]), tuple(settings["image_std"])
    return None
