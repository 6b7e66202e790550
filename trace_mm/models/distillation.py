"""What a student is taught, and how far it is from that (paper Sec. 3.4, Alg. 2 and 3, Eq. 10)."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from trace_mm.models.options import check_preset
from trace_mm.ops import PSEUDO_LABELS, masked_dice_loss, pseudo_edges

LABEL_GRIDS = ("image", "token")
EDGE_LOSSES = ("dice", "cross_entropy")
RECONSTRUCTIONS = ("output", "latent", "pixel", None)


@dataclass(frozen=True)
class Distillation:
    """How labels are made of the teacher's edges, and what the loss consists of.

    Attributes:
        edge_loss: ``"dice"`` to labels that are edge, interior or uncertain (Eq. 10), or
            ``"cross_entropy"`` to the teacher's edges as they are, taken for probabilities. The
            first teaches a student to say 0 or 1, the second how sure to be.
        doubt: weight of a pixel, in the cross entropy, that is no edge by the labels and was one
            for the student before this training: labels may lack edges. 1 trusts them. The
            borders of collages (:class:`trace_mm.datasets.CollageDataset`) are sure, and those
            within the photos that they are made of are not among them.
        pseudo_label: scheme of :func:`trace_mm.ops.pseudo_edges`; for the Dice loss.
        label_grid: where labels are made and compared: at the size of the ``"image"``, or on the
            teacher's ``"token"`` grid as in Alg. 2. The teacher's edges may be without a token
            grid; they are then compared as they are.
        dice_smoothing: of :func:`trace_mm.ops.masked_dice_loss`; Eq. 10 has none.
        reconstruction: the error that is added: of the ``"pixel"`` image through the VAE's decoder
            (the paper's), of the ``"latent"`` one, of the denoiser's ``"output"`` against what it
            should have been (Eq. 4), or None for none. The output's error is the latents' without
            the noise's share at the timestep, (sigma / alpha)^2 in a DDPM, which is 1e-3 at t = 0.
        reconstruction_weight: its factor.

    Raises:
        ValueError: if an option is none of these.
    """

    edge_loss: str = "dice"
    doubt: float = 1.0
    pseudo_label: str = "mu_sigma_median"
    label_grid: str = "image"
    dice_smoothing: float = 1e-6
    reconstruction: str | None = "output"
    reconstruction_weight: float = 0.1

    def __post_init__(self) -> None:
        for name, known in (
            ("edge_loss", EDGE_LOSSES),
            ("pseudo_label", PSEUDO_LABELS),
            ("label_grid", LABEL_GRIDS),
            ("reconstruction", RECONSTRUCTIONS),
        ):
            if getattr(self, name) not in known:
                names = ", ".join(map(str, known))
                raise ValueError(f"{name} must be one of {names}, got {getattr(self, name)!r}")
        if not 0 <= self.doubt <= 1:
            raise ValueError(f"doubt must be a weight from 0 to 1, got {self.doubt}")
        if self.doubt < 1 and self.edge_loss != "cross_entropy":
            raise ValueError("doubt has no effect on the Dice loss: take edge_loss='cross_entropy'")
        if not self.dice_smoothing >= 0:
            raise ValueError(f"dice_smoothing must be at least 0, got {self.dice_smoothing}")

    def compare(
        self, logits: Tensor, strength: Tensor, size: Sequence[int], first: Tensor | None = None
    ) -> tuple[Tensor, Tensor]:
        """The loss of a batch's edges (Eq. 10), and the labels that it is against (Alg. 2).

        Args:
            logits: the decoder's, (B, 1, h, w).
            strength: the teacher's edges, (B, 1, h', w'), on its token grid or at the image's size.
            size: (H, W) of the images.
            first: the logits before this training (B, 1, h, w), for ``doubt``; None for no doubt.

        Returns:
            The mean loss over images, and labels (B, 1, H, W) or (B, 1, h', w'): int8 for the Dice
            loss, else the probabilities, float32.
        """
        labels = self.labels(strength, size)
        found = resize_logits(logits, tuple(labels.shape[2:]))
        if self.edge_loss == "cross_entropy":
            seen = None if first is None else resize_logits(first, tuple(labels.shape[2:])) > 0
            return doubting_cross_entropy(found, labels, seen, self.doubt), labels
        return masked_dice_loss(found.sigmoid(), labels, self.dice_smoothing).mean(), labels

    def labels(self, strength: Tensor, size: Sequence[int] | None) -> Tensor:
        """What a student is to say, made of its teacher's edges.

        Args:
            strength: the teacher's edges, (B, 1, h', w').
            size: (H, W) of the images; None for the teacher's grid.

        Returns:
            (B, 1, H, W) or (B, 1, h', w'): int8 for the Dice loss, else probabilities, float32.
        """
        if self.edge_loss == "cross_entropy":
            return _resize_strength(strength, self.label_size(size))
        return pseudo_edges(strength, self.pseudo_label, self.label_size(size))

    def label_size(self, size: Sequence[int] | None) -> tuple[int, int] | None:
        """The size at which labels are made for images of a size; None for the teacher's grid."""
        return None if size is None or self.label_grid == "token" else (size[0], size[1])


def doubting_cross_entropy(
    logits: Tensor, labels: Tensor, seen: Tensor | None, doubt: float
) -> Tensor:
    """The mean cross entropy, where edges that the labels may lack weigh less.

    sum w H(P, E) / sum w over all pixels, H the cross entropy, w = ``doubt`` where E < 0.5 and an
    edge was seen, else 1.

    Args:
        logits: of P, float (B, 1, H, W).
        labels: E in [0, 1], float (B, 1, H, W).
        seen: where an edge was seen, bool (B, 1, H, W); None for nowhere.
        doubt: in [0, 1].

    Returns:
        A scalar; 0 where nothing weighs anything.
    """
    loss = functional.binary_cross_entropy_with_logits(logits, labels, reduction="none")
    if seen is None:
        return loss.mean()
    weights = torch.where(seen & (labels < 0.5), doubt, 1.0)
    return (weights * loss).sum() / weights.sum().clamp(min=1)


OURS = Distillation()
PAPER = Distillation(
    edge_loss="dice",
    pseudo_label="mu_sigma",
    label_grid="token",
    dice_smoothing=0.0,
    reconstruction="pixel",
    reconstruction_weight=1.0,
)
PRESETS = {None: OURS, "paper": PAPER}
"""The starting point of a student's options; None is ours."""


def distillation(preset: str | None, **given: Any) -> Distillation:
    """The options of a preset, but for those that are given.

    Args:
        preset: ``"paper"``, or None for ours.
        given: attributes of :class:`Distillation`; None (of ``reconstruction`` ``"auto"``) leaves
            the preset's.

    Raises:
        ValueError: if there is no such preset, or an option is wrong.
    """
    check_preset(preset)
    left = {"reconstruction": "auto"}
    chosen = {name: value for name, value in given.items() if value != left.get(name)}
    return replace(PRESETS[preset], **chosen)


def label_shares(labels: Tensor) -> dict[str, Tensor]:
    """Shares of a batch's labels (B, 1, H, W) that are edge, interior and uncertain, (B,) each.

    Probabilities above a half count as edge, and none as uncertain.
    """
    if labels.is_floating_point():
        labels = (labels > 0.5).to(torch.int8)
    return {
        name: (labels == value).float().mean(dim=(1, 2, 3))
        for name, value in (("edge", 1), ("interior", 0), ("uncertain", -1))
    }


def _resize_strength(strength: Tensor, size: tuple[int, int] | None) -> Tensor:
    """Edges (B, 1, h, w) at another size, float32 in [0, 1]; None leaves theirs."""
    if size is None or tuple(strength.shape[2:]) == size:
        return strength.float()
    return functional.interpolate(strength.float(), size, mode="bicubic").clamp(0, 1)


def resize_logits(logits: Tensor, size: tuple[int, ...]) -> Tensor:
    """Logits (B, 1, h, w) as float32 (B, 1, H, W)."""
    if tuple(logits.shape[2:]) == tuple(size):
        return logits.float()
    return functional.interpolate(logits.float(), size, mode="bicubic", antialias=True)
