"""What a diffusers folder or hub model consists of, from its configs alone."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from trace_mm.diffusion.families import FAMILIES, Family, family_of_class
from trace_mm.diffusion.forward_process import latent_stride, least_noisy_timestep
from trace_mm.diffusion.pretrained import resolve_pretrained
from trace_mm.files.hub import readable_hub_errors
from trace_mm.files.model_files import ModelFiles

if TYPE_CHECKING:
    from torch import Tensor

    from trace_mm.diffusion.prompt_files import PromptFiles

_DENOISER_FOLDERS = ("unet", "transformer")
# Published PixArt folders name a class of old, which diffusers turns into today's.
_OLD_CLASSES = {"Transformer2DModel": {"ada_norm_single": "PixArtTransformer2DModel"}}


@dataclass(frozen=True)
class ModelSource:
    """A diffusers folder or hub model of which only the configs have been read.

    Attributes:
        source: folder or hub id.
        index: its ``model_index.json``.
        denoiser: name of its denoiser's class in diffusers.
        folder: of the denoiser in it.
        config: of the denoiser.
        vae: config of the autoencoder; None if the denoiser works on pixels.
        noise: config of the scheduler.
        family: of the denoiser.
        loading: options of ``from_pretrained``.
    """

    source: str
    index: dict[str, Any]
    denoiser: str
    folder: str
    config: dict[str, Any]
    vae: dict[str, Any] | None
    noise: dict[str, Any]
    family: Family
    loading: dict[str, Any]

    @property
    def native_size(self) -> int:
        """Side in pixels of the square images that the model was trained on."""
        return self.family.native_latents(self.config) * latent_stride(self.vae)

    @property
    def least_noisy_timestep(self) -> int:
        """The timestep of the student's one pass, see ``forward_process``."""
        return least_noisy_timestep(is_flow_scheduler(self.scheduler))

    @property
    def timesteps(self) -> int:
        """How many there are."""
        return int(self.noise.get("num_train_timesteps", 1000))

    @property
    def scheduler(self) -> str:
        """Name of the scheduler's class in diffusers."""
        return str(_entry(self.index, "scheduler"))

    def null_text(self, variant: str | None = None, store: bool = True) -> dict[str, Tensor]:
        """The empty prompt's embeddings; see ``load_null_text``.

        Args:
            variant: of the text encoders' weight files.
            store: keep them in the cache.
        """
        from trace_mm.diffusion.null_text import load_null_text

        return load_null_text(
            self.source,
            self.index,
            self.family,
            self.config,
            loading=self.loading,
            variant=variant,
            store=store,
        )

    def prompt_files(self, variant: str | None = None) -> PromptFiles:
        """The embeddings of its prompts.

        Args:
            variant: of the text encoders' weight files.
        """
        from trace_mm.diffusion.prompt_files import PromptFiles

        return PromptFiles(self.source, self.index, self.family, self.config, self.loading, variant)


def open_model(
    pretrained: str | Path, revision: str | None = None, local_files_only: bool = False
) -> ModelSource:
    """Read what a model consists of.

    Args:
        pretrained: as for :func:`resolve_pretrained`.
        revision: of a hub id.
        local_files_only: do not ask the hub for anything.

    Raises:
        FileNotFoundError: if there is no such model, or the hub does not give it; says why.
        ValueError: if its denoiser is of an unsupported class, or it is no text-to-image model
            with the parts that are needed.
    """
    source = resolve_pretrained(pretrained)
    loading: dict[str, Any] = {"revision": revision, "local_files_only": local_files_only}
    files = ModelFiles(source, revision, local_files_only)
    with readable_hub_errors(source, revision):
        index = files.read_json("model_index.json")
        kind, folder = _denoiser_entry(source, index)
        config = files.read_json(f"{folder}/config.json")
        _check_parts(source, index)
        vae = None if _entry(index, "vae") is None else files.read_json("vae/config.json")
        noise = files.read_json("scheduler/scheduler_config.json")
    family = _family(source, kind, config)
    _check_channels(source, family.latent_channels(config), vae)
    return ModelSource(source, index, kind, folder, config, vae, noise, family, loading)


def is_flow_scheduler(name: str) -> bool:
    """Whether a scheduler class of diffusers is one of flow matching."""
    return "FlowMatch" in name


def _denoiser_entry(source: str, index: dict[str, Any]) -> tuple[str, str]:
    """The denoiser's class and folder."""
    for folder in _DENOISER_FOLDERS:
        if folder in index:
            name = index[folder][1]
            if name not in (*FAMILIES, *_OLD_CLASSES):
                raise ValueError(
                    f"{source}: denoisers of class {name} are not supported, "
                    f"only {sorted(FAMILIES)}"
                )
            return name, folder
    raise ValueError(f"{source}: model_index.json names no denoiser")


def _family(source: str, name: str, config: Mapping[str, Any]) -> Family:
    if name in _OLD_CLASSES:
        name = _OLD_CLASSES[name].get(str(config.get("norm_type")), f"{name} of another norm")
    try:
        return family_of_class(name)
    except ValueError as error:
        raise ValueError(f"{source}: {error}") from error


def _check_parts(source: str, index: Mapping[str, Any]) -> None:
    """Refuse models whose noise schedule or autoencoder is not known."""
    if _entry(index, "scheduler") is None:
        raise ValueError(f"{source}: model_index.json names no scheduler")
    vae = _entry(index, "vae")
    if vae not in (None, "AutoencoderKL"):
        raise ValueError(f"{source}: a VAE of class {vae} is not supported, only AutoencoderKL")


def _check_channels(source: str, channels: int, vae: Mapping[str, Any] | None) -> None:
    """Refuse models of a known denoiser that take other inputs than noisy latents of an image."""
    given = 3 if vae is None else vae.get("latent_channels", 4)
    if channels != given:
        raise ValueError(
            f"{source}: the denoiser takes {channels} channels, but an image has {given}"
            f"{' without a VAE' if vae is None else ' of latents'}: only text-to-image models are "
            "supported"
        )


def _entry(index: Mapping[str, Any], part: str) -> str | None:
    """Name of a part's class; None if the model comes without it."""
    name: str | None = (index.get(part) or [None, None])[1]
    return name
