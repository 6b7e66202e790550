"""Puts ``configs/`` into wheels, as ``trace_mm/configs``, so that an installed package has them."""

from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface


class ConfigsHook(BuildHookInterface):
    """Of ``configs/`` what programs read: an editable install reads it where it is."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Add the files to a wheel that is no editable one."""
        if version != "standard":
            return
        root = Path(self.root)
        for path in sorted((root / "configs").rglob("*")):
            if path.suffix in (".py", ".yml"):
                target = f"trace_mm/{path.relative_to(root).as_posix()}"
                build_data["force_include"][str(path)] = target
