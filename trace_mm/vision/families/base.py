"""What must be known of a family of vision transformers, and the list of those that are known."""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any, ClassVar, TypeVar

from torch import Tensor, nn

from trace_mm.attention import AttentionLayer, select_layers

Color = tuple[float, float, float]

CLIP_MEAN: Color = (0.48145466, 0.4578275, 0.40821073)
CLIP_STD: Color = (0.26862954, 0.26130258, 0.27577711)


class VisionFamily(ABC):
    """Vision towers of one kind: what they attend with and how they are called.

    Attributes:
        towers: names of the classes.
        one_at_a_time: whether the images of a batch would be joined into one sequence, so that
            each must have a pass of its own.
    """

    towers: ClassVar[tuple[str, ...]]
    one_at_a_time: ClassVar[bool] = False

    @abstractmethod
    def layers(self, tower: Any) -> list[AttentionLayer]:
        """The self-attention layers that see the whole image, in forward order.

        Raises:
            ValueError: if the tower is built in a way that is not supported.
        """

    def windowed_layers(self, tower: Any) -> list[str]:
        """Names of the layers in which patches see no more than a window of the image."""
        return []

    @abstractmethod
    def size_multiple(self, tower: Any) -> int:
        """What both sides of an image must be divisible by."""

    @abstractmethod
    def native_size(self, tower: Any) -> int:
        """Side in pixels of the square images that the tower was made for."""

    def normalization(self, tower: Any) -> tuple[Color, Color]:
        """Mean and standard deviation of the colours, in [0, 1]; CLIP's unless told otherwise."""
        return CLIP_MEAN, CLIP_STD

    @abstractmethod
    def call(self, tower: Any, pixels: Tensor) -> Any:
        """One forward pass.

        Args:
            tower: of this family.
            pixels: (B, 3, H, W), normalised, in the tower's dtype.
        """

    def places(self, tower: Any, grid: tuple[int, int]) -> Tensor | None:
        """Where in the sequence the patches are, if they are not in row-major order.

        Args:
            tower: of this family.
            grid: (h, w) of the patches.

        Returns:
            (h * w,): for each patch in row-major order, its place among the layers' image tokens.
        """
        return None


class TransformersFamily(VisionFamily):
    """A family whose towers come from transformers, alone or as a part of a larger model.

    Attributes:
        model_types: what ``config.json``, or its ``vision_config``, may call such a tower.
    """

    model_types: ClassVar[tuple[str, ...]]

    @abstractmethod
    def classes(self) -> tuple[Any, Any]:
        """The classes of config and tower."""

    @abstractmethod
    def native_side(self, config: Mapping[str, Any]) -> int:
        """Side in pixels of the square images that a tower was made for.

        Args:
            config: of the tower, in which defaults may be left out.
        """

    def native_size(self, tower: Any) -> int:
        """Side in pixels of the square images that the tower was made for."""
        return self.native_side(tower.config.to_dict())


FAMILIES: dict[str, VisionFamily] = {}
"""The supported towers, by the name of their class."""

FamilyClass = TypeVar("FamilyClass", bound=type[VisionFamily])


def register_family(cls: FamilyClass) -> FamilyClass:
    """Add a family to those that are known; used as a decorator of its class."""
    FAMILIES.update(dict.fromkeys(cls.towers, cls()))
    return cls


def family_of(tower: nn.Module) -> VisionFamily:
    """The description of a tower's class.

    Raises:
        ValueError: if its class is not supported.
    """
    name = type(tower).__name__
    if name not in FAMILIES:
        raise ValueError(
            f"vision towers of class {name} are not supported, only {', '.join(FAMILIES)}, in "
            "which patches attend to the whole image"
        )
    return FAMILIES[name]


def choose_layers(tower: nn.Module, pattern: str | None) -> list[AttentionLayer]:
    """The layers of a tower whose name a regular expression finds, or all that can be read.

    Raises:
        ValueError: if the tower is not supported, no layer matches, or one that does sees only
            windows of the image.
    """
    family = family_of(tower)
    layers = family.layers(tower)
    if pattern is None:
        return layers
    windowed = [AttentionLayer(name, tower, 1) for name in family.windowed_layers(tower)]
    chosen = select_layers([*layers, *windowed], pattern)
    refused = [layer.name for layer in chosen if layer not in layers]
    if refused:
        raise ValueError(
            f"layers={pattern!r} chooses {', '.join(refused)}, where patches see only a window "
            f"of the image; those that see all of it are {[layer.name for layer in layers]}"
        )
    return chosen
