"""Weights that were replaced are noticed, also in files too large to be read whole."""

import pytest

from trace_mm.diffusion import fingerprint
from trace_mm.diffusion.fingerprint import file_fingerprint, weights_fingerprint

SIZE = 10_000


@pytest.fixture
def large_files_are_small(monkeypatch):
    """Files of more than 1,000 bytes are large, and their blocks have 10."""
    monkeypatch.setattr(fingerprint, "_HASHED_WHOLE", 1_000)
    monkeypatch.setattr(fingerprint, "_BLOCK", 10)


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "unet").mkdir()
    (tmp_path / "model_index.json").write_text("{}")
    (tmp_path / "unet" / "config.json").write_text('{"a": 1}')
    (tmp_path / "unet" / "diffusion_pytorch_model.safetensors").write_bytes(bytes(SIZE))
    return tmp_path


def change(path, place, length):
    content = bytearray(path.read_bytes())
    content[place : place + length] = b"\1" * len(content[place : place + length])
    path.write_bytes(content)


def test_small_folders_keep_the_digest_of_earlier_versions(folder):
    # Runs of earlier versions recorded it. It is the SHA-256 of "NAME SIZE", a zero byte and the
    # content of each file, JSON files first.
    assert weights_fingerprint(folder) == "07903e5f2bf1246e"


# The last place that a block of 32 begins at is 9,990, and the one in the middle 16 * 9,990 / 31.
@pytest.mark.parametrize("place", [0, 9, 16 * 9_990 // 31, SIZE - 10, SIZE - 1])
@pytest.mark.parametrize("ending", ["safetensors", "bin"])
def test_a_change_in_any_block_of_a_large_file_is_noticed(
    folder, large_files_are_small, place, ending
):
    path = folder / "unet" / f"other.{ending}"
    path.write_bytes(bytes(SIZE))
    before = weights_fingerprint(folder), file_fingerprint(path)
    change(path, place, 1)
    assert weights_fingerprint(folder) != before[0] and file_fingerprint(path) != before[1]


@pytest.mark.parametrize("place", range(0, SIZE - 333, 1_237))
def test_a_longer_change_is_noticed_wherever_it_is(folder, large_files_are_small, place):
    before = weights_fingerprint(folder)
    change(folder / "unet" / "diffusion_pytorch_model.safetensors", place, 333)
    assert weights_fingerprint(folder) != before


def test_little_of_a_large_file_is_read(folder, large_files_are_small):
    before = weights_fingerprint(folder)
    change(folder / "unet" / "diffusion_pytorch_model.safetensors", 20, 200)  # between two blocks
    assert weights_fingerprint(folder) == before


def test_true_sizes(tmp_path):
    path = tmp_path / "model.bin"
    with path.open("wb") as stream:
        stream.truncate((64 << 20) + 1)
    seen = [file_fingerprint(path)]
    for place in (0, 64 << 20):
        with path.open("r+b") as stream:
            stream.seek(place)
            stream.write(b"\1")
        seen.append(file_fingerprint(path))
    assert len(set(seen)) == 3


def test_a_small_change_a_name_and_a_further_file_count(folder):
    seen = [weights_fingerprint(folder)]
    change(folder / "unet" / "diffusion_pytorch_model.safetensors", 5_000, 1)
    seen.append(weights_fingerprint(folder))
    (folder / "unet").rename(folder / "transformer")
    seen.append(weights_fingerprint(folder))
    (folder / "model.bin").write_bytes(b"")
    seen.append(weights_fingerprint(folder))
    assert len(set(seen)) == 4


def test_a_student_and_other_files_do_not_count(folder):
    before = weights_fingerprint(folder)
    (folder / "student").mkdir()
    (folder / "student" / "student.safetensors").write_bytes(b"1")
    (folder / "README.md").write_text("text")
    assert weights_fingerprint(folder) == before


def test_a_file_is_known_by_its_content_alone(tmp_path):
    first, second = tmp_path / "a.pth", tmp_path / "b.pth"
    first.write_bytes(b"12")
    second.write_bytes(b"12")
    assert file_fingerprint(first) == file_fingerprint(second)
    second.write_bytes(b"13")
    assert file_fingerprint(first) != file_fingerprint(second)
    with pytest.raises(FileNotFoundError, match=r"none\.pth"):
        file_fingerprint(tmp_path / "none.pth")
