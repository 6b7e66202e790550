"""Images of a source: known without being read, read without being decoded, decoded."""

import hashlib
from abc import abstractmethod
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from trace_mm.files import decode_image


@dataclass(frozen=True)
class SourceImage:
    """One image of a source.

    Attributes:
        pixels: float32 (H, W, 3) RGB in [0, 1].
        digest: identifies the content, whatever the image is called and wherever it lies.
        image_id: unique within the source.
        path: of the file, or its address in a shard; None if there is none.
    """

    pixels: NDArray[np.float32]
    digest: str
    image_id: str
    path: str | None


class OpenedImage(Protocol):
    """An image that is read, and not yet decoded."""

    @property
    def digest(self) -> str:
        """Identifies the content; see ``SourceImage``."""

    def decode(self) -> SourceImage:
        """The image.

        Raises:
            ValueError: if it is not a readable image; names it and the cause.
        """


class ImageReference(Protocol):
    """An image that is not read yet. It is small, and can be pickled."""

    @property
    def address(self) -> str:
        """Where it is, in words that are true of no other image."""

    def state(self) -> list[Any]:
        """What changes when its content may have, as JSON values; found without reading it."""

    def open(self) -> OpenedImage:
        """Read it.

        Raises:
            FileNotFoundError: if the file is gone.
            ValueError: if it cannot be read.
        """


class ImageCollection(Protocol):
    """What a dataset needs of a source. To be inherited from."""

    @abstractmethod
    def __len__(self) -> int: ...

    @abstractmethod
    def name(self, index: int) -> str:
        """The ``image_id`` of ``read(index)``, a path with folders where there are any."""

    @abstractmethod
    def at(self, index: int) -> ImageReference:
        """Image ``index``, not read yet."""

    def digest(self, index: int) -> str:
        """What ``read(index)`` has as its digest, found without decoding the image.

        Raises:
            FileNotFoundError: if the file is gone.
            ValueError: if it cannot be read.
        """
        return self.at(index).open().digest

    def read(self, index: int) -> SourceImage:
        """Image ``index``.

        Raises:
            FileNotFoundError: if the file is gone.
            ValueError: if it is not a readable image; names it and the cause.
        """
        return self.at(index).open().decode()


@dataclass(frozen=True)
class EncodedImage:
    """The bytes of an image file; see ``OpenedImage``.

    Attributes:
        data: all of them.
        image_id: unique within the source.
        path: where they are from, for messages too.
    """

    data: bytes
    image_id: str
    path: str

    @cached_property
    def digest(self) -> str:
        """SHA-256 of the file."""
        return hashlib.sha256(self.data).hexdigest()

    def decode(self) -> SourceImage:
        """The image, upright; see :func:`trace_mm.files.load_image`."""
        return SourceImage(
            decode_image(self.data, self.path), self.digest, self.image_id, self.path
        )
