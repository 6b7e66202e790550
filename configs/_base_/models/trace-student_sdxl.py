# The paper's student on SDXL: its finest self-attention has 64x64 tokens at 1024x1024 pixels.
pretrained = "stabilityai/stable-diffusion-xl-base-1.0"
model = dict(
    type="TraceStudent",
    backbone=dict(pretrained=pretrained),
    decoder=dict(type="ConvDecoder", tokens=64 * 64),
    lora=dict(rank=64),
    gradient_checkpointing=True,
)
