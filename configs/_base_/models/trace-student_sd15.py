# The paper's student on Stable Diffusion 1.5: one convolution over 64x64 tokens.
# The reconstruction is of the denoiser's output (App. C.2), not of pixels as in the paper: those
# take the VAE's decoder, with gradients, at full size. preset="paper" has them, and its labels.
pretrained = "stable-diffusion-v1-5/stable-diffusion-v1-5"
model = dict(
    type="TraceStudent",
    backbone=dict(pretrained=pretrained),
    decoder=dict(type="ConvDecoder", tokens=64 * 64),
    lora=dict(rank=64),
    gradient_checkpointing=True,
)
