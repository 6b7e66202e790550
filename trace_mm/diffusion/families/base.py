"""What must be known of a family of denoisers, and the list of the families that are known."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar, TypeVar

if TYPE_CHECKING:
    from torch import Tensor, nn

    from trace_mm.attention.layers import AttentionLayer
    from trace_mm.diffusion.text_encoders import TextEncoders

EmbeddingShapes = dict[str, tuple[int, ...]]
"""Sizes of embeddings of a prompt from their second axis on; -1 for any."""


class Family(ABC):
    """Denoisers of one class: what they attend with, how they are called and conditioned.

    How noise is added is no matter of the family: the scheduler's config tells it
    (:mod:`trace_mm.diffusion.forward_process`). Weights are loaded by ``from_pretrained`` of the
    denoiser's class, whatever the family.

    Attributes:
        denoiser: name of the class in diffusers.
        lora_targets: a regular expression that matches the whole name of each linear layer of the
            transformer: the projections of attention and the feed-forward network.
        prompts_vary_in_length: whether a prompt's embeddings have as many tokens as it has itself;
            else all have as many as the empty prompt's.
    """

    denoiser: ClassVar[str]
    lora_targets: ClassVar[str]
    prompts_vary_in_length: ClassVar[bool] = False

    @abstractmethod
    def layers(self, denoiser: Any, text_tokens: int) -> list[AttentionLayer]:
        """The self-attention layers, in forward order.

        Args:
            denoiser: of this family.
            text_tokens: how many tokens a prompt has.
        """

    @abstractmethod
    def latent_multiple(self, denoiser: Any) -> int:
        """What both sides of the latents must be divisible by."""

    @abstractmethod
    def native_latents(self, config: Mapping[str, Any]) -> int:
        """Side of the square latents that the model was trained on.

        Args:
            config: of the denoiser.
        """

    def largest_latents(self, denoiser: Any) -> int | None:
        """Side of the largest latents that its positions allow; None for any."""
        return None

    def latent_channels(self, config: Mapping[str, Any]) -> int:
        """Channels of the latents that it takes.

        Args:
            config: of the denoiser.
        """
        return int(config["in_channels"])

    @abstractmethod
    def call(
        self,
        denoiser: Any,
        noisy: Tensor,
        timesteps: Tensor,
        text: Mapping[str, Tensor],
        latent_stride: int,
    ) -> Tensor:
        """One forward pass.

        Args:
            denoiser: of this family.
            noisy: X_t, (B, C, h', w'), in the denoiser's dtype.
            timesteps: (B,), integers in [0, 1000).
            text: the prompts' embeddings, (B, ...) each, in the denoiser's dtype. Where prompts of
                a batch differ in length (:attr:`prompts_vary_in_length`), also ``prompt_mask``
                (B, n), bool: which tokens are not padding.
            latent_stride: image pixels that a latent pixel spans on each axis.

        Returns:
            (B, C, h', w'): noise or velocity, as the scheduler's config says.
        """

    @abstractmethod
    def encode_prompt(
        self, prompt: str, encoders: TextEncoders, config: Mapping[str, Any]
    ) -> dict[str, Tensor]:
        """Embeddings of a prompt, (1, ...) each, as the model's pipeline makes them.

        Args:
            prompt: the empty one, unless prompts were asked for.
            encoders: of the model.
            config: of the denoiser.
        """

    @abstractmethod
    def embedding_shapes(self, config: Mapping[str, Any]) -> EmbeddingShapes:
        """What :meth:`encode_prompt` returns, by name: sizes from the second axis on.

        Args:
            config: of the denoiser.
        """


FAMILIES: dict[str, Family] = {}
"""The supported denoisers, by the name of their class."""

FamilyClass = TypeVar("FamilyClass", bound=type[Family])


def register_family(cls: FamilyClass) -> FamilyClass:
    """Add a family to those that are known; used as a decorator of its class."""
    FAMILIES[cls.denoiser] = cls()
    return cls


def family_of(denoiser: nn.Module) -> Family:
    """The description of a denoiser's class.

    Raises:
        ValueError: if its class is not supported.
    """
    return family_of_class(type(denoiser).__name__)


def family_of_class(name: str) -> Family:
    """The description of a denoiser class of this name.

    Raises:
        ValueError: if it is not supported.
    """
    if name not in FAMILIES:
        raise ValueError(f"denoisers of class {name} are not supported, only {sorted(FAMILIES)}")
    return FAMILIES[name]


def attention_layers(denoiser: nn.Module, text_tokens: int = 0) -> list[AttentionLayer]:
    """All self-attention layers of a denoiser, in forward order.

    Args:
        denoiser: of a supported family.
        text_tokens: how many tokens the prompt has, where text attends together with the image.

    Raises:
        ValueError: if its class is not supported or it has no self-attention.
    """
    layers = family_of(denoiser).layers(denoiser, text_tokens)
    if not layers:
        raise ValueError(f"this {type(denoiser).__name__} has no self-attention layer to read")
    return layers
