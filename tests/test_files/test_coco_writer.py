"""COCO files that are written as their entries come."""

import json
import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trace_mm.files import write_coco

NUMBERS = st.integers() | st.floats(allow_nan=False)
TEXTS = st.text(st.characters(codec=None), max_size=5)  # also what is no Unicode, as in file names
VALUES = st.recursive(
    st.none() | st.booleans() | NUMBERS | TEXTS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXTS, inner, max_size=3),
    max_leaves=8,
)
ENTRIES = st.dictionaries(TEXTS, VALUES, max_size=4)
LISTS = st.lists(ENTRIES, max_size=4)


@given(ENTRIES, LISTS, LISTS, LISTS)
def test_bytes_are_those_of_the_whole_content(
    tmp_path_factory, info, images, annotations, categories
):
    path = tmp_path_factory.mktemp("coco") / "a.json"
    write_coco(path, info, iter(images), iter(annotations), iter(categories))
    content = {
        "info": info,
        "images": images,
        "annotations": annotations,
        "categories": categories,
    }
    assert path.read_bytes() == json.dumps(content).encode("ascii") + b"\n"


def test_annotations_are_asked_for_after_the_last_image(tmp_path):
    seen = []

    def images():
        for number in range(3):
            seen.append(number)
            yield {"id": number}

    def annotations():
        for number in range(2):
            yield {"id": number, "images": len(seen)}

    path = tmp_path / "a.json"
    write_coco(path, {}, images(), annotations(), [{"id": 1, "name": "object"}])
    assert [entry["images"] for entry in json.loads(path.read_bytes())["annotations"]] == [3, 3]


def test_what_fails_leaves_the_file_as_it_was(tmp_path):
    def images():
        yield {"id": 1}
        raise ValueError("photos/2.jpg: cannot be read")

    path = tmp_path / "a.json"
    path.write_bytes(b"before")
    with pytest.raises(ValueError, match=r"photos/2\.jpg"):
        write_coco(path, {}, images(), [], [])
    assert path.read_bytes() == b"before"
    assert list(tmp_path.iterdir()) == [path]


def test_memory_does_not_grow_with_the_entries(tmp_path):
    """Of a million entries, 10 MB of JSON at least, the process holds next to nothing."""
    code = f"""
import resource
from pathlib import Path
from trace_mm.files.coco_writer import write_coco
def peak():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
path = Path({str(tmp_path / "a.json")!r})
write_coco(path, {{}}, ({{"id": n}} for n in range(100)), [], [])
before = peak()
entries = [({{"id": n}} for n in range(500_000)) for _ in range(2)]
write_coco(path, {{}}, *entries, [])
print(peak() - before, path.stat().st_size)
"""
    pytest.importorskip("resource", reason="peak memory is read as POSIX tells it")
    output = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    ).stdout
    grown, size = map(int, output.split())
    unit = 1 if sys.platform == "darwin" else 1024
    assert size > 10_000_000
    assert grown * unit < 2_000_000
