"""``trace-mm refine``, ``panoptic`` and ``merge`` on shards: the labels of a plain run."""

import io
import json
import shutil
from itertools import count, cycle

import numpy as np
import pytest
from PIL import Image

from tests.s3_server import fail_fast, s3_proxy
from trace_mm.cli import main
from trace_mm.files import locked
from trace_mm.files.addresses import join_address
from trace_mm.files.shards import ShardWriter, read_shard
from trace_mm.files.stores import list_files, put_file, read_bytes

SHARDS, SAMPLES = 2, 3
FAULTS = [503, "cut", "reset", 500, "hang"]


def _png(pixels):
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "png")
    return buffer.getvalue()


def _sample(number):
    """Two touching squares, and the mask, map and polygons of both together."""
    pixels = np.full((48, 64, 3), 40, dtype=np.uint8)
    left = 8 + 2 * number
    pixels[12:36, left : left + 16] = (200, 60, 60)
    pixels[12:36, left + 16 : left + 32] = (60, 60, 220)
    semantic = np.zeros((48, 64), dtype=np.uint8)
    semantic[12:36, left : left + 32] = 1
    corners = [left, 12, left + 32, 12, left + 32, 36, left, 36]
    return _png(pixels), _png(semantic), [{"segmentation": [corners], "category_id": 1}]


def _key(number):
    return f"{number // SAMPLES}/{number % SAMPLES:03d}"


@pytest.fixture
def inputs(tmp_path):
    """The same in folders and in shards, with maps and masks in the samples and beside them."""
    numbers = range(SHARDS * SAMPLES)
    images, annotations = [], []
    for number in numbers:
        photo, semantic, masks = _sample(number)
        for folder, data in (("photos", photo), ("maps", semantic)):
            path = tmp_path / f"{folder}/{_key(number)}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(data)
        images.append({"id": number + 1, "file_name": f"{_key(number)}.png"})
        annotations += [{"id": 1, "image_id": number + 1, **mask} for mask in masks]
    (tmp_path / "masks.json").write_text(json.dumps({"images": images, "annotations": annotations}))
    (tmp_path / "classes.json").write_text(
        json.dumps({"thing_classes": ["square"], "stuff_classes": ["ground"]})
    )
    for shard in range(SHARDS):
        with (
            ShardWriter(tmp_path / f"all/{shard}.tar") as whole,
            ShardWriter(tmp_path / f"masks/{shard}.tar") as beside,
            ShardWriter(tmp_path / f"semantic/{shard}.tar") as maps,
        ):
            for number in range(shard * SAMPLES, (shard + 1) * SAMPLES):
                photo, semantic, masks = _sample(number)
                text = json.dumps(masks).encode()
                members = {"png": photo, "semantic.png": semantic, "masks.json": text}
                whole.add(_key(number), members)
                beside.add(_key(number), {"json": json.dumps({"annotations": masks}).encode()})
                maps.add(_key(number), {"png": semantic})
    return tmp_path


def _run(*arguments, status=0):
    assert main([*map(str, arguments)]) == status


def _parts(path):
    content = json.loads(path.read_text())
    return {key: content[key] for key in ("images", "annotations", "categories")}


@pytest.mark.parametrize("masks", ["all", "masks"])
def test_refined_and_merged_shards_are_the_plain_file(inputs, sobel, masks, capsys):
    shards, masks = inputs / "all/{0..1}.tar", inputs / masks / "{0..1}.tar"
    _run("edges", shards, "--out", inputs / "edges", "--model", sobel)
    edges = inputs / "edges/{0..1}.tar"
    given = ["refine", "--images", shards, "--masks", masks, "--out", inputs / "out"]
    _run(*given, "--edges", edges, "--workers", 2)
    _run("merge", inputs / "out/{0..1}.tar", "--out", inputs / "merged.json")
    assert "annotations of 6 images, 0 images failed" in capsys.readouterr().out
    _run("edges", inputs / "photos", "--out", inputs / "plain-edges", "--model", sobel)
    plain = ["--images", inputs / "photos", "--masks", inputs / "masks.json"]
    plain += ["--edges", inputs / "plain-edges/edges"]
    _run("refine", *plain, "--out", inputs / "plain.json")
    merged = _parts(inputs / "merged.json")
    assert merged == _parts(inputs / "plain.json")
    assert len(merged["annotations"]) >= 6
    _run(*given, "--edges", edges)
    assert "0 shards done (0 images, 0 of them failed), 2 were" in capsys.readouterr().out


@pytest.mark.parametrize("stored", [False, True])
def test_segmented_and_merged_shards_are_the_plain_file(inputs, sobel, stored):
    shards = inputs / "all/{0..1}.tar"
    source = plain_source = ["--model", sobel]
    if stored:
        _run("edges", shards, "--out", inputs / "edges", *source)
        _run("edges", inputs / "photos", "--out", inputs / "plain-edges", *source)
        source = ["--edges", inputs / "edges/{0..1}.tar"]
        plain_source = ["--edges", inputs / "plain-edges/edges"]
    _run("segment", shards, "--out", inputs / "out", *source, "--top", 9)
    first = next(read_shard(inputs / "out/0.tar")).files
    assert {*first} == {"overlay.jpg", "json"}
    _run("merge", inputs / "out/{0..1}.tar", "--out", inputs / "merged.json")
    _run("segment", inputs / "photos", "--out", inputs / "plain", *plain_source, "--top", 9)
    assert _parts(inputs / "merged.json") == _parts(inputs / "plain/instances.json")
    assert first["overlay.jpg"] == (inputs / f"plain/overlays/{_key(0)}.jpg").read_bytes()


@pytest.mark.parametrize("semantic", ["all", "semantic"])
def test_labelled_and_merged_shards_are_the_plain_dataset(inputs, sobel, semantic):
    shards, maps = inputs / "all/{0..1}.tar", inputs / semantic / "{0..1}.tar"
    classes = ["--classes", inputs / "classes.json"]
    given = ["panoptic", "--images", shards, "--semantic", maps, *classes]
    _run(*given, "--out", inputs / "out", "--model", sobel)
    assert {*next(read_shard(inputs / "out/0.tar")).files} == {
        "panoptic.png",
        "semantic.png",
        "json",
    }
    _run("merge", inputs / "out/{0..1}.tar", "--out", inputs / "merged")
    plain = ["--images", inputs / "photos", "--semantic", inputs / "maps", *classes]
    _run("panoptic", *plain, "--out", inputs / "plain", "--model", sobel)
    for file in ("panoptic.json", "instances.json"):
        assert _parts(inputs / "merged" / file) == _parts(inputs / "plain" / file)
    for folder in ("panoptic", "semantic"):
        for number in range(SHARDS * SAMPLES):
            path = f"{folder}/{_key(number)}.png"
            assert (inputs / "merged" / path).read_bytes() == (inputs / "plain" / path).read_bytes()


def test_a_merge_leaves_nothing_of_an_earlier_one(inputs, sobel, capsys):
    given = ["panoptic", "--images", inputs / "all/{0..1}.tar", "--classes"]
    given += [inputs / "classes.json", "--semantic", inputs / "all/{0..1}.tar"]
    _run(*given, "--out", inputs / "out", "--model", sobel)
    out = inputs / "merged"
    _run("merge", inputs / "out/{0..1}.tar", "--out", out)
    (out / "panoptic/mine.png").write_bytes(b"mine")
    _run("merge", inputs / "out/1.tar", "--out", out)
    _run("merge", inputs / "out/1.tar", "--out", inputs / "fresh")
    (inputs / "fresh/panoptic/mine.png").write_bytes(b"mine")
    assert _files(out) == _files(inputs / "fresh")
    with locked(out):
        _run("merge", inputs / "out/{0..1}.tar", "--out", out, status=2)
    assert "another run is writing to this folder" in capsys.readouterr().err
    (out / "manifest.jsonl").touch()
    _run("merge", inputs / "out/{0..1}.tar", "--out", out, status=2)
    assert "holds the labels of a folder of images" in capsys.readouterr().err


def _files(folder):
    found = (path for path in folder.rglob("*") if path.is_file())
    return {path.relative_to(folder): path.read_bytes() for path in found}


def test_shards_of_a_subfolder_are_merged(inputs, sobel, tmp_path, capsys):
    for part in ("a", "b"):
        shutil.copytree(inputs / "all", inputs / f"nested/{part}")
    shards = inputs / "nested/{a,b}/{0..1}.tar"
    _run("refine", "--images", shards, "--masks", shards, "--out", inputs / "o", "--model", sobel)
    out = tmp_path / "merged.json"
    _run("merge", inputs / "o/b/{0..1}.tar", "--out", out)
    assert len(_parts(out)["images"]) == SHARDS * SAMPLES
    with locked(out.parent, out.name):
        _run("merge", inputs / "o/a/{0..1}.tar", "--out", out.with_name("other.json"))
        _run("merge", inputs / "o/a/{0..1}.tar", "--out", out, status=2)
    assert "merged.json: another run is writing to this file" in capsys.readouterr().err
    shutil.copytree(inputs / "o/b", inputs / "o/c")  # which no run wrote
    _run("merge", inputs / "o/c/{0..1}.tar", "--out", out, status=2)
    assert "o/c/trace_mm.json: no such file" in capsys.readouterr().err


def test_images_without_masks_and_failures_are_counted(inputs, sobel, capsys):
    photo, _, masks = _sample(0)
    with ShardWriter(inputs / "some/0.tar") as shard:
        shard.add("none", {"png": photo})
        shard.add("torn", {"png": photo[:90], "masks.json": json.dumps(masks).encode()})
        shard.add("empty", {"png": photo, "masks.json": b"[]"})
        shard.add("good", {"png": photo, "masks.json": json.dumps(masks).encode()})
    given = ["refine", "--images", inputs / "some/0.tar", "--masks", inputs / "some/0.tar"]
    _run(*given, "--out", inputs / "out", "--model", sobel, status=1)
    capsys.readouterr()
    _run("merge", inputs / "out/0.tar", "--out", inputs / "merged.json", status=1)
    captured = capsys.readouterr()
    assert "of 2 images, 1 images failed, 1 without labels" in captured.out
    assert "torn.png" in captured.err
    names = [image["file_name"] for image in _parts(inputs / "merged.json")["images"]]
    assert names == ["empty.png", "good.png"]


def test_bad_input_is_one_line(inputs, sobel, capsys):
    shards = inputs / "all/{0..1}.tar"
    refine = ["refine", "--images", shards, "--out", inputs / "out", "--model", sobel]
    cases = [
        ([*refine, "--masks", inputs / "masks/{0..0}.tar"], "are not called like"),
        ([*refine, "--masks", inputs / "masks.json"], "shards are called .tar"),
        ([*refine, "--masks", shards, "--show-dir", "x"], "--show-dir has no effect"),
        ([*refine, "--masks", inputs / "all/{0..1}.tar", "--edges", shards], "needs no model"),
        (["merge", shards, "--out", "x.json"], "all/trace_mm.json: no such file"),
    ]
    for arguments, message in cases:
        _run(*arguments, status=2)
        assert message in capsys.readouterr().err.splitlines()[-1]
    _run("edges", shards, "--out", inputs / "edges", "--model", sobel)
    _run("merge", inputs / "edges/{0..1}.tar", "--out", inputs / "x.json", status=2)
    assert "holds no labels" in capsys.readouterr().err


def test_masks_of_other_samples_fail_the_shard(inputs, sobel, capsys):
    with ShardWriter(inputs / "masks/1.tar") as shard:
        shard.add("other", {"json": b"[]"})
    given = [
        "refine",
        "--images",
        inputs / "all/{0..1}.tar",
        "--masks",
        inputs / "masks/{0..1}.tar",
    ]
    _run(*given, "--out", inputs / "out", "--model", sobel, status=1)
    assert "sample 'other' is not in" in capsys.readouterr().err
    assert [path.name for path in (inputs / "out").glob("*.tar")] == ["0.tar"]


@pytest.fixture
def s3(inputs, monkeypatch):
    """A server with the same shards, of whose requests each fourth fails in some way."""
    with s3_proxy(monkeypatch) as proxy:
        for path in inputs.glob("*/*.tar"):
            put_file(path, f"s3://bucket/{path.relative_to(inputs).as_posix()}")
        fail_fast(monkeypatch, tries=5, timeout=2)
        kinds, requests = cycle(FAULTS), count(1)
        proxy.failed = []

        def take_fault(method):
            if next(requests) % 4:
                return None
            proxy.failed.append(next(kinds))
            return proxy.failed[-1]

        monkeypatch.setattr(proxy, "take_fault", take_fault)
        yield proxy


def _shards(folder):
    names = [name for name in list_files(folder) if name.endswith(".tar")]
    return {name: read_bytes(join_address(folder, name)) for name in names}


def test_a_store_that_fails_gives_the_refined_shards_of_a_local_folder(inputs, sobel, s3):
    for top in (inputs, "s3://bucket"):
        shards = f"{top}/all/{{0..1}}.tar"
        _run("edges", shards, "--out", f"{top}/edges", "--model", sobel)
        given = ["refine", "--images", shards, "--masks", f"{top}/masks/{{0..1}}.tar"]
        _run(*given, "--edges", f"{top}/edges/{{0..1}}.tar", "--out", f"{top}/refined")
        out = inputs / ("local.json" if top is inputs else "stored.json")
        _run("merge", f"{top}/refined/{{0..1}}.tar", "--out", out)
    for folder in ("edges", "refined"):
        found = _shards(f"s3://bucket/{folder}")
        assert sorted(found) == ["0.tar", "1.tar"]
        assert found == _shards(inputs / folder)
    assert _parts(inputs / "stored.json") == _parts(inputs / "local.json")
    assert {*FAULTS} <= {*s3.failed}


def test_a_store_that_fails_gives_the_labels_of_a_local_folder(inputs, sobel, s3):
    for top in (inputs, "s3://bucket"):
        given = [
            "--images",
            f"{top}/all/{{0..1}}.tar",
            "--semantic",
            f"{top}/semantic/{{0..1}}.tar",
        ]
        given += ["--classes", inputs / "classes.json", "--model", sobel]
        _run("panoptic", *given, "--out", f"{top}/labels")
        out = inputs / ("local" if top is inputs else "stored")
        _run("merge", f"{top}/labels/{{0..1}}.tar", "--out", out)
    assert _shards("s3://bucket/labels") == _shards(inputs / "labels")
    for path in (inputs / "local").rglob("*.png"):
        stored = inputs / "stored" / path.relative_to(inputs / "local")
        assert stored.read_bytes() == path.read_bytes()
    for file in ("panoptic.json", "instances.json"):
        assert _parts(inputs / "stored" / file) == _parts(inputs / "local" / file)
    assert {*FAULTS} <= {*s3.failed}


def test_a_store_that_stays_away_is_one_line(inputs, sobel, s3, monkeypatch, capsys):
    monkeypatch.setattr(s3, "take_fault", lambda method: 503)
    given = ["--masks", "s3://bucket/all/{0..1}.tar", "--out", inputs / "out", "--model", sobel]
    _run("refine", "--images", "s3://bucket/all/{0..1}.tar", *given, status=1)
    captured = capsys.readouterr()
    assert captured.out.startswith("0 shards done (0 images, 0 of them failed), 0 were done before")
    for shard in (0, 1):
        assert (
            f"s3://bucket/all/{shard}.tar: cannot be read: Service Unavailable (tried 5 times)"
            in captured.err
        )
    assert [*(inputs / "out").glob("*.tar")] == []
    _run("merge", "s3://bucket/all/{0..1}.tar", "--out", inputs / "out.json", status=1)
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("trace-mm: error: s3://bucket/all/trace_mm.json: cannot be read: ")
    assert not (inputs / "out.json").exists()


@pytest.mark.parametrize("store", ["memory", "s3"])
def test_single_photos_and_maps_of_a_store_give_the_local_labels(inputs, sobel, store, request):
    top = "memory://labels" if store == "memory" else "s3://bucket"
    if store == "s3":
        request.getfixturevalue("s3")
    for folder in ("photos", "maps"):
        for path in (inputs / folder).rglob("*.png"):
            put_file(path, f"{top}/{path.relative_to(inputs).as_posix()}")

    def label(place, out):
        given = ["--images", f"{place}/photos", "--model", sobel]
        masks = ["--masks", inputs / "masks.json", "--show-dir", inputs / out / "shown"]
        _run("refine", *given, *masks, "--out", inputs / out / "refined.json")
        maps = ["--semantic", f"{place}/maps", "--classes", inputs / "classes.json"]
        _run("panoptic", *given, *maps, "--out", inputs / out / "labels")

    label(inputs, "local")
    label(top, "stored")
    pngs = {path.relative_to(inputs / "local") for path in (inputs / "local").rglob("*.png")}
    assert len(pngs) == 6 * (1 + 3)  # shown, panoptic, semantic, pictures
    for path in pngs:
        assert (inputs / "stored" / path).read_bytes() == (inputs / "local" / path).read_bytes()
    for file in ("refined.json", "labels/panoptic.json", "labels/instances.json"):
        assert _parts(inputs / "stored" / file) == _parts(inputs / "local" / file)

    def times():
        return {path: (inputs / "stored" / path).stat().st_mtime_ns for path in pngs}

    before = times()
    label(top, "stored")
    assert times() == before  # nothing was done again
    for folder in ("photos", "maps"):
        put_file(inputs / folder / f"{_key(1)}.png", f"{top}/{folder}/{_key(0)}.png")
    label(top, "stored")
    changed = {path.stem for path, time in times().items() if time != before[path]}
    assert changed == {_key(0).rpartition("/")[2]}
    for folder in ("panoptic", "semantic"):
        first, second = (f"labels/{folder}/{_key(number)}.png" for number in (0, 1))
        assert (inputs / "stored" / first).read_bytes() == (inputs / "local" / second).read_bytes()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--images", "photos", "--masks", "memory://x/masks.json"], "x/masks.json: must be local"),
        (["--images", "memory://none", "--masks", "masks.json"], "none: there is no image in it"),
        (
            ["--images", "memory://none", "--masks", "masks.json", "--out", "s3://b/o"],
            "only shards",
        ),
    ],
)
def test_what_a_store_does_not_serve_is_one_line(
    inputs, sobel, monkeypatch, capsys, arguments, message
):
    monkeypatch.chdir(inputs)
    _run("refine", "--out", "out.json", *arguments, "--model", sobel, status=2)
    line = capsys.readouterr().err.splitlines()[-1]
    assert line.startswith("trace-mm: error: ") and message in line
