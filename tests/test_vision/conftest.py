"""Tiny vision models, each saved once and loaded as a user would."""

from importlib.util import find_spec
from pathlib import Path

import pytest

from tests import tiny_towers

SAVED_BY = {
    "llava": tiny_towers.save_llava,
    "clip": tiny_towers.save_clip,
    "qwen2.5-vl": tiny_towers.save_qwen,
}
TIMM = ("tiny_dinov2", "tiny_dinov2_reg4", "tiny_eva02", "tiny_eva02_e", "tiny_dinov3")
WITHOUT_TIMM = pytest.mark.skipif(find_spec("timm") is None, reason="timm is not installed")


@pytest.fixture(scope="session")
def tower_source(tmp_path_factory):
    """Gives what ``load_vision_backbone`` takes for a tiny tower, by its name."""
    saved: dict[str, dict[str, object]] = {}

    def source_of(name: str) -> dict[str, object]:
        if name not in saved:
            folder: Path = tmp_path_factory.mktemp(name.replace(".", "_"))
            if name in SAVED_BY:
                saved[name] = {"pretrained": SAVED_BY[name](folder / "model")}
            else:
                from tests.timm_towers import save_timm

                checkpoint = save_timm(name, folder)
                saved[name] = {"pretrained": f"timm:{name}", "checkpoint": checkpoint}
        return saved[name]

    return source_of


@pytest.fixture(
    params=[*SAVED_BY, *(pytest.param(name, marks=WITHOUT_TIMM) for name in TIMM)], scope="session"
)
def source(request, tower_source):
    """Each tiny tower in turn."""
    return tower_source(request.param)
