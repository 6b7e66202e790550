"""Checks what a built wheel and source distribution contain: check_dist.py DIST_FOLDER."""

import sys
import tarfile
import zipfile
from pathlib import Path


def main(folder: Path) -> None:
    """Raises a ValueError that names the first thing that is missing or does not belong."""
    (wheel,) = folder.glob("*.whl")
    (sdist,) = folder.glob("*.tar.gz")
    in_wheel = zipfile.ZipFile(wheel).namelist()
    with tarfile.open(sdist) as archive:
        in_sdist = [name.partition("/")[2] for name in archive.getnames()]

    foreign = [name for name in in_wheel if not name.startswith(("trace_mm/", "trace_mm-"))]
    if foreign:
        raise ValueError(f"{wheel.name} holds more than the package: {foreign[:5]}")
    for archive_name, names in ((wheel.name, in_wheel), (sdist.name, in_sdist)):
        weights = [name for name in names if name.startswith("trace_mm/weights/")]
        if not any(name.endswith(".safetensors") for name in weights):
            raise ValueError(f"{archive_name} lacks the shipped model")
        if "trace_mm/panoptic/class_files/voc2012.json" not in names:
            raise ValueError(f"{archive_name} lacks the class files")
        if "trace_mm/demo/photos/coffee.jpg" not in names:
            raise ValueError(f"{archive_name} lacks the photos of the demo")
        if "trace_mm/py.typed" not in names:
            raise ValueError(f"{archive_name} lacks py.typed")
        stray = [name for name in names if "__pycache__" in name or name.endswith(".pyc")]
        if stray:
            raise ValueError(f"{archive_name} holds compiled files: {stray[:5]}")
    configs = {f"trace_mm/{name}" for name in in_sdist if _is_config(name)}
    shipped = {name for name in in_wheel if name.startswith("trace_mm/configs/")}
    if configs != shipped:
        differing = sorted(configs ^ shipped)
        raise ValueError(f"{wheel.name}: its configs are not those of configs/: {differing[:5]}")
    for part in (
        "tests/",
        "configs/",
        "tools/",
        "docs/",
        "projects/",
        "LICENSE",
        "constraints.txt",
        "constraints-lowest.txt",
        "constraints-mmdet.txt",
    ):
        if not any(name.startswith(part) for name in in_sdist):
            raise ValueError(f"{sdist.name} lacks {part}")
    for path in (wheel, sdist):
        print(f"{path.name}: {path.stat().st_size / 1e6:.1f} MB")


def _is_config(name: str) -> bool:
    return name.startswith("configs/") and name.endswith((".py", ".yml"))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
