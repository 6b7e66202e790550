"""Students are validated on photos: with scores where there are annotations, else in pictures."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from mmengine.runner import Runner
from PIL import Image

from trace_mm.apis.pseudo_edges import fill_from_config
from trace_mm.engine.runner_config import read_config

CONFIGS = Path(__file__).parents[2] / "configs"
SIZES = {1: (24, 36), 2: (40, 28)}  # (H, W)


@pytest.fixture
def photos(tmp_path):
    """COCO's layout: two photos in ``photos/images``, a square object in each."""
    root = tmp_path / "photos"
    (root / "images").mkdir(parents=True)
    draw = np.random.default_rng(0)
    images, annotations = [], []
    for number, (height, width) in SIZES.items():
        pixels = draw.integers(0, 80, (height, width, 3), dtype=np.uint8)
        pixels[8:20, 8:20] += 150
        Image.fromarray(pixels).save(root / "images" / f"{number}.png")
        images.append(
            {"id": number, "file_name": f"{number}.png", "height": height, "width": width}
        )
        square = [8, 8, 20, 8, 20, 20, 8, 20]
        annotations.append(
            {"id": number, "image_id": number, "category_id": 1, "iscrowd": 0, "area": 144}
            | {"segmentation": [square], "bbox": [8, 8, 12, 12]}
        )
    content = {"images": images, "annotations": annotations, "categories": [{"id": 1}]}
    (root / "instances.json").write_text(json.dumps(content))
    return root


def options_for(photos, folder):
    """What makes a large model's config a small run."""
    train = "train_dataloader.dataset"
    return {
        "pretrained": str(folder),
        "data_root": str(photos),
        f"{train}.source.ann_file": "instances.json",
        f"{train}.source.img_path": "images",
        f"{train}.size": 32,
        f"{train}.pseudo_edges.folder": str(photos.parent / "cache"),
        f"{train}.pseudo_edges.teacher.timesteps": (0, 500),
        "train_dataloader.batch_size": 1,
        "train_dataloader.num_workers": 0,
        "train_dataloader.persistent_workers": False,
        "val_dataloader.num_workers": 0,
        "model.decoder.tokens": 64,
        "model.lora.rank": 2,
        "train_cfg.max_iters": 2,
        "train_cfg.val_interval": 1,
    }


def train(config, options, work_dir):
    cfg = read_config(config, options)
    cfg.work_dir = str(work_dir)
    fill_from_config(cfg, "cpu")
    Runner.from_cfg(cfg).train()
    pictures = sorted(work_dir.glob("*/vis_data/vis_image/*.png"))
    sizes = {path.name: Image.open(path).size for path in pictures}
    return sizes, sorted(path.name for path in work_dir.glob("*.pth"))


def test_a_large_models_student_is_scored_on_coco_photos(model_folder, photos, tmp_path):
    options = {
        **options_for(photos, model_folder("sd35", 5)),
        "val_root": str(photos),
        "val_dataloader.dataset.ann_file": "instances.json",
        "val_dataloader.dataset.data_prefix.img_path": "images",
        "val_evaluator.workers": 1,
    }
    config = CONFIGS / "trace" / "trace_sd35-large_lora64_coco2014.py"
    sizes, checkpoints = train(config, options, tmp_path / "work")
    # Image, prediction and truth side by side, at the photos' own sizes.
    assert sizes == {
        f"val_{number}_{step}.png": (3 * width, height)
        for number, (height, width) in SIZES.items()
        for step in (1, 2)
    }
    assert checkpoints[0].startswith("best_edges_ODS_iter_")
    assert checkpoints[1:] == ["iter_1.pth", "iter_2.pth"]
    best = torch.load(tmp_path / "work" / checkpoints[0], weights_only=True)
    assert best["message_hub"]["runtime_info"]["best_score"] >= 0


def test_or_drawn_on_a_folder_of_photos(model_folder, photos, tmp_path, capsys):
    text = (CONFIGS / "trace" / "trace_sd15_lora64_coco2014.py").read_text()
    config = tmp_path / "mine.py"
    config.write_text(
        text.replace("coco2014_val.py", "folder_val.py").replace(
            '"../_base_', f'"{(CONFIGS / "_base_").as_posix()}'
        )
    )
    options = {
        **options_for(photos, model_folder("sd15", 5)),
        "model.decoder.tokens": 8 * 8,
        "train_dataloader.dataset.size": 16,
        "val_root": str(photos),
    }
    sizes, checkpoints = train(config, options, tmp_path / "work")
    assert sizes == {
        f"val_images%2F{number}.png_{step}.png": (2 * width, height)  # there is no truth
        for number, (height, width) in SIZES.items()
        for step in (1, 2)
    }
    assert checkpoints == ["iter_1.pth", "iter_2.pth"]
    log = next((tmp_path / "work").glob("*/*.log")).read_text()
    assert "labels_edge: " in log and "loss_reconstruction: 0." in log
