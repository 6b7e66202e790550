"""The text encoders of a model, which embed prompts."""

import hashlib
import warnings
from pathlib import Path
from typing import Any

import torch

from trace_mm.diffusion.variants import load_part

_T5_DTYPE = torch.bfloat16  # T5-XXL alone would take 19 GB in float32


class TextEncoders:
    """Text encoders and tokenizers of a diffusers folder, numbered from 1.

    Args:
        source: a diffusers folder or hub id.
        index: its ``model_index.json``.
        loading: options of ``from_pretrained``, such as ``revision``.
        variant: of the weight files.
        keep: hold what was loaded in memory, for many prompts. Else encoders are loaded one after
            another, for each prompt anew, so that no two of them are in memory.
        device: where they compute.
    """

    def __init__(
        self,
        source: str,
        index: dict[str, Any],
        loading: dict[str, Any],
        variant: str | None,
        *,
        keep: bool = False,
        device: str | torch.device = "cpu",
    ) -> None:
        self._source, self._index = source, index
        self._loading, self._variant = loading, variant
        self._kept: dict[int, tuple[Any, Any]] | None = {} if keep else None
        self._device = torch.device(device)

    def has(self, number: int) -> bool:
        """Whether the model comes with this encoder."""
        entry = self._index.get(_folder("text_encoder", number)) or [None]
        return entry[0] is not None

    @property
    def count(self) -> int:
        """How many encoders there are."""
        return sum(self.has(number) for number in (1, 2, 3))

    def missing(self) -> list[str]:
        """Folders that should be there and are not; of a hub id nothing is known."""
        if not Path(self._source).is_dir():
            return []
        kinds = ("text_encoder", "tokenizer")
        numbers = (number for number in (1, 2, 3) if self.has(number))
        folders = [_folder(kind, number) for number in numbers for kind in kinds]
        return [name for name in folders if not (Path(self._source) / name).is_dir()]

    def fingerprint(self) -> str | None:
        """Tells encoders in a local folder from others; None if there are none, or of a hub id."""
        root = Path(self._source)
        if not root.is_dir() or not self.count or self.missing():
            return None
        digest = hashlib.sha256()
        for kind in ("text_encoder", "tokenizer"):
            for path in sorted(root.glob(f"{kind}*/*")):
                found = path.stat()
                name = path.relative_to(root).as_posix()
                digest.update(f"{name} {found.st_size} {found.st_mtime_ns}\0".encode())
        return digest.hexdigest()[:16]

    @torch.no_grad()
    def encode(self, number: int, prompt: str, pad_to: int | None = -1) -> Any:
        """What an encoder says of a prompt, by itself: no other prompt counts.

        CLIP runs in float32, T5 in bfloat16. A prompt that is too long is cut, with a warning.

        Args:
            number: of the encoder.
            prompt: may be empty.
            pad_to: how many tokens the prompt is padded to; -1 for as many as the tokenizer
                allows, None for no padding.

        Returns:
            The encoder's output, batch size 1, float32 on the CPU: ``last_hidden_state``,
            ``hidden_states`` of all layers and, where it has one, ``pooler_output`` or
            ``text_embeds``.
        """
        tokenizer, encoder = self._parts(number)
        length = tokenizer.model_max_length if pad_to == -1 else pad_to
        padding = "do_not_pad" if length is None else "max_length"
        tokens = tokenizer(
            prompt, padding=padding, max_length=length, truncation=True, return_tensors="pt"
        ).input_ids
        _warn_of_cut(prompt, tokens.shape[1], tokenizer)
        output = encoder(tokens.to(self._device), output_hidden_states=True)
        for name, value in output.items():
            single = isinstance(value, torch.Tensor)
            parts = (value,) if single else value
            plain = tuple(part.float().cpu() for part in parts)
            output[name] = plain[0] if single else plain
        return output

    def _parts(self, number: int) -> tuple[Any, Any]:
        """A tokenizer and its encoder."""
        if self._kept is not None and number in self._kept:
            return self._kept[number]
        import transformers  # slow to import

        folder = _folder("text_encoder", number)
        tokenizer = transformers.AutoTokenizer.from_pretrained(
            self._source, subfolder=_folder("tokenizer", number), **self._loading
        )
        kind = self._index[folder][1]
        encoder = load_part(
            getattr(transformers, kind).from_pretrained,
            self._source,
            folder,
            self._variant,
            dtype=_T5_DTYPE if "T5" in kind else torch.float32,
            **self._loading,
        )
        parts = tokenizer, encoder.to(self._device).eval()
        if self._kept is not None:
            self._kept[number] = parts
        return parts


def _warn_of_cut(prompt: str, length: int, tokenizer: Any) -> None:
    """Say so if a prompt has more than so many tokens."""
    if not prompt or len(prompt) < length:  # a token is a character at least
        return
    whole = len(tokenizer(prompt, verbose=False).input_ids)
    if whole > length:
        warnings.warn(
            f"only the first {length} of {whole} tokens of this prompt are read: {prompt!r}",
            stacklevel=2,
        )


def _folder(kind: str, number: int) -> str:
    return kind if number == 1 else f"{kind}_{number}"
