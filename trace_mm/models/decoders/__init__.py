"""Edge decoders: from the fused attention map of one forward pass to edge logits (Sec. 3.4).

All share one signature: ``decoder(attention (B, N, N), grid (h, w), latents (B, C, h', w'))``
returns logits (B, 1, h * k, w * k), where the whole number k is the decoder's ``upsampling``.
"""

from trace_mm.models.decoders.conv import ConvDecoder
from trace_mm.models.decoders.grid_free import GridFreeDecoder
from trace_mm.models.decoders.mask2former_style import Mask2FormerStyleDecoder
from trace_mm.models.decoders.unet import UNetDecoder

__all__ = ["ConvDecoder", "GridFreeDecoder", "Mask2FormerStyleDecoder", "UNetDecoder"]
