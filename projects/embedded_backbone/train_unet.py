"""Train the embedded denoiser by flow matching on the latents of scenes and open photos.

A training that was stopped goes on from its last checkpoint when the same command is given again.
"""

import argparse
import copy
import io
import math
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from diffusers import AutoencoderKL, FlowMatchEulerDiscreteScheduler, UNet2DConditionModel
from safetensors.torch import save_file
from torch import Tensor
from torch.utils.data import DataLoader
from training_images import TrainingCrops, load_photos

from trace_mm.commands.command_line import Parser, run_command
from trace_mm.files import write_atomically

TEXT_WIDTH = 32
EMA_DECAY = 0.998
FREE = {"photos", "vae", "out", "init", "save_every", "quiet"}  # options that may change


def build_unet() -> UNet2DConditionModel:
    """Two stages; attention between single tokens only on the way down.

    Edges are read where the model gathers what looks alike: in the fine stage on the way down.
    Without fine attention on the way up, all of that gathering happens there.
    """
    return UNet2DConditionModel(
        sample_size=32,
        in_channels=8,
        out_channels=8,
        block_out_channels=(80, 112),
        layers_per_block=1,
        down_block_types=("CrossAttnDownBlock2D",) * 2,
        up_block_types=("CrossAttnUpBlock2D", "UpBlock2D"),
        transformer_layers_per_block=(2, 2),
        reverse_transformer_layers_per_block=(1, 1),
        attention_head_dim=2,  # diffusers reads this as the number of heads
        cross_attention_dim=TEXT_WIDTH,
        norm_num_groups=8,
        use_linear_projection=True,
    )


def grow(unet: UNet2DConditionModel, trained: UNet2DConditionModel) -> None:
    """Start from the weights of a trained model, which may have fewer transformer layers.

    A layer that it lacks starts as a copy of the one before, with its outputs set to zero, so
    that it adds nothing at first.
    """
    own = unet.state_dict()
    known = {
        name: weight
        for name, weight in trained.state_dict().items()
        if name in own and own[name].shape == weight.shape
    }
    unet.load_state_dict(known, strict=False)
    for name, module in unet.named_modules():
        if not name.endswith("transformer_blocks"):
            continue
        for number, block in enumerate(module):
            if f"{name}.{number}.norm1.weight" in known:
                continue
            block.load_state_dict(module[number - 1].state_dict())
            for layer in (block.attn1.to_out[0], block.attn2.to_out[0], block.ff.net[2]):
                torch.nn.init.zeros_(layer.weight)
                torch.nn.init.zeros_(layer.bias)


def null_text() -> Tensor:
    """The embedding of the empty prompt, (1, 1, dim): the model is trained without text."""
    return torch.zeros(1, 1, TEXT_WIDTH)


class LatentPool:
    """Latents of recent crops, part of which is renewed at each step.

    Encoding costs about as much as a training step, so that each latent is seen several times,
    with new noise each time.

    Args:
        vae: the frozen autoencoder.
        crops: batches of crops (b, 3, side, side); b is how many latents a step renews.
        size: how many latents the pool holds.
    """

    def __init__(self, vae: AutoencoderKL, crops: Iterator[Tensor], size: int) -> None:
        self.vae, self.crops = vae, crops
        self.latents = torch.cat([self._encode() for _ in range(size)])
        self.next = 0

    @torch.no_grad()
    def _encode(self) -> Tensor:
        latents = self.vae.encode(next(self.crops)).latent_dist.mode()
        return (latents - self.vae.config.shift_factor) * self.vae.config.scaling_factor

    def draw(self, count: int) -> Tensor:
        """Renew the oldest latents and pick ``count`` at random, (count, C, h, w)."""
        fresh = self._encode()
        end = self.next + len(fresh)
        self.latents[self.next : end] = fresh
        self.next = end % len(self.latents)
        return self.latents[torch.randperm(len(self.latents))[:count]]


def flow_loss(unet: UNet2DConditionModel, latents: Tensor, mean: float, spread: float) -> Tensor:
    """Velocity error at noise levels sigma whose logit is normal with this mean and deviation."""
    batch = len(latents)
    sigma = torch.sigmoid(torch.randn(batch) * spread + mean)
    noise = torch.randn_like(latents)
    mix = sigma[:, None, None, None]
    noisy = (1 - mix) * latents + mix * noise
    text = null_text().expand(batch, -1, -1)
    velocity = unet(noisy, sigma * 1000, encoder_hidden_states=text).sample
    return (velocity.float() - (noise - latents)).square().mean()


@torch.no_grad()
def update_average(average: UNet2DConditionModel, model: UNet2DConditionModel, step: int) -> None:
    """Exponential moving average of the weights, shorter at the start."""
    decay = min(EMA_DECAY, (step + 1) / (step + 10))
    for slow, fast in zip(average.parameters(), model.parameters(), strict=True):
        slow.lerp_(fast, 1 - decay)


def save_model(folder: Path, unet: UNet2DConditionModel, vae: AutoencoderKL) -> None:
    """Write a diffusers folder that ``load_backbone`` reads."""
    unet.save_pretrained(folder / "unet")
    vae.save_pretrained(folder / "vae")
    FlowMatchEulerDiscreteScheduler().save_pretrained(folder / "scheduler")
    save_file({"prompt_embeds": null_text()}, folder / "null_text.safetensors")
    (folder / "model_index.json").write_text(
        '{"_class_name": "StableDiffusionPipeline", '
        '"scheduler": ["diffusers", "FlowMatchEulerDiscreteScheduler"], '
        '"unet": ["diffusers", "UNet2DConditionModel"], "vae": ["diffusers", "AutoencoderKL"]}\n'
    )


def train(options: argparse.Namespace, vae: AutoencoderKL) -> None:
    """Train up to ``options.steps``, from the last checkpoint if there is one.

    Raises:
        ValueError: if that is of other settings; names them.
    """
    checkpoint = options.out / "training.pt"
    settings = {name: str(value) for name, value in vars(options).items() if name not in FREE}
    torch.manual_seed(options.seed)
    unet = build_unet()
    if options.init:
        grow(unet, UNet2DConditionModel.from_pretrained(options.init / "unet"))
    average = copy.deepcopy(unet).requires_grad_(False)
    optimizer = torch.optim.AdamW(unet.parameters(), weight_decay=0.01, betas=(0.9, 0.99))
    first = 0
    if checkpoint.is_file():
        state = torch.load(checkpoint, weights_only=True)
        differing = [name for name in settings if state["settings"].get(name) != settings[name]]
        if differing:
            raise ValueError(
                f"{checkpoint} is of another {', '.join(differing)}: choose other --out"
            )
        for part, name in ((unet, "unet"), (average, "average"), (optimizer, "optimizer")):
            part.load_state_dict(state[name])
        first = state["step"]
        print(f"goes on from step {first}", flush=True)
    # A resumed training sees other crops and noise than the steps before it.
    torch.manual_seed(options.seed + first)
    crops = TrainingCrops(
        load_photos(options.photos),
        options.side,
        options.photo_share,
        seed=2000 + options.seed + first,
        photo_zoom=options.photo_zoom,
    )
    pool = LatentPool(vae, iter(DataLoader(crops, options.renew)), options.pool)
    start, smooth = time.monotonic(), math.nan
    for step in range(first, options.steps):
        decay = 0.5 + 0.5 * math.cos(math.pi * step / options.steps)
        optimizer.param_groups[0]["lr"] = options.learning_rate * min((step + 1) / 100, decay)
        latents = pool.draw(options.batch_size)
        with torch.autocast("cpu", torch.bfloat16):
            loss = flow_loss(unet, latents, options.sigma_mean, options.sigma_spread)
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(unet.parameters(), 1.0)
        optimizer.step()
        update_average(average, unet, step)
        smooth = loss.item() if math.isnan(smooth) else 0.98 * smooth + 0.02 * loss.item()
        done = step + 1
        if done % 50 == 0:
            minutes = (time.monotonic() - start) / 60
            print(f"step {done} ({minutes:.1f} min): loss {smooth:.4f}", flush=True)
        if done % options.save_every == 0 or done == options.steps:
            save_model(options.out, average, vae)
            state = {"unet": unet.state_dict(), "average": average.state_dict()}
            state |= {"optimizer": optimizer.state_dict(), "step": done, "settings": settings}
            save_whole(checkpoint, state)


def save_whole(path: Path, state: dict[str, Any]) -> None:
    """Write a checkpoint so that a kill leaves it whole, or as it was."""
    buffer = io.BytesIO()
    torch.save(state, buffer)
    write_atomically(path, buffer.getvalue())


def make_parser() -> Parser:
    """The command line."""
    parser = Parser(description=__doc__)
    parser.add_argument("photos", type=Path, help="folder of openly licensed JPEGs")
    parser.add_argument("--vae", type=Path, required=True, help="folder from train_vae.py")
    parser.add_argument("--out", type=Path, required=True, help="folder to write the model to")
    parser.add_argument("--init", type=Path, help="model folder to start from")
    parser.add_argument("--steps", type=int, default=20_000)
    parser.add_argument("--save-every", type=int, default=250, help="steps between checkpoints")
    parser.add_argument("--batch-size", type=int, default=8)
    parser.add_argument("--side", type=int, default=128)
    parser.add_argument("--photo-share", type=float, default=0.25)
    parser.add_argument(
        "--photo-zoom",
        type=float,
        default=2.2,
        help="the closest look at a photo: its short side is at most so many times a crop's",
    )
    parser.add_argument("--sigma-mean", type=float, default=0.0, help="of the logit")
    parser.add_argument("--sigma-spread", type=float, default=1.3, help="of the logit")
    parser.add_argument("--learning-rate", type=float, default=6e-4)
    parser.add_argument("--pool", type=int, default=1024, help="pool size in units of --renew")
    parser.add_argument("--renew", type=int, default=2, help="latents renewed at each step")
    parser.add_argument("--seed", type=int, default=0)
    return parser


def main() -> None:
    options = make_parser().parse_args()
    train(options, AutoencoderKL.from_pretrained(options.vae).eval().requires_grad_(False))


if __name__ == "__main__":
    sys.exit(run_command(main))
