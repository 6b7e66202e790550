"""Folders of images to COCO JSON: resumable, by workers and ranks, whatever happens to an image."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from pycocotools import mask as mask_utils
from pycocotools.coco import COCO

from trace_mm.apis.generate_masks import generate_masks
from trace_mm.files.stores import put_file
from trace_mm.generators import backbones, methods
from trace_mm.jobs import masks as job

SCRIPT = Path(__file__).parents[2] / "projects" / "mask_generators" / "generate.py"
SIZES = {"a.png": (40, 24), "b/c.png": (24, 40), "b/d.jpg": (32, 32), "e.png": (50, 30)}
SETTINGS = {"features": {"pool": 1, "cell": 1}, "size": 64}
BACKBONE = "trace-tiny"  # of random weights all patches are alike, and there are no masks


@pytest.fixture
def images(tmp_path):
    """A folder of images of several sizes (W, H), one in two colours each."""
    folder = tmp_path / "images"
    draw = np.random.default_rng(0)
    for name, (width, height) in SIZES.items():
        pixels = draw.integers(0, 80, (height, width, 3), dtype=np.uint8)
        pixels[height // 4 : height // 2, width // 4 : width // 2] += 150
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(pixels).save(folder / name)
    return folder


@pytest.fixture
def generate(images, tmp_path):
    def call(out="masks.json", method="maskcut", **options):
        file = tmp_path / out
        options = {"backbone": BACKBONE, "device": "cpu", **SETTINGS, **options}
        return file, generate_masks(method, str(images), file, show_progress=False, **options)

    return call


@pytest.mark.parametrize("method", methods.METHODS)
def test_file_is_coco(generate, images, method):
    file, summary = generate(method=method)
    assert summary.done == sorted(SIZES) and not summary.failed
    content = json.loads(file.read_text())
    assert [image["file_name"] for image in content["images"]] == sorted(SIZES)
    assert [image["id"] for image in content["images"]] == [1, 2, 3, 4]
    for image in content["images"]:
        assert (image["width"], image["height"]) == SIZES[image["file_name"]]
    ids = [annotation["id"] for annotation in content["annotations"]]
    assert ids == list(range(1, len(ids) + 1))
    assert ids
    coco = COCO(str(file))
    for annotation in coco.dataset["annotations"]:
        image = coco.imgs[annotation["image_id"]]
        mask = coco.annToMask(annotation)
        assert mask.shape == (image["height"], image["width"])
        assert annotation["area"] == mask.sum() > 0
        assert annotation["bbox"] == mask_utils.toBbox(annotation["segmentation"]).tolist()
        assert 0 <= annotation["score"] <= 1
        assert annotation["category_id"] == content["categories"][0]["id"]


def test_workers_and_batches_change_nothing(generate):
    one, _ = generate()
    two, _ = generate("two.json", workers=2)
    batched, _ = generate("batched.json", batch_size=3)
    assert one.read_bytes() == two.read_bytes() == batched.read_bytes()


def test_a_killed_run_goes_on_and_ends_in_the_same_file(generate, monkeypatch):
    whole, _ = generate("whole.json")
    calls = []

    def die_at_third(*arguments):
        calls.append(arguments)
        if len(calls) == 3:
            raise KeyboardInterrupt
        return methods.find_masks(*arguments)

    monkeypatch.setattr(job, "find_masks", die_at_third)
    with pytest.raises(KeyboardInterrupt):
        generate()
    file = whole.with_name("masks.json")
    assert not file.exists()
    parts = file.with_name("masks.json.parts")
    with (parts / "manifest.rank-0000.jsonl").open("ab") as torn:
        torn.write(b'{"key": "e.png", "resu')
    _, summary = generate()
    assert len(calls) == 3 + 2  # what was done is not done again
    assert (len(summary.done), len(summary.skipped)) == (2, 2)
    assert file.read_bytes() == whole.read_bytes()
    assert [path.name for path in parts.glob("*.jsonl")] == ["manifest.jsonl"]
    monkeypatch.setattr(
        backbones.FeatureSource, "load", lambda source: pytest.fail("nothing to do")
    )
    _, summary = generate()
    assert not summary.done and len(summary.skipped) == 4
    assert file.read_bytes() == whole.read_bytes()


def test_bad_images_are_reported_and_lose_no_others(generate, images, monkeypatch):
    (images / "bad.png").write_bytes(b"not an image")

    def cannot_cut(method, features, settings, size):
        if size == (40, 24):
            raise RuntimeError("CUDA out of memory. Tried to allocate 9 GiB\nand more")
        if size == (30, 50):
            raise MemoryError
        if size == (32, 32):
            raise torch.linalg.LinAlgError("failed to converge")
        return methods.find_masks(method, features, settings, size)

    monkeypatch.setattr(job, "find_masks", cannot_cut)
    file, summary = generate()
    assert summary.failed == {
        "b/c.png": "b/c.png: out of memory: try a smaller --size (CUDA out of memory. Tried to "
        "allocate 9 GiB)",
        "b/d.jpg": "b/d.jpg: its graph cannot be cut: failed to converge",
        "bad.png": f"{images / 'bad.png'}: not an image, or of an unknown format",
        "e.png": "e.png: out of memory: try a smaller --size",
    }
    names = [image["file_name"] for image in json.loads(file.read_text())["images"]]
    assert names == ["a.png"]
    monkeypatch.setattr(job, "find_masks", methods.find_masks)
    Image.new("RGB", (20, 20)).save(images / "bad.png")
    file, summary = generate()  # failed images are tried again
    assert summary.done == ["b/c.png", "b/d.jpg", "bad.png", "e.png"] and not summary.failed
    assert len(json.loads(file.read_text())["images"]) == 5


@pytest.mark.parametrize("fault", ["CUDA error: an illegal memory access", "shapes do not fit"])
def test_what_is_no_images_fault_ends_the_run(generate, monkeypatch, fault):
    def broken(*arguments):
        raise RuntimeError(fault)

    with monkeypatch.context() as patch:
        patch.setattr(job, "find_masks", broken)
        with pytest.raises(RuntimeError, match=fault):
            generate()
    assert len(generate()[1].done) == 4


def test_changed_images_are_cut_again(generate, images):
    file, _ = generate()
    before = json.loads(file.read_text())
    Image.new("RGB", (60, 20), "red").save(images / "a.png")
    generate()
    after = json.loads(file.read_text())
    assert (after["images"][0]["width"], after["images"][0]["height"]) == (60, 20)
    assert after["images"][1:] == before["images"][1:]


def test_other_settings_are_refused_unless_overwritten(generate):
    file, _ = generate()
    with pytest.raises(ValueError, match=r"threshold 0\..*now 0\.3.*--overwrite"):
        generate(settings={"threshold": 0.3})
    generate(settings={"threshold": 0.3}, overwrite=True)
    assert json.loads(file.read_text())["info"]["threshold"] == 0.3


def test_a_backbone_that_cannot_be_loaded_is_no_images_fault(generate, monkeypatch):
    def refuse(source):
        raise ValueError("these are no weights of it")

    monkeypatch.setattr(backbones.FeatureSource, "load", refuse)
    with pytest.raises(ValueError, match="no weights of it"):
        generate()


def test_features_are_described_without_loading(flow_folder, tmp_path, monkeypatch):
    settings = backbones.feature_settings(str(flow_folder), {"pool": 1})
    source = backbones.FeatureSource(str(flow_folder), settings)
    loaded = source.load()
    monkeypatch.setattr(
        "trace_mm.diffusion.load_recommended", lambda *_, **__: pytest.fail("loaded")
    )
    described = source.describe()
    assert described["size"] == loaded.size and described["pool"] == 1
    other = tmp_path / "other"
    shutil.copytree(flow_folder, other)
    weights = next(other.rglob("*.safetensors"))
    weights.write_bytes(weights.read_bytes()[:-1] + b"!")
    assert replace(source, name=str(other)).describe()["weights"] != described["weights"]
    hub = replace(source, name="owner/name").describe()
    assert hub["backbone"] == "owner/name" and not {"size", "weights"} & hub.keys()


def test_work_of_an_earlier_version_is_not_lost_without_a_word(generate, tmp_path):
    earlier = tmp_path / "masks.json.parts" / "rank-0" / "records.jsonl"
    earlier.parent.mkdir(parents=True)
    earlier.write_text('{"settings": {}}\n')
    with pytest.raises(ValueError, match=r"rank-0.*earlier version.*--overwrite"):
        generate()
    generate(overwrite=True)
    generate()


def test_ids_are_taken_over(generate, tmp_path):
    images = [{"id": 90 - n, "file_name": name} for n, name in enumerate(sorted(SIZES))]
    (tmp_path / "gt.json").write_text(json.dumps({"images": images}))
    file, _ = generate(ids=tmp_path / "gt.json")
    found = {i["file_name"]: i["id"] for i in json.loads(file.read_text())["images"]}
    assert found == {image["file_name"]: image["id"] for image in images}
    (tmp_path / "short.json").write_text(json.dumps({"images": images[1:]}))
    with pytest.raises(ValueError, match=r"has no image a\.png"):
        generate(ids=tmp_path / "short.json")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"settings": {"nonsense": 1}}, "nonsense"),
        ({"features": {"nonsense": 1}}, "nonsense"),
        ({"size": 0}, "size"),
        ({"workers": -1}, "workers"),
        ({"batch_size": 0}, "batch size"),
        ({"checkpoint": Path("x.pth")}, "diffusion model"),
    ],
)
def test_bad_options_are_refused(generate, options, message):
    with pytest.raises(ValueError, match=message):
        generate(**options)


@pytest.mark.slow
def test_two_ranks_write_the_file_of_one(generate, images, tmp_path):
    one, _ = generate()
    two = tmp_path / "two.json"
    options = ["--backbone", BACKBONE, "--features", "pool=1", "cell=1", "--size", "64"]
    launch = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2"]
    command = ["maskcut", str(images), "--out", str(two), *options, "--device", "cpu"]
    subprocess.run([*launch, str(SCRIPT), *command], check=True, timeout=300)
    assert two.read_bytes() == one.read_bytes()
    _, summary = generate("two.json")  # one process goes on from what two have done
    assert len(summary.skipped) == 4 and two.read_bytes() == one.read_bytes()


@pytest.mark.slow
def test_command_runs_from_anywhere_and_reports_failures(images, flow_folder, tmp_path):
    (images / "bad.png").write_bytes(b"")
    command = [sys.executable, str(SCRIPT), "tokencut", "images", "--out", "out/masks.json"]
    options = ["--backbone", str(flow_folder), "--set", "threshold=0.6", "--features", "pool=1"]
    done = subprocess.run(
        [*command, *options], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert done.returncode == 1 and "bad.png: the file is empty" in done.stderr
    assert done.stdout == "4 done, 0 were done before, 1 failed: out/masks.json\n"
    content = json.loads((tmp_path / "out" / "masks.json").read_text())
    assert len(content["images"]) == 4 and content["info"]["threshold"] == 0.6
    wrong = subprocess.run(
        [*command[:-1], "other.json", *options[:2], "--set", "taw=1"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert wrong.returncode == 2 and "taw" in wrong.stderr and "Traceback" not in wrong.stderr


def test_ctrl_c_keeps_what_is_done(images, tmp_path):
    pixels = np.random.default_rng(1).integers(0, 256, (48, 48, 3), dtype=np.uint8)
    for number in range(200):  # more than are done before the interruption
        Image.fromarray(np.roll(pixels, number, axis=1)).save(images / f"m{number}.png")
    file = tmp_path / "masks.json"
    command = [sys.executable, str(SCRIPT), "maskcut", str(images), "--out", str(file)]
    options = ["--backbone", BACKBONE, "--features", "pool=1", "cell=1", "--size", "64"]
    process = subprocess.Popen(
        [*command, *options, "--device", "cpu", "--workers", "1"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,  # what interrupts its group does not interrupt the tests
    )
    records = tmp_path / "masks.json.parts" / "manifest.rank-0000.jsonl"
    try:
        while process.poll() is None and not (records.exists() and records.stat().st_size > 1000):
            time.sleep(0.05)
        os.killpg(process.pid, signal.SIGINT)
        _, errors = process.communicate(timeout=120)
    finally:
        process.kill()
    assert process.returncode == 130
    assert "Traceback" not in errors and "interrupted" in errors.splitlines()[-1]
    assert not file.exists()
    done = [json.loads(line) for line in records.read_text().splitlines()[1:]]
    assert 0 < len(done) < 204


def test_cutting_uses_one_thread_and_gives_the_others_back():
    before = torch.get_num_threads()
    seen = []
    methods.METHODS["probe"] = methods.Method(
        lambda features, settings: seen.append(torch.get_num_threads()) or _no_masks(),
        methods.MaskCutSettings,
        {},
    )
    try:
        assert len(methods.find_masks("probe", torch.ones(2, 2, 1), None, (4, 4))) == 0
    finally:
        del methods.METHODS["probe"]
    assert seen == [1] and torch.get_num_threads() == before


def _no_masks():
    return methods.PatchMasks(np.zeros((0, 2, 2), dtype=np.float32), np.zeros(0))


def test_nothing_is_written_onto_or_among_what_is_read(images, flow_folder, tmp_path):
    ids = tmp_path / "ids.json"
    ids.write_text("{}")
    for out in (ids, images / "masks.json"):
        with pytest.raises(ValueError, match="which is read"):
            generate_masks("maskcut", str(images), out, backbone=str(flow_folder), ids=ids)
    assert ids.read_text() == "{}"


def test_images_of_a_store_are_refused(images, flow_folder, tmp_path):
    put_file(images / "a.png", "memory://generator/a.png")
    with pytest.raises(ValueError, match=r"^memory://generator/a\.png: masks are made of this"):
        generate_masks(
            "maskcut", "memory://generator", tmp_path / "out.json", backbone=str(flow_folder)
        )
