"""The cache of pseudo edges: what its keys depend on, and that entries are whole or missing."""

import shutil

import numpy as np
import pytest
import torch
from PIL import Image

from trace_mm.datasets import PseudoEdgeCache, UnlabelledImageDataset, Visit
from trace_mm.datasets.pseudo_edge_cache import FORMAT, entry_of
from trace_mm.diffusion import shipped_models
from trace_mm.models import identity
from trace_mm.structures import EdgeDataSample

TEACHER = {"type": "SobelDetector", "sigma": 1.0}


def test_entries_keep_what_was_stored(tmp_path):
    cache = PseudoEdgeCache(tmp_path, TEACHER)
    key = cache.key("digest", (5, 7))
    assert not cache.has(key)
    with pytest.raises(FileNotFoundError, match=r"photo\.jpg.*tools/cache_pseudo_edges\.py"):
        cache.load(key, "photo.jpg")
    edges = torch.rand(5, 7, generator=torch.Generator().manual_seed(0))
    edges[0, 0], edges[0, 1] = 0, 1
    cache.store(key, edges)
    assert cache.has(key)
    loaded = cache.load(key, "photo.jpg")
    assert loaded.dtype == torch.float32
    torch.testing.assert_close(loaded, edges, atol=0.5001 / 65535, rtol=0)
    assert loaded[0, 0] == 0
    assert loaded[0, 1] == 1
    for damage in (b"", b"half", cache.path(key).read_bytes()[:40]):
        cache.path(key).write_bytes(damage)
        with pytest.raises(ValueError, match=r"damaged pseudo edges of photo\.jpg"):
            cache.load(key, "photo.jpg")
    for bad in (edges[None], edges + 1, edges * float("nan")):
        with pytest.raises(ValueError, match="edges must be"):
            cache.store(key, bad)


@pytest.mark.parametrize("size", [(64, 64), (96, 96), (97, 96), (128, 128)])
def test_entries_are_small(tmp_path, size):
    cache = PseudoEdgeCache(tmp_path, TEACHER)
    edges = torch.rand(size, generator=torch.Generator().manual_seed(0))  # the worst to compress
    key = cache.key("digest", size)
    cache.store(key, edges)
    assert cache.path(key).stat().st_size < 19_000
    precision = 65535 if edges.numel() <= 96 * 96 else 255
    torch.testing.assert_close(cache.load(key, "image"), edges, atol=0.5001 / precision, rtol=0)


def test_what_is_stored_of_a_prediction():
    edges, tokens = torch.zeros(1024, 512), torch.rand(64, 32)
    edges[:8, :8] = 1
    assert entry_of(EdgeDataSample(pred_edges=edges, token_edges=tokens)) is tokens
    reduced = entry_of(EdgeDataSample(pred_edges=edges))
    assert reduced.shape == (128, 64) and reduced[0, 0] == reduced.sum() == 1
    small = torch.rand(128, 100)
    assert entry_of(EdgeDataSample(pred_edges=small)) is small
    assert entry_of(EdgeDataSample(pred_edges=torch.rand(4000, 8))).shape == (128, 1)


def test_the_key_has_numbers_of_its_own_and_not_the_packages(tmp_path, monkeypatch):
    def folder():
        return PseudoEdgeCache(tmp_path, TEACHER).folder

    before = folder()
    monkeypatch.setattr("trace_mm.__version__", "99.0.0")
    assert folder() == before
    monkeypatch.setattr("trace_mm.models.identity.RESULTS", identity.RESULTS + 1)
    assert folder() != before
    monkeypatch.undo()
    monkeypatch.setattr("trace_mm.datasets.pseudo_edge_cache.FORMAT", FORMAT + 1)
    assert folder() != before


def test_key_depends_on_content_and_size(tmp_path):
    cache = PseudoEdgeCache(tmp_path, TEACHER)
    keys = {cache.key(d, s) for d in ("a", "b") for s in (None, (5, 7), (7, 5))}
    assert len(keys) == 6


def test_teachers_differ_by_options_and_weights(tmp_path, flow_folder):
    def folder(**options):
        return PseudoEdgeCache(tmp_path / "cache", {**TEACHER, **options}).folder

    assert folder() != folder(sigma=2.0)

    weights = tmp_path / "weights"
    shutil.copytree(flow_folder, weights)

    def teacher(pretrained=weights, backbone=(), **options):
        config = {
            "type": "TraceTeacher",
            "backbone": {"pretrained": str(pretrained), **dict(backbone)},
            **options,
        }
        return PseudoEdgeCache(tmp_path / "cache", config).folder

    plain = teacher()
    assert plain == teacher(seed=0, neighbors=4, size=None)  # the defaults
    assert plain == teacher(data_preprocessor={"type": "BaseDataPreprocessor"})
    assert plain == teacher(flow_folder)  # the same weights elsewhere
    assert plain == teacher(backbone={"device": "cpu"})
    changes = [{"seed": 1}, {"timestep": 100}, {"backbone": {"dtype": "bfloat16"}}]
    assert len({plain, *(teacher(**change) for change in changes)}) == 4
    (weights / "trace.json").write_text('{"walk_steps": 2}')
    assert teacher() != plain
    with pytest.raises(ValueError, match="NoSuchModel is not in the registry"):
        PseudoEdgeCache(tmp_path, {"type": "NoSuchModel"})
    with pytest.raises(ValueError, match="config of a model"):
        PseudoEdgeCache(tmp_path, {"sigma": 1.0})
    with pytest.raises(FileNotFoundError, match="nowhere"):
        teacher("nowhere")


def test_a_shipped_student_counts_by_its_content(tmp_path):
    shipped = shipped_models()["trace-tiny"] / "student"
    student = {
        "type": "TraceStudent",
        "backbone": {"pretrained": "trace-tiny"},
        "decoder": {"type": "GridFreeDecoder"},
    }
    named = {**student, "checkpoint": "trace-tiny"}
    by_name = PseudoEdgeCache(tmp_path, named).folder
    assert by_name == PseudoEdgeCache(tmp_path, {**student, "checkpoint": str(shipped)}).folder
    assert by_name != PseudoEdgeCache(tmp_path, {**named, "size": 64}).folder
    with pytest.raises(ValueError, match="untrained without a checkpoint"):
        PseudoEdgeCache(tmp_path, student)


def test_dataset_attaches_edges_before_mirroring(tmp_path):
    pixels = np.random.default_rng(0).integers(0, 256, (12, 16, 3), dtype=np.uint8)
    (tmp_path / "images").mkdir()
    Image.fromarray(pixels).save(tmp_path / "images" / "a.png")
    source = {"type": "ImageFolder", "data_root": str(tmp_path / "images")}
    options = {"folder": str(tmp_path / "cache"), "teacher": TEACHER}
    dataset = UnlabelledImageDataset(source, size=(8, 10), flip=1.0, pseudo_edges=options)
    with pytest.raises(FileNotFoundError, match=r"images/a\.png: its pseudo edges are not in"):
        dataset[Visit(0, 0)]
    cache = dataset.pseudo_edges
    digest = dataset.sources[0].digest(0)
    assert digest == dataset.sources[0].read(0).digest
    edges = torch.linspace(0, 1, 80).reshape(8, 10)
    cache.store(cache.key(digest, (8, 10)), edges)
    item = dataset[Visit(0, 0)]
    upright = UnlabelledImageDataset(source, size=(8, 10), pseudo_edges=options)[0]
    torch.testing.assert_close(upright["data_samples"].pseudo_edges, edges, atol=1e-4, rtol=0)
    assert torch.equal(item["inputs"].flip(2), upright["inputs"])
    sample = item["data_samples"]
    assert torch.equal(sample.pseudo_edges.flip(1), upright["data_samples"].pseudo_edges)
    cache.store(cache.key(digest, (8, 10)), edges.T.contiguous())
    with pytest.raises(ValueError, match=r"a\.png: its cached edges are \(10, 8\)"):
        dataset[Visit(0, 0)]
