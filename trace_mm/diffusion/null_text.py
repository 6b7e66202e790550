"""Embeddings of the empty prompt, computed once and kept beside the model or in a cache.

TRACE uses no prompts, so after the first run the text encoders are never loaded again, and a model
that comes with a ``null_text.safetensors`` needs no text encoder at all.
"""

import tempfile
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from trace_mm.diffusion.families import Family
from trace_mm.diffusion.families.base import EmbeddingShapes
from trace_mm.diffusion.null_text_files import NULL_TEXT_FILE, cache_path
from trace_mm.diffusion.text_encoders import TextEncoders

_ENCODERS = "encoders"  # in a file's metadata


def load_null_text(
    source: str,
    index: dict[str, Any],
    family: Family,
    config: Mapping[str, Any],
    *,
    loading: dict[str, Any],
    variant: str | None = None,
    store: bool = True,
) -> dict[str, Tensor]:
    """The empty prompt's embeddings of a model.

    Looks in the model's folder, then in the cache, and else runs the text encoders once and
    stores the result in the cache (``$TRACE_MM_CACHE``, by default ``trace_mm`` in the user's
    cache folder). Where the encoders of a local folder have changed since, they are run again. If
    the cache cannot be written, that is a warning.

    Args:
        source: a diffusers folder or hub id.
        index: its ``model_index.json``.
        family: of its denoiser.
        config: of its denoiser.
        loading: options of ``from_pretrained``, such as ``revision``.
        variant: of the weight files.
        store: write to the cache.

    Returns:
        Embeddings (1, ...), float32, by the names that the family gives them.

    Raises:
        ValueError: if a stored file is damaged or another model's (names it), or a text encoder
            is needed that the model comes without.
    """
    shapes = family.embedding_shapes(config)
    own, cached = Path(source) / NULL_TEXT_FILE, cache_path(source, loading.get("revision"))
    encoders = TextEncoders(source, index, loading, variant)
    fingerprint = encoders.fingerprint()
    for path in (own, cached):
        if path.is_file():
            embeddings, made_by = read_embeddings(path)
            if path == cached and None not in (fingerprint, made_by) and fingerprint != made_by:
                continue
            check_embeddings(embeddings, shapes, str(path))
            return embeddings
    if not encoders.count or encoders.missing():
        absent = ", ".join(encoders.missing()) or "a text encoder"
        raise ValueError(
            f"{source} has neither {absent} nor a {NULL_TEXT_FILE}: copy that file into the "
            "folder from a machine that has the whole model (tools/cache_null_text.py writes it)"
        )
    embeddings = family.encode_prompt("", encoders, config)
    check_embeddings(embeddings, shapes, f"the text encoders of {source}")
    if store:
        try:
            write_null_text(cached, embeddings, fingerprint)
        except OSError as error:
            warnings.warn(
                f"the empty prompt's embeddings are not kept, since {cached} cannot be written "
                f"({error}): set TRACE_MM_CACHE to a folder that can",
                stacklevel=2,
            )
    return embeddings


def read_embeddings(path: Path) -> tuple[dict[str, Tensor], str | None]:
    """Embeddings, and the fingerprint of the encoders that made them, if it is known.

    Raises:
        ValueError: if the file is damaged; names it.
    """
    with _stored(path) as file:
        made_by = (file.metadata() or {}).get(_ENCODERS)
        return {name: file.get_tensor(name) for name in file.keys()}, made_by  # noqa: SIM118


def read_encoders(path: Path) -> str | None:
    """The fingerprint alone: megabytes of embeddings stay unread.

    Raises:
        ValueError: if the file is damaged; names it.
    """
    with _stored(path) as file:
        found: str | None = (file.metadata() or {}).get(_ENCODERS)
        return found


@contextmanager
def _stored(path: Path) -> Iterator[Any]:
    """A file of embeddings, open."""
    try:
        with safe_open(path, "pt") as file:
            yield file
    except SafetensorError as error:
        raise ValueError(f"{path} is damaged, delete it to have it made anew: {error}") from error


def write_null_text(
    path: Path, embeddings: Mapping[str, Tensor], encoders: str | None = None
) -> None:
    """Store embeddings; the file appears whole or not at all.

    Args:
        path: of the file; its folder is made.
        embeddings: (1, ...) each.
        encoders: fingerprint of those that made them, if they lie in a local folder.
    """
    tensors = {name: tensor.contiguous() for name, tensor in embeddings.items()}
    path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=path.parent) as folder:
        part = Path(folder) / path.name
        save_file(tensors, part, None if encoders is None else {_ENCODERS: encoders})
        part.replace(path)


def check_embeddings(
    embeddings: Mapping[str, Tensor],
    shapes: EmbeddingShapes,
    origin: str,
    prompt: str = "the empty prompt",
) -> None:
    """Refuse embeddings that are not those of a prompt of this model.

    Args:
        embeddings: (1, ...) each.
        shapes: that they must have.
        origin: where they are from, for the message.
        prompt: how the prompt is called in it.

    Raises:
        ValueError: if they do not fit.
    """
    wanted = {name: (1, *sizes) for name, sizes in shapes.items()}
    found = {name: tuple(tensor.shape) for name, tensor in embeddings.items()}

    def fits(name: str) -> bool:
        if len(found[name]) != len(wanted[name]) or 0 in found[name]:
            return False
        return all(w in (-1, f) for w, f in zip(wanted[name], found[name], strict=True))

    if found.keys() != wanted.keys() or not all(fits(name) for name in wanted):
        raise ValueError(
            f"{origin}: {prompt}'s embeddings are {found}, but this model takes {wanted} "
            "(-1 is any): delete a cached file to have it made anew"
        )
