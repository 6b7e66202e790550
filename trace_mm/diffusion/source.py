"""What a diffusers folder or hub model consists of, from its configs alone."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import Tensor

from trace_mm.diffusion.families import FAMILIES, Family, family_of_class
from trace_mm.diffusion.null_text import load_null_text
from trace_mm.diffusion.pretrained import resolve_pretrained
from trace_mm.files.hub import readable_hub_errors

_DENOISER_FOLDERS = ("unet", "transformer")
# Published PixArt folders name a class of old, which diffusers turns into today's.
_OLD_CLASSES = {"Transformer2DModel": {"ada_norm_single": "PixArtTransformer2DModel"}}


@dataclass(frozen=True)
class ModelSource:
    """A diffusers folder or hub model of which only the configs have been read.

    Attributes:
        source: folder or hub id.
        index: its ``model_index.json``.
        denoiser_class: of diffusers.
        folder: of the denoiser in it.
        config: of the denoiser.
        family: of the denoiser.
        loading: options of ``from_pretrained``.
    """

    source: str
    index: dict[str, Any]
    denoiser_class: Any
    folder: str
    config: dict[str, Any]
    family: Family
    loading: dict[str, Any]

    @property
    def has_vae(self) -> bool:
        """Whether there is an autoencoder; without one the denoiser works on pixels."""
        return _entry(self.index, "vae") is not None

    def null_text(self, variant: str | None = None, store: bool = True) -> dict[str, Tensor]:
        """The empty prompt's embeddings, see :func:`load_null_text`.

        Args:
            variant: of the text encoders' weight files.
            store: keep them in the cache.
        """
        return load_null_text(
            self.source,
            self.index,
            self.family,
            self.config,
            loading=self.loading,
            variant=variant,
            store=store,
        )


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
    from diffusers import DiffusionPipeline  # slow to import

    source = resolve_pretrained(pretrained)
    loading = {"revision": revision, "local_files_only": local_files_only}
    with readable_hub_errors(source, revision):
        index = DiffusionPipeline.load_config(source, **loading)
        kind, folder = _denoiser_entry(source, index)
        config = kind.load_config(source, subfolder=folder, **loading)
        family = _family(source, kind, config)
        _check_parts(source, index, family.latent_channels(config), loading)
    return ModelSource(source, index, kind, folder, config, family, loading)


def _denoiser_entry(source: str, index: dict[str, Any]) -> tuple[Any, str]:
    """The denoiser's class and folder."""
    import diffusers  # slow to import

    for folder in _DENOISER_FOLDERS:
        if folder in index:
            name = index[folder][1]
            if name not in (*FAMILIES, *_OLD_CLASSES):
                raise ValueError(
                    f"{source}: denoisers of class {name} are not supported, "
                    f"only {sorted(FAMILIES)}"
                )
            return getattr(diffusers, name), folder
    raise ValueError(f"{source}: model_index.json names no denoiser")


def _family(source: str, kind: Any, config: Mapping[str, Any]) -> Family:
    name = kind.__name__
    if name in _OLD_CLASSES:
        name = _OLD_CLASSES[name].get(str(config.get("norm_type")), f"{name} of another norm")
    try:
        return family_of_class(name)
    except ValueError as error:
        raise ValueError(f"{source}: {error}") from error


def _check_parts(
    source: str, index: Mapping[str, Any], channels: int, loading: dict[str, Any]
) -> None:
    """Refuse models of a known denoiser that take other inputs than noisy latents of an image."""
    if _entry(index, "scheduler") is None:
        raise ValueError(f"{source}: model_index.json names no scheduler")
    given = 3
    vae = _entry(index, "vae")
    if vae is not None:
        if vae != "AutoencoderKL":
            raise ValueError(f"{source}: a VAE of class {vae} is not supported, only AutoencoderKL")
        from diffusers import AutoencoderKL  # slow to import

        given = AutoencoderKL.load_config(source, subfolder="vae", **loading).get(
            "latent_channels", 4
        )
    if channels != given:
        raise ValueError(
            f"{source}: the denoiser takes {channels} channels, but an image has {given}"
            f"{' of latents' if vae else ' without a VAE'}: only text-to-image models are supported"
        )


def _entry(index: Mapping[str, Any], part: str) -> str | None:
    """Name of a part's class; None if the model comes without it."""
    name: str | None = (index.get(part) or [None, None])[1]
    return name
