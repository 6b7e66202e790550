"""Train the small autoencoder that turns 4x4 pixels into one latent token."""

import sys
import time
from pathlib import Path

import torch
from diffusers import AutoencoderKL
from diffusers.models.downsampling import Downsample2D
from diffusers.models.resnet import ResnetBlock2D
from diffusers.models.upsampling import Upsample2D
from torch.nn import Conv2d, functional
from torch.utils.data import DataLoader
from training_images import TrainingCrops, load_photos

from trace_mm.commands.command_line import Parser, run_command

KL_WEIGHT = 1e-4


def build_vae() -> AutoencoderKL:
    """The autoencoder: stride 4, eight latent channels, no attention.

    Few and wide normalisation groups: narrow ones take the mean colour away.
    """
    return AutoencoderKL(
        down_block_types=("DownEncoderBlock2D",) * 3,
        up_block_types=("UpDecoderBlock2D",) * 3,
        block_out_channels=(24, 48, 64),
        layers_per_block=1,
        latent_channels=8,
        norm_num_groups=4,
        sample_size=128,
        mid_block_add_attention=False,
    )


@torch.no_grad()
def start_from_mean_color(vae: AutoencoderKL) -> None:
    """Set the weights so that three latent channels hold the mean colour of 4x4 pixels.

    From a random start the colour axes are learnt one after the other, and green against magenta
    takes longer than all the rest. Each colour runs through the network as a pair of channels of
    opposite sign, because silu(x) - silu(-x) = x makes that pair linear.
    """
    for module in vae.modules():
        if isinstance(module, ResnetBlock2D):
            module.conv2.weight.mul_(0.1)
            if module.conv_shortcut is not None:
                _pass_pairs(module.conv_shortcut)
        if isinstance(module, Upsample2D):
            _pass_pairs(module.conv)
        if isinstance(module, Downsample2D):
            _pass_pairs(module.conv)
            module.conv.weight[:6].mul_(0)
            for channel in range(6):
                module.conv.weight[channel, channel, :2, :2] = 0.25
    for split in (vae.encoder.conv_in, vae.decoder.conv_in):
        split.weight[:6].mul_(0)
        for color in range(3):
            middle = split.weight.shape[-1] // 2
            split.weight[2 * color, color, middle, middle] = 1.0
            split.weight[2 * color + 1, color, middle, middle] = -1.0
    for join in (vae.encoder.conv_out, vae.decoder.conv_out):
        join.weight[:3].mul_(0)
        for color in range(3):
            join.weight[color, 2 * color, 1, 1] = 1.0
            join.weight[color, 2 * color + 1, 1, 1] = -1.0
    for mix in (vae.quant_conv, vae.post_quant_conv):
        mix.weight[:3].mul_(0)
        for color in range(3):
            mix.weight[color, color] = 1.0


def _pass_pairs(convolution: Conv2d) -> None:
    """Let the first six channels through unchanged."""
    middle = convolution.weight.shape[-1] // 2
    convolution.weight[:6].mul_(0)
    for channel in range(6):
        convolution.weight[channel, channel, middle, middle] = 1.0


def vae_loss(vae: AutoencoderKL, images: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Absolute reconstruction error and KL term of images (B, 3, H, W) in [-1, 1].

    The error counts again on 4x4 means, so that the colour of a token comes before its detail.
    """
    posterior = vae.encode(images).latent_dist
    restored = vae.decode(posterior.sample()).sample.float()
    detail = functional.l1_loss(restored, images)
    color = functional.l1_loss(functional.avg_pool2d(restored, 4), functional.avg_pool2d(images, 4))
    return detail + 2 * color, posterior.kl().float().mean()


def fit_latent_statistics(vae: AutoencoderKL, images: torch.Tensor) -> None:
    """Store shift and scale in the config so that latents have zero mean and unit deviation."""
    with torch.no_grad():
        latents = vae.encode(images).latent_dist.mode()
    vae.register_to_config(
        shift_factor=float(latents.mean()), scaling_factor=float(1.0 / latents.std())
    )


def make_parser() -> Parser:
    """The command line."""
    parser = Parser(description=__doc__)
    parser.add_argument("photos", type=Path, help="folder of openly licensed JPEGs")
    parser.add_argument("--out", type=Path, required=True, help="folder to write the VAE to")
    parser.add_argument("--minutes", type=float, default=15.0)
    parser.add_argument("--batch-size", type=int, default=8)
    parser.add_argument("--side", type=int, default=64)
    parser.add_argument("--seed", type=int, default=0)
    return parser


def main() -> None:
    options = make_parser().parse_args()
    torch.manual_seed(options.seed)
    vae = build_vae()
    start_from_mean_color(vae)
    vae = vae.to(memory_format=torch.channels_last)
    crops = TrainingCrops(load_photos(options.photos), options.side, 0.5, seed=1000 + options.seed)
    batches = iter(DataLoader(crops, options.batch_size, num_workers=1))
    optimizer = torch.optim.AdamW(vae.parameters(), lr=1e-3, weight_decay=1e-4)
    start, step = time.monotonic(), 0
    while (done := (time.monotonic() - start) / (60 * options.minutes)) < 1:
        for group in optimizer.param_groups:
            group["lr"] = 1e-3 * min(1.0, (step + 1) / 50, 0.02 + 2.5 * (1 - done))
        images = next(batches).contiguous(memory_format=torch.channels_last)
        with torch.autocast("cpu", torch.bfloat16):
            reconstruction, divergence = vae_loss(vae, images)
        loss = reconstruction + KL_WEIGHT * divergence / images[0].numel()
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(vae.parameters(), 1.0)
        optimizer.step()
        step += 1
        if step % 50 == 0:
            print(f"step {step} ({done:.0%}): error {reconstruction.item():.4f}", flush=True)
    vae.eval()
    fit_latent_statistics(vae, torch.cat([next(batches) for _ in range(8)]))
    vae.save_pretrained(options.out)


if __name__ == "__main__":
    sys.exit(run_command(main))
