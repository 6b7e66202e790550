"""Edges of images in shards are those of the same images in a folder, whatever happens."""

import io
import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.s3_server import fail_fast
from trace_mm.apis import TraceInferencer, expand_inputs, run_folder
from trace_mm.apis.shard_runs import edges_of_shards
from trace_mm.files.addresses import join_address
from trace_mm.files.shards import ShardWriter, read_shard
from trace_mm.files.stores import list_files, read_bytes
from trace_mm.jobs.edge_files import SAVE_KINDS

ROOT = Path(__file__).parents[2]
SHARDS, SAMPLES = 4, 6


def _photo(number):
    pixels = np.random.default_rng(number).integers(0, 256, (16, 20, 3), dtype=np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "png")
    return buffer.getvalue()


def write_shards(folder, samples=SAMPLES):
    for shard in range(SHARDS):
        with ShardWriter(join_address(folder, f"{shard:06d}.tar")) as writer:
            for sample in range(samples):
                key = f"{shard}/{sample:03d}"
                writer.add(key, {"png": _photo(samples * shard + sample), "cls": b"7"})


@pytest.fixture(scope="module")
def inferencer():
    return TraceInferencer({"model": {"type": "SobelDetector"}}, device="cpu")


@pytest.fixture
def shards(tmp_path):
    write_shards(tmp_path / "shards")
    return f"{tmp_path}/shards/{{000000..{SHARDS - 1:06d}}}.tar"


def _run(inferencer, shards, out, **options):
    return edges_of_shards(
        inferencer.predict_images,
        shards,
        out,
        settings=inferencer.settings(),
        show_progress=False,
        **options,
    )


def _contents(out):
    """Shards of results by name."""
    return {
        name: read_bytes(join_address(out, name))
        for name in list_files(out)
        if name.endswith(".tar")
    }


@pytest.mark.parametrize("batch_size", [1, 4])
def test_results_are_those_of_a_folder(inferencer, shards, tmp_path, batch_size):
    summary = _run(inferencer, shards, tmp_path / "out", save=[*SAVE_KINDS], batch_size=batch_size)
    assert (len(summary.done), summary.images, summary.failed) == (SHARDS, SHARDS * SAMPLES, {})
    for number in range(SHARDS * SAMPLES):
        path = tmp_path / f"photos/{number // SAMPLES}/{number % SAMPLES:03d}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(_photo(number))
    run_folder(
        inferencer.predict_images,
        expand_inputs(tmp_path / "photos"),
        tmp_path / "plain",
        settings=inferencer.settings(),
        save=[*SAVE_KINDS],
        show_progress=False,
    )
    keys = []
    for name in sorted(_contents(tmp_path / "out")):
        for sample in read_shard(tmp_path / "out" / name):
            keys.append(sample.key)
            assert [*sample.files] == ["edges.png", "npz", "overlay.png", "json"]
            plain = [f"edges/{sample.key}.png", f"npz/{sample.key}.npz"]
            for file, path in zip(
                sample.files, [*plain, f"overlay/{sample.key}.png"], strict=False
            ):
                assert sample.files[file] == (tmp_path / "plain" / path).read_bytes()
            record = json.loads(sample.files["json"])
            assert record["state"]["file_name"] == f"{sample.key}.png"
            assert record["outputs"]["edges.png"] == len(sample.files["edges.png"])
    assert keys == [f"{n // SAMPLES}/{n % SAMPLES:03d}" for n in range(SHARDS * SAMPLES)]


def test_samples_without_one_readable_image_fail(inferencer, tmp_path):
    with ShardWriter(tmp_path / "shards/1.tar") as writer:
        writer.add("none", {"txt": b"", "edges.png": _photo(0)})
        writer.add("two", {"png": _photo(1), "jpg": _photo(2)})
        writer.add("torn", {"png": _photo(1)[:100]})
        writer.add("good", {"webp": _photo(3)})
    summary = _run(inferencer, tmp_path / "shards/1.tar", tmp_path / "out")
    assert (summary.images, summary.images_failed) == (4, 3)
    records = {
        sample.key: json.loads(sample.files["json"])
        for sample in read_shard(tmp_path / "out/1.tar")
    }
    assert records["none"]["error"] == "none: no image among its 2 members"
    assert records["two"]["error"].startswith("two: has jpg and png: --image-extension says")
    assert records["torn"]["error"].startswith("torn.png: ")
    assert "error" not in records["good"]
    chosen = _run(inferencer, tmp_path / "shards/1.tar", tmp_path / "jpg", image=".JPG")
    assert chosen.images_failed == 3
    (two,) = (one for one in read_shard(tmp_path / "jpg/1.tar") if one.key == "two")
    assert json.loads(two.files["json"])["state"]["file_name"] == "two.jpg"


def test_other_results_are_other_settings(inferencer, shards, tmp_path):
    _run(inferencer, shards, tmp_path / "out")
    with pytest.raises(ValueError, match=r"save \['png'\], now \['png', 'npz'\]"):
        _run(inferencer, shards, tmp_path / "out", save=["png", "npz"])


@pytest.fixture
def s3(s3_server, monkeypatch):
    """A real S3 server behind a proxy; what fails is tried again at once."""
    fail_fast(monkeypatch, tries=6)
    s3_server.faults.clear()
    return s3_server


def test_stores_that_fail_now_and_then_hold_the_same_bytes(s3, inferencer, shards, tmp_path):
    _run(inferencer, shards, tmp_path / "out")
    write_shards("s3://bucket/faulty")
    for fault in (503, "reset", "cut", "short", 500):
        s3.faults += [("GET", fault), ("PUT" if fault != "short" else "GET", fault)]
    given = "s3://bucket/faulty/{000000..000003}.tar"
    assert _run(inferencer, given, "s3://bucket/faulty-out").failed == {}
    assert s3.faults == []
    assert _contents("s3://bucket/faulty-out") == _contents(tmp_path / "out")
    asked = len(s3.requests)
    assert len(_run(inferencer, given, "s3://bucket/faulty-out").skipped) == SHARDS
    assert len(s3.requests) - asked <= 4  # settings and one list, however many shards there are
