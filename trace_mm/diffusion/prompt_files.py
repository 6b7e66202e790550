"""Embeddings of prompts, made once by the model's text encoders and kept in the cache."""

from collections.abc import Iterable, Mapping
from typing import Any

import torch
from torch import Tensor

from trace_mm.diffusion.families import Family
from trace_mm.diffusion.null_text import (
    check_embeddings,
    read_embeddings,
    read_encoders,
    write_null_text,
)
from trace_mm.diffusion.null_text_files import cache_path
from trace_mm.diffusion.text_encoders import TextEncoders


class PromptFiles:
    """The embeddings of a model's prompts, a file each in the cache.

    Args:
        source: a diffusers folder or hub id.
        index: its ``model_index.json``.
        family: of its denoiser.
        config: of its denoiser.
        loading: options of ``from_pretrained``, such as ``revision``.
        variant: of the weight files.
    """

    def __init__(
        self,
        source: str,
        index: dict[str, Any],
        family: Family,
        config: Mapping[str, Any],
        loading: dict[str, Any],
        variant: str | None = None,
    ) -> None:
        self._source, self._index = source, index
        self._family, self._config = family, config
        self._loading, self._variant = loading, variant
        self._made_by = TextEncoders(source, index, loading, variant).fingerprint()

    def make(self, prompts: Iterable[str], device: str | torch.device = "cpu") -> int:
        """Embed those prompts that are not in the cache, each by itself.

        The text encoders are loaded if there is such a prompt, and are gone afterwards.

        Args:
            prompts: texts.
            device: where the encoders compute.

        Returns:
            How many were embedded.

        Raises:
            ValueError: if a text encoder is needed that the model comes without.
            OSError: if the cache cannot be written.
        """
        missing = [text for text in dict.fromkeys(prompts) if text and not self._has(text)]
        if not missing:
            return 0
        encoders = TextEncoders(
            self._source, self._index, self._loading, self._variant, keep=True, device=device
        )
        if not encoders.count or encoders.missing():
            absent = ", ".join(encoders.missing()) or "a text encoder"
            raise ValueError(f"{self._source} lacks {absent}, which prompts need")
        for text in missing:
            embeddings = self._family.encode_prompt(text, encoders, self._config)
            self._check(text, embeddings, f"the text encoders of {self._source}")
            write_null_text(self._path(text), embeddings, self._made_by)
        return len(missing)

    def read(self, prompt: str) -> dict[str, Tensor]:
        """Embeddings (1, ...) of a prompt that was made.

        Raises:
            ValueError: if the file is damaged; names it.
        """
        embeddings, _ = read_embeddings(self._path(prompt))
        self._check(prompt, embeddings, str(self._path(prompt)))
        return embeddings

    def _has(self, prompt: str) -> bool:
        path = self._path(prompt)
        if not path.is_file():
            return False
        made_by = read_encoders(path)
        return None in (self._made_by, made_by) or self._made_by == made_by

    def _path(self, prompt: str) -> Any:
        return cache_path(self._source, self._loading.get("revision"), prompt)

    def _check(self, prompt: str, embeddings: Mapping[str, Tensor], origin: str) -> None:
        shapes = self._family.embedding_shapes(self._config)
        check_embeddings(embeddings, shapes, origin, f"the prompt {prompt!r}")
