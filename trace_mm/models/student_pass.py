"""What one forward pass of a student gives."""

from dataclasses import dataclass

from torch import Tensor


@dataclass(frozen=True)
class StudentPass:
    """What one forward pass gives.

    Attributes:
        images: as the model was shown them, (B, 3, H, W) in [0, 1].
        latents: theirs, X0, (B, C, h', w').
        wanted: what a perfect denoiser would say, (B, C, h', w').
        output: the denoiser's, (B, C, h', w').
        reconstruction: the latents that the output means, (B, C, h', w').
        logits: of edges, (B, 1, h * k, w * k), k the decoder's upsampling.
    """

    images: Tensor
    latents: Tensor
    wanted: Tensor
    output: Tensor
    reconstruction: Tensor
    logits: Tensor
