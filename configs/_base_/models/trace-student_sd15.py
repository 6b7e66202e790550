# The paper's student on Stable Diffusion 1.5: one convolution over 64x64 tokens.
pretrained = "stable-diffusion-v1-5/stable-diffusion-v1-5"
model = dict(
    type="TraceStudent",
    backbone=dict(pretrained=pretrained),
    decoder=dict(type="ConvDecoder", tokens=64 * 64),
    lora=dict(rank=64),
    gradient_checkpointing=True,
)
