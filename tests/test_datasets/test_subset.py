"""Parts of many images: the same for all who ask, and nested."""

from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from trace_mm.datasets import UnlabelledImageDataset
from trace_mm.datasets.subset import choose_images

NAMES = [f"{kind}/{number:03d}.jpg" for kind in "abc" for number in range(40)]


@given(st.integers(1, 130), st.integers(1, 130), st.integers(0, 3))
def test_a_larger_part_holds_a_smaller_one(one, other, seed):
    few, many = (set(choose_images(NAMES, n, None, seed)) for n in sorted((one, other)))
    assert few <= many and len(few) == min(one, other, len(NAMES))


@given(st.integers(1, 130), st.integers(1, 50), st.permutations(NAMES))
def test_the_order_of_the_images_does_not_count(limit, per_class, names):
    chosen = {names[number] for number in choose_images(names, limit, per_class, 0)}
    again = choose_images(NAMES, limit, per_class, 0)
    assert chosen == {NAMES[number] for number in again} and (np.diff(again) > 0).all()
    counts = Counter(name.partition("/")[0] for name in chosen)
    assert max(counts.values()) <= per_class
    assert len(chosen) == min(limit, 3 * min(per_class, 40))


def test_seeds_choose_other_images_and_all_alike():
    parts = [choose_images(NAMES, 30, None, seed) for seed in range(40)]
    assert len({tuple(part) for part in parts}) == 40
    counts = np.bincount(np.concatenate(parts), minlength=len(NAMES))  # 10 on average
    assert counts.min() >= 1 and counts.max() <= 25
    for options in ((0, None), (None, 0)):
        with pytest.raises(ValueError, match=r"(limit|per_class) must be at least 1, got 0"):
            choose_images(NAMES, *options, 0)


def test_a_dataset_of_a_part(tmp_path):
    for name in NAMES:
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        Image.new("RGB", (4, 4)).save(path)
    source = {"type": "ImageFolder", "data_root": str(tmp_path)}
    every = UnlabelledImageDataset(source)
    part = UnlabelledImageDataset(source, limit=20, per_class=10)
    ids = [part[number]["data_samples"].image_id for number in range(len(part))]
    assert len(ids) == 20 and set(ids) < {every[n]["data_samples"].image_id for n in range(120)}
    assert ids == [NAMES[number] for number in choose_images(NAMES, 20, 10, 0)]
    with pytest.raises(IndexError, match="there are 20 images"):
        part[20]
    (tmp_path / "a" / "more.jpg").write_bytes(Path(tmp_path / NAMES[0]).read_bytes())
    later = UnlabelledImageDataset(source, limit=20, per_class=10)
    assert len(set(ids) & {later[n]["data_samples"].image_id for n in range(20)}) >= 19
    scenes = {"type": "SceneImages", "seed": 1, "length": 8, "size": (16, 16)}
    two = UnlabelledImageDataset([scenes, scenes], size=16, limit=6, per_class=4)
    assert len(two) == 6 and [two.locate(n)[0] for n in range(6)] != [two.sources[0]] * 6
