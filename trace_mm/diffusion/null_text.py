"""Embeddings of the empty prompt, computed once and kept beside the model or in a cache.

TRACE uses no prompts, so after the first run the text encoders are never loaded again, and a model
that comes with a ``null_text.safetensors`` needs no text encoder at all.
"""

import hashlib
import os
import tempfile
from pathlib import Path
from typing import Any

import torch
import transformers
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

NULL_TEXT_FILE = "null_text.safetensors"


def load_null_text(
    source: str, index: dict[str, Any], revision: str | None = None, variant: str | None = None
) -> dict[str, Tensor]:
    """The empty prompt's embeddings of a model.

    Looks in the model's folder, then in the cache, and else runs the text encoders once and
    stores the result in the cache (``$TRACE_MM_CACHE``, by default ``trace_mm`` in the user's
    cache folder).

    Args:
        source: a diffusers folder or hub id.
        index: its ``model_index.json``.
        revision: of a hub id.
        variant: of the weight files.

    Returns:
        ``prompt_embeds`` (1, tokens, dim) and, for models with two encoders,
        ``text_embeds`` (1, dim), float32.

    Raises:
        ValueError: if a stored file is damaged (names it), or the model has no text encoder.
    """
    for path in (Path(source) / NULL_TEXT_FILE, cache_path(source, revision)):
        if path.is_file():
            return _read(path)
    embeddings = _encode_empty_prompt(source, index, revision, variant)
    _write(cache_path(source, revision), embeddings)
    return embeddings


def cache_path(source: str, revision: str | None) -> Path:
    """Where the embeddings of a model are cached; a changed local folder has another path."""
    default = Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / "trace_mm"
    folder = Path(os.environ.get("TRACE_MM_CACHE", default))
    identity = [source, revision or ""]
    if Path(source).is_dir():
        index = Path(source).resolve() / "model_index.json"
        identity = [str(index), str(index.stat().st_mtime_ns)]
    digest = hashlib.sha256("\0".join(identity).encode()).hexdigest()[:16]
    return folder / f"null_text_{digest}.safetensors"


def _read(path: Path) -> dict[str, Tensor]:
    try:
        return load_file(path)
    except SafetensorError as error:
        raise ValueError(f"{path} is damaged, delete it to have it made anew: {error}") from error


def _write(path: Path, embeddings: dict[str, Tensor]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=path.parent) as folder:
        part = Path(folder) / path.name
        save_file({name: tensor.contiguous() for name, tensor in embeddings.items()}, part)
        part.replace(path)


@torch.no_grad()
def _encode_empty_prompt(
    source: str, index: dict[str, Any], revision: str | None, variant: str | None
) -> dict[str, Tensor]:
    """Run the CLIP encoder (SD1.5, SD2.1) or both of them (SDXL) on the empty prompt."""
    encoders = [name for name in ("text_encoder", "text_encoder_2") if index.get(name, [None])[0]]
    if not encoders:
        raise ValueError(f"{source} has neither a text encoder nor a {NULL_TEXT_FILE}")
    hidden, pooled = [], None
    for name in encoders:
        options = {"revision": revision}
        tokenizer = transformers.AutoTokenizer.from_pretrained(
            source, subfolder=name.replace("text_encoder", "tokenizer"), **options
        )
        encoder_class = getattr(transformers, index[name][1])
        encoder = encoder_class.from_pretrained(
            source, subfolder=name, variant=variant, dtype=torch.float32, **options
        ).eval()
        length = tokenizer.model_max_length
        tokens = tokenizer(
            "", padding="max_length", max_length=length, truncation=True, return_tensors="pt"
        )
        output = encoder(tokens.input_ids, output_hidden_states=len(encoders) > 1)
        if len(encoders) == 1:
            hidden.append(output.last_hidden_state)  # (1, tokens, dim)
        else:
            hidden.append(output.hidden_states[-2])  # SDXL takes the last but one layer of both
            pooled = getattr(output, "text_embeds", None)  # (1, dim), of the second encoder
    embeddings = {"prompt_embeds": torch.cat(hidden, dim=-1)}
    if pooled is not None:
        embeddings["text_embeds"] = pooled
    return embeddings
