"""TRACE: instance edges from the self-attention of a text-to-image diffusion model."""

__version__ = "0.1.0"
