"""JSON files of any system are read; what is not JSON is named with its cause."""

import json

import pytest

from trace_mm.files.json_file import read_json, write_json

CONTENT = {"name": "Käse", "count": 3}


@pytest.mark.parametrize(
    "encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "utf-32"]
)
def test_any_unicode_encoding(tmp_path, encoding):
    path = tmp_path / "a.json"
    path.write_bytes(json.dumps(CONTENT, ensure_ascii=False).encode(encoding))
    assert read_json(path) == CONTENT


@pytest.mark.parametrize(
    "data", [b"", b"{", b"\x80", b"[" * 10**5, b"[1,]", b"1" * 5000, "{".encode("utf-16")]
)
def test_what_is_not_json_is_named(tmp_path, data):
    path = tmp_path / "a.json"
    path.write_bytes(data)
    with pytest.raises(ValueError, match=r"a\.json: not valid JSON: "):
        read_json(path)


def test_what_cannot_be_read_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"none\.json: no such class file"):
        read_json(tmp_path / "none.json", "class file")
    with pytest.raises(ValueError, match="cannot be read: Is a directory"):
        read_json(tmp_path)


def test_what_is_written_is_read(tmp_path):
    write_json(tmp_path / "new" / "a.json", CONTENT)
    assert read_json(tmp_path / "new" / "a.json") == CONTENT
    assert (tmp_path / "new" / "a.json").read_bytes().isascii()
