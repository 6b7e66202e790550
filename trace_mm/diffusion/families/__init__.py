"""The families of denoisers. Each has a file of its own that says all that is special to it."""

from trace_mm.diffusion.families.base import (
    FAMILIES,
    Family,
    attention_layers,
    family_of,
    family_of_class,
    register_family,
)
from trace_mm.diffusion.families.flux import FluxFamily
from trace_mm.diffusion.families.pixart import PixArtFamily
from trace_mm.diffusion.families.sd3 import SD3Family
from trace_mm.diffusion.families.unet import UNetFamily

__all__ = [
    "FAMILIES",
    "Family",
    "FluxFamily",
    "PixArtFamily",
    "SD3Family",
    "UNetFamily",
    "attention_layers",
    "family_of",
    "family_of_class",
    "register_family",
]
