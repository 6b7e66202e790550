"""Prompts of images: a file that names them, and their embeddings."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any, TypeAlias

from trace_mm.files.json_file import read_json
from trace_mm.lazy import lazy_module

if TYPE_CHECKING:
    import torch
    from torch import Tensor
    from torch.nn import functional

    from trace_mm.structures import EdgeDataSample
else:
    torch = lazy_module("torch")
    functional = lazy_module("torch.nn.functional")

Embeddings: TypeAlias = Mapping[str, "Tensor"]
_IN_MEMORY = 64  # embeddings: 5 MB each of Stable Diffusion 3.5


class Prompts:
    """What a JSON file says of each image: ``{"000000000139": "A photo of 2 cats"}``.

    Keys are names of image files without suffix, or their paths within the images' folder.

    Args:
        path: of the file.

    Raises:
        FileNotFoundError: if there is no such file.
        ValueError: if it holds anything but texts by name; names it.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path).expanduser()
        content = read_json(self.path, "file of prompts")
        if not isinstance(content, dict) or not content:
            raise ValueError(f"{path}: prompts are a JSON object of texts by image name")
        odd = [name for name, text in content.items() if not isinstance(text, str)]
        if odd:
            raise ValueError(f"{path}: the prompt of {odd[0]!r} is no text: {content[odd[0]]!r}")
        self._prompts: dict[str, str] = content

    @property
    def texts(self) -> list[str]:
        """Each prompt once, in order."""
        return sorted(set(self._prompts.values()))

    def of(self, *names: str | None) -> str:
        """The prompt of an image.

        Args:
            names: by which it may be called, the most exact first: its path within the images'
                folder, with or without suffix, or the path of its file.

        Raises:
            ValueError: if it has none; names the image.
        """
        known = [name for name in names if name]
        keys: list[str] = []
        for path in map(PurePosixPath, known):
            keys += [path.as_posix(), path.with_suffix("").as_posix()]
        for path in map(PurePosixPath, reversed(known)):  # a file's name has its suffix
            keys += [path.stem, path.name]
        for key in keys:
            if key in self._prompts:
                return self._prompts[key]
        image = known[-1] if known else "an image without a name"
        raise ValueError(f"{image} has no prompt in {self.path}")

    def of_sample(self, sample: EdgeDataSample) -> str:
        """The prompt of a sample's image, see :meth:`of`."""
        names = (sample.get("image_id"), sample.get("img_path"))
        return self.of(*(name for name in names if isinstance(name, str)))


class PromptEmbeddings:
    """Embeddings of prompts, a few of which are in memory at a time.

    Args:
        prompts: of which images have which.
        null_text: embeddings (1, ...) of the empty prompt.
        read: the embeddings (1, ...) of another prompt.
        vary_in_length: see :class:`trace_mm.diffusion.Family`.
    """

    def __init__(
        self,
        prompts: Prompts,
        null_text: Embeddings,
        read: Callable[[str], Embeddings],
        vary_in_length: bool,
    ) -> None:
        self.prompts = prompts
        self._null_text, self._read = null_text, read
        self._vary_in_length = vary_in_length
        self._recent: OrderedDict[str, Embeddings] = OrderedDict()

    def of_samples(self, samples: Sequence[EdgeDataSample]) -> dict[str, Tensor]:
        """Embeddings (B, ...) of the prompts of B images.

        Raises:
            ValueError: if an image has none (names it), or its embeddings do not fit the model.
        """
        return stack_embeddings([self.of(self.prompts.of_sample(sample)) for sample in samples])

    def of(self, prompt: str) -> Embeddings:
        """Embeddings (1, ...) of a prompt.

        Raises:
            ValueError: if they do not fit the model.
        """
        if not prompt:
            return self._null_text
        if prompt not in self._recent:
            found = self._read(prompt)
            have, need = (part["prompt_embeds"].shape[1] for part in (found, self._null_text))
            if have != need and not self._vary_in_length:
                raise ValueError(
                    f"the prompt {prompt!r} has {have} tokens, but the empty one {need}: this "
                    "model's null_text.safetensors is not what its text encoders make"
                )
            self._recent[prompt] = found
        self._recent.move_to_end(prompt)
        while len(self._recent) > _IN_MEMORY:
            self._recent.popitem(last=False)
        return self._recent[prompt]


def stack_embeddings(parts: Sequence[Embeddings]) -> dict[str, Tensor]:
    """Embeddings of several prompts as a batch.

    Args:
        parts: (1, ...) each; ``prompt_embeds`` (1, n, C) may differ in n.

    Returns:
        (B, ...) each. If lengths differ, ``prompt_embeds`` are padded with zeros at their ends, and
        ``prompt_mask`` (B, n), bool, is False there.
    """
    lengths = [part["prompt_embeds"].shape[1] for part in parts]
    longest = max(lengths)
    found: dict[str, Tensor] = {
        name: torch.cat([part[name] for part in parts])
        for name in parts[0]
        if name != "prompt_embeds"
    }
    found["prompt_embeds"] = torch.cat(
        [
            functional.pad(part["prompt_embeds"], (0, 0, 0, longest - length))
            for part, length in zip(parts, lengths, strict=True)
        ]
    )  # (B, n, C)
    if min(lengths) < longest:
        found["prompt_mask"] = torch.arange(longest) < torch.tensor(lengths)[:, None]
    return found


def expand_text(text: Mapping[str, Any], batch: int) -> dict[str, Tensor]:
    """Embeddings (1, ...) or (B, ...) as those of a batch of B.

    Raises:
        ValueError: if they are of another number of images.
    """
    odd = {tensor.shape[0] for tensor in text.values()} - {1, batch}
    if odd:
        raise ValueError(f"there are prompts of {odd.pop()} images for {batch}")
    return {name: tensor.expand(batch, *tensor.shape[1:]) for name, tensor in text.items()}
