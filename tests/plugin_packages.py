"""Packages of others, as they lie on a disk once they are installed."""

from pathlib import Path


def install(folder: Path, name: str, entry_points: dict[str, dict[str, str]]) -> Path:
    """Write what installers write of a package: its name, and the entry points of each group.

    Args:
        folder: of ``sys.path``.
        name: of the package.
        entry_points: places of objects by name, by group.
    """
    record = folder / f"{name.replace('-', '_')}-1.0.dist-info"
    record.mkdir(parents=True)
    (record / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
    lines = []
    for group, places in entry_points.items():
        lines += [f"[{group}]", *(f"{key} = {place}" for key, place in places.items())]
    (record / "entry_points.txt").write_text("\n".join(lines) + "\n")
    return folder
