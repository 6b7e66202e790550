"""Where the embeddings of the empty prompt, and of others, are kept."""

import hashlib
import os
from pathlib import Path

NULL_TEXT_FILE = "null_text.safetensors"
"""In a model's folder: the embeddings of its empty prompt."""


def cache_path(source: str, revision: str | None, prompt: str = "") -> Path:
    """Where the embeddings of a model are cached.

    Args:
        source: a diffusers folder or hub id.
        revision: of a hub id.
        prompt: that is embedded.
    """
    default = Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / "trace_mm"
    folder = Path(os.environ.get("TRACE_MM_CACHE", default))
    identity = [source, revision or ""]
    if Path(source).is_dir():
        index = Path(source).resolve() / "model_index.json"
        identity = [str(index), str(index.stat().st_mtime_ns)]
    digest = hashlib.sha256("\0".join(identity).encode()).hexdigest()[:16]
    if not prompt:
        return folder / f"null_text_{digest}.safetensors"
    name = hashlib.sha256(prompt.encode()).hexdigest()[:32]
    return folder / f"prompts_{digest}" / f"{name}.safetensors"
