# The paper's student on PixArt-alpha: 64x64 tokens at 1024x1024 pixels.
# The reconstruction is of the denoiser's output (App. C.2), not of pixels as in the paper: those
# take the VAE's decoder, with gradients, at full size. preset="paper" has them, and its labels.
pretrained = "PixArt-alpha/PixArt-XL-2-1024-MS"
model = dict(
    type="TraceStudent",
    backbone=dict(pretrained=pretrained),
    decoder=dict(type="ConvDecoder", tokens=64 * 64),
    lora=dict(rank=64),
    gradient_checkpointing=True,
)
