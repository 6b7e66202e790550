"""Fingerprints change with what they are of, and only with that."""

import os
import shutil

import pytest

from trace_mm.files.fingerprints import fingerprint


def test_of_a_file_is_of_its_content(tmp_path):
    first, second = tmp_path / "first", tmp_path / "second"
    first.write_bytes(b"masks")
    second.write_bytes(b"masks")
    os.utime(second, (1, 1))
    assert fingerprint(first) == fingerprint(second)
    second.write_bytes(b"Masks")
    assert fingerprint(first) != fingerprint(second)


def test_of_a_folder_is_of_its_files(tmp_path):
    folder = tmp_path / "folder"
    (folder / "sub").mkdir(parents=True)
    (folder / "sub" / "a.png").write_bytes(b"1")
    (folder / "b.png").write_bytes(b"2")
    seen = [fingerprint(folder)]
    assert fingerprint(shutil.copytree(folder, tmp_path / "copy")) == seen[0]  # copies times, too
    (folder / "b.png").rename(folder / "c.png")
    seen.append(fingerprint(folder))
    (folder / "c.png").write_bytes(b"22")
    seen.append(fingerprint(folder))
    os.utime(folder / "sub" / "a.png", (1, 1))
    seen.append(fingerprint(folder))
    (folder / "d.png").write_bytes(b"")
    seen.append(fingerprint(folder))
    assert len(set(seen)) == len(seen)


def test_of_nothing(tmp_path):
    with pytest.raises(FileNotFoundError, match="nowhere"):
        fingerprint(tmp_path / "nowhere")
