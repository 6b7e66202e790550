"""Configs by name: what is meant, what is said if nothing is, and bases by name."""

from pathlib import Path

import pytest

from trace_mm.files import shipped_configs
from trace_mm.files.shipped_configs import (
    base_file,
    config_folder,
    config_names,
    find_config,
    read_config_file,
)

CONFIGS = Path(__file__).parents[2] / "configs"


@pytest.fixture
def own_configs(tmp_path, monkeypatch):
    """Other configs in place of the package's."""
    folder = tmp_path / "shipped"
    for name in ("one/same", "two/same", "two/other", "_base_/part"):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / f"{name}.py").write_text(f"value = {name!r}\n")
    monkeypatch.setattr(shipped_configs, "config_folder", lambda: folder)
    return folder


@pytest.mark.parametrize(
    "name",
    [
        "sobel_scenes",
        "sobel_scenes.py",
        "edges/sobel_scenes",
        "edges/sobel_scenes.py",
        "configs/edges/sobel_scenes.py",
    ],
)
def test_a_name_needs_no_path(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert find_config(name) == CONFIGS / "edges/sobel_scenes.py"


@pytest.mark.parametrize("name", ["cutler_trace_coco2017", "configs/uis/cutler_trace_coco2017.py"])
def test_a_config_that_was_renamed_says_its_new_name(name):
    with pytest.raises(FileNotFoundError) as error:
        find_config(name)
    assert str(error.value).endswith("it is now uis/cutler-test-time_trace_coco2017")


def test_a_file_that_is_there_comes_first(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "sobel_scenes.py").write_text("")
    assert find_config("sobel_scenes.py") == Path("sobel_scenes.py")
    assert find_config(tmp_path / "sobel_scenes.py") == tmp_path / "sobel_scenes.py"


def test_every_config_has_a_name_of_its_own():
    names = config_names()
    assert len(names) == len(set(names)) > 100
    for name in names:
        assert find_config(name.rpartition("/")[2]) == CONFIGS / f"{name}.py"


def test_the_configs_are_those_of_the_checkout():
    assert config_folder() == CONFIGS


def test_what_may_have_been_meant():
    with pytest.raises(FileNotFoundError, match=r"sobel_scene: no such config: did you mean edg"):
        find_config("sobel_scene")
    with pytest.raises(FileNotFoundError, match=r"other/sobel_scenes: .* edges/sobel_scenes"):
        find_config("other/sobel_scenes")
    with pytest.raises(FileNotFoundError, match=r"qqq\.py: no such config$"):
        find_config("qqq.py")
    with pytest.raises(FileNotFoundError, match=r"_base_/default_runtime: no such config$"):
        find_config("_base_/default_runtime")  # a part of others


def test_a_name_in_two_folders(own_configs):
    with pytest.raises(ValueError, match=r"same: there are several .*: one/same and two/same"):
        find_config("same")
    assert find_config("two/same") == own_configs / "two/same.py"
    assert config_names() == ["one/same", "two/other", "two/same"]


@pytest.mark.parametrize("base", ["two/other.py", "two/other", "other"])
def test_a_base_by_name(own_configs, tmp_path, base):
    (tmp_path / "mine.py").write_text("own = 1\n")
    user = tmp_path / "user.py"
    user.write_text(f'_base_ = ["trace_mm::{base}", "mine.py"]\nboth = (_base_.value, 2)\n')
    found = read_config_file(user)
    assert (found.value, found.own, found.both) == ("two/other", 1, ("two/other", 2))


def test_a_part_as_a_base(own_configs, tmp_path):
    path = "trace_mm::_base_/part.py"
    assert base_file(path, tmp_path / "user.py") == own_configs / "_base_/part.py"
    assert base_file("part.py", tmp_path / "user.py") == tmp_path / "part.py"


def test_an_unknown_base(own_configs, tmp_path):
    user = tmp_path / "user.py"
    user.write_text('_base_ = "trace_mm::two/othe.py"\n')
    with pytest.raises(FileNotFoundError, match=r"two/othe\.py: no such .* did you mean two/other"):
        read_config_file(user)


def test_a_package_without_configs(tmp_path, monkeypatch):
    package = tmp_path / "trace_mm"
    monkeypatch.setattr(shipped_configs, "_PACKAGE", package)
    (tmp_path / "configs").mkdir()  # of another package, in the same site-packages
    with pytest.raises(FileNotFoundError, match="configs of this package are missing"):
        config_folder()
    (package / "configs").mkdir(parents=True)
    assert config_folder() == package / "configs"
