"""Whatever a file of masks holds, it is read or refused, and the message names it."""

import copy
import json
import random
import shutil

import numpy as np
import pytest

from tests import peer_masks
from trace_mm.refinement.instances import InstanceMasks
from trace_mm.refinement.readers import BadMaskError, open_masks

IMAGES = peer_masks.some_images()
SIZES = [masks[0].shape for masks in IMAGES.values()]
JSON_WRITERS = ["maskcut", "cutler", "cutler self-training", "promerge", "unsam", "u2seg"]
VALUES = [
    None, True, False, 0, -1, 1.5, 2**31, 2**64, 10**400, float("nan"), float("inf"), -1e308,
    "", "a", "0", "\0", "\ud800", "../../x", "1" * 20, [], [[]], [1], [[1, 2]], {}, {"": 0},
    {"size": [2**30, 2**30], "counts": [2**60]}, {"size": [12, 17], "counts": "o" * 50},
    {"size": [12, 17], "counts": "~~~"}, {"size": [12, 17], "counts": [10**9, 204 - 10**9]},
    [[0, 0, 1e12, 0, 1e12, 1e12]], [[0, 0] * 3], "x" * 10**4,
]  # fmt: skip


def read_everything(path, folder, format="auto", allow_pickle=False):
    """Read all records with and without ``on_bad``; anything but the agreed errors is raised."""
    try:
        reader = open_masks(path, format, allow_pickle)
    except ValueError as error:
        assert str(folder) in str(error)
        return
    for record in reader.records():
        for size in SIZES:
            for tolerant in (False, True):
                errors = []
                on_bad = errors.append if tolerant else None
                try:
                    found = reader.read(record, size, on_bad)
                    assert isinstance(found, InstanceMasks)
                    assert found.size == size
                    assert found.masks.any(axis=(1, 2)).all()
                    assert found.scores is None or np.isfinite(found.scores).all()
                except BadMaskError as error:
                    errors.append(error)
                assert all(isinstance(error, BadMaskError) for error in errors)
                assert all(str(folder) in str(error) for error in errors)


def paths_in(content, path=()):
    """The ways to all values of a JSON tree."""
    yield path
    if isinstance(content, dict):
        for key, value in content.items():
            yield from paths_in(value, (*path, key))
    elif isinstance(content, list):
        for index, value in enumerate(content):
            yield from paths_in(value, (*path, index))


def replaced(content, path, value):
    if not path:
        return value
    content = copy.copy(content)
    content[path[0]] = replaced(content[path[0]], path[1:], value)
    return content


def json_file(path):
    return max(path.glob("*.json")) if path.is_dir() else path


@pytest.mark.parametrize("writer", JSON_WRITERS)
def test_any_value_anywhere_in_the_json(writer, tmp_path):
    source = peer_masks.WRITERS[writer](tmp_path, IMAGES)
    file, rng = json_file(source), random.Random(0)
    original = json.loads(file.read_text())
    ways = list(paths_in(original))
    ways = [way for way in ways if "categories" not in way or rng.random() < 0.02]
    for way in ways:
        for value in rng.sample(VALUES, 3):
            file.write_text(json.dumps(replaced(original, way, value)))
            read_everything(source, tmp_path, rng.choice(["auto", writer.split()[0]]))


@pytest.mark.parametrize("writer", JSON_WRITERS)
@pytest.mark.parametrize("value", VALUES, ids=range(len(VALUES)))
def test_any_value_as_segmentation(writer, value, tmp_path):
    source = peer_masks.WRITERS[writer](tmp_path, IMAGES)
    file = json_file(source)
    content = json.loads(file.read_text())
    annotations = content["annotations"] if isinstance(content, dict) else content
    annotations[0]["segmentation"] = value
    for key in ("category_id", "score"):
        annotations[1][key] = value
    file.write_text(json.dumps(content))
    read_everything(source, tmp_path)


@pytest.mark.parametrize("writer", peer_masks.WRITERS)
def test_torn_and_changed_bytes(writer, tmp_path):
    rng = random.Random(0)
    master = tmp_path / "master"
    source = peer_masks.WRITERS[writer](master, IMAGES).relative_to(master)
    files = sorted(path.relative_to(master) for path in master.rglob("*") if path.is_file())
    work = tmp_path / "work"
    for number in range(40):
        shutil.copytree(master, work, dirs_exist_ok=True)
        file = work / rng.choice(files)
        data = bytearray(file.read_bytes())
        if number % 2:
            data = data[: rng.randrange(len(data))]
        else:
            for _ in range(rng.randrange(1, 4)):
                data[rng.randrange(len(data))] = rng.randrange(256)
        file.write_bytes(data)
        read_everything(work / source, work, writer.split()[0], allow_pickle=True)


@pytest.mark.parametrize("writer", peer_masks.WRITERS)
def test_files_of_another_format(writer, tmp_path):
    source = peer_masks.WRITERS[writer](tmp_path, IMAGES)
    for other in {name.split()[0] for name in peer_masks.WRITERS}:
        read_everything(source, tmp_path, other, allow_pickle=True)
