# The paper's student on PixArt-alpha: 64x64 tokens at 1024x1024 pixels.
pretrained = "PixArt-alpha/PixArt-XL-2-1024-MS"
model = dict(
    type="TraceStudent",
    backbone=dict(pretrained=pretrained),
    decoder=dict(type="ConvDecoder", tokens=64 * 64),
    lora=dict(rank=64),
    gradient_checkpointing=True,
)
