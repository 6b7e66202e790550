# The paper's student on FLUX.1 dev: 64x64 tokens at 1024x1024 pixels.
# Frozen weights are in half precision, trained ones are not.
# The reconstruction is of the denoiser's output (App. C.2), not of pixels as in the paper: those
# take the VAE's decoder, with gradients, at full size. preset="paper" has them, and its labels.
pretrained = "black-forest-labs/FLUX.1-dev"
model = dict(
    type="TraceStudent",
    backbone=dict(pretrained=pretrained, dtype="bfloat16"),
    decoder=dict(type="ConvDecoder", tokens=64 * 64),
    lora=dict(rank=64),
    gradient_checkpointing=True,
)
